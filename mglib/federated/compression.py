"""Compression: what a node moved, in fewer bytes, as a message from which the server has to make do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import safetensors.torch
import torch

from mglib.federated.engines import ClientUpdate
from mglib.federated.messages import Round, Update
from mglib.params import Params


class Codec(Protocol):
    """A way to write moves."""

    def pack(self, move: Params) -> bytes:
        """Return the message."""

    def unpack(self, message: bytes, like: Mapping[str, torch.Tensor]) -> Params:
        """Return what the message says of the move; its names, shapes and types are those of `like`."""


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
            sent = told.get(f"{name}.rows", torch.ones(len(value)))
            move[name] = torch.zeros_like(value)
            move[name][sent.bool()] = told[name]
        return move


@dataclass(frozen=True)
class Compressed:
    """A client update whose answer is what the server can read out of the message, with the message's `bytes`."""

    client_update: ClientUpdate
    codec: Codec

    def __call__(self, params: Params, node: Any, position: int, round: Round) -> Update:
        """Return where the node is, as far as the message tells; `bytes` is among the metrics."""
        update = self.client_update(params, node, position, round)
        message = self.codec.pack({name: update.params[name] - value for name, value in params.items()})
        move = self.codec.unpack(message, params)
        told = {name: value + move[name] for name, value in params.items()}
        return update._replace(params=told, metrics={**update.metrics, "bytes": float(len(message))})
