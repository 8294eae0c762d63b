"""Federation: nodes to train on and nodes kept from training; and how one is put together from images by class."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mglib.config import as_declared
from mglib.tasks.episodes import ClassImages, Node, make_node

SPLITS = ("train", "validation", "test")
ROTATIONS = {"90": 1, "180": 2, "270": 3}  # degrees counter-clockwise: number of quarter turns
LEAST_CLASSES = 5  # that a split drawn by chance should hold, so that it can give 5-way tasks
NewNodes = Literal["unseen-classes", "unseen-sets"]
Names = Collection[str]


@dataclass(frozen=True, eq=False)
class Federation:
    """Nodes to train on, nodes to choose settings by, and nodes touched once, at the end.

    new_nodes: what the nodes of `validation` and `test` hold that no training node does.
      unseen-classes: no class of theirs occurs in `train`.
      unseen-sets: the classes occur there, but no training node holds the same set of them; nor is any image
        on two nodes (a training node and its turned versions count as one).

    Raises ValueError if that is not so, images differ in shape, or two nodes share a name, or a trained node's images.
    """

    name: str
    train: Sequence[Node]
    validation: Sequence[Node]
    test: Sequence[Node]
    image_size: int  # pixels a side
    channels: int  # 1 grey, 3 colour
    new_nodes: NewNodes = "unseen-classes"
    inverted: bool = False  # whether the images were dark on light and have been turned

    def __post_init__(self) -> None:
        """Refuse a split that would test on what was trained on."""
        as_declared("new_nodes", NewNodes, self.new_nodes)
        nodes = {split: at_hand(getattr(self, split)) for split in SPLITS}
        expected = (self.channels, self.image_size, self.image_size)
        for node in (node for own in nodes.values() for node in own):
            if (found := tuple(node.images.shape[1:])) != expected:
                where = f"federation {self.name!r}: images must have shape {expected}"
                raise ValueError(f"{where}, but node {node.name!r} has {found}")
        trained = {node.fingerprint for node in nodes["train"]}
        if seen := [node.name for split in SPLITS[1:] for node in nodes[split] if node.fingerprint in trained]:
            raise ValueError(f"federation {self.name!r}: {seen[0]!r} is held out, but a training node holds its images")
        if self.new_nodes == "unseen-classes":
            self._check_classes(nodes)
        else:
            self._check_sets(nodes)
            self._check_images(nodes)
        names = sorted(node.name for own in nodes.values() for node in own)
        if twice := [name for name, following in pairwise(names) if name == following]:
            raise ValueError(f"federation {self.name!r}: nodes must have names of their own, not share {twice[0]!r}")

    def _check_classes(self, nodes: Mapping[str, Sequence[Node]]) -> None:
        """Raise ValueError if a class of a held-out node is trained on."""
        classes = {split: {name for node in own for name in _originals(node)} for split, own in nodes.items()}
        for split in SPLITS[1:]:
            if shared := sorted(classes["train"] & classes[split]):
                raise ValueError(
                    f"federation {self.name!r}: classes of {split} must not occur in train, "
                    f"but {len(shared)} do: {', '.join(shared[:5])}"
                )

    def _check_sets(self, nodes: Mapping[str, Sequence[Node]]) -> None:
        """Raise ValueError if a held-out node holds the same set of classes as a training node."""
        trained = {_originals(node): node.name for node in nodes["train"]}
        for split in SPLITS[1:]:
            for node in nodes[split]:
                if same := trained.get(_originals(node)):
                    raise ValueError(
                        f"federation {self.name!r}: no training node may hold the same set of classes as a node of "
                        f"{split}, but {same!r} holds that of {node.name!r}: {', '.join(node.classes)}"
                    )

    def _check_images(self, nodes: Mapping[str, Sequence[Node]]) -> None:
        """Raise ValueError if an image, turned or not, is on two nodes."""
        owners: dict[bytes, tuple[str, str]] = {}
        for split, node in ((split, node) for split, own in nodes.items() for node in own):
            original = original_class(node.name)
            turns = 0 if original == node.name else -ROTATIONS[node.name.removeprefix(f"{original}@")]
            for mark in fingerprints(torch.rot90(node.images, turns, dims=(2, 3))):
                if (owner := owners.setdefault(mark, (split, original))) != (split, original):
                    shared = f"one of {node.name!r} is on {owner[1]!r} too"
                    raise ValueError(f"federation {self.name!r}: no image may be on two nodes, but {shared}")


def fingerprints(images: Tensor) -> list[bytes]:
    """Return a short text for each image, (example, channel, height, width) uint8: the same for the same pixels."""
    return [hashlib.sha256(image.tobytes()).digest() for image in images.numpy()]


def at_hand(nodes: Sequence[Node]) -> Sequence[Node]:
    """Return what of `nodes` is in memory and can be checked: all, or the pool that virtual ones are made from."""
    return getattr(nodes, "pool", nodes)


def original_class(name: str) -> str:
    """Return the class that a rotated class comes from: "Greek/beta@90" gives "Greek/beta"."""
    base, mark, angle = name.rpartition("@")
    return base if mark and angle in ROTATIONS else name


def _originals(node: Node) -> frozenset[str]:
    """The node's classes, turned ones by the names that they come from."""
    return frozenset(map(original_class, node.classes))


