"""Inference that slices: the clear path of `skipping.py`, layer by layer in torch."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mglib.nets.freezing import absent_inputs
from mglib.nets.gates import GatedConv, MapStatistics
from mglib.nets.macs import LayerCost
from mglib.params import Params

# What a group has to spare to go its own way, in multiply-accumulates. Measured on one thread with batches of 16 inputs
# of as many patterns, half of the filters open: groups of one were slower at 41 million multiply-accumulates an input
# (width 128 at 56×56, 256 at 28×28) and faster from 94 million (width 128 at 84×84), of which a first layer spares 8
# and 19 million by what it closes.
GROUP_COST = 18_000_000


def folded(layer: Params, statistics: MapStatistics) -> tuple[Tensor, Tensor]:
    """Return the weight (filter, channel, 3, 3) and bias (filter,) that convolve and normalise in one.

    layer: a `GatedConv`'s conv.weight, scale and shift; statistics: mean and variance of its maps, (filter,) each.
    """
    mean, variance = statistics
    scale = layer["scale"] * torch.rsqrt(variance + 1e-5)
    return layer["conv.weight"] * scale[:, None, None, None], layer["shift"] - mean * scale


class Group(NamedTuple):
    """Examples that are computed together, and the channels that are open for them."""

    maps: Tensor  # (example, open channel, height, width)
    places: Tensor  # of the examples in the batch
    open: Tensor | None = None  # indices of those channels, None: all
    key: bytes | None = None  # the same as bytes
    gates: tuple[Tensor, ...] = ()  # of the layers so far, (example, filter), positive where open and 0 where closed

    def part(self, rows: list[int]) -> "Group":
        """Return the group of some of its examples."""
        gates = tuple(gate[rows] for gate in self.gates)
        return self._replace(maps=self.maps[rows], places=self.places[rows], gates=gates)


class SlicedLayer:
    """A folded convolution, its gate head if it has one, and the slices it used last."""

    def __init__(self, module: GatedConv, params: Params, statistics: MapStatistics, cost: LayerCost, after: LayerCost):
        """Fold the normalisation; cost, after: of this layer and of the one that reads it."""
        weight, self.bias = folded(params, statistics)
        # (filter, 3, 3, channel): a filter is a row, and the channels of a tap lie side by side.
        self.weight = weight.permute(0, 2, 3, 1).contiguous()
        self.gate = (params["gate.linear.weight"], params["gate.linear.bias"]) if module.gate else None
        self.grid, self.absent = module.gate.grid if module.gate else 1, absent_inputs(module.gate)
        self.taps, self.read_macs = cost.taps, after.taps * after.out_channels  # read_macs: for each channel it reads
        # New memory for each slice would cost more than the copying.
        self.rows, self.room = self.weight.new_empty(self.weight.numel()), self.weight.new_empty(self.weight.numel())
        self.used: tuple[bytes | None, bytes] | None = None  # the patterns of channels and filters that `slices` is for
        self.slices = self.weight.permute(0, 3, 1, 2), self.bias

    def for_c(self, size: int) -> tuple[tuple[int, ...], list[Tensor]]:
        """Return the sizes and tensors of the layer, whose input is `size` pixels a side, as `CompiledNet` takes it."""
        tensors = [self.weight.permute(0, 3, 1, 2), self.bias]
        if self.gate is not None:
            tensors += [self.gate[0].T, self.gate[1]]
        return (self.weight.shape[3], len(self.bias), size, self.grid, self.gate is not None, self.absent), tensors

    def __call__(self, group: Group) -> list[Group]:
        """Return the group after the layer, or the groups into which its gates split it."""
        if self.gate is None:
            return [group._replace(maps=self.convolve(group.maps, *self.slices), open=None, key=None)]
        gates = self.gates(group)
        if len(gates) == 1:
            return [self.opened(group, gates, gates)]
        patterns: dict[bytes, list[int]] = {}
        for row, pattern in enumerate((gates > 0).cpu().numpy()):
            patterns.setdefault(pattern.tobytes(), []).append(row)
        if len(patterns) <= 1:  # none: a batch of no examples
            return [self.opened(group, gates, gates[:1])]
        union = gates.amax(0)
        closed = int(union.count_nonzero()) * len(gates) - int(gates.count_nonzero())
        spared = closed * (group.maps.shape[1] * self.taps + self.read_macs // 2)
        if spared > (len(patterns) - 1) * GROUP_COST:
            return [self.opened(group.part(rows), gates[rows], gates[rows[:1]]) for rows in patterns.values()]
        after = self.opened(group, gates, union)
        mask = (gates if after.open is None else gates.index_select(1, after.open)) > 0
        return [after._replace(maps=after.maps.mul_(mask[:, :, None, None]))]

    def gates(self, group: Group) -> Tensor:
        """Return the gates' logits, (example, filter), with zero for the negative ones; see `GateHead`."""
        maps, eps = group.maps, 1e-5
        if self.grid == 1:  # the sum: what is a thousand times as large is so after normalising by a thousand, too
            pooled, eps = maps.sum((2, 3)), eps * (maps.shape[2] * maps.shape[3]) ** 2
        else:
            pooled = F.adaptive_avg_pool2d(maps, self.grid).flatten(1)
        if group.open is not None:  # the head normalises among all channels, of which the closed ones are zero
            pooled = pooled.new_zeros(len(maps), self.weight.shape[3]).index_copy_(1, group.open, pooled)
        if self.absent:  # what freezing removed counts as zeros in the normalisation, and weighs nothing
            pooled = F.pad(pooled, (0, self.absent))
        normalised = torch.layer_norm(pooled, pooled.shape[1:], None, None, eps)
        return F.linear(normalised[:, : self.gate[0].shape[1]], *self.gate).relu_()

    def opened(self, group: Group, gates: Tensor, gate: Tensor) -> Group:
        """Return the group after the filters that are open in `gate`, of shape (filter,) or (1, filter)."""
        filters = gate.view(-1).nonzero().view(-1)
        key = filters.cpu().numpy().tobytes()
        if len(filters) == len(self.bias):
            filters = None
        if self.used != (group.key, key):
            self.used, self.slices = (group.key, key), self.sliced(group.open, filters)
        maps = self.convolve(group.maps, *self.slices)
        key = None if filters is None else key
        return group._replace(maps=maps, open=filters, key=key, gates=(*group.gates, gates))

    def sliced(self, channels: Tensor | None, filters: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the weights (open filter, open channel, 3, 3) and biases of the open filters."""
        weight, bias = self.weight, self.bias
        if filters is not None:
            shape = (len(filters), *weight.shape[1:])
            rows = self.rows[: shape[0] * weight[0].numel()].view(shape)
            weight, bias = torch.index_select(weight, 0, filters, out=rows), bias.index_select(0, filters)
        if channels is not None:
            shape = (*weight.shape[:3], len(channels))
            room = self.room[: 9 * shape[0] * shape[3]].view(shape)
            weight = torch.gather(weight, 3, channels.expand(shape), out=room)
        return weight.permute(0, 3, 1, 2), bias

    def convolve(self, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the open filters' maps; without an open channel they are the bias all over."""
        if weight.numel() == 0:
            height, width = ((size + 1) // 2 for size in maps.shape[2:])
            maps = bias[:, None, None].repeat(len(maps), 1, height, width)
        else:
            maps = torch.conv2d(maps, weight, bias, 2, 1)
        return maps.relu_()
