"""Chapter 5: the chapter's gradient is the library's, and its figures say what they show."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chapters import defined_in

from figures.ch05 import Surface, _part, play_bowls, show_correction, show_descents, show_steps, show_surface
from mglib import Stage, meta_gradient
from mglib.figure import new_drawing

CHAPTER = "05_one_step_is_enough"


def smooth_loss(params, batch):
    """A loss with curvature of every kind."""
    inputs, targets = batch
    return ((torch.tanh(inputs @ params["a"]) @ params["b"] - targets) ** 2).mean(), {}


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(1)

    def draw(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    params = {"a": draw(4, 6), "b": draw(6, 2)}
    task = SimpleNamespace(support=(draw(5, 4), draw(5, 2)), query=(draw(9, 4), draw(9, 2)))
    return params, task


@pytest.mark.parametrize("second_order", [True, False])
def test_the_chapters_gradient_is_the_librarys(problem, second_order):
    params, task = problem
    one_step_gradient = defined_in(CHAPTER, "one_step_gradient")["one_step_gradient"]
    ours = one_step_gradient(smooth_loss, params, task, 0.3, second_order)
    stages = (Stage("everything", frozenset(params), 0.3),)
    theirs, _ = meta_gradient(smooth_loss, params, task, stages, second_order=second_order)
    for name in params:
        torch.testing.assert_close(ours[name], theirs[name])


def test_the_chapters_gradient_is_that_of_its_own_objective(problem):
    params, task = problem
    chapter = defined_in(CHAPTER, "one_step_gradient", "loss_after_step")
    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    value = chapter["loss_after_step"](smooth_loss, leaves, task, 0.3)
    slopes = torch.autograd.grad(value, list(leaves.values()))
    ours = chapter["one_step_gradient"](smooth_loss, params, task, 0.3)
    for name, slope in zip(leaves, slopes, strict=True):
        torch.testing.assert_close(ours[name], slope)


def bowls():
    centres = torch.tensor([[1.0, 0.0], [-1.0, 0.5]])
    return centres, torch.stack([torch.diag(torch.tensor([2.0, 0.4])), torch.diag(torch.tensor([0.5, 2.2]))])


def test_live_bowls_carry_their_data_and_their_words():
    centres, curvatures = bowls()
    figure = play_bowls(centres, curvatures, 0.4, (0.0, 0.0), "Drag the dot. Then look.")
    page = figure._repr_html_()
    assert '"rate": 0.4' in page
    assert "mg-live" in page
    assert "2 tasks" in figure.alt
    assert repr(figure) == "Live('Drag the dot')"


def test_two_live_figures_of_a_page_have_ids_of_their_own():
    centres, curvatures = bowls()
    one, other = (play_bowls(centres, curvatures, rate, (0.0, 0.0))._repr_html_() for rate in (0.1, 0.2))
    assert one.split('id="')[1][:10] != other.split('id="')[1][:10]


def test_bowls_of_the_wrong_shape_are_refused():
    centres, curvatures = bowls()
    with pytest.raises(ValueError, match="curvatures"):
        play_bowls(centres, curvatures[:1], 0.4, (0.0, 0.0))


def test_surface_says_where_the_step_leads():
    across, up = torch.linspace(-0.5, 1.5, 9), torch.linspace(-1, 1, 9)
    loss = (across[None, :] - 1) ** 2 + up[:, None] ** 2
    figure = show_surface([Surface("a start", across, up, loss, 0.2, 0.8)])
    assert "from a loss of 1.0 to 0.0 nats, from 20% to 80%" in figure.alt


def test_correction_says_the_angle():
    zero, across, up = torch.zeros(2), torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    centres, curvatures = bowls()
    figure = show_correction(zero, across, across, up - across, (centres[0], curvatures[0]))
    assert "is 90 degrees" in figure.alt


def test_level_lines_leave_room_for_words():
    _, axis = new_drawing(3, 3)
    word, (line,) = axis.text(0.5, 0.5, "words", ha="center"), axis.plot(np.linspace(0, 1, 101), np.full(101, 0.5))
    _part([line], [word])
    drawn = ~np.isnan(line.get_xdata())
    assert 0 < drawn.sum() < 101
    boxed = word.get_window_extent()
    places = axis.transData.transform(np.stack([np.linspace(0, 1, 101), np.full(101, 0.5)], 1))[:, 0]
    assert not drawn[(places > boxed.x0) & (places < boxed.x1)].any()


def test_descents_say_where_they_end():
    grid = (torch.linspace(-2, 2, 9), torch.linspace(-1, 1, 5), torch.rand(5, 9) + 0.1)
    paths = {
        "exact": [torch.tensor([[0.0, 0.0], [1.0, 0.5]])],
        "first order": [torch.tensor([[0.0, 0.0], [-1.0, 0.2]])],
    }
    figure = show_descents(paths, grid, bowls()[0])
    assert "exact end at (1.0, 0.5)" in figure.alt
    assert "first order end at (-1.0, 0.2)" in figure.alt


def test_steps_say_what_each_start_reaches():
    figure = show_steps({"MAML": [0.2, 0.87, 0.9], "random": [0.2, 0.4, 0.5]})
    assert "MAML: 20% before, 87% after one step, 90% after 2" in figure.alt
