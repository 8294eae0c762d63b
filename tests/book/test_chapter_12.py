"""Chapter 12: gates are forced as stated, rivals open as many filters, and what is measured is what is told."""

from functools import cache

import numpy as np
import pytest
import torch
from chapters import RESULTS, defined_in
from torch.func import functional_call

import mglib
from figures.ch12 import show_closings, show_likes, show_losses, show_rates, show_sights, show_worths
from figures.ch12_live import play_closing
from mglib.nets import make_net
from studies import choices, swaps
from studies.choices import View
from studies.forcing import forced_gates, gate_logits
from studies.patterns import DIRECTIONS, LAYOUT, layout, mask_of, strokes

CHAPTER = "12_what_the_meta_gates_know"


@cache
def trained():
    recipe, _, params = mglib.Run(RESULTS / "runs" / "glyphs" / "gated-50").load()
    return mglib.set_up(recipe), params


@pytest.fixture
def view():
    experiment, params = trained()
    task = experiment.federation.test[0].sample_task(5, 1, 15, np.random.default_rng(3))
    return View(experiment.objective, mglib.adapt(experiment.objective, params, task.support, experiment.stages), task)


def test_forced_gates_are_those_that_multiply_the_maps():
    net, params = make_net(0, width=6)
    images = torch.rand(4, 1, 28, 28)
    free = functional_call(net, params, (images,))
    gates = [torch.randint(0, 2, gate.shape).float() for gate in free.gates]
    with forced_gates(net, gates):
        forced = functional_call(net, params, (images,))
    for given, used in zip(gates, forced.gates, strict=True):
        assert torch.equal(given, used)
    assert not torch.equal(forced.logits, free.logits)
    assert torch.equal(functional_call(net, params, (images,)).logits, free.logits)  # it lasts no longer
    assert all(torch.equal(a > 0, b > 0) for a, b in zip(gate_logits(net, params, images), free.gates, strict=True))


def test_gates_that_do_not_fit_are_refused():
    net, params = make_net(0, width=6)
    with pytest.raises(ValueError, match="3 gates for a network of 4"), forced_gates(net, [torch.ones(6)] * 3):
        pass
    with (
        pytest.raises(ValueError, match=r"\(2, 6\) for logits of shape \(4, 6\)"),
        forced_gates(net, [torch.ones(2, 6)] * 4),
    ):
        functional_call(net, params, (torch.rand(4, 1, 28, 28),))
    assert not net.layers[0].gate._forward_hooks  # an error leaves nothing behind


def test_forced_gates_leave_the_heads_where_they_are():
    experiment, params = trained()
    task = experiment.federation.test[0].sample_task(5, 1, 15, np.random.default_rng(3))
    with forced_gates(experiment.net, [torch.ones(32)] * 4):
        moved = mglib.adapt(experiment.objective, params, task.support, experiment.stages)
    heads = experiment.net.gate_names()
    assert all(torch.equal(moved[name], params[name]) == (name in heads) for name in params)


def test_the_chapter_forces_as_the_library_does(view):
    own = defined_in(CHAPTER, "open_top", "forced_gates")
    scores, counts = view.logits["query"], choices.as_many(view, "query")
    for a, b in zip(own["open_top"](scores, counts), choices.open_top(scores, counts), strict=True):
        assert torch.equal(a, b)
    net, answers = view.objective.net, []
    for forced in (own["forced_gates"], forced_gates):
        with forced(net, [gate.roll(3, 1) for gate in view.gates("query")]), torch.no_grad():
            answers.append(functional_call(net, view.params, (view.task.query.images,)).logits)
    assert torch.equal(*answers)


def test_its_own_choice_gives_its_own_answers(view):
    logits, gates = view.answers(choices.own)
    with torch.no_grad():
        expected = view.objective.predict(view.params, view.task.query)
    torch.testing.assert_close(logits, expected.logits, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(a, b.detach()) for a, b in zip(gates, expected.gates, strict=True))


RIVALS = {
    "weights": choices.by_magnitude,
    "one order": choices.at_random((1,), each=False),
    "each": choices.at_random((1,), each=True),
}


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_opens_as_many_filters_of_each_layer_for_each_input(view, name):
    for part in choices.PARTS:
        for theirs, own in zip(RIVALS[name](view, part), view.gates(part), strict=True):
            assert torch.equal(theirs.sum(1), own.sum(1))
            assert set(theirs.unique().tolist()) <= {0, 1}


