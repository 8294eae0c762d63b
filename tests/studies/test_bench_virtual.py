"""Virtual nodes: made when asked for, the same each time, of the pool's classes alone."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tasks_episodes import make_node, positions_of

from mglib.tasks import Federation
from studies.bench.virtual import VirtualNodes

POOL = [make_node("Greek", classes=6), make_node("Lao", classes=9, first_class=6)]


@settings(max_examples=60)
@given(position=st.integers(0, 10**6 - 1), classes=st.integers(1, 6), seed=st.integers(0, 9))
def test_a_virtual_node_holds_all_examples_of_some_classes_of_one_pool_node(position, classes, seed):
    node = VirtualNodes(POOL, 10**6, classes=classes, seed=seed)[position]
    source = POOL[position % 2]
    assert len(set(node.classes)) == classes
    for label, name in enumerate(node.classes):
        own = positions_of(node.images[node.labels == label].float() / 255)
        true = positions_of(source.images[source.labels == source.classes.index(name)].float() / 255)
        assert own == true


def test_a_node_asked_for_again_or_elsewhere_is_the_same_and_another_is_another():
    small = VirtualNodes(POOL, 10**6, classes=3)
    again = pickle.loads(pickle.dumps(small))
    assert small[7].name == again[7].name == "Lao#7"
    assert small[7].classes == again[7].classes
    assert torch.equal(small[7].images, again[7].images)
    assert len({small[position].classes for position in range(1, 41, 2)}) > 10
    assert small[7].classes != VirtualNodes(POOL, 10**6, classes=3, seed=1)[7].classes
    assert len(small) == 10**6


def test_positions_count_as_in_any_sequence():
    nodes = VirtualNodes(POOL, 5, classes=3)
    assert [node.name for node in nodes] == [f"{POOL[p % 2].name}#{p}" for p in range(5)]
    assert nodes[-1].name == nodes[4].name
    assert [node.name for node in nodes[1:3]] == [nodes[1].name, nodes[2].name]
    with pytest.raises(IndexError):
        nodes[5]


def test_what_cannot_be_dealt_is_refused():
    with pytest.raises(ValueError, match=r"`count` \(=0\)"):
        VirtualNodes(POOL, 0)
    with pytest.raises(ValueError, match=r"`classes` \(=7\) must be between 1 and the 6 of node 'Greek'"):
        VirtualNodes(POOL, 3, classes=7)
    with pytest.raises(ValueError, match="holds no node"):
        VirtualNodes([], 3)


def test_a_federation_of_virtual_nodes_is_checked_by_its_pool():
    tested = [make_node("Lao", classes=6, first_class=6)]
    virtual = VirtualNodes(POOL, 3, classes=3)
    with pytest.raises(ValueError, match="classes of test must not occur in train"):
        Federation("f", virtual, [], tested, image_size=4, channels=1)
    with pytest.raises(ValueError, match="images must have shape"):
        Federation("f", virtual, [], [make_node("Ogham")], image_size=5, channels=1)
