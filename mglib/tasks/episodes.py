"""Batch, Task, Node, Federation: what is learnt, and the sampling of one task from one node."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

ROTATIONS = {"90": 1, "180": 2, "270": 3}  # degrees counter-clockwise: number of quarter turns
SPLITS = ("train", "validation", "test")
NewNodes = Literal["unseen-classes", "unseen-sets"]


@dataclass(frozen=True, eq=False)  # == of tensors has no single truth value
class Batch:
    """Labelled images.

    images: (batch, channel, height, width), float32, background 0 and ink 1.
    labels: (batch,), int64, from 0 to ways - 1.
    context: (context, channel, height, width) or None: the images whose statistics normalise this batch.
        A query batch carries its task's support images here, so that a prediction never depends on the
        other queries (inductive evaluation); None means that the batch normalises itself.
    """

    images: Tensor
    labels: Tensor
    context: Tensor | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """Return the same batch on `device`."""
        context = None if self.context is None else self.context.to(device)
        return Batch(self.images.to(device), self.labels.to(device), context)


@dataclass(frozen=True, eq=False)
class Task:
    """One few-shot problem: adapt on `support`, be scored on `query`; the two never share an example."""

    node: str
    classes: tuple[str, ...]
    support: Batch
    query: Batch

    def to(self, device: torch.device | str) -> "Task":
        """Return the same task on `device`."""
        return Task(self.node, self.classes, self.support.to(device), self.query.to(device))


@dataclass(frozen=True, eq=False)
class Node:
    """One device and the labelled images that live on it.

    images: (example, channel, height, width), uint8, background 0 and ink 255.
    labels: (example,), int64, an index into `classes`.

    Raises ValueError if shapes, types or labels do not fit this description.
    """

    name: str
    classes: tuple[str, ...]
    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Refuse images and labels that could not be sampled from."""
        where = f"node {self.name!r}"
        if not (isinstance(self.images, Tensor) and isinstance(self.labels, Tensor)):
            kinds = ", ".join(type(each).__name__ for each in (self.images, self.labels))
            raise ValueError(f"{where}: images and labels must be tensors, not {kinds}")
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or self.images.dim() != 4 or shape[1] not in (1, 3):
            raise ValueError(
                f"{where}: images must be uint8 of shape (example, 1 or 3 channels, height, width), "
                f"not {self.images.dtype} of shape {shape}"
            )
        if self.labels.dtype != torch.int64 or tuple(self.labels.shape) != shape[:1]:
            raise ValueError(
                f"{where}: labels must be int64 of shape ({shape[0]},), one per image, "
                f"not {self.labels.dtype} of shape {tuple(self.labels.shape)}"
            )
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"{where}: class names must differ from each other, got {self.classes}")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(
                f"{where}: labels must lie between 0 and {len(self.classes) - 1} (it has {len(self.classes)} "
                f"classes), got {int(self.labels.min())} to {int(self.labels.max())}"
            )

    @property
    def weight(self) -> float:
        """The node's share in the average before normalisation: its number of examples."""
        return float(len(self.labels))

    @cached_property
    def examples_by_class(self) -> tuple[np.ndarray, ...]:
        """For each class, the positions of its examples in `images`."""
        labels = self.labels.numpy()
        return tuple(np.flatnonzero(labels == label) for label in range(len(self.classes)))

    @cached_property
    def fingerprint(self) -> str:
        """A short text that is the same for the same images and labels, whatever their names."""
        mark = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for values in (self.images, self.labels):
            mark.update(values.contiguous().numpy())
        return mark.hexdigest()[:16]

    def large_classes(self, ways: int, shots: int, queries: int) -> list[int]:
        """Return the labels of the classes that hold `shots + queries` examples, `ways` of them at least.

        Raises ValueError, naming node and numbers, if they are fewer.
        """
        for name, value, least in (("ways", ways, 2), ("shots", shots, 1), ("queries", queries, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        needed = shots + queries
        large = [label for label, members in enumerate(self.examples_by_class) if len(members) >= needed]
        if len(large) < ways:
            raise ValueError(
                f"node {self.name!r} cannot give a task of {ways} ways: {len(large)} of its {len(self.classes)} "
                f"classes hold at least {needed} examples ({shots} shots + {queries} queries)"
            )
        return large

    def sample_task(self, ways: int, shots: int, queries: int, generator: np.random.Generator) -> Task:
        """Draw `ways` classes and, of each, `shots` support and `queries` query examples.

        Classes come in random order, so that a label says nothing about the class; within support and query
        the examples lie class by class. The query batch is normalised by the support images.

        Raises ValueError, naming node and numbers, if too few classes hold `shots + queries` examples.
        """
        large, needed = self.large_classes(ways, shots, queries), shots + queries
        chosen = generator.choice(large, size=ways, replace=False)
        drawn = np.stack(
            [generator.choice(self.examples_by_class[label], size=needed, replace=False) for label in chosen]
        )  # (ways, shots + queries), positions without repetition
        support = self._batch(drawn[:, :shots])
        query = self._batch(drawn[:, shots:], context=support.images)
        return Task(self.name, tuple(self.classes[label] for label in chosen), support, query)

    def _batch(self, positions: np.ndarray, context: Tensor | None = None) -> Batch:
        """The examples at `positions` (ways, examples per class), labelled by row."""
        ways, per_class = positions.shape
        images = self.images[torch.from_numpy(positions.reshape(-1))].float() / 255
        return Batch(images, torch.arange(ways).repeat_interleave(per_class), context)


@dataclass(frozen=True, eq=False)
class Federation:
    """Nodes to train on, nodes to choose settings by, and nodes touched once, at the end.

    new_nodes says what the nodes of `validation` and `test` hold that no training node does:
        unseen-classes: no class of theirs occurs in `train`.
        unseen-sets: the classes occur there, but no training node holds the same set of them; nor is any image
        on two nodes (a training node and its turned versions count as one).

    Raises ValueError if that is not so, or if images differ in shape.
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
        """Refuse a split that lets be trained on what is tested on."""
        check_new_nodes(self.new_nodes)
        for _, node in self._nodes_at_hand():
            expected = (self.channels, self.image_size, self.image_size)
            if tuple(node.images.shape[1:]) != expected:
                raise ValueError(
                    f"federation {self.name!r}: images must have shape {expected}, "
                    f"but node {node.name!r} has {tuple(node.images.shape[1:])}"
                )
        if self.new_nodes == "unseen-classes":
            self._check_classes()
        else:
            self._check_sets()
            self._check_images()

    def _nodes_at_hand(self) -> Iterator[tuple[str, Node]]:
        for split in SPLITS:
            for node in at_hand(getattr(self, split)):
                yield split, node

    def _check_classes(self) -> None:
        """Raise ValueError if a class of a held-out node is trained on."""
        trained = {original_class(name) for node in at_hand(self.train) for name in node.classes}
        for split in SPLITS[1:]:
            held_out = {original_class(name) for node in at_hand(getattr(self, split)) for name in node.classes}
            if shared := sorted(trained & held_out):
                raise ValueError(
                    f"federation {self.name!r}: classes of {split} must not occur in train, "
                    f"but {len(shared)} do: {', '.join(shared[:5])}"
                )

    def _check_sets(self) -> None:
        """Raise ValueError if a held-out node holds the same set of classes as a training node."""
        trained = {frozenset(map(original_class, node.classes)): node.name for node in at_hand(self.train)}
        for split, node in self._nodes_at_hand():
            same = trained.get(frozenset(map(original_class, node.classes)))
            if split != "train" and same:
                raise ValueError(
                    f"federation {self.name!r}: no training node may hold the same set of classes as a node of "
                    f"{split}, but {same!r} holds that of {node.name!r}: {', '.join(node.classes)}"
                )

    def _check_images(self) -> None:
        """Raise ValueError if an image, turned or not, is on two nodes."""
        owners: dict[bytes, tuple[str, str]] = {}
        for split, node in self._nodes_at_hand():
            original = original_class(node.name)
            turns = 0 if original == node.name else -ROTATIONS[node.name.removeprefix(f"{original}@")]
            for mark in fingerprints(torch.rot90(node.images, turns, dims=(2, 3))):
                if (owner := owners.setdefault(mark, (split, original))) != (split, original):
                    raise ValueError(
                        f"federation {self.name!r}: no image may be on two nodes, "
                        f"but one of {node.name!r} is on {owner[1]!r} too"
                    )


def check_new_nodes(new_nodes: str) -> None:
    """Raise ValueError, listing the allowed names, unless this says what new nodes may hold."""
    if new_nodes not in get_args(NewNodes):
        raise ValueError(f"`new_nodes` (={new_nodes!r}) must be one of {', '.join(get_args(NewNodes))}")


def fingerprints(images: Tensor) -> list[bytes]:
    """Return a short text for each image, (example, channel, height, width) uint8: the same for the same pixels."""
    return [hashlib.sha256(image.tobytes()).digest() for image in images.numpy()]


def at_hand(nodes: Sequence[Node]) -> Sequence[Node]:
    """Return what of `nodes` is in memory and can be checked: all, or what virtual ones are dealt from."""
    return getattr(nodes, "pool", nodes)


def original_class(name: str) -> str:
    """Return the class that a rotated class comes from: "Greek/beta@90" gives "Greek/beta"."""
    base, mark, angle = name.rpartition("@")
    return base if mark and angle in ROTATIONS else name
