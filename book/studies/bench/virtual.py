"""VirtualNodes: a federation of any size from the images at hand, each node made when it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mglib.tasks import Federation, Node, load_federation
from mglib.tasks.partition import CLASSES_PER_NODE
from mglib.training import Recipe
from mglib.training.experiment import data_of


@dataclass(frozen=True, eq=False)
class VirtualNodes(Sequence[Node]):
    """`count` nodes of which none exists until it is asked for, and none is kept.

    The node at position p is dealt `classes` classes, with all their examples, from the node of `pool` at
    p modulo their number: a user who writes a few of a writer's characters. Seed and position alone decide
    which, so a node asked for again, in another process or another run, is the same.

    Raises ValueError if `count` is below 1, or a node of `pool` has fewer than `classes` classes.
    """

    pool: Sequence[Node]
    count: int
    classes: int = CLASSES_PER_NODE
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no node could be dealt from."""
        if self.count < 1:
            raise ValueError(f"`count` (={self.count}) must be at least 1")
        if not self.pool:
            raise ValueError("`pool` holds no node to deal classes from")
        fewest = min(self.pool, key=lambda node: len(node.classes))
        if not 1 <= self.classes <= len(fewest.classes):
            raise ValueError(
                f"`classes` (={self.classes}) must be between 1 and the {len(fewest.classes)} of node {fewest.name!r}"
            )

    def __len__(self) -> int:
        """Return the number of nodes."""
        return self.count

    def __getitem__(self, position):
        """Return the node at `position`, made anew; of a slice, a list of nodes."""
        if isinstance(position, slice):
            return [self[each] for each in range(self.count)[position]]
        position = range(self.count)[position]  # counts from the end if negative, IndexError if there is none
        source = self.pool[position % len(self.pool)]
        generator = np.random.default_rng([self.seed, position])
        dealt = generator.choice(len(source.classes), self.classes, replace=False)
        members = [source.examples_by_class[label] for label in dealt]
        labels = np.repeat(np.arange(self.classes), [len(examples) for examples in members])
        return Node(
            f"{source.name}#{position}",
            tuple(source.classes[label] for label in dealt),
            source.images[torch.from_numpy(np.concatenate(members))],
            torch.from_numpy(labels),
        )


def virtual_federation(recipe: Recipe, nodes: int) -> Federation:
    """Return the recipe's federation with so many virtual training nodes, dealt from its own."""
    federation = load_federation(**data_of(recipe))
    return replace(federation, train=VirtualNodes(federation.train, nodes))
