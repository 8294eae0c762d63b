import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mglib.tasks import Batch, Federation, Node


def make_node(name="Greek", classes=6, examples=8, size=4, first_class=0):
    """Every image is different: it holds its own position, in two digits of base 256."""
    positions = torch.arange(classes * examples)
    images = torch.zeros(classes * examples, 1, size, size, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = positions % 256, positions // 256
    images[:, 0, 1, 0] = (sum(name.encode()) + first_class) % 256  # no two nodes have the same images
    # Interleaved, so that nothing works only because classes lie in blocks.
    names = tuple(f"{name}/character{first_class + index}" for index in range(classes))
    return Node(name, names, images, positions % classes)


def positions_of(images):
    return [int(p) for p in (images[:, 0, 0, 0] * 255 + images[:, 0, 0, 1] * 255 * 256).round()]


@st.composite
def episodes(draw):
    classes, shots, queries = draw(st.integers(2, 7)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    node = make_node(classes=classes, examples=shots + queries + draw(st.integers(0, 4)))
    ways = draw(st.integers(2, classes))
    return node, node.sample_task(ways, shots, queries, np.random.default_rng(draw(st.integers(0, 2**32)))), shots


@settings(max_examples=60)
@given(episodes())
def test_support_and_query_never_share_an_example(episode):
    _, task, _ = episode
    drawn = positions_of(task.support.images) + positions_of(task.query.images)
    assert len(set(drawn)) == len(drawn)


@settings(max_examples=60)
@given(episodes())
def test_labels_number_the_named_classes_and_support_lies_class_by_class(episode):
    node, task, shots = episode
    assert task.support.labels.tolist() == sorted(list(range(len(task.classes))) * shots)
    for batch in (task.support, task.query):
        true_names = [node.classes[int(node.labels[position])] for position in positions_of(batch.images)]
        assert true_names == [task.classes[int(label)] for label in batch.labels]


def test_query_is_normalised_by_the_support_images():
    task = make_node().sample_task(3, 2, 4, np.random.default_rng(0))
    assert task.query.support_images is task.support.images
    assert task.support.support_images is None


def test_images_leave_the_node_as_floats_from_zero_to_one():
    node = Node("n", ("a", "b"), torch.full((8, 1, 4, 4), 255, dtype=torch.uint8), torch.arange(8) % 2)
    task = node.sample_task(2, 1, 2, np.random.default_rng(0))
    assert task.query.images.dtype == torch.float32
    assert task.query.images.unique().tolist() == [1.0]


def test_a_seed_stands_for_its_generator():
    node = make_node(classes=4)
    drawn, same = (node.sample_task(3, 1, 1, generator) for generator in (7, np.random.default_rng(7)))
    assert drawn.classes == same.classes
    assert torch.equal(drawn.query.images, same.query.images)


def test_same_generator_state_same_task_and_another_state_another_task():
    node = make_node()
    first, again, other = (node.sample_task(4, 1, 3, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert first.classes == again.classes
    assert torch.equal(first.query.images, again.query.images)
    assert first.classes != other.classes


def test_a_label_says_nothing_about_the_class():
    node, generator = make_node(classes=4), np.random.default_rng(0)
    firsts = [node.sample_task(4, 1, 1, generator).classes[0] for _ in range(400)]
    counts = [firsts.count(name) for name in node.classes]
    assert min(counts) > 60  # 100 expected, standard deviation 9


def test_classes_too_small_for_the_task_are_passed_over():
    labels = torch.tensor([0] * 6 + [1] * 2 + [2] * 6)
    node = Node("n", ("a", "b", "c"), torch.zeros(14, 1, 4, 4, dtype=torch.uint8), labels)
    assert set(node.sample_task(2, 2, 4, np.random.default_rng(0)).classes) == {"a", "c"}
    with pytest.raises(ValueError, match=r"'n' cannot give a task of 3 ways: 2 of its 3 classes .* 6 examples"):
        node.sample_task(3, 2, 4, np.random.default_rng(0))


@pytest.mark.parametrize(("ways", "shots", "queries", "named"), [(1, 1, 1, "ways"), (2, 0, 1, "shots"), (2, 1, 0, "q")])
def test_a_task_without_ways_shots_or_queries_is_refused(ways, shots, queries, named):
    with pytest.raises(ValueError, match=named):
        make_node().sample_task(ways, shots, queries, np.random.default_rng(0))


IMAGES, LABELS = torch.zeros(4, 1, 5, 5, dtype=torch.uint8), torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("images", "labels", "classes", "message"),
    [
        (IMAGES.float(), LABELS, ("a", "b"), "uint8"),
        (IMAGES[:, 0], LABELS, ("a", "b"), "shape"),
        (IMAGES.expand(-1, 2, -1, -1), LABELS, ("a", "b"), "1 or 3 channels"),
        (IMAGES, LABELS.int(), ("a", "b"), "int64"),
        (IMAGES, LABELS[:3], ("a", "b"), "one per image"),
        (IMAGES, LABELS + 1, ("a", "b"), "between 0 and 1"),
        (IMAGES, LABELS - 1, ("a", "b"), "got -1 to 0"),
        (IMAGES, LABELS, ("a", "a"), "differ"),
    ],
)
def test_a_node_refuses_images_and_labels_that_do_not_fit(images, labels, classes, message):
    with pytest.raises(ValueError, match=message):
        Node("n", classes, images, labels)


def test_weight_is_the_number_of_examples():
    assert make_node(classes=3, examples=5).weight == 15.0


def test_a_fingerprint_is_of_images_and_labels_not_of_names():
    images, labels = torch.arange(32, dtype=torch.uint8).view(2, 1, 4, 4), torch.tensor([0, 1])
    different = ((images, labels), (images, 1 - labels), (images.view(2, 1, 2, 8), labels))
    marks = {Node("n", ("a", "b"), *held).fingerprint for held in different}
    assert len(marks) == 3
    assert Node("m", ("c", "d"), images, labels).fingerprint in marks


def federation(train, validation=(), test=(), size=4):
    return Federation("f", train, validation, test, image_size=size, channels=1)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_federation_refuses_a_held_out_class_that_is_trained_on(split):
    train, other = make_node("Greek"), make_node("Latin")
    assert getattr(federation([train], **{split: [other]}), split) == [other]
    with pytest.raises(ValueError, match=f"classes of {split} must not occur in train"):
        federation([train], **{split: [other, make_node("Greek", first_class=5)]})


def test_a_rotated_version_of_a_held_out_class_may_not_be_trained_on():
    original = make_node("Greek")
    images = torch.rot90(original.images, dims=(2, 3))
    turned = Node("Greek@90", tuple(f"{name}@90" for name in original.classes), images, original.labels)
    with pytest.raises(ValueError, match="Greek/character0"):
        federation([turned], test=[original])


def shared_federation(train, validation=(), test=()):
    return Federation("f", train, validation, test, image_size=4, channels=1, new_nodes="unseen-sets")


def node_of(name, classes, first, turns=0):
    """A node of these classes, two images each, whose images are numbered from `first`."""
    images = torch.zeros(2 * len(classes), 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(first, first + len(images))
    classes = tuple(f"{each}@{90 * turns}" if turns else each for each in classes)
    return Node(name, classes, torch.rot90(images, turns, dims=(2, 3)), torch.arange(len(images)) // 2)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_federation_of_unseen_sets_refuses_a_set_that_is_trained_on(split):
    train = [node_of("a", ("cat", "dog"), 1), node_of("b@90", ("dog", "cow"), 11, turns=1)]
    new = node_of("c", ("cat", "cow"), 21)
    assert getattr(shared_federation(train, **{split: [new]}), split) == [new]
    for classes, same in ((("dog", "cat"), "a"), (("cow", "dog"), "b@90")):
        with pytest.raises(ValueError, match=f"same set of classes as a node of {split}, but '{same}' .* 'd'"):
            shared_federation(train, **{split: [new, node_of("d", classes, 31)]})
    with pytest.raises(ValueError, match="classes of test must not occur in train"):
        federation(train, test=[new])  # unless it says that only the sets are new


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_federation_of_unseen_sets_refuses_an_image_on_two_nodes_even_turned(split):
    first, last = node_of("a", ("cat", "dog"), 1), node_of("c", ("cow", "dog"), 41)
    nodes = {"train": [first, node_of("a@180", ("cat", "dog"), 1, turns=2)], "validation": [], "test": [last]}
    shared_federation(**nodes)
    for double in (node_of("b", ("cat", "cow"), 4), node_of("b@90", ("cat", "cow"), 4, turns=1)):
        with pytest.raises(ValueError, match=r"no image may be on two nodes, but one of .* is on .* too"):
            shared_federation(**{**nodes, split: [*nodes[split], double]})


def test_a_federation_says_what_is_new_in_a_known_word():
    with pytest.raises(ValueError, match=r"`new_nodes` \(='new'\) must be one of unseen-classes, unseen-sets"):
        Federation("f", [make_node()], [], [make_node("Latin")], image_size=4, channels=1, new_nodes="new")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_federation_refuses_two_nodes_of_one_name(split):
    splits = {"train": [make_node("Greek")], "validation": [], "test": [make_node("Latin")]}
    splits[split].append(dataclasses.replace(make_node("Ogham"), name="Greek"))
    with pytest.raises(ValueError, match="federation 'f': nodes must have names of their own, not share 'Greek'"):
        federation(**splits)


def test_a_federation_refuses_nodes_of_another_image_size():
    with pytest.raises(ValueError, match=r"\(1, 28, 28\).*Greek.*\(1, 4, 4\)"):
        federation([make_node()], size=28)


def test_moving_a_batch_moves_its_support_images():
    batch = Batch(torch.zeros(2, 1, 4, 4), torch.zeros(2).long(), torch.zeros(1, 1, 4, 4)).to("meta")
    assert {batch.images.device.type, batch.labels.device.type, batch.support_images.device.type} == {"meta"}


def test_a_task_takes_the_type_of_numbers_of_a_tensor():
    task = make_node().sample_task(2, 1, 1, 0).to(torch.zeros(1, dtype=torch.float64))
    for batch in (task.support, task.query):
        assert (batch.images.dtype, batch.labels.dtype) == (torch.float64, torch.int64)
    assert task.query.support_images.dtype == torch.float64
