"""What a node tells of the filters that its images open, and of no others."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from mglib.federated import Round, Update
from mglib.federated.engines import ClientUpdate
from mglib.params import Params
from mglib.tasks import Node, Task


@dataclass(frozen=True)
class OpenedOnly:
    """A client update that leaves the filters as they were sent which none of the images that it read opens.

    The gates are those of the parameters that were sent, without noise, on the images of a task, or of a batch,
    together. Gates themselves move in any case: a closed filter's gate has to be able to open it. The exact
    meta-gradient moves closed filters too, through the gates' own step; that part is what is lost.
    """

    client_update: ClientUpdate
    net: nn.Module

    def __call__(self, params: Params, node: Node, position: int, round: Round) -> Update:
        """Return the update without the moves of closed filters."""
        watched = Watched(node)
        update = self.client_update(params, watched, position, round)
        after = dict(update.params)
        gates = [self._gates(params, images) for images in watched.read]
        for index, name in self._gated():
            closed = ~torch.cat([layers[index] for layers in gates]).any(0)
            for part in ("conv.weight", "scale", "shift"):
                after[f"{name}.{part}"] = after[f"{name}.{part}"].clone()
                after[f"{name}.{part}"][closed] = params[f"{name}.{part}"][closed]
        return update._replace(params=after)

    def _gated(self) -> list[tuple[int, str]]:
        """Return gates and the layers whose filters they close, by position and name."""
        pairs = zip(self.net.costs, self.net.convolutions(), strict=False)  # the head, which no gate closes, is last
        return [(cost.writes, name) for cost, name in pairs if cost.writes is not None]

    def _gates(self, params: Params, images: torch.Tensor) -> list[torch.Tensor]:
        """Return each layer's gates on images, (image, filter), booleans."""
        own = {name: params[name] for name, _ in self.net.named_parameters()}
        with torch.no_grad():
            return [gate > 0 for gate in functional_call(self.net, own, (images,)).gates]


@dataclass(frozen=True)
class Watched:
    """A node that keeps the images that are read of it, by the task or by their positions."""

    node: Node
    read: list[torch.Tensor] = field(default_factory=list)  # (image, channel, height, width), as a network sees them

    def __getattr__(self, name: str) -> Any:
        """Return the node's own attribute."""
        return getattr(self.node, name)

    @property
    def images(self) -> "_WatchedImages":
        """The node's images."""
        return _WatchedImages(self.node.images, self.read)

    def sample_task(self, ways: int, shots: int, queries: int, generator: np.random.Generator) -> Task:
        """Draw the node's task."""
        task = self.node.sample_task(ways, shots, queries, generator)
        self.read.append(torch.cat([task.support.images, task.query.images]))
        return task


@dataclass(frozen=True)
class _WatchedImages:
    images: torch.Tensor
    read: list[torch.Tensor]

    def __getitem__(self, positions: torch.Tensor) -> torch.Tensor:
        images = self.images[positions]
        self.read.append(images.float() / 255)
        return images
