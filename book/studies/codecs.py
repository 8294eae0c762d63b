"""Codecs: what a node moved, in fewer bytes, as a message from which the server has to make do."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.func import functional_call

from mglib.federated import Round, Update
from mglib.federated.engines import ClientUpdate
from mglib.params import Params
from mglib.tasks import Node, Task
from mglib.training.experiment import Experiment

Wrap = Callable[[ClientUpdate, Experiment], ClientUpdate]  # (a node's update, for whom) → the same with more around it


@dataclass(frozen=True)
class Half:
    """Every number in half precision, two bytes instead of four; one beyond 65,504 becomes infinite, and is refused."""

    def pack(self, move: Params) -> bytes:
        """Return all numbers, rounded."""
        return safetensors.torch.save({name: value.half() for name, value in move.items()})

    def unpack(self, message: bytes, like: Mapping[str, torch.Tensor]) -> Params:
        """Return the rounded numbers."""
        told = safetensors.torch.load(message)
        return {name: told[name].to(value.dtype) for name, value in like.items()}


@dataclass(frozen=True)
class TopK:
    """The largest numbers of all parameters together and where they belong, six bytes each (Aji and Heafield, 2017).

    What is left out is forgotten: nodes that are asked once in a hundred rounds keep no remainder for the next.
    """

    share: float  # of the numbers that are sent, in (0, 1]

    def pack(self, move: Params) -> bytes:
        """Return positions, in the order of names, and values in half precision."""
        flat = torch.cat([move[name].flatten() for name in sorted(move)])
        count = max(1, math.ceil(self.share * len(flat)))
        places = flat.abs().topk(count).indices.sort().values
        return safetensors.torch.save({"places": places.int(), "values": flat[places].half()})

    def unpack(self, message: bytes, like: Mapping[str, torch.Tensor]) -> Params:
        """Return the numbers that were sent, zero for the others."""
        told = safetensors.torch.load(message)
        names = sorted(like)
        flat = torch.zeros(sum(like[name].numel() for name in names))
        flat[told["places"].long()] = told["values"].float()
        parts = flat.split([like[name].numel() for name in names])
        return {name: part.view(like[name].shape).to(like[name].dtype) for name, part in zip(names, parts, strict=True)}


@dataclass(frozen=True)
class Rows:
    """The rows that are not zero, a filter each, and which they are: nothing is lost."""

    def pack(self, move: Params) -> bytes:
        """Return which rows are sent, and those rows."""
        message = {}
        for name, value in move.items():
            sent = value.flatten(1).any(1) if value.ndim > 1 else value != 0
            message[name] = value[sent]
            if not sent.all():
                message[f"{name}.rows"] = sent.to(torch.uint8)
        return safetensors.torch.save(message)

    def unpack(self, message: bytes, like: Mapping[str, torch.Tensor]) -> Params:
        """Return the rows that were sent, zeros for the others."""
        told, move = safetensors.torch.load(message), {}
        for name, value in like.items():
            sent = told.get(f"{name}.rows", torch.ones(value.shape[:1]))  # a number alone is a row of none
            move[name] = torch.zeros_like(value)
            move[name][sent.bool()] = told[name]
        return move


@dataclass(frozen=True)
class Compressed:
    """A client update whose answer is what the server can read out of the message, with the message's `bytes`."""

    client_update: ClientUpdate
    codec: Half | TopK | Rows

    def __call__(self, params: Params, node: Any, position: int, round: Round) -> Update:
        """Return where the node is, as far as the message tells; `bytes` is among the metrics."""
        update = self.client_update(params, node, position, round)
        message = self.codec.pack({name: update.params[name] - value for name, value in params.items()})
        move = self.codec.unpack(message, params)
        told = {name: value + move[name] for name, value in params.items()}
        return update._replace(params=told, metrics={**update.metrics, "bytes": float(len(message))})


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


def compressed(compression: str, kept: float) -> Wrap:
    """Return what makes nodes send half precision, the largest numbers, or the filters that their images opened.

    kept: share of the numbers that top-k sends.
    """

    def wrap(update: ClientUpdate, experiment: Experiment) -> ClientUpdate:
        if compression == "opened":
            return Compressed(OpenedOnly(update, experiment.net), Rows())
        return Compressed(update, {"half": Half(), "top-k": TopK(kept)}[compression])

    return wrap
