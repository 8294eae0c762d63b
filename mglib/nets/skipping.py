"""Inference that really skips: a closed filter is not computed, and the next layer does not read its map.

The masked network computes every filter and multiplies by the gate: it says what the gates would save, and saves
nothing. Here a layer asks its gate first, slices the open filters and the open inputs out of its weights, and
convolves what is left. With fixed statistics the normalisation is a scale and a shift of each filter, folded into
the weights once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mglib.nets.layers import GatedConv, MapStatistics
from mglib.nets.models import GatedConvNet, GatedResidualNet, Prediction, Statistics
from mglib.params import Params

# What a group costs that goes through a layer apart from the others, in multiply-accumulates: its dozen operations.
GROUP_COST = 2_000_000


def folded(layer: Params, statistics: MapStatistics) -> tuple[Tensor, Tensor]:
    """Return the weight (filter, channel, 3, 3) and bias (filter,) that convolve and normalise in one.

    layer: a `GatedConv`'s conv.weight, scale and shift; statistics: mean and variance of its maps, (filter,) each.
    """
    mean, variance = statistics
    scale = layer["scale"] * torch.rsqrt(variance + 1e-5)
    return layer["conv.weight"] * scale[:, None, None, None], layer["shift"] - mean * scale


class SkippingNet:
    """A gated network with a node's statistics that computes what its gates open, and nothing else.

    It answers as the masked network does, to the rounding of its arithmetic: a gate logit within rounding of zero
    may fall to the other side. An example alone costs what `macs_per_layer` says. Examples of a batch are computed
    in groups of one pattern where that spares more than it costs, and otherwise together, with every filter that
    one of them opens. A network without gates is computed whole.
    """

    def __init__(self, net: nn.Module, params: Params, statistics: Statistics, *, remember: int = 4):
        """Fold the normalisation into the weights, once.

        statistics: those that normalise every answer, such as `Prediction.statistics` of a node's support set.
        remember: patterns for which a layer keeps its slices; 0: it slices for every input.

        Raises:
            ValueError: if the network is none of `ARCHITECTURES`, or the statistics are not of its layers.
        """
        if isinstance(net, GatedConvNet):
            names = [f"layers.{index}" for index in range(len(net.layers))]
        elif isinstance(net, GatedResidualNet):
            names = ["stem", *(f"blocks.{block}.{place}" for block in range(len(net.blocks)) for place in (0, 1))]
        else:
            raise ValueError(f"`net` is a {type(net).__name__}: need a GatedConvNet or a GatedResidualNet")
        if len(statistics) != len(names):
            raise ValueError(f"`statistics` of {len(statistics)} layers: the network has {len(names)}")
        self.net, self.statistics = net, statistics
        *costs, head = net.costs
        with torch.inference_mode():
            self._layers = [
                _Layer.of(net.get_submodule(name), _under(name, params), of_layer, cost.taps, remember)
                for name, of_layer, cost in zip(names, statistics, costs, strict=True)
            ]
            weight = params["head.weight"].view(head.out_channels, head.in_channels, head.taps)
            self._head_weight = weight.permute(1, 2, 0).contiguous()  # (channel, pixel, way): an open channel is a row
            self._head_bias = params["head.bias"]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Prediction:
        """Answer for a batch of images, shape (batch, channel, height, width), as the masked network does.

        Raises:
            ValueError: if the images are not of the shape that the network was made for.
        """
        self.net._check_images(images)
        groups = [_Group(images)]
        if isinstance(self.net, GatedConvNet):
            for layer in self._layers:
                groups = [part for group in groups for part in layer(group)]
        else:
            groups = self._layers[0](groups[0])
            for inner, outer in zip(self._layers[1::2], self._layers[2::2], strict=True):
                groups = [part for group in groups for part in _block(inner, outer, group)]
        return self._together(groups, images)

    def _together(self, groups: list["_Group"], images: Tensor) -> Prediction:
        """Return the groups' answers in the order of the batch."""
        logits = [self._head(group) for group in groups]
        gates = [group.gates for group in groups]
        if len(groups) == 1:
            return Prediction(logits[0], tuple(gate.to(images.dtype) for gate in gates[0]), self.statistics)
        order = torch.tensor([place for group in groups for place in group.places], device=images.device).argsort()
        in_order = [torch.cat(parts).index_select(0, order) for parts in zip(*gates, strict=True)]
        return Prediction(
            torch.cat(logits).index_select(0, order),
            tuple(gate.to(images.dtype) for gate in in_order),
            self.statistics,
        )

    def _head(self, group: "_Group") -> Tensor:
        weight = self._head_weight if group.open is None else self._head_weight.index_select(0, group.open)
        return torch.addmm(self._head_bias, group.maps.flatten(1), weight.flatten(0, 1))


@dataclass
class _Group:
    """Examples that are computed together, and the channels that are open for them."""

    maps: Tensor  # (example, open channel, height, width)
    open: Tensor | None = None  # indices of those channels, None: all
    key: bytes = b""  # the same as bytes, to look slices up by
    places: list[int] | None = None  # of the examples in the batch, None: all of it
    gates: tuple[Tensor, ...] = ()  # of the layers so far, (example, filter), bool
    stream: Tensor | None = None  # inputs of the residual block under way

    def part(self, rows: list[int]) -> "_Group":
        """Return the group of some of its examples."""
        index = torch.tensor(rows, device=self.maps.device)
        return replace(
            self,
            maps=self.maps.index_select(0, index),
            places=rows if self.places is None else [self.places[row] for row in rows],
            gates=tuple(gate.index_select(0, index) for gate in self.gates),
            stream=None if self.stream is None else self.stream.index_select(0, index),
        )


