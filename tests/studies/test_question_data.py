"""The federation that asks: what nodes are asked differs, what they see does not, and new nodes ask for new values."""

import numpy as np
import pytest
import torch

from mglib.training import Recipe
from studies.measure import federation_of
from studies.question_data import ANGLES, EXAMPLES, NODES, QUESTIONS, VALUES, question_federation, question_of


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def federation(cache):
    return question_federation(1.0, image_size=14, cache=cache)


def asked(nodes):
    return [[question_of(node.name) for node in nodes].count(question) for question in QUESTIONS]


def test_a_third_of_the_nodes_is_asked_for_each(federation):
    for split, count in NODES.items():
        assert asked(getattr(federation, split)) == [count // 3] * 3


@pytest.mark.parametrize(("share", "expected"), [(0.0, [36, 0, 0]), (0.5, [24, 6, 6])])
def test_the_share_says_how_many_are_asked_otherwise(share, expected, cache):
    assert asked(question_federation(share, image_size=14, cache=cache).train) == expected


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="must be in"):
        question_federation(share)


@pytest.mark.parametrize("data", ["questions:much", "questions:2"])
def test_data_that_name_no_share_are_refused(data):
    with pytest.raises(ValueError, match=r"from 0|in \[0, 1\]"):
        federation_of(Recipe(data=data))


def test_held_out_nodes_ask_for_values_that_no_training_node_has(federation):
    trained = {name for node in federation.train for name in node.classes}
    for question in QUESTIONS:
        new = {name for node in federation.test for name in node.classes if name.startswith(question)}
        assert len(new) >= 5
        assert not new & trained


def test_the_same_seed_draws_the_same_pixels_and_another_one_others(federation, tmp_path):
    again = question_federation(1.0, image_size=14, cache=tmp_path)
    other = federation_of(Recipe(data="questions", image_size=14, data_seed=1))
    pairs = list(zip(federation.train, again.train, strict=True))
    assert all(torch.equal(one.images, two.images) for one, two in pairs)
    assert not torch.equal(federation.train[0].images, other.train[0].images)


def test_a_class_is_told_by_what_is_asked_and_by_nothing_else(federation):
    """Nearly all variance of the hue lies between the classes of a node that is asked for inks, little elsewhere."""
    shares = {question: [] for question in QUESTIONS}
    for node in federation.train:
        hues = torch.stack([hue_of(image) for image in node.images.double() / 255])
        within = torch.cat([hues[rows] - hues[rows].mean(0) for rows in map(torch.from_numpy, node.examples_by_class)])
        shares[question_of(node.name)].append(1 - float(within.square().mean() / (hues - hues.mean(0)).square().mean()))
    assert min(shares["ink"]) > 0.8
    assert max(*shares["character"], *shares["ground"]) < 0.3


def hue_of(image):
    """The hue's cosine and sine, from the most colourful pixels."""
    pixels = image.flatten(1)
    pixels = pixels[:, (pixels.max(0).values - pixels.min(0).values).argsort()[-10:]].mean(1)
    angles = 2 * np.pi * torch.arange(3) / 3
    turned = torch.stack([(pixels * angles.cos()).sum(), (pixels * angles.sin()).sum()])
    return turned / turned.norm()


def test_every_class_has_its_examples(federation):
    nodes = [*federation.train, *federation.test]
    assert {len(rows) for node in nodes for rows in node.examples_by_class} == {EXAMPLES}
    assert VALUES % ANGLES == 0
