"""Chapter 9: its walk, its watch and its passes are the library's; its figures say what they show."""

import json
from dataclasses import replace

import pytest
import torch
from chapters import RESULTS, defined_in, prose_of

import mglib
from figures.ch09 import direction_frames, show_arcs
from figures.ch09_bills import show_beside, show_roofline, show_skylines
from mglib.fast import Derivatives
from mglib.params import detach
from studies.bench import peak_bytes, peers
from studies.bench.meta_step import PLAIN, TWO_STAGE, Case

CHAPTER = "09_what_a_meta_gradient_costs"


@pytest.fixture(scope="module")
def chapter():
    names = ("ByAutograd", "staged", "silent", "Watch", "watched", "graph_of", "nested_loss", "nested", "Forgetful")
    return defined_in(CHAPTER, *names)


@pytest.fixture(params=[PLAIN, TWO_STAGE])
def everything(request):
    """An objective, parameters in double precision, a task and stages of two steps each, as the programs take them."""
    case = Case(width=5, image_size=12, channels=1)
    net, params, stages = case.methods[request.param]
    task = case.task
    support = mglib.Batch(task.support.images.double(), task.support.labels)
    query = mglib.Batch(task.query.images.double(), task.query.labels, support.images)
    params = {name: value.double() for name, value in params.items()}
    stages = tuple(replace(stage, steps=2) for stage in stages)
    return mglib.Objective(net, 0.5, 1.0), params, replace(task, support=support, query=query), stages


def assert_same(ours, theirs, tolerance):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=tolerance, atol=tolerance)


def test_the_chapters_walk_by_autograd_is_the_librarys_clear_path(chapter, everything):
    assert_same(chapter["staged"](chapter["ByAutograd"], *everything), mglib.meta_gradient(*everything)[0], 0)


def test_the_chapters_walk_over_derivatives_is_the_librarys_fast_path(chapter, everything):
    assert_same(chapter["staged"](Derivatives, *everything), mglib.fast_meta_gradient(*everything)[0], 0)


def test_the_chapters_nested_program_is_the_benchmarks(chapter, everything):
    assert_same(chapter["nested"](*everything), peers.nested(*everything), 1e-12)


def test_a_forgetful_point_gives_the_same_gradient(chapter, everything):
    namespace = chapter["staged"](chapter["Forgetful"], *everything)
    assert_same(namespace, mglib.fast_meta_gradient(*everything)[0], 1e-12)


def test_the_chapters_watch_finds_the_librarys_peak(chapter, everything):
    watch = chapter["watched"](chapter["staged"], Derivatives, *everything)
    assert max(watch.bytes) == pytest.approx(peak_bytes(lambda: mglib.fast_meta_gradient(*everything)), rel=0.02)
    phases = list(dict.fromkeys(phase for phase, _ in watch.phases))
    steps = range(1, len(everything[-1]) + 1)
    assert phases == [*(f"step {n}" for n in steps), "query", *(f"back {n}" for n in reversed(steps))]


def test_written_out_looking_back_is_few_multiplications_in_many_operations():
    from torch.utils.flop_counter import FlopCounterMode

    case = Case(width=32, image_size=28, channels=1)
    net, params, stages = case.methods[TWO_STAGE]
    bills = []
    for second_order in (False, True):
        with FlopCounterMode(display=False) as counter:
            mglib.fast_meta_gradient(
                mglib.Objective(net, 0.5, 1.0), params, case.task, stages, second_order=second_order
            )
        bills.append(counter.get_total_flops())
    assert 0.8 < bills[0] / bills[1] < 1


def test_a_graph_is_numbered_as_it_was_made(chapter):
    start = detach({"a": torch.ones(3)}, requires_grad=True)["a"]
    numbers, edges = chapter["graph_of"]((start * 2).exp().sum())
    assert len(numbers) == 3
    assert sorted(numbers) == numbers
    assert edges == [(1, 0), (2, 1)]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # by torch.func.jvp
