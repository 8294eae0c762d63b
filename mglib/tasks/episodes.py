"""Batch, Task, Node: labelled images, one few-shot problem, and the device that it is sampled from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mglib.params import whole_number

ClassImages = Mapping[str, Tensor]  # class: (example, channel, height, width), uint8


@dataclass(frozen=True, eq=False)  # == of tensors has no single truth value
class Batch:
    """Labelled images.

    images: (batch, channel, height, width), float32, background 0 and ink 1.
    labels: (batch,), int64, from 0 to ways - 1.
    support_images: (support example, channel, height, width) or None: the images whose statistics normalise this
        batch. A query batch carries those of its task here, so that a prediction never depends on the other
        queries (inductive evaluation); None means that the batch normalises itself.
    """

    images: Tensor
    labels: Tensor
    support_images: Tensor | None = None

    def to(self, like: torch.device | str | Tensor) -> "Batch":
        """Return the same batch on a device; with a tensor, on its device and in its type of numbers."""
        device = like.device if isinstance(like, Tensor) else like
        support_images = None if self.support_images is None else self.support_images.to(like)
        return Batch(self.images.to(like), self.labels.to(device), support_images)


@dataclass(frozen=True, eq=False)
class Task:
    """One few-shot problem: adapt on `support`, be scored on `query`; the two never share an example."""

    node: str
    classes: tuple[str, ...]
    support: Batch
    query: Batch

    def to(self, like: torch.device | str | Tensor) -> "Task":
        """Return the same task, its batches as `Batch.to` makes them."""
        return Task(self.node, self.classes, self.support.to(like), self.query.to(like))


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
        ends = [int(end) for end in self.labels.aminmax()] if len(self.labels) else []
        if ends and not 0 <= ends[0] <= ends[1] < len(self.classes):
            raise ValueError(
                f"{where}: labels must lie between 0 and {len(self.classes) - 1}, got {ends[0]} to {ends[1]}"
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
            whole_number(name, value, least)
        needed = shots + queries
        large = [label for label, members in enumerate(self.examples_by_class) if len(members) >= needed]
        if len(large) < ways:
            raise ValueError(
                f"node {self.name!r} cannot give a task of {ways} ways: {len(large)} of its {len(self.classes)} "
                f"classes hold at least {needed} examples ({shots} shots + {queries} queries)"
            )
        return large

    def sample_task(self, ways: int, shots: int, queries: int, generator: np.random.Generator | int) -> Task:
        """Draw `ways` classes and, of each, `shots` support and `queries` query examples.

        Classes come in random order, so that a label says nothing about the class; within support and query
        the examples lie class by class. The query batch is normalised by the support images. generator: or a seed.

        Raises ValueError, naming node and numbers, if too few classes hold `shots + queries` examples.
        """
        large, needed = self.large_classes(ways, shots, queries), shots + queries
        generator = np.random.default_rng(generator)
        chosen = generator.choice(large, size=ways, replace=False)
        drawn = np.stack(
            [generator.choice(self.examples_by_class[label], size=needed, replace=False) for label in chosen]
        )  # (ways, shots + queries), positions without repetition
        support = self._batch(drawn[:, :shots])
        query = self._batch(drawn[:, shots:], support.images)
        return Task(self.name, tuple(self.classes[label] for label in chosen), support, query)

    def _batch(self, positions: np.ndarray, support_images: Tensor | None = None) -> Batch:
        """The examples at `positions` (ways, examples per class), labelled by row."""
        ways, per_class = positions.shape
        images = self.images[torch.from_numpy(positions.reshape(-1))].float() / 255
        return Batch(images, torch.arange(ways).repeat_interleave(per_class), support_images)


def make_node(name: str, classes: ClassImages, invert: bool = False) -> Node:
    """Return the node that holds these images, turned from dark on light to light on dark with `invert`.

    Class names must be qualified where nodes could share them.
    """
    labels = [torch.full((len(images),), label) for label, images in enumerate(classes.values())]
    images = torch.cat(list(classes.values()))
    return Node(name, tuple(classes), 255 - images if invert else images, torch.cat(labels))
