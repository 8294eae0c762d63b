"""A cell is what it says: within its budget, on the same test tasks as every other; trials see no test node."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from small_data import write_alphabets

from mglib.nets import dense_macs, make_net
from mglib.nets.freezing import resized
from mglib.tasks import Node
from mglib.training.algorithms import network_of
from mglib.training.experiment import set_up
from studies import Cell, counting, equal_macs, measure, methods
from studies.equal_macs import prune, strongest_filters
from studies.methods import METHODS, REFERENCE_WIDTH, Source, recipe_of, reference_macs, width_within


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return {"omniglot": str(write_alphabets(tmp_path_factory.mktemp("alphabets"), examples=20))}


@pytest.fixture
def small(monkeypatch):
    """Alphabets of noise in the place of Omniglot's, and trainings of seconds."""
    in_folder = {"held_out": ("alphabet3",), "validation": ("alphabet2",), "nodes_per_round": 2, "depth": 2}
    small = Source({"image_size": 14, "channels": 1}, in_folder, folder="omniglot", published="omniglot")
    monkeypatch.setitem(methods.SOURCES, "omniglot", small)
    monkeypatch.setitem(methods.BASE, "rounds", 40)
    monkeypatch.setattr(measure, "QUICK", {"rounds_share": 0.1, "tasks": 6, "look": 2})


def made(method, sources, budget=0.5, seed=0, settings=None):
    cell = Cell("omniglot", method, budget=budget, seed=seed)
    settings = METHODS[METHODS[method].like or method].search[0] if settings is None else settings
    return measure.measure_cell(cell, settings=settings, sources=sources, quick=True)


@pytest.mark.parametrize("method", ["metagater", "dense", "slim", "fedavg", "pruned", "static-mask"])
def test_a_cells_record_is_whole_and_can_be_kept(small, sources, method, tmp_path):
    budget = METHODS[method].budget
    record = made(method, sources, budget)
    cell = Cell("omniglot", method, budget=budget)
    cell.write(tmp_path, record)
    assert cell.read(tmp_path) == json.loads(json.dumps({**dataclasses.asdict(cell), **record}))
    assert len(record["correct"]) == 6
    assert record["queries"] == 75
    assert record["bytes_sent"] > 0
    assert [rounds for rounds, _ in record["curve"]] == [1, 2, 3, 4][: record["recipe"]["rounds"]]
    assert record["quick"] is True
    assert {"recipe", "versions", "date", "commit", "seconds", "target"} <= record.keys()
    assert record["recipe"]["data"] == "folder:" + sources["omniglot"].rpartition("/")[2], "no path of this machine"
    assert set(record["steps"]) == ({"0", "10"} if method in measure.STEPPED else set())


def test_the_same_cell_gives_the_same_answers_and_another_seed_others(small, sources):
    first, again, other = made("slim", sources), made("slim", sources), made("slim", sources, seed=1)
    assert first["correct"] == again["correct"]
    assert first["curve"] == again["curve"]
    assert first["correct"] != other["correct"]


def test_every_method_of_a_seed_is_tested_on_the_same_tasks(small, sources, monkeypatch):
    seen = []
    sample = Node.sample_task

    def noted(node, ways, shots, queries, generator):
        task = sample(node, ways, shots, queries, generator)
        if node.name == "alphabet3":
            seen.append(task.classes + tuple(np.round(task.query.images.sum((1, 2, 3)).numpy(), 3)))
        return task

    monkeypatch.setattr(Node, "sample_task", noted)
    made("slim", sources)
    slim = list(seen)
    seen.clear()
    made("gated-fedavg", sources)
    assert slim == seen
    assert len(seen) == 6


def test_a_trial_never_touches_a_test_node(small, sources, monkeypatch):
    sample, sampled = Node.sample_task, []
    monkeypatch.setattr(Node, "sample_task", lambda node, *rest: sampled.append(node.name) or sample(node, *rest))
    trial = measure.measure_trial("omniglot", "slim", METHODS["slim"].search[0], sources=sources, quick=True)
    assert "alphabet2" in sampled, "the validation node scores it"
    assert "alphabet3" not in sampled
    assert {"settings", "accuracy", "ci95", "macs_ratio", "tasks", "seed"} <= trial.keys()
    assert trial["seed"] not in range(100), "no cell's seed"


def test_a_trial_is_made_at_the_methods_own_budget(small, sources):
    dense, slim = (
        measure.measure_trial("omniglot", method, METHODS[method].search[0], sources=sources, quick=True)
        for method in ("dense", "slim")
    )
    assert dense["macs_ratio"] > 1.5 * slim["macs_ratio"]


def test_budgets_are_shares_of_one_dense_network():
    reference = reference_macs("glyphs")
    for budget in (0.25, 0.5, 0.75):
        recipe = recipe_of("glyphs", "slim", budget=budget, settings={}, sources={})
        net, _ = network_of(dataclasses.replace(recipe, channels=1))
        more, _ = network_of(dataclasses.replace(recipe, channels=1, width=recipe.width + 1))
        assert dense_macs(net.costs) <= budget * reference < dense_macs(more.costs)
        gated = recipe_of("glyphs", "metagater", budget=budget, settings={}, sources={})
        net, _ = network_of(dataclasses.replace(gated, channels=1))
        assert gated.budget * dense_macs(net.costs) == pytest.approx(budget * reference)
    assert recipe_of("glyphs", "dense", budget=1.0, settings={}, sources={}).width == REFERENCE_WIDTH
    assert width_within("glyphs", 1.0) == REFERENCE_WIDTH


