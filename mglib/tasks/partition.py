"""From a flat set of classes to nodes: each class on one node, or the images of each divided among several."""

import itertools
import math
import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from mglib.config import Config
from mglib.tasks.episodes import ClassImages
from mglib.tasks.federations import LEAST_CLASSES, SPLITS, Federation, Names, NewNodes, assemble, fingerprints

CLASSES_PER_NODE = 8  # about, where every class is on one node
SHARED_CLASSES_PER_NODE = 5  # where several nodes share a class's images
SHARED_NODES = (20, 5, 8)  # for training, validation, test: some 30 images a class where 10 classes have 500 each
_PATIENT_DRAWS = 20  # of a set of classes, before one is accepted that makes the classes less equally frequent


@dataclass(frozen=True)
class Partition(Config):
    """How a flat set of classes is partitioned into nodes; the default puts every class on one node, about 8 to each.

    Where `nodes` is given, or what is new are sets of classes, every node gets a set of classes drawn by chance,
    each class about equally often in a split, and the nodes that hold a class share its images evenly: no
    image is on two nodes. With as many classes a node as a task has ways, the classes of a task from a node
    with an unseen set were never together in training.

    Raises ValueError, naming the field and its value, for a number or name that means nothing.
    """

    new_nodes: NewNodes = "unseen-classes"  # what validation and test nodes hold: unseen-classes or unseen-sets
    nodes: tuple[int, int, int] | None = None  # for training, validation, test; None: by the number of classes
    classes_per_node: int | None = None  # None: 5 where nodes share classes, else about 8
    images_per_class: int = field(default=1, compare=False)  # that a node which shares a class gets at least

    def check(self) -> None:
        """Raise ValueError for what no data could be partitioned by."""
        self.check_counts("images_per_class")
        if self.classes_per_node is not None:
            self.check_counts("classes_per_node")
        if self.nodes is not None:
            fits = len(self.nodes) == 3 and all(map(operator.ge, self.nodes, (1, 0, 1)))
            allowed = "three whole numbers, for training (1 or more), validation (0 or more) and test (1 or more)"
            self.refuse_unless(fits, "nodes", f"must be {allowed}")


