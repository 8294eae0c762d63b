"""Combinations: two choices of a recipe either both do what they say, or the recipe is refused when it is made."""

import dataclasses
from functools import cache
from itertools import combinations, product
from typing import get_args

import pytest
import torch
from small_data import small_recipe, write_alphabets

from mglib.tasks import load_federation
from mglib.training.experiment import data_of
from studies.lies import liars
from studies.recipes import Recipe, set_up

ALLOWED = {field.name: get_args(field.type) for field in dataclasses.fields(Recipe)}
CHOICES = {  # the first of each is the default
    "method": [{"method": name} for name in ALLOWED["method"]],
    "estimator": [{"estimator": name} for name in ALLOWED["estimator"]],
    "server": [{"server": name} for name in ALLOWED["server"]],
    "aggregation": [
        {"aggregation": "mean"},
        {"aggregation": "clipped", "clip_norm": 0.01},
        {"aggregation": "median"},
        {"aggregation": "trimmed", "trim_fraction": 0.25},
        {"aggregation": "krum", "trim_fraction": 0.25, "nodes_per_round": 5},
    ],
    "attack": [{}, *({"attack": name, "byzantine_fraction": 0.4} for name in ALLOWED["attack"][1:])],
    "privacy": [
        {},
        {"privacy": "server", "noise": 0.1, "clip_norm": 0.01},
        {"privacy": "node", "noise": 0.1, "clip_norm": 0.01},
        {"privacy": "node", "clip_norm": 0.01},
    ],
    "compression": [{"compression": name} for name in ALLOWED["compression"]],
    "second_order": [{}, {"second_order": False}],
    "rotate": [{}, {"rotate": True}],
    "local_steps": [{}, {"local_steps": 2}],
    "learn_rates": [{}, {"learn_rates": True}],
    "price": [{}, {"price": "dual"}, {"price": "signed"}],
}
Row = dict[str, int]  # which of its choices each field takes, 0 where it is not named


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = write_alphabets(tmp_path_factory.mktemp("alphabets"), alphabets=7, characters=3, examples=3)
    sizes = {"width": 4, "depth": 2, "ways": 2, "queries": 1, "rounds": 2, "nodes_per_round": 3}
    return small_recipe(folder, Recipe, **sizes)


def made(base: Recipe, row: Row) -> Recipe | None:
    """The recipe of a row, None if it is refused."""
    changes: dict = {}
    for name, choice in row.items():
        changes |= CHOICES[name][choice]
    try:
        return dataclasses.replace(base, **changes)
    except ValueError:
        return None


def pairs_of(row: Row) -> set:
    return set(combinations(sorted(row.items()), 2))


def covering(base: Recipe) -> tuple[list[Row], set]:
    """Few rows in which every pair that a recipe accepts occurs, and the pairs that none accepts."""
    every = {
        pair
        for a, b in combinations(sorted(CHOICES), 2)
        for pair in product(((a, i) for i in range(len(CHOICES[a]))), ((b, i) for i in range(len(CHOICES[b]))))
    }
    refused = {pair for pair in every if made(base, dict(pair)) is None}
    rows, left = [], every - refused
    while left:
        row = dict(min(left))
        for name in sorted(CHOICES.keys() - row.keys(), key=lambda name: (-len(CHOICES[name]), name)):
            extended = [{**row, name: choice} for choice in range(len(CHOICES[name]))]
            row = max((each for each in extended if made(base, each)), key=lambda each: len(pairs_of(each) & left))
        rows.append(row)
        left -= pairs_of(row)
    return rows, refused


@cache
def federation_of(base: Recipe, rotate: bool):
    return load_federation(**data_of(dataclasses.replace(base, rotate=rotate)))


def closed_of(experiment) -> dict[str, torch.Tensor]:
    """Every other filter of each gated layer, by the layer's name."""
    layers = experiment.net.convolutions().items()
    return {name: torch.arange(layer.conv.out_channels) % 2 == 0 for name, layer in layers if layer.gate is not None}


def start_of(experiment):
    """The initial parameters with every other filter of each gated layer closed for whatever comes."""
    start = dict(experiment.initial)
    for name, closed in closed_of(experiment).items():
        bias = f"{name}.gate.linear.bias"
        start[bias] = start[bias].masked_fill(closed, -1000.0)
    return start


def same(one, other, names=None):
    return all(torch.equal(one[name], other[name]) for name in (one if names is None else names))


def test_every_pair_of_choices_does_what_it_says_or_is_refused(base):
    rows, refused = covering(base)
    assert len(refused) > 20
    for row in rows:
        recipe = made(base, row)
        experiment = set_up(recipe, federation_of(base, recipe.rotate))
        start = start_of(experiment)
        rounds = list(experiment.rounds(params=start))
        assert all(result.refused == [] for result in rounds), recipe
        after, held = rounds[-1].params, experiment.held
        assert same(start, after, held), f"{recipe} moves what it holds"
        assert not same(start, after, start.keys() - held), f"{recipe} learns nothing"
        check_answers(experiment, start, rounds[0])


@pytest.mark.parametrize("wrong", [("server", "gated-fedavg"), ("node", "metagater-named")])
def test_a_method_that_tells_of_the_data_is_refused_where_privacy_is_asked(wrong):
    privacy, method = wrong
    with pytest.raises(ValueError, match="`privacy`"):
        Recipe(privacy=privacy, method=method)


def check_answers(experiment, start, result):
    """Those who lie send something else, and the others what their images open, in a shorter message if it is one."""
    recipe, nodes = experiment.recipe, experiment.federation.train
    places = {node.name: place for place, node in enumerate(nodes)}
    answers = {places[update.node]: update for update in result.updates}

    def honest(place, wraps=None):
        """What a node sends that does not lie, under these wraps, or under the recipe's own."""
        wraps = experiment.wraps[: recipe.compression != "none"] if wraps is None else wraps
        update = dataclasses.replace(experiment, wraps=wraps).client_update()
        return update(start, nodes[place], place, result.round)

    lying = answers.keys() & (
        liars(recipe.seed, recipe.byzantine_fraction, len(nodes)) if recipe.attack != "none" else set()
    )
    truthful = min(answers.keys() - lying)
    if recipe.attack != "none":
        assert not same(answers[min(lying)].params, honest(min(lying)).params), f"{recipe}: no lie"
    if recipe.compression != "none":
        assert answers[truthful].metrics["bytes"] > 0
    if recipe.compression in ("half", "top-k"):
        assert not same(answers[truthful].params, honest(truthful, ()).params), f"{recipe} is whole"
    if recipe.compression == "opened":
        for (name, closed), part in product(closed_of(experiment).items(), ("conv.weight", "scale", "shift")):
            sent, told = (params[f"{name}.{part}"][closed] for params in (start, answers[truthful].params))
            assert torch.equal(sent, told), f"{recipe} tells of closed filters"


def test_every_choice_of_the_library_is_walked():
    for name in ("aggregation", "attack"):
        assert {choice.get(name, "none") for choice in CHOICES[name]} == set(ALLOWED[name])