@dataclass(frozen=True)
class _Slice:
    """What a layer computes with for one pattern of open inputs and open filters."""

    open: Tensor | None  # indices of the open filters, None: all
    weight: Tensor  # (open filter, open channel, 3, 3), channels last
    bias: Tensor  # (open filter,)


@dataclass(frozen=True)
class _Layer:
    """A folded convolution, its gate head if it has one, and the slices it made last."""

    weight: Tensor  # (filter, 3, 3, channel): a filter is a row, and the channels of a tap lie side by side
    bias: Tensor  # (filter,)
    gate: tuple[Tensor, Tensor] | None  # weight and bias of the head
    grid: int
    stride: int
    relu: bool
    taps: int
    remember: int
    slices: dict[tuple[bytes, bytes], _Slice] = field(default_factory=dict)  # the one used last is the last

    @classmethod
    def of(cls, module: GatedConv, params: Params, statistics: MapStatistics, taps: int, remember: int) -> "_Layer":
        """Return the layer with its normalisation folded."""
        weight, bias = folded(params, statistics)
        gate = (params["gate.linear.weight"], params["gate.linear.bias"]) if module.gate else None
        grid = module.gate.grid if module.gate else 1
        weight = weight.permute(0, 2, 3, 1).contiguous()
        return cls(weight, bias, gate, grid, module.conv.stride[0], module.relu, taps, remember)

    def __call__(self, group: _Group) -> list[_Group]:
        """Return the group after the layer, or the groups into which its gates split it."""
        if self.gate is None:
            return [replace(group, maps=self.convolve(group.maps, self.weight.permute(0, 3, 1, 2), self.bias))]
        gates = self.gates(group)
        patterns: dict[bytes, list[int]] = {}
        for row, pattern in enumerate(gates.cpu().numpy()):
            patterns.setdefault(pattern.tobytes(), []).append(row)
        if len(patterns) == 1:
            return [self.opened(group, gates, gates[0], *patterns)]
        union = gates.any(0)
        closed = int(union.sum()) * len(gates) - int(gates.sum())
        if closed * group.maps.shape[1] * self.taps > GROUP_COST * (len(patterns) - 1):
            return [
                self.opened(group.part(rows), gates[rows], gates[rows[0]], pattern)
                for pattern, rows in patterns.items()
            ]
        after = self.opened(group, gates, union, union.cpu().numpy().tobytes())
        mask = gates if after.open is None else gates.index_select(1, after.open)
        return [replace(after, maps=after.maps * mask[:, :, None, None])]

    def gates(self, group: _Group) -> Tensor:
        """Return which filters each example opens, (example, filter), bool; see `GateHead`."""
        maps = group.maps
        pooled = maps.mean((2, 3)) if self.grid == 1 else F.adaptive_avg_pool2d(maps, self.grid).flatten(1)
        if group.open is not None:  # the head normalises among all channels, of which the closed ones are zero
            pooled = pooled.new_zeros(len(maps), self.weight.shape[3]).index_copy_(1, group.open, pooled)
        return F.linear(F.layer_norm(pooled, pooled.shape[1:]), *self.gate) > 0

    def opened(self, group: _Group, gates: Tensor, gate: Tensor, key: bytes) -> _Group:
        """Return the group after the filters of `gate` (filter,), bool, of which `key` is the bytes."""
        found = self.slices.pop((group.key, key), None) or self.sliced(group.open, gate)
        if self.remember:
            self.slices[group.key, key] = found
            if len(self.slices) > self.remember:
                self.slices.pop(next(iter(self.slices)))
        maps = self.convolve(group.maps, found.weight, found.bias)
        return _Group(maps, found.open, key, group.places, (*group.gates, gates), group.stream)

    def sliced(self, channels: Tensor | None, gate: Tensor) -> _Slice:
        """Return the weights of the open filters for the open channels, copied only where some are closed."""
        weight, bias, filters = self.weight, self.bias, gate.nonzero().view(-1)
        if len(filters) == len(bias):
            filters = None
        else:
            weight, bias = weight.index_select(0, filters), bias.index_select(0, filters)
        if channels is not None:
            weight = weight.gather(3, channels.expand(*weight.shape[:3], -1))
        return _Slice(filters, weight.permute(0, 3, 1, 2), bias)

    def convolve(self, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the open filters' maps; without an open channel they are the bias all over."""
        if weight.numel() == 0:
            height, width = ((size - 1) // self.stride + 1 for size in maps.shape[2:])
            maps = bias[:, None, None].repeat(len(maps), 1, height, width)
        else:
            maps = torch.conv2d(maps, weight, bias, self.stride, 1)
        return maps.relu_() if self.relu else maps


def _block(inner: _Layer, outer: _Layer, group: _Group) -> Iterator[_Group]:
    """Yield the groups after a residual block, whose stream is open throughout."""
    stream = replace(group, stream=group.maps)
    for after in (part for hidden in inner(stream) for part in outer(hidden)):
        pooled = F.avg_pool2d(after.stream, 2, ceil_mode=True, count_include_pad=False)
        added = pooled + after.maps if after.open is None else pooled.index_add_(1, after.open, after.maps)
        yield replace(after, maps=added.relu_(), open=None, key=b"", stream=None)


def _under(prefix: str, params: Params) -> Params:
    """Return the parameters of a sub-module, named as it names them."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in params.items() if name.startswith(start)}
