import math
import re
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import names

from mglib.tasks import Partition, load_federation
from mglib.tasks.federations import SPLITS, original_class
from mglib.tasks.partition import partition_classes

SETS = "unseen-sets"


def flat_set(classes=10, examples=66):
    """Classes in whose images red and green number the image and blue the class: no two are alike."""
    images = {}
    for index in range(classes):
        pixels = torch.zeros(examples, 3, 8, 8, dtype=torch.uint8)
        pixels[:, 0] = (torch.arange(examples) % 256)[:, None, None]
        pixels[:, 1] = (torch.arange(examples) // 256)[:, None, None]
        pixels[:, 2] = index
        images[f"class{index:02}"] = pixels
    return images


def partitioned(classes, held_out=((), ()), *, seed=0, rotate=False, **options):
    return partition_classes("flat", classes, held_out, Partition(**options), seed=seed, rotate=rotate)


def every_node(federation):
    return [(split, node) for split in SPLITS for node in getattr(federation, split)]


def identities(node):
    """Class and number of each image, read from its pixels."""
    return [(int(image[2, 0, 0]), 256 * int(image[1, 0, 0]) + int(image[0, 0, 0])) for image in node.images]


def frequencies(nodes, classes=10):
    counts = Counter(name for node in nodes for name in node.classes)
    return [counts[f"class{index:02}"] for index in range(classes)]


@st.composite
def partitions(draw):
    """Sizes of a flat set, the classes held out of it, and a way to partition it that these allow."""
    new_sets, trained = draw(st.booleans()), draw(st.integers(5, 10))
    kept = 0 if new_sets else draw(st.integers(1, 8))
    size = draw(st.integers(2, trained - 1) if new_sets else st.integers(1, min(kept, trained)))
    train = math.ceil(trained / size) + draw(st.integers(0, 4))
    if new_sets:
        spare = math.comb(trained, size)
        train = min(train, spare - 1)
        validation = draw(st.integers(0, min(3, spare - train - 1)))
        test = draw(st.integers(1, min(4, spare - train - validation)))
    else:
        validation, test = 0, math.ceil(kept / size) + draw(st.integers(0, 3))
    nodes = (train, validation, test)
    return {
        "sizes": (trained + kept, sum(nodes) * draw(st.integers(1, 3))),
        "held_out": ([f"class{index:02}" for index in range(kept)], ()),
        "new_nodes": SETS if new_sets else "unseen-classes",
        "nodes": nodes,
        "classes_per_node": size,
        "seed": draw(st.integers(0, 2**31)),
    }


def partition_example(sizes, held_out, **options):
    """The flat set of an example of `partitions`, and the federation that it becomes."""
    classes = flat_set(*sizes)
    return classes, partitioned(classes, held_out, **options)


@settings(max_examples=80)
@given(partitions())
def test_no_image_is_on_two_nodes_and_none_is_lost(example):
    classes, federation = partition_example(**example)
    found = [identity for _, node in every_node(federation) for identity in identities(node)]
    assert len(set(found)) == len(found)
    assert len(found) == sum(len(images) for images in classes.values())
    for _, node in every_node(federation):
        for label, (index, _) in zip(node.labels, identities(node), strict=True):
            assert node.classes[int(label)] == f"class{index:02}"


@settings(max_examples=80)
@given(partitions())
def test_what_is_tested_was_never_trained_on(example):
    _, federation = partition_example(**example)
    trained = [frozenset(node.classes) for node in federation.train]
    for node in (*federation.validation, *federation.test):
        if example["new_nodes"] == SETS:
            assert frozenset(node.classes) not in trained
            assert frozenset(node.classes) <= frozenset().union(*trained)
        else:
            assert not frozenset(node.classes) & frozenset().union(*trained)


@settings(max_examples=80)
@given(partitions())
def test_every_node_has_the_shape_asked_for(example):
    _, federation = partition_example(**example)
    assert tuple(len(getattr(federation, split)) for split in SPLITS) == example["nodes"]
    assert {node.images.shape[1:] for _, node in every_node(federation)} == {(3, 8, 8)}
    assert {len(node.classes) for _, node in every_node(federation)} == {example["classes_per_node"]}
    assert federation.new_nodes == example["new_nodes"]
    for _, node in every_node(federation):
        assert min(len(each) for each in node.examples_by_class) >= 1


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_each_class_is_about_equally_often_in_each_split_and_its_images_are_shared_evenly(seed):
    federation = partitioned(flat_set(examples=100), new_nodes=SETS, seed=seed)
    for split, share in (("train", 10), ("validation", 2.5), ("test", 4)):
        assert max(abs(count - share) for count in frequencies(getattr(federation, split))) <= 1
    for index in range(10):
        held = [node for _, node in every_node(federation) if f"class{index:02}" in node.classes]
        sizes = [sum(identity[0] == index for identity in identities(node)) for node in held]
        assert max(sizes) - min(sizes) <= 1
        assert sum(sizes) == 100


def test_the_seed_alone_decides_who_gets_what():
    def fingerprint(seed):
        federation = partitioned(flat_set(), new_nodes=SETS, seed=seed)
        return [(node.name, node.classes, node.images.sum().item()) for _, node in every_node(federation)]

    assert fingerprint(3) == fingerprint(3) != fingerprint(4)


def test_images_reach_nodes_by_chance_not_in_their_order():
    node = partitioned(flat_set(examples=200), new_nodes=SETS).train[0]
    numbers = [number for index, number in identities(node) if f"class{index:02}" == node.classes[0]]
    assert numbers != list(range(numbers[0], numbers[0] + len(numbers)))


def test_even_all_but_the_last_set_of_classes_can_be_used():
    federation = partitioned(flat_set(6, 40), new_nodes=SETS, nodes=(14, 3, 3), classes_per_node=3)
    sets = {frozenset(node.classes) for _, node in every_node(federation)}
    assert len(sets) == math.comb(6, 3) == 20


def test_a_few_classes_are_shared_by_several_nodes():
    kept = [f"class{index:02}" for index in range(5)]
    federation = partitioned(flat_set(examples=160), (kept, ()), nodes=(8, 0, 4))
    assert frequencies(federation.train)[5:] == [8] * 5
    assert {len(node.labels) for node in federation.train} == {5 * 20}
    assert {len(node.labels) for node in federation.test} == {5 * 40}
    assert {frozenset(node.classes) for node in federation.test} == {frozenset(kept)}


def test_without_further_choices_a_class_lives_on_one_node():
    federation = partitioned(flat_set(20), (["class00", "class01"], ["class02"]), classes_per_node=5)
    assert names(federation.train) == ["train1", "train2", "train3"]
    assert sorted(len(node.classes) for node in federation.train) == [5, 6, 6]
    assert set(frequencies([node for _, node in every_node(federation)], 20)) == {1}


def test_turned_training_nodes_do_not_give_new_sets_away():
    federation = partitioned(flat_set(), new_nodes=SETS, rotate=True)
    assert len(federation.train) == 80
    trained = {frozenset(map(original_class, node.classes)) for node in federation.train}
    assert len(trained) == 20


def test_copies_of_an_image_are_left_out_and_said_once():
    classes = flat_set(examples=70)
    classes["class03"] = torch.cat([classes["class03"], classes["class03"][:2], classes["class07"][:1]])
    with pytest.warns(UserWarning, match="3 images of flat repeat others pixel by pixel") as said:
        federation = partitioned(classes, new_nodes=SETS)
    assert len(said) == 1
    assert sum(len(node.labels) for _, node in every_node(federation)) == 700


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"images_per_class": 20},
            "the 66 images of class 'class00' give the 17 nodes that hold it 3 each; at least 20",
        ),
        ({"classes_per_node": 9}, "10 classes have 10 sets of `classes_per_node` (=9), fewer than the 33 nodes"),
        ({"classes_per_node": 12}, "10 classes have 0 sets of `classes_per_node` (=12)"),
        ({"nodes": (1, 0, 1)}, "1 nodes of 5 classes have no room for the 10 classes for train"),
    ],
)
def test_sets_that_classes_or_images_do_not_suffice_for_are_refused_with_the_numbers(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        partitioned(flat_set(), new_nodes=SETS, **options)


@pytest.mark.parametrize(
    ("kept", "nodes", "message"),
    [
        (4, (8, 0, 4), "`classes_per_node` (=5) is more than the 4 classes for test"),
        (5, (8, 2, 4), "`classes_per_node` (=5) is more than the 0 classes for validation"),
        (11, (8, 0, 2), "2 nodes of 5 classes have no room for the 11 classes for test"),
    ],
)
def test_held_out_classes_that_the_nodes_cannot_hold_are_refused_with_the_numbers(kept, nodes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        partitioned(flat_set(20), ([f"class{index:02}" for index in range(kept)], ()), nodes=nodes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("new_nodes", "unseen"),
        ("nodes", (20, 5)),
        ("nodes", (0, 5, 8)),
        ("nodes", (20, -1, 8)),
        ("nodes", (20, 5, 0)),
        ("nodes", ()),
        ("classes_per_node", 0),
        ("classes_per_node", 2.5),
        ("images_per_class", 0),
    ],
)
def test_a_partition_that_means_nothing_names_the_field_and_the_value(field, value):
    with pytest.raises(ValueError, match=re.escape(f"`{field}` (={value!r}) must be")):
        Partition(**{field: value})
    with pytest.raises(ValueError, match=re.escape("`nodes` (=5.5) must be a whole number")):
        Partition(nodes=(20, 5.5, 8))


@pytest.mark.parametrize("partition", [Partition(SETS), Partition(nodes=(2, 0, 1)), Partition(classes_per_node=6)])
def test_data_with_nodes_of_their_own_are_not_partitioned(tmp_path, partition):
    with pytest.raises(ValueError, match="glyphs has nodes of its own, so `new_nodes`"):
        load_federation("glyphs", partition=partition, root=tmp_path)
    assert not any(tmp_path.iterdir())  # refused before anything is drawn