def test_one_order_is_nested_over_the_whole_task_and_a_draw_for_each_input_is_not(view):
    for name, nested in (("one order", True), ("each", False)):
        gates = torch.cat([RIVALS[name](view, part)[1] for part in choices.PARTS])
        by_count = gates[gates.sum(1).argsort()]
        assert bool((by_count[:-1] <= by_count[1:]).all()) == nested


def test_borrowed_gates_come_from_whom_they_are_said_to(view):
    own = view.gates("query")[0]
    assert torch.equal(choices.of_another_class(view, "query")[0][15:30], own[:15])
    same = choices.of_the_same_class(view, "query")[0]
    assert torch.equal(same[16:30], own[15:29])
    assert torch.equal(same[15], own[29])


@pytest.mark.parametrize("share", [0.25, 1.0, -0.5])
def test_closing_takes_the_stated_share_in_the_stated_order(view, share):
    for own, logits, highest, lowest in zip(
        view.gates("query"),
        view.logits["query"],
        choices.closing(share, "highest")(view, "query"),
        choices.closing(share, "lowest")(view, "query"),
        strict=True,
    ):
        number = (abs(share) * own.sum(1)).round()
        if share < 0:
            number = torch.minimum(number, (1 - own).sum(1))
        for changed in (highest, lowest):
            assert torch.equal((changed != own).sum(1).float(), number)
            assert bool((changed <= own).all() if share > 0 else (changed >= own).all())
        if share == 0.25:
            for changed, sign in ((highest, 1), (lowest, -1)):
                gone, kept = (
                    (sign * logits).masked_fill(changed == own, 1e9),
                    (sign * logits).masked_fill(changed == 0, -1e9),
                )
                assert bool((gone.min(1).values >= kept.max(1).values).all())


def test_closing_by_weights_by_chance_and_by_another_character(view):
    weights = [score[0] for score in choices.magnitudes(view)]
    own = view.gates("query")
    for heavy, before, after in zip(weights, own, choices.closing(0.25, "largest")(view, "query"), strict=True):
        for row in range(len(before)):
            gone, kept = heavy[before[row] > after[row]], heavy[after[row] > 0]
            assert len(gone) == 0 or gone.min() >= kept.max()
    random = choices.closing(0.25, "random")(view, "query")[3]
    alike = own[3].all(1)  # who opens the same closes the same: it is one order for the task
    assert alike.sum() > 1
    assert len(random[alike].unique(dim=0)) == 1
    each = choices.closing(0.25, "random, each")(view, "query")[3]
    assert len(each[alike].unique(dim=0)) > 1
    assert torch.equal(each.sum(1), random.sum(1))
    logits, borrowed = view.logits["query"][1].roll(15, 0), choices.closing(0.25, "another's")(view, "query")[1]
    gone, kept = logits.masked_fill(borrowed == own[1], 1e9), logits.masked_fill(borrowed == 0, -1e9)
    assert bool((gone.min(1).values >= kept.max(1).values).all())


def test_closing_one_layer_leaves_the_others(view):
    changed = choices.closing(0.5, "random", layers=(2,))(view, "query")
    assert [torch.equal(a, b) for a, b in zip(changed, view.gates("query"), strict=True)] == [True, True, False, True]


def test_the_tasks_are_those_of_evaluate():
    experiment, params = trained()
    mask = tuple(torch.ones(32) for _ in range(4))
    records = swaps.measure_swaps(experiment, params, tasks=3, seed=5, mask=mask)
    scores = mglib.evaluate(
        experiment.objective, params, experiment.federation.test, experiment.stages, tasks=3, seed=5
    )
    for record, score in zip(records, scores, strict=True):
        assert record["node"] == score.node
        assert record["prediction"]["its own"] == pytest.approx(75 * score.accuracy)
        assert record["macs"]["its own"] == pytest.approx(score.macs_ratio)
        # A mask that is open everywhere is the same as everything open; nothing is closed by closing nothing.
        assert record["prediction"]["one mask for all"] == record["prediction"]["all open"]
    closings = swaps.measure_closings(experiment, params, tasks=3, seed=5)
    assert [record["own"] for record in closings] == [record["prediction"]["its own"] for record in records]


def test_one_mask_knows_the_training_scripts_only():
    patterns = {
        "a": {"split": "train", "inputs": 10, "rates": [1.0, 0.0, 0.6, 0.4]},
        "b": {"split": "test", "inputs": 1000, "rates": [0.0, 1.0, 0.0, 1.0]},
    }
    assert [gate.tolist() for gate in mask_of(patterns, [2, 2])] == [[1, 0], [1, 0]]