def partition_classes(
    name: str,
    classes: ClassImages,
    held_out: tuple[Names, Names] = ((), ()),
    partition: Partition | None = None,
    *,
    seed: int = 0,
    rotate: bool = False,
    invert: bool = False,
) -> Federation:
    """Return the federation of nodes among which classes, or their images, are divided by chance.

    held_out: the classes for test and for validation; where sets of classes are new, all are in every split.
    rotate, invert: as `assemble` has them.

    Raises ValueError, with the numbers, if fewer than LEAST_CLASSES classes remain to train on, or if classes
    or images do not suffice for such nodes.
    """
    partition = partition or Partition()
    test, validation = held_out
    order = [str(each) for each in np.random.default_rng(seed).permutation(sorted(classes))]
    members = {
        "train": [each for each in order if each not in test and each not in validation],
        "validation": [each for each in order if each in validation],
        "test": [each for each in order if each in test],
    }
    if partition.new_nodes == "unseen-sets":
        members = dict.fromkeys(SPLITS, order)
    if len(members["train"]) < LEAST_CLASSES:
        raise ValueError(
            f"{name}: of {len(classes)} classes {len(test)} are for test and {len(validation)} for validation, "
            f"which leaves {len(members['train'])} to train on; at least {LEAST_CLASSES} are needed"
        )
    if partition.nodes or partition.new_nodes == "unseen-sets":  # several nodes share a class's images
        generator = np.random.default_rng([seed, 1])
        sets = _choose_sets(name, members, partition, generator)
        nodes = _share(name, _without_copies(name, classes), sets, partition.images_per_class, generator)
    else:
        nodes = {}
        for split, own in members.items():
            count = max(1, len(own) // (partition.classes_per_node or CLASSES_PER_NODE)) if own else 0
            for index in range(count):
                nodes[f"{split}{index + 1}"] = {each: classes[each] for each in own[index::count]}
    kept = tuple([node for node in nodes if node.startswith(split)] for split in ("test", "validation"))
    return assemble(name, nodes, kept, rotate=rotate, new_nodes=partition.new_nodes, invert=invert)


def _choose_sets(
    name: str, members: Mapping[str, Sequence[str]], partition: Partition, generator: np.random.Generator
) -> dict[str, frozenset[str]]:
    """The set of classes of each node; where sets are to be new, no two nodes have the same."""
    new_sets = partition.new_nodes == "unseen-sets"
    counts = dict(zip(SPLITS, partition.nodes or SHARED_NODES, strict=True))
    size = partition.classes_per_node or SHARED_CLASSES_PER_NODE
    possible = math.comb(len(members["train"]), size)
    if new_sets and possible < sum(counts.values()):
        raise ValueError(
            f"{name}: {len(members['train'])} classes have {possible} sets of `classes_per_node` (={size}), fewer than "
            f"the {sum(counts.values())} nodes that need one each"
        )
    for split, own in members.items():
        if counts[split] and size > len(own):
            raise ValueError(
                f"{name}: `classes_per_node` (={size}) is more than the {len(own)} classes for {split}, for which "
                f"`nodes` asks {counts[split]} nodes; ask for none (0), name more such classes, or take `new_nodes` "
                f"'unseen-sets', with all classes in every split"
            )
        if counts[split] * size < len(own) and (split == "train" or not new_sets):
            raise ValueError(
                f"{name}: {counts[split]} nodes of {size} classes have no room for the {len(own)} classes for {split}"
            )
    taken: set[frozenset[str]] | None = set() if new_sets else None
    sets = {}
    for split, own in members.items():  # training first: until all its classes are used, every set it draws is new
        drawn = _draw_sets(own, counts[split], size, taken, generator)
        sets |= {f"{split}{index + 1}": each for index, each in enumerate(drawn)}
    return sets


def _draw_sets(
    classes: Sequence[str], count: int, size: int, taken: set[frozenset[str]] | None, generator: np.random.Generator
) -> list[frozenset[str]]:
    """`count` sets of `size` classes, of those drawn least often so far; none is in `taken`, which they join."""
    times, sets = np.zeros(len(classes)), []
    for _ in range(count):
        for attempt in itertools.count():
            # Chance below 1 only breaks ties; above, it lets through sets that ties alone cannot give.
            chance = generator.random(len(classes)) * max(1, attempt / _PATIENT_DRAWS)
            chosen = np.argsort(times + chance)[:size]
            drawn = frozenset(classes[index] for index in chosen)
            if taken is None or drawn not in taken:
                break
        times[chosen] += 1
        sets.append(drawn)
        if taken is not None:
            taken.add(drawn)
    return sets


def _share(
    name: str, classes: ClassImages, sets: Mapping[str, frozenset[str]], least: int, generator: np.random.Generator
) -> dict[str, ClassImages]:
    """The images of each class, by chance and evenly, over the nodes that hold it."""
    nodes: dict[str, dict[str, torch.Tensor]] = {node: {} for node in sets}
    for each, images in classes.items():
        holders = [node for node, own in sets.items() if each in own]
        if holders and len(images) // len(holders) < least:
            raise ValueError(
                f"{name}: the {len(images)} images of class {each!r} give the {len(holders)} nodes that hold it "
                f"{len(images) // len(holders)} each; at least {least} are needed: ask for fewer "
                f"`nodes`, `shots` or `queries`"
            )
        parts = np.array_split(generator.permutation(len(images)), max(1, len(holders)))
        for node, part in zip(holders, parts, strict=False):
            nodes[node][each] = images[torch.from_numpy(np.sort(part))]
    return nodes


def _without_copies(name: str, classes: ClassImages) -> ClassImages:
    """The images without those that repeat another, pixel by pixel, which two nodes might be given."""
    seen: set[bytes] = set()
    kept = {}
    for each, images in classes.items():
        first = [index for index, mark in enumerate(fingerprints(images)) if not (mark in seen or seen.add(mark))]
        kept[each] = images[first]
    if copies := sum(len(images) for images in classes.values()) - len(seen):
        warnings.warn(f"{copies} images of {name} repeat others pixel by pixel and are left out", stacklevel=4)
    return kept