def test_pruning_ends_with_the_filters_that_the_budget_allows(small, sources):
    record = made("pruned", sources)
    assert record["macs_ratio"] <= 0.5
    assert record["recipe"]["width"] > width_within("omniglot", 0.5)


def test_random_gates_end_at_their_budget_on_training_tasks_by_one_shift_of_all_logits(small, sources):
    asked = {"settings": METHODS["random-gates"].search[0], "sources": sources, "rounds_share": 1.0}
    whole, intervention = measure.subject_of("omniglot", "random-gates", budget=0.5, seed=3, **asked)
    experiment, params, _ = intervention(whole, whole.initial, {})
    scores = counting.counted(experiment, params, experiment.federation.train, equal_macs.TASKS)
    one_filter = 1 / (2 * experiment.recipe.width)
    assert counting.macs_share(scores) == pytest.approx(experiment.recipe.budget, abs=one_filter)
    before = whole.initial
    shifts = {name: params[name] - before[name] for name in before}
    moved = torch.cat([shift.flatten() for name, shift in shifts.items() if name in experiment.net.gate_names()])
    bias = torch.cat([shift for name, shift in shifts.items() if name.endswith("gate.linear.bias")])
    assert bias.unique().numel() == 1
    assert float(bias[0]) != 0
    assert moved.count_nonzero() == bias.numel(), "biases alone"
    assert not any(shift.any() for name, shift in shifts.items() if name not in experiment.net.gate_names())


@pytest.mark.parametrize("method", ["pruned", "random-gates"])
def test_an_intervention_keeps_the_servers_moments(small, sources, method):
    asked = {"settings": METHODS[method].search[0], "sources": sources, "rounds_share": 0.2, "seed": 0}
    whole, intervention = measure.subject_of("omniglot", method, budget=0.5, **asked)
    state = {}

    def noted(experiment, params, server_state):
        changed = intervention(experiment, params, server_state)
        state.update(before=server_state, after=changed[2], params=changed[1])
        return changed

    *_, (done, _, last) = equal_macs.trained(whole, noted)
    rounds = whole.recipe.rounds
    assert done == rounds
    assert int(state["before"]["steps"]) == int(state["after"]["steps"]) == round(equal_macs.BROUGHT_AFTER * rounds)
    assert {name: value.shape for name, value in state["params"].items()} == {
        name: state["after"][f"second.{name}"].shape for name in state["params"]
    }
    kept = {value.item() for value in state["before"]["second.layers.0.scale"]}
    assert {value.item() for value in state["after"]["second.layers.0.scale"]} <= kept
    assert all(torch.isfinite(value).all() for value in last.values())


@pytest.mark.parametrize("data", methods.SOURCES)
def test_every_setting_of_the_tables_makes_a_recipe_of_its_own(data):
    for method in METHODS:
        searched = METHODS[METHODS[method].like or method].search
        recipes = [recipe_of(data, method, settings=settings, sources={}) for settings in searched]
        assert all(0 < recipe.budget <= 1 for recipe in recipes), method
        assert len({json.dumps(dataclasses.asdict(recipe)) for recipe in recipes}) == len(searched) > 0, method


@pytest.mark.parametrize(("data", "method"), [("mnist", "slim"), ("glyphs", "magic")])
def test_unknown_names_are_refused_with_those_that_exist(data, method):
    with pytest.raises(ValueError, match=r"there are (glyphs|metagater)"):
        recipe_of(data, method, settings={}, sources={})


@pytest.mark.realdata
@pytest.mark.parametrize("data", ["omniglot", "cifar10", "cifar10-unseen"])
def test_real_images_give_every_table_its_nodes(data, real_data):
    sources = {"omniglot": str(real_data / "omniglot-small1"), "cifar10": str(real_data / "cifar10-train-5000")}
    recipe = recipe_of(data, "metagater", shots=5, settings={}, sources=sources)
    federation = set_up(recipe, measure.federation_of(recipe)).federation
    for node in federation.test:
        node.sample_task(5, 5, counting.QUERIES, np.random.default_rng(0))


def test_pruning_takes_the_filters_of_smallest_magnitude_and_what_reads_them():
    net, params = make_net(0, gated=False, width=6, depth=3, image_size=14, ways=3)
    weak = {0: [1, 4], 1: [0, 5], 2: [2, 3]}
    for layer, filters in weak.items():
        for name in ("conv.weight", "scale", "shift"):
            params[f"layers.{layer}.{name}"][filters] *= 1e-9  # they write nothing
    pruned = prune(net, params, strongest_filters(net, params, [4, 4, 4]))
    small = resized(net, pruned)
    images = torch.rand(5, 1, 14, 14)
    whole, less = (torch.func.functional_call(n, p, (images,)).logits for n, p in ((net, params), (small, pruned)))
    torch.testing.assert_close(less, whole, rtol=1e-4, atol=1e-5)
    assert [layer.conv.out_channels for layer in small.layers] == [4, 4, 4]
    with pytest.raises(ValueError, match="dense network of 2 layers"):
        strongest_filters(net, params, [4, 4])