def test_strokes_tell_directions_and_layout_tells_places():
    bar = torch.zeros(2, 28, 28)
    bar[0, 4:24, 13:16] = 1  # upright: its edges slope across
    bar[1, 13:16, 4:24] = 1
    told = strokes(bar)
    assert told.shape == (2, DIRECTIONS + 2)
    torch.testing.assert_close(told[:, :DIRECTIONS].sum(1), torch.ones(2))
    assert told[0, 0] > 0.7
    assert told[1, DIRECTIONS // 2] > 0.7
    torch.testing.assert_close(told[0, DIRECTIONS:], told[1, DIRECTIONS:])
    moved = strokes(bar.roll(3, 2))
    torch.testing.assert_close(moved[0], told[0])
    assert layout(bar).shape == (2, LAYOUT**2)
    assert not torch.equal(layout(bar), layout(bar.roll(8, 2)))


def test_columns_turn_records_around():
    records = [{"a": 1, "b": {"c": [0.123456, 2]}}, {"a": 3, "b": {"c": [1.0, 4]}}]
    assert swaps.columns(records) == {"a": [1, 3], "b": {"c": [[0.1235, 2], [1.0, 4]]}}


def test_the_chapters_interval_covers_tasks_and_networks():
    interval = defined_in(CHAPTER, "interval")["interval"]
    generator = np.random.default_rng(0)
    values = generator.standard_normal((1, 400))
    assert interval(values)[1] == pytest.approx(1.96 * values.std(ddof=1) / 20)
    apart = values + np.array([[0.0], [3.0], [6.0]])
    assert interval(apart)[1] > 3  # three networks that differ say little about a fourth


def test_explained_is_one_for_a_detector_and_nothing_for_noise():
    explained = defined_in(CHAPTER, "explained")["explained"]
    seen = np.array([50, 50])
    np.testing.assert_allclose(explained(seen, np.array([[50, 20], [0, 20]])), [1, 0], atol=1e-9)


def test_figures_say_what_they_show():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 28, 28, generator=generator)
    assert "0 of 2 never open, 1 always" in show_rates({"a": [1, 0.5], "b": [1, 0.2]}, [2]).alt
    row = {"name": "layer 1\nfilter 3: 4%", "mean": images[0, :3, :3], "images": images, "windows": [(-1, 2, 3)] * 3}
    assert "layer 1, filter 3: 4%" in show_sights([row]).alt
    assert "random 9.0" in show_losses({"at prediction": {"random": (9.0, 0.5)}}, "points").alt
    curves = {"highest": [(0.9, 0.01), (0.2, 0.02)]}
    assert "highest: 90% at 0%, 20% at 50%" in show_closings([0, 0.5], curves, {"highest": [(0.7, 0.1)] * 4}).alt
    six = {name: curves["highest"] for name in "abcdef"}
    alt = show_closings([0, 0.5], six, {name: [(0.7, 0.1)] * 4 for name in six}).alt
    assert all(f"{name}: 90% at 0%" in alt and f"one layer, {name}: 70%" in alt for name in six)
    with pytest.raises(ValueError, match="7 orders"):
        show_closings([0, 0.5], {name: curves["highest"] for name in "abcdefg"}, {})
    panel = ("layer 1", [1.0, 2.0], [0.1, 0.3], [0.5, 1.0])
    assert "worth from 0.100 to 0.300" in show_worths([panel] * 4).alt
    figure = show_likes([1.0, 2.0, 3.0], [0.9, 0.8, 0.7], [(0, 1), (0, 2), (1, 2)], images, ("distance", "overlap"))
    assert "3 points" in figure.alt


def test_the_player_closes_what_it_is_given():
    gates, when = [torch.ones(2, 4)], [torch.tensor([[1, 1, 2, 2], [1, 2, 0, 0]])]
    answers = {"highest": (when, torch.full((3, 2, 5), 0.2))}
    figure = play_closing(torch.zeros(2, 6, 6), [0, 1], torch.zeros(5, 6, 6), gates, answers)
    assert '"closes": [[[1, 1, 2, 2]], [[1, 2, 0, 0]]]' in figure._repr_html_()
    assert "2 characters can be chosen, which open 4 to 4 filters" in figure.alt
    with pytest.raises(ValueError, match="the same steps"):
        play_closing(torch.zeros(2, 6, 6), [0, 1], torch.zeros(5, 6, 6), gates, {})
    with pytest.raises(ValueError, match="a step from 0 to 2"):
        play_closing(torch.zeros(2, 6, 6), [0, 1], torch.zeros(5, 6, 6), gates, answers, opens_at=3)