def test_four_directions_are_autograds():
    held = defined_in(CHAPTER, "Linear", "Norm", "Tanh", "four_passes")
    for name, part in (("Norm", held["Norm"]), ("Tanh", held["Tanh"])):

        def run(x, part=part):
            return part(x).out

        x, v, x_dot, v_dot = torch.randn(4, 7, 3, dtype=torch.double, generator=torch.Generator().manual_seed(3))
        here = part(x)

        def back(x, v, run=run):
            return torch.func.vjp(run, x)[1](v)[0]

        torch.testing.assert_close(here.back(v), back(x, v), msg=name)
        torch.testing.assert_close(here.dot(x_dot), torch.func.jvp(run, (x,), (x_dot,))[1], msg=name)
        torch.testing.assert_close(here.back_dot(v_dot), torch.func.jvp(back, (x, v), (x_dot, v_dot))[1], msg=name)


def test_the_product_by_hand_is_the_one_by_differences():
    product = defined_in(CHAPTER, "gradient_and_product")["gradient_and_product"]
    _, tangents = product(0.7, -1.1, 0.3, 2.0)
    step = 1e-6
    ahead, behind = (product(0.7 + s * 0.3, -1.1 + s * 2.0, 0.0, 0.0)[0] for s in (step, -step))
    assert tangents == pytest.approx([(x - y) / (2 * step) for x, y in zip(ahead, behind, strict=True)], rel=1e-6)


# --- figures -------------------------------------------------------------------------------------------------------


def test_arcs_say_how_many_reach_back():
    figure = show_arcs([(1, 0), (2, 1), (4, 0), (4, 3)], {"loss": 3, "slopes": 2})
    assert "loss 3, slopes 2" in figure.alt
    assert "Of 4 arcs 1 reach back" in figure.alt
    assert "longest over 4 nodes" in figure.alt
    with pytest.raises(ValueError, match="node 7"):
        show_arcs([(7, 0)], {"loss": 3})


def test_directions_show_one_more_cell_a_frame():
    steps = [
        {"place": (0, 1), "array": torch.ones(2, 2), "reads": [(0, 0)], "says": "forward"},
        {"place": (1, 1), "array": -torch.ones(2, 2), "reads": [(0, 1), (0, 0)], "says": "back"},
    ]
    frames = direction_frames({(0, 0): torch.ones(2, 3)}, steps, ("weights", "out"))
    assert len(frames) == 2
    assert "Step 2 of 2: back" in frames[1].alt
    assert "row 2 under out" in frames[1].alt


def test_skylines_say_when_they_are_highest():
    heights = {"one": [10**6, 4 * 10**6, 2 * 10**6], "other": [10**6] * 5}
    phases = {"one": [("up", 0), ("top", 1), ("down", 2)], "other": [("flat", 0)]}
    figure = show_skylines(heights, phases)
    assert "one: 3 operations, at most 4.0 megabytes, in the phase top" in figure.alt


def test_the_roofline_says_how_far_from_the_roof():
    figure = show_roofline({"gates": [(0.1, 1e9), (0.2, 2e9)]}, 1e10, {"cache": 5e10, "memory": 1e10})
    assert "gates: 0.1 to 0.2 MACs a byte at 10% to 20%" in figure.alt


def test_lanes_are_in_units_of_ours():
    cases = {"small": {"ours": 2.0, "other": 5.0, "limit": 1.0}, "large": {"ours": 1.0, "other": 3.0}}
    figure = show_beside(cases, "ours", "limit")
    assert "small: other 2.5, limit 0.50; large: other 3.0." in figure.alt


def test_what_is_said_of_fewer_queries_is_in_the_file():
    report = json.loads((RESULTS / "bench" / "queries.json").read_text())
    prose = prose_of(CHAPTER)
    over = {(row["setting"]["kind"], row["what"].split()[0]): f"{row['ratio']:.2f}" for row in report["rows"]}
    rounds = {kind: list(ways.values())[-1]["rounds"] for kind, ways in report["notes"]["courses"].items()}
    plain, staged = (f"in {over[kind, '5']}" for kind in rounds)
    assert f"plain MAML arrives {plain} of the time, after {rounds['plain MAML']} rounds" in prose
    assert f"two stages {staged}, after {rounds['two stages']}" in prose
    assert f"two stages take {over['two stages', '10']}, but plain MAML {over['plain MAML', '10']}" in prose
