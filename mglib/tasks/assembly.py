"""From named images to a Federation: the one path that every source of data takes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mglib.tasks.episodes import ROTATIONS, Federation, NewNodes, Node

ClassImages = Mapping[str, Tensor]  # class: (example, channel, height, width), uint8
Images = Mapping[str, ClassImages]  # node: its classes
LEAST_CLASSES = 5  # that a split drawn by chance should hold, so that it can give 5-way tasks


def make_node(name: str, classes: ClassImages, invert: bool = False) -> Node:
    """Return the node that holds these images, turned from dark on light to light on dark with `invert`.

    Class names must be qualified where nodes could share them.
    """
    labels = [torch.full((len(images),), label) for label, images in enumerate(classes.values())]
    images = torch.cat(list(classes.values()))
    return Node(name, tuple(classes), 255 - images if invert else images, torch.cat(labels))


def rotated(node: Node) -> list[Node]:
    """Return three further nodes whose classes are this node's, turned by 90, 180 and 270 degrees.

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


def assemble(
    name: str,
    nodes: Images,
    test: Collection[str],
    validation: Collection[str] = (),
    *,
    rotate: bool = False,
    new_nodes: NewNodes = "unseen-classes",
    invert: bool = False,
) -> Federation:
    """Return the federation in which the nodes of neither `test` nor `validation` are trained on.

    With `invert`, all images are turned from dark on light to light on dark.

    With `rotate`, every training node also appears turned by 90, 180 and 270 degrees; held-out nodes do not.

    Raises ValueError if no node remains to train on or to test on, or if what should be new to
    the held-out nodes is trained on.
    """
    splits: dict[str, list[Node]] = {"train": [], "validation": [], "test": []}
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
        splits["train"] += [turned for node in splits["train"] for turned in rotated(node)]
    channels, image_size = splits["train"][0].images.shape[1:3]
    return Federation(name, **splits, image_size=image_size, channels=channels, new_nodes=new_nodes, inverted=invert)


@dataclass(frozen=True)
class Split:
    """What is kept from training: names that the user gave, or a choice by `seed`."""

    held_out: Collection[str] = ()
    validation: Collection[str] = ()
    seed: int = 0

    def choose(
        self, names: Collection[str], test: Collection[str] | int, validation: Collection[str] | int
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names kept for test and for validation, out of `names`.

        `test` and `validation` are the choice where the user made none: names, or how many to draw.

        Raises ValueError, listing the allowed names, for a name that does not exist or is held out twice.
        """
        check_names("held_out", self.held_out, names)
        check_names("validation", self.validation, names)
        if both := sorted(set(self.held_out) & set(self.validation)):
            raise ValueError(f"{', '.join(both)} cannot be both in held_out and in validation")
        order = [str(name) for name in np.random.default_rng(self.seed).permutation(sorted(names))]
        tested = tuple(self.held_out) or _pick(test, order, taken=self.validation)
        return tested, tuple(self.validation) or _pick(validation, order, taken=tested)


def _pick(default: Collection[str] | int, order: list[str], taken: Collection[str]) -> tuple[str, ...]:
    """The names of `default`, or its number of names from the front of `order`, without those taken."""
    free = [name for name in order if name not in taken]
    return tuple(free[:default]) if isinstance(default, int) else tuple(n for n in default if n in free)


def check_names(option: str, names: Collection[str], allowed: Collection[str]) -> None:
    """Raise ValueError, listing the allowed names, if one of `names` is not among them."""
    if isinstance(names, str):
        raise ValueError(f"{option} must be a sequence of names, not the text {names!r}")
    if unknown := [name for name in names if name not in allowed]:
        raise ValueError(f"{option} holds unknown names: {', '.join(unknown)}; allowed are {', '.join(allowed)}")
