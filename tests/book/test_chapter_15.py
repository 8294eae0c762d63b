"""Chapter 15: letters give the bits of function calls, carry what Flower's records carry, and figures say the sizes."""

import json

import pytest
import torch
from chapters import RESULTS, defined_in, prose_of

import mglib
from figures.ch15 import show_parties, show_waits
from mglib.federated import Round
from mglib.training.algorithms import client_update
from studies.bench.scale import Costs
from studies.recipes import Recipe

CHAPTER = "15_beyond_one_machine"


@pytest.fixture(scope="module")
def post():
    return defined_in(CHAPTER, "write", "read", "on_the_node", "PostalEngine")


@pytest.mark.parametrize("method", ["metagater", "maml", "gates-first"])
def test_a_letter_gives_the_bits_of_a_call(post, method):
    recipe = mglib.Recipe(width=8, queries=3, channels=1, depth=4, rounds=3, seed=5, method=method)
    experiment = mglib.set_up(recipe)
    node, round = experiment.federation.train[7], Round(2, 3, 5)
    update = client_update(recipe, experiment.net)
    expected = mglib.LocalEngine(update, [node]).run(experiment.initial, [0], round)[0]
    letter = post["write"](experiment.initial, recipe=recipe.dumps(), round=2, position=0)
    torch.set_num_threads(1)
    params, said = post["read"](post["on_the_node"](letter, node))
    assert all(torch.equal(params[name], value) for name, value in expected.params.items())
    assert (said["weight"], said["round"]) == (expected.weight, 2)
    assert said["metrics"] == pytest.approx(expected.metrics)


def test_answers_come_back_in_the_order_of_positions(post):
    recipe = mglib.Recipe(width=8, queries=3, channels=1, depth=4, rounds=3)
    experiment = mglib.set_up(recipe)
    nodes = experiment.federation.train[:4]
    for seed in range(3):
        answers = post["PostalEngine"](recipe, nodes, seed).run(experiment.initial, [2, 0, 3], Round(0, 3, 0))
        assert [answer.node for answer in answers] == [nodes[place].name for place in (2, 0, 3)]


def test_the_records_hold_no_array_that_could_be_images():
    wire = json.loads((RESULTS / "flower" / "wire.json").read_text())
    recipe = Recipe(**Recipe.of_today({**wire["recipe"], "data": "glyphs"}))
    _, initial = mglib.training.algorithms.network_of(recipe)
    for way in ("down", "up"):
        assert {name: tuple(array["shape"]) for name, array in wire[way]["arrays"].items()} == {
            name: tuple(value.shape) for name, value in initial.items()
        }
        assert wire[way]["bytes"] < 1.3 * wire["parameter_bytes"]
    assert set(wire["up"]["numbers"]["answer"]) == {"weight", "round"}


def test_what_a_round_waits_for_is_what_the_model_says():
    waits = defined_in(CHAPTER, "waits")["waits"]
    costs = Costs(**json.loads((RESULTS / "bench" / "scale.json").read_text())["notes"]["costs"])
    waits.__globals__["costs"] = costs
    for sampled in (1, 50, 5000):
        found = waits(sampled, slower=7.0, device_rate=2e5, link_rate=3e7)
        device = found["a device computes"] + found["a device's line"]
        link = found["the server's line"] + found["the server packs"]
        modelled = costs.distributed(sampled, slower=7.0, device_rate=2e5, link_rate=3e7)
        assert modelled == pytest.approx(costs.sampling + max(device, link) + found["the server averages"])


def test_figures_say_sizes_and_what_takes_longest():
    assert "an order of 40 kB goes to each node and an answer of 39 kB" in show_parties(39_600, 38_700, 376_000).alt
    figure = show_waits({"computing": 0.5, "the line": 2.0}, 3.0, "A round.")
    assert "computing 0.5 s, the line 2 s. The longest is the line" in figure.alt


def test_what_is_said_of_workers_is_in_the_file():
    report = json.loads((RESULTS / "bench" / "rounds.json").read_text())
    two = next(goal for goal in report["goals"] if goal["name"].startswith("two workers over"))
    model = next(goal for goal in report["goals"] if "the model" in goal["name"])
    prose = prose_of(CHAPTER)
    assert (
        f"Two workers make a round {two['measured']:.2f} times as fast. They compute for {two['note'][:2]} %" in prose
    )
    assert f"too small by {100 * model['measured']:.0f} %" in prose
    assert f"sixteen nodes {report['notes']['predicted']['16']:.1f} times as fast" in prose
