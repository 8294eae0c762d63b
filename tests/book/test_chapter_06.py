"""Chapter 6: the chapter's stages, walk back and adaptation are the library's; its figures say what they show."""

from types import SimpleNamespace

import pytest
import torch
from chapters import defined_in

import mglib
from figures.ch06 import show_flips, show_graph, show_misses, show_staircase
from mglib.meta.adapt import RATE, gradient_of, start_of_rates, take_steps

CHAPTER = "06_two_stages"


def smooth_loss(params, batch):
    inputs, targets = batch
    hidden = torch.tanh(inputs @ params["a"]) * torch.sigmoid(inputs @ params["gate"])
    return ((hidden @ params["b"] - targets) ** 2).mean(), {}


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(2)

    def draw(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    params = {"a": draw(4, 6), "gate": draw(4, 6), "b": draw(6, 2)}
    task = SimpleNamespace(support=(draw(5, 4), draw(5, 2)), query=(draw(9, 4), draw(9, 2)))
    return params, task


@pytest.fixture
def chapter():
    return defined_in(
        CHAPTER,
        *("Stage", "Step", "detach", "gradient_of", "take_steps", "adapt", "through", "meta_gradient"),
        "slopes_by_rate",
    )


@pytest.fixture
def stages(chapter):
    """The same stages in the chapter's words and in the library's; two steps in the second."""
    plan = (("backbone", frozenset({"a", "b"}), 0.3, 1), ("gates", frozenset({"gate"}), 0.7, 2))
    return [tuple(stage(*fields) for fields in plan) for stage in (chapter["Stage"], mglib.Stage)]


def assert_same(ours, theirs):
    assert list(ours) == list(theirs)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)


def test_the_chapters_adaptation_is_the_librarys(problem, chapter, stages):
    params, task = problem
    ours, theirs = stages
    assert_same(
        chapter["adapt"](smooth_loss, params, task.support, ours),
        mglib.adapt(smooth_loss, params, task.support, theirs),
    )


def test_the_chapters_meta_gradient_is_the_librarys(problem, chapter, stages):
    params, task = problem
    ours, theirs = stages
    assert_same(
        chapter["meta_gradient"](smooth_loss, params, task, ours)[0],
        mglib.meta_gradient(smooth_loss, params, task, theirs)[0],
    )


def test_the_slopes_by_rate_add_up_over_a_stages_steps(problem, chapter, stages):
    params, task = problem
    ours, theirs = stages
    rho = {name: rate.double() for name, rate in start_of_rates(theirs).items()}
    expected, _ = mglib.meta_gradient(smooth_loss, params | rho, task, theirs)
    slopes = chapter["slopes_by_rate"](smooth_loss, params, task, ours)
    assert slopes.keys() == params.keys()
    for name, slope in slopes.items():
        assert slope == pytest.approx(float(expected[RATE + name]), abs=1e-12)


def test_the_chapter_takes_the_librarys_steps(problem, chapter, stages):
    params, task = problem
    ours, theirs = stages
    pairs = zip(
        chapter["take_steps"](smooth_loss, params, task.support, ours, create_graph=False),
        take_steps(smooth_loss, params, task.support, theirs, create_graph=False),
        strict=True,
    )
    for one, other in pairs:
        assert one.stage.name == other.stage.name
        assert_same(one.gradient, other.gradient)
        assert_same(one.after, other.after)


def test_the_chapters_gradient_of_is_the_librarys(problem, chapter):
    params, task = problem
    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    unused = leaves | {"unused": torch.zeros(3, requires_grad=True)}
    slopes = [
        function(smooth_loss(leaves, task.support)[0], unused) for function in (chapter["gradient_of"], gradient_of)
    ]
    assert_same(*slopes)


def test_the_chapters_stage_has_the_librarys_fields(chapter):
    fields = [list(stage.__dataclass_fields__) for stage in (chapter["Stage"], mglib.Stage)]
    assert fields[0] == fields[1]


def test_staircase_says_where_the_paths_lead():
    grid = (torch.linspace(0, 2, 9), torch.linspace(0, 1, 5), torch.rand(5, 9))
    paths = {"at once": [(2.0, 1.0), (1.0, 0.0)], "two stages": [(2.0, 1.0), (1.0, 1.0), (1.0, 0.5)]}
    figure = show_staircase(grid, paths)
    assert "two stages: from (2.0, 1.0) to (1.00, 0.50)" in figure.alt


def test_misses_say_by_how_much():
    measured = torch.tensor([1.0, -1.0])
    figure = show_misses(measured, {"exact": measured + 1e-7, "off": 1.5 * measured, "none": 0 * measured})
    assert "exact 1e-07; off 50.0%; none 100.0%" in figure.alt


def test_flips_are_counted():
    before = [torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])]
    after = [torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])]
    assert "Of 6 gates the stage closes 1 and opens 2" in show_flips(torch.rand(2, 4, 4), before, after).alt


def test_the_graph_names_the_trap():
    assert "trap" in show_graph().alt
