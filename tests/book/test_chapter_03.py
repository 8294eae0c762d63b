"""Chapter 3: its objective and its forced forward pass are the library's; its pictures say what they show."""

import pytest
import torch
from chapters import defined_in, prose_of
from torch.func import functional_call

import mglib
from figures.ch03 import open_share_frames, show_agreement, show_cheap_and_dear, show_paths, show_penalties, show_swaps
from studies import STUDIES
from studies.cells import RESULTS

CHAPTER = "03_paying_only_for_what_you_open"


def some(count, seed, context=None):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 28, 28, generator=generator)
    return mglib.Batch(images, torch.randint(0, 5, (count,), generator=generator), context)


def trained_a_little(seed=0):
    """A network whose gates have left their start: some closed, some by input."""
    net, params = mglib.make_net(seed)
    generator = torch.Generator().manual_seed(seed)
    shifts = {name: torch.randn(params[name].shape, generator=generator) for name in sorted(net.gate_names())}
    return net, params | {name: params[name] + shift for name, shift in shifts.items()}


@pytest.mark.parametrize("budget", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("with_context", [False, True])
def test_the_chapters_objective_is_the_librarys_in_value_and_gradient(budget, with_context):
    own = defined_in(CHAPTER, "Objective")["Objective"]
    net, params = trained_a_little()
    leaves = {name: value.requires_grad_() for name, value in params.items()}
    batch = some(8, 1, some(6, 2).images if with_context else None)
    (mine, my_metrics), (its, its_metrics) = (
        objective(net, budget, 2.0)(leaves, batch) for objective in (own, mglib.Objective)
    )
    assert torch.equal(mine, its)
    for name in ("accuracy", "macs_ratio"):
        assert torch.equal(my_metrics[name].detach(), its_metrics[name])
    for one, other in zip(*(torch.autograd.grad(loss, leaves.values()) for loss in (mine, its)), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_the_chapters_annealing_is_the_librarys(share):
    own = defined_in(CHAPTER, "annealed_budget")["annealed_budget"]
    for budget in (0.1, 0.5, 1.0):
        for step in range(21):
            assert own(budget, step / 20, share) == mglib.annealed_budget(budget, step / 20, share)


def test_forced_gates_are_the_networks_own_where_they_are_its_own():
    forced = defined_in(CHAPTER, "forced")["forced"]
    net, params = trained_a_little(3)
    images, context = some(8, 4).images, some(6, 5).images
    statistics = functional_call(net, params, (context,)).statistics
    answer = functional_call(net, params, (images, statistics))
    torch.testing.assert_close(forced(params, images, statistics, answer.gates), answer.logits)
    none = [torch.zeros_like(gate) for gate in answer.gates]
    closed = forced(params, images, statistics, none)
    torch.testing.assert_close(closed, params["head.bias"].expand_as(closed))


def test_the_drawing_of_penalties_names_the_budget():
    assert "budget of 30%" in show_penalties(0.3).alt


def a_path(**changes):
    return {"label": "hinge", "role": "open", "side": "above", "macs": [1, 0.5], "accuracy": [0, 0.8]} | changes


def test_paths_say_where_they_end_and_refuse_an_unknown_side():
    assert "hinge ends at 50% of the MACs with 80% right" in show_paths([a_path()], 0.5).alt
    with pytest.raises(ValueError, match="below"):
        show_paths([a_path(side="below")], 0.5)


def records(*steps):
    return [
        {"step": step, "macs": 0.4, "accuracy": 0.7, "rates": [torch.tensor([0.0, 1.0, 0.0]), torch.ones(20)]}
        for step in steps
    ]


def test_a_frame_a_record_counts_the_filters_that_no_input_opens():
    frames = open_share_frames({"price": records(0, 5), "budget": records(0, 5)}, 0.5)
    assert len(frames) == 2
    assert "After step 5" in frames[1].alt
    assert frames[1].alt.count("layer by layer: 2, 0") == 2
    assert all(len(frame.svg) < 60_000 for frame in frames)


def test_trainings_recorded_at_different_steps_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 6\]"):
        open_share_frames({"price": records(0, 5), "budget": records(0, 6)}, 0.5)


def test_cheap_and_dear_tell_their_ranges():
    alt = show_cheap_and_dear({"dearest": (torch.rand(3, 28, 28), torch.tensor([0.6, 0.7, 0.8]))}).alt
    assert "dearest: 60% to 80%" in alt


def test_swaps_tell_every_bar():
    alt = show_swaps({"its own": 0.86, "one mask": 0.8}).alt
    assert "its own: 86%; one mask: 80%" in alt


def test_agreement_tells_its_range_and_its_corner():
    agreement = torch.tensor([[0.9, 0.8, 0.5], [0.8, 0.9, 0.7], [0.5, 0.7, 0.9]])
    alt = show_agreement(agreement, torch.rand(3, 28, 28)).alt
    assert "from 50% agreement (empty) to 90% (full)" in alt
    assert "agree on 75% of the filters, the first and the last on 50%" in alt


def test_fifteen_of_sixteen_long_trainings_keep_their_budgets():
    rows = [row for row in STUDIES["prices"].lines(RESULTS) if row["part"].endswith("long")]
    off = [row for row in rows if abs(row["off"]) > 0.01]
    assert len(rows) == 16
    assert [(row["data"], row["budget"]) for row in off] == [("cifar10", 0.12)]
    assert off[0]["accuracy"] < 0.25, "hardly more than chance"
    (faster,) = (row for row in STUDIES["prices"].lines(RESULTS) if row["part"].endswith("faster"))
    assert abs(faster["off"]) <= 0.01
    assert faster["accuracy"] > 0.3
    assert "fifteen of sixteen networks, on four data sets at four budgets, are within 1.0 points" in prose_of(CHAPTER)
