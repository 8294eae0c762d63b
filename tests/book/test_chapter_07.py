"""Chapter 7: the reader's round is the library's, and its figures say what the data say."""

import ast
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from chapters import code_of

import mglib
from figures.ch07 import show_before_and_after, show_round, show_rounds
from figures.ch07_sizes import show_amounts
from mglib.federated import RoundResult
from mglib.params import weighted_mean

CHAPTER = "07_many_nodes"
NAMES = ("Round", "Update", "weighted_mean", "average", "LocalEngine", "RoundResult", "run_rounds")


@dataclass(frozen=True)
class Place:
    """A node that pulls towards its goal."""

    name: str
    goal: float
    weight: float


def descend(params, node, position, round):
    drawn = torch.tensor(round.generator(1 + position).normal(size=3))
    moved = params["p"] - (0.3 + 0.1 * round.progress) * (params["p"] - node.goal) + 0.1 * drawn
    return mglib.Update(node.name, {"p": moved}, node.weight, {"drawn": float(drawn[0])})


PLACES = [Place(f"place {index}", float(index), 1.0 + index) for index in range(6)]
START = {"p": torch.zeros(3, dtype=torch.double)}


def train(tools, start=0, params=START, state=None):
    settings = {"rounds": 7, "nodes_per_round": 3, "seed": 4, "start": start, "server_state": state}
    engine = tools["LocalEngine"](descend, PLACES)
    return list(tools["run_rounds"](engine, params, tools["average"], **settings))


@pytest.fixture(scope="module")
def chapter():
    """The chapter's own definitions: behind all imports, as a later cell imports the library's names."""
    body = code_of(CHAPTER).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    definitions = [node for node in body if getattr(node, "name", None) in NAMES]
    assert sorted(node.name for node in definitions) == sorted(NAMES)
    namespace = {}
    exec(compile(ast.Module(imports + definitions, type_ignores=[]), CHAPTER, "exec"), namespace)
    assert namespace["run_rounds"] is not mglib.run_rounds
    return namespace


LIBRARY = {name: getattr(mglib, name) for name in ("LocalEngine", "run_rounds", "average")}


def test_the_chapters_rounds_are_the_librarys_bit_for_bit(chapter):
    for ours, theirs in zip(train(chapter), train(LIBRARY), strict=True):
        assert torch.equal(ours.params["p"], theirs.params["p"])
        assert (*ours._fields, "refused") == theirs._fields == RoundResult._fields, "admission comes later"
        assert [u.node for u in ours.updates] == [u.node for u in theirs.updates]
        assert [u.metrics for u in ours.updates] == [u.metrics for u in theirs.updates]


def test_the_chapters_round_goes_on_from_where_it_stopped(chapter):
    whole = train(chapter)
    rest = train(chapter, start=3, params=whole[2].params, state=whole[2].server_state)
    assert torch.equal(rest[-1].params["p"], whole[-1].params["p"])


def test_the_chapters_mean_is_the_librarys(chapter):
    generator = torch.Generator().manual_seed(0)
    several = [
        {"a": torch.randn(4, 2, generator=generator), "b": torch.randn(3, generator=generator)} for _ in range(3)
    ]
    weights = [520.0, 1920.0, 840.0]
    ours, theirs = chapter["weighted_mean"](several, weights), weighted_mean(several, weights)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_chapters_round_draws_the_librarys_numbers(chapter):
    for index, stream in ((0, 0), (3, 7)):
        ours, theirs = (kind(index, 9, 5).generator(stream) for kind in (chapter["Round"], mglib.Round))
        assert ours.random() == theirs.random()
    assert chapter["Round"](3, 12, 0).progress == mglib.Round(3, 12, 0).progress
    assert chapter["Update"]._fields == mglib.Update._fields


def test_without_stages_a_meta_update_is_federated_averaging():
    recipe = mglib.Recipe(method="maml", width=4, depth=2, ways=3, queries=2, channels=1)
    net, params = mglib.make_net(0, gated=False, width=4, depth=2, ways=3, image_size=28, channels=1)
    images = torch.randint(0, 256, (30, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    node = mglib.Node("node", ("a", "b", "c"), images, torch.arange(3).repeat(10))
    first = mglib.Round(0, 1, 0)
    update = mglib.training.updates.MetaUpdate(net, (), recipe)(params, node, 0, first)
    task = node.sample_task(3, 1, 2, first.generator(1))
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    loss, _ = mglib.Objective(net)(leaves, task.query)
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    for (name, value), gradient in zip(params.items(), gradients, strict=True):
        torch.testing.assert_close(update.params[name], value - recipe.client_learning_rate * gradient)


GROUPS = {"Greek": ["g1", "g2"], "Lao": ["l1", "l2"]}
SAMPLES = {name: torch.rand(28, 28, generator=torch.Generator().manual_seed(1)) for name in GROUPS}


def federation(accuracies, sampled):
    history = np.linspace(0.3, 0.6, 10)
    return show_rounds(GROUPS, SAMPLES, accuracies, sampled, history, rounds=20, chance=0.2, sent=3.2e7)


def test_the_federation_says_who_was_sampled_and_how_far_it_has_come():
    figure = federation({"g1": 0.5, "l2": 0.1}, ["l2"])
    for told in ("4 nodes in 2 groups", "Round 10 of 20", "server to l2", "2 have been", "45%", "32 MB"):
        assert told in figure.alt
    assert figure.svg != federation({"g1": 0.6, "l2": 0.1}, ["l2"]).svg
    with pytest.raises(ValueError, match=r"no nodes \['x1'\]"):
        federation({"x1": 0.5}, ["g1"])


def test_a_round_says_the_shares_of_its_average():
    assert "75%, 25%" in show_round([3, 9, 1], [0, 2]).alt
    with pytest.raises(ValueError, match="3 nodes"):
        show_round([3, 9, 1], [3])


def test_what_a_step_is_worth_and_what_travels_are_told_in_words():
    figure = show_before_and_after({"random": (0.2, 0.35), "learnt": (0.2, 0.8)}, 0.2)
    assert "learnt: from 20% to 80%" in figure.alt
    assert "all messages: 2.6 GB; pictures: 26 MB" in show_amounts({"all messages": 2.6e9, "pictures": 2.6e7}).alt