def assemble(
    name: str,
    nodes: Mapping[str, ClassImages],
    held_out: tuple[Names, Names],
    *,
    rotate: bool = False,
    new_nodes: NewNodes = "unseen-classes",
    invert: bool = False,
) -> Federation:
    """Return the federation whose nodes for test and for validation are `held_out`; the others are trained on.

    rotate: every training node also appears turned by 90, 180 and 270 degrees; held-out nodes do not.
    invert: all images are turned from dark on light to light on dark.

    Raises ValueError if no node remains to train on or to test on, if what should be new to the held-out nodes is
    trained on, or if a name ends as those of turned nodes and classes do.
    """
    named = [*nodes, *(each for classes in nodes.values() for each in classes)]
    if turned := [each for each in named if original_class(each) != each]:
        raise ValueError(f"{name}: {turned[0]!r} ends in @90, @180 or @270, as turned nodes and classes do; rename it")
    test, validation = held_out
    splits: dict[str, list[Node]] = {split: [] for split in SPLITS}
    for node, classes in nodes.items():
        split = "test" if node in test else "validation" if node in validation else "train"
        splits[split].append(make_node(node, classes, invert))
    for split in ("train", "test"):
        if not splits[split]:
            raise ValueError(
                f"{name}: no node is left for {split}; of {', '.join(nodes)}, "
                f"test takes {', '.join(test) or 'none'} and validation {', '.join(validation) or 'none'}"
            )
    if rotate:
        splits["train"] += [turned for node in splits["train"] for turned in _turned(node)]
    channels, image_size = splits["train"][0].images.shape[1:3]
    return Federation(name, **splits, image_size=image_size, channels=channels, new_nodes=new_nodes, inverted=invert)


def _turned(node: Node) -> list[Node]:
    """Three further nodes whose classes are this node's, turned by 90, 180 and 270 degrees.

    A turned character is a new class ("Greek/beta@90"), which multiplies the tasks to learn from.
    """
    return [
        Node(
            f"{node.name}@{angle}",
            tuple(f"{name}@{angle}" for name in node.classes),
            torch.rot90(node.images, turns, dims=(2, 3)).contiguous(),
            node.labels,
        )
        for angle, turns in ROTATIONS.items()
    ]


def choose_held_out(
    names: Names, chosen: tuple[Names, Names], default: tuple[Names | int, Names | int], seed: int = 0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which of `names` are kept for test and which for validation.

    chosen: the user's own names for the two; default: where these are none, names, or how many to draw by `seed`.

    Raises ValueError, listing the allowed names, for a name that does not exist or is held out twice.
    """
    held_out, validation = chosen
    check_names("held_out", held_out, names)
    check_names("validation", validation, names)
    if both := sorted(set(held_out) & set(validation)):
        raise ValueError(f"{', '.join(both)} cannot be both in held_out and in validation")
    order = [str(name) for name in np.random.default_rng(seed).permutation(sorted(names))]

    def pick(default: Names | int, taken: Names) -> tuple[str, ...]:
        free = [name for name in order if name not in taken]
        return tuple(free[:default]) if isinstance(default, int) else tuple(name for name in default if name in free)

    test = tuple(held_out) or pick(default[0], taken=validation)
    return test, tuple(validation) or pick(default[1], taken=test)


def check_names(option: str, names: Names, allowed: Names) -> None:
    """Raise ValueError, listing the allowed names, if one of `names` is not among them."""
    if isinstance(names, str):
        raise ValueError(f"{option} must be a sequence of names, not the text {names!r}")
    if unknown := [name for name in names if name not in allowed]:
        raise ValueError(f"{option} holds unknown names: {', '.join(unknown)}; allowed are {', '.join(allowed)}")
