"""Nodes that lie: what they send in an honest answer's place, and that nothing else changes."""

import numpy as np
import pytest
import torch
from small_data import small_recipe

from mglib.federated import Round, Update, admit, move_length
from studies.lies import LabelFlip, attacked, liars
from studies.recipes import Recipe, set_up


@pytest.fixture(scope="module")
def experiment(folder):
    return set_up(small_recipe(folder, Recipe, nodes_per_round=2))


def sent_under(experiment, attack):
    nodes = experiment.federation.train
    honest = lambda params, node, position, round: Update(  # noqa: E731
        node.name, {name: value + 0.01 for name, value in params.items()}, node.weight, {"loss": 1.0}, round.index
    )
    update = attacked(attack, 0.4)(honest, experiment)
    everywhere = range(len(nodes))
    lying = liars(experiment.recipe.seed, 0.4, len(nodes))
    assert 0 < len(lying) == round(0.4 * len(nodes)) < len(nodes)
    first = Round(0, 4, experiment.recipe.seed)
    return lying, {p: update(experiment.initial, nodes[p], p, first) for p in everywhere}


@pytest.mark.parametrize("attack", ["sign-flip", "noise", "drift"])
def test_who_lies_sends_ten_times_the_move_somewhere_else_and_it_is_admitted(experiment, attack):
    start = experiment.initial
    lying, found = sent_under(experiment, attack)
    honest = {name: value + 0.01 for name, value in start.items()}
    for position, update in found.items():
        if position not in lying:
            assert all(torch.equal(update.params[name], honest[name]) for name in start)
            continue
        length = move_length(start, honest)
        assert move_length(start, update.params) == pytest.approx(10 * length, rel=1e-3)
        if attack == "sign-flip":
            assert all(bool((update.params[name] < start[name]).all()) for name in start)
    updates, refused = admit(start, list(found.values()), Round(0, 4, 0))
    assert refused == [], "what is well formed passes: that is what robust means are for"
    assert len(updates) == len(found)


def test_flipped_labels_are_those_of_the_queries_and_nothing_else(experiment):
    node = experiment.federation.train[0]
    honest, flipped = (kind.sample_task(3, 1, 4, np.random.default_rng(1)) for kind in (node, LabelFlip(node)))
    assert torch.equal(flipped.query.labels, (honest.query.labels + 1) % 3)
    assert torch.equal(flipped.support.labels, honest.support.labels)
    assert torch.equal(flipped.query.images, honest.query.images)
    assert torch.equal(LabelFlip(node).labels, (node.labels + 1) % len(node.classes)), "for methods without tasks"
    assert LabelFlip(node).name == node.name


@pytest.mark.parametrize("attack", ["sign-flip", "noise", "drift", "label-flip"])
def test_an_attacked_training_is_the_same_in_two_processes(folder, attack):
    recipe = small_recipe(folder, Recipe, attack=attack, byzantine_fraction=0.4, aggregation="clipped", rounds=3)
    alone, spread = (list(set_up(recipe).rounds(workers=workers)) for workers in (1, 2))
    assert all(torch.equal(alone[-1].params[name], spread[-1].params[name]) for name in alone[-1].params)
    assert len(alone) == 3


def test_an_attack_that_nobody_would_play_is_refused(experiment):
    with pytest.raises(ValueError, match=r"`byzantine_fraction` \(=0.01\) of 2 nodes are none"):
        attacked("drift", 0.01)(experiment.client_update(), experiment)
