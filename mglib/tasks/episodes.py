"""Batch, Task, Node, Federation: what is learnt, and the sampling of one task from one node."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Task:
    """One few-shot problem: adapt on `support`, be scored on `query`; the two never share an example."""

    node: str
    classes: tuple[str, ...]
    support: Batch
    query: Batch

    def to(self, device: torch.device | str) -> "Task":
        """Return the same task on `device`."""
        return Task(self.node, self.classes, self.support.to(device), self.query.to(device))


@dataclass(frozen=True)
class Node:
    """One device and the labelled images that live on it.

    images: (example, channel, height, width), uint8, background 0 and ink 255.
    labels: (example,), int64, an index into `classes`.
    """

    name: str
    classes: tuple[str, ...]
    images: Tensor
    labels: Tensor

    @property
    def weight(self) -> float:
        """The node's share in the average before normalisation: its number of examples."""
        return float(len(self.labels))

    def sample_task(self, ways: int, shots: int, queries: int, generator: np.random.Generator) -> Task:
        """Draw `ways` classes and, of each, `shots` support and `queries` query examples.

        Raises ValueError, naming node and numbers, if too few classes hold `shots + queries` examples.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Federation:
    """Nodes to train on, nodes to choose settings by, and nodes touched once, at the end.

    No class of `validation` or `test` occurs among the classes of `train`.
    """

    name: str
    train: Sequence[Node]
    validation: Sequence[Node]
    test: Sequence[Node]
    image_size: int  # pixels a side
    channels: int  # 1 grey, 3 colour
