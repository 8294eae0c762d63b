"""Freezing: a network of its own for one task, without the filters that the task never opens.

All that is special about a frozen network is here. Its gates normalise as if the maps that are gone were still there,
and its cost is measured against the whole network.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mglib.nets.gates import GateHead
from mglib.nets.macs import LayerCost
from mglib.nets.models import Prediction, Statistics
from mglib.params import Params, of_network, whole_number


class FrozenGate(GateHead):
    """A gate head that has lost inputs: they were always zero, and the others are normalised as if they were there."""

    def __init__(self, head: GateHead, absent: int):
        """Take over the parts of a head.

        absent: how many pooled values are gone.
        """
        nn.Module.__init__(self)
        self.grid, self.linear, self.absent = head.grid, head.linear, absent

    def normalise(self, pooled: Tensor) -> Tensor:
        """Return the pooled values, (batch, value), normalised among themselves and the absent zeros."""
        return super().normalise(F.pad(pooled, (0, self.absent)))[:, : pooled.shape[1]]


@dataclass(frozen=True)
class FrozenCost(LayerCost):
    """What a layer costs that may have lost filters or inputs; its dense MACs are those it had before."""

    whole: int = 0  # MACs of the layer before, with everything open and no gate

    @property
    def dense(self) -> int:
        """MACs of the layer before freezing, with everything open and no gate."""
        return self.whole


class Frozen(NamedTuple):
    """A network without the filters that a task never opens, and which ones are left."""

    net: nn.Module
    params: Params
    statistics: Statistics
    kept: dict[int, Tensor]  # a layer, by position: which of its filters are left, ascending; empty for a dense net


def freeze(net: nn.Module, params: Params, prediction: Prediction) -> Frozen:
    """Return the network without the filters that stay closed for a whole batch; on that batch it answers the same.

    A filter that no image opens writes zeros, so its row leaves the convolution, the normalisation and the gate head,
    its column leaves the layer and the gate head that read it, and only the zeros' part in that head's normalisation
    stays. A layer that opens nothing at all keeps its first filter, closed, so that there is a layer. A dense network
    does not change.

    prediction: the answer of `net` with `params` to the batch, the node's support set.
    """
    params = of_network(params)
    if not prediction.gates:
        return Frozen(net, params, prediction.statistics, {})
    kept = {}
    for index, gate in enumerate(prediction.gates):
        opened = gate.any(0)
        kept[index] = opened.nonzero()[:, 0] if opened.any() else opened.new_zeros(1, dtype=torch.long)
    small = _without(net, params, kept)
    statistics = tuple(
        (mean[stay], variance[stay])
        for (mean, variance), stay in zip(prediction.statistics, kept.values(), strict=True)
    )
    return Frozen(resized(net, small), small, statistics, kept)


def thinned(net: nn.Module, kept: Sequence[int]) -> nn.Module:
    """Return the network that `freeze` leaves where so many filters of each gated layer are kept.

    Raises ValueError if there are not as many numbers as gated layers, or more filters are kept than there are.
    """
    widths = [cost.out_channels for cost in net.costs if cost.writes is not None]
    if len(kept) != len(widths):
        raise ValueError(f"`kept` (={kept}) must be {len(widths)} numbers: the filters left in each layer")
    rows = [torch.arange(whole_number("kept", count, 1, width)) for count, width in zip(kept, widths, strict=True)]
    return resized(net, _without(net, dict(net.named_parameters()), dict(enumerate(rows))))


def filters_left(net: nn.Module) -> tuple[int, ...] | None:
    """Return how many filters a frozen network keeps of each gated layer; None: it is not frozen."""
    layers = tuple(cost.out_channels for cost in net.costs if cost.writes is not None)
    return layers if isinstance(net.costs[-1], FrozenCost) else None


def resized(net: nn.Module, params: Params) -> nn.Module:
    """Return a copy of a network with the numbers of `params` and their shapes; its dense MACs stay those of `net`."""
    small = copy.deepcopy(net)
    for name, value in params.items():
        module, _, own = name.rpartition(".")
        setattr(small.get_submodule(module), own, nn.Parameter(value.detach().clone()))
    for module in small.modules():
        if isinstance(module, nn.Conv2d):
            module.out_channels, module.in_channels = module.weight.shape[:2]
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape
    costs = []
    for cost, before, layer in zip(net.costs, net.layers, small.layers, strict=False):
        if layer.gate is not None and (gone := before.gate.linear.in_features - layer.gate.linear.in_features):
            layer.gate = FrozenGate(layer.gate, absent_inputs(before.gate) + gone)
        gate_macs = cost.gate_macs and layer.gate.linear.weight.numel()
        costs.append(_against(cost, layer.conv.in_channels, layer.conv.out_channels, gate_macs))
    head = net.costs[-1]
    small.costs = (*costs, _against(head, small.head.in_features // head.taps, small.head.out_features, 0))
    return small


def absent_inputs(gate: GateHead | None) -> int:
    """Return how many pooled values a gate head has lost to freezing, if there is one."""
    return gate.absent if isinstance(gate, FrozenGate) else 0


def _against(cost: LayerCost, in_channels: int, out_channels: int, gate_macs: int) -> FrozenCost:
    """Return the cost of what is left of a layer, measured against all of it."""
    left = dict(in_channels=in_channels, out_channels=out_channels, gate_macs=gate_macs, whole=cost.dense)
    return FrozenCost(**vars(cost) | left)


def _without(net: nn.Module, params: Params, kept: Mapping[int, Tensor]) -> Params:
    """Return the parameters without the filters that are not kept, and without what reads their maps."""
    params = dict(params)
    for index, stay in kept.items():
        layer, channels = f"layers.{index}", len(params[f"layers.{index}.scale"])
        for part in ("conv.weight", "scale", "shift", "gate.linear.weight", "gate.linear.bias"):
            params[f"{layer}.{part}"] = params[f"{layer}.{part}"][stay]
        if index + 1 == len(net.layers):
            params["head.weight"] = params["head.weight"].unflatten(1, (channels, -1))[:, stay].flatten(1)
            break
        reader, gate = f"layers.{index + 1}", net.layers[index + 1].gate
        params[f"{reader}.conv.weight"] = params[f"{reader}.conv.weight"][:, stay]
        # The normalised values of an image sum to zero, so a number taken from all of a row's weights changes no logit.
        # This one makes the weights of the absent maps, whose normalised values are all the same, sum to zero: they may
        # go.
        name = f"{reader}.gate.linear.weight"
        weight = params[name].unflatten(1, (channels, -1))  # (filter, map, cell)
        rest = weight[:, stay].flatten(1)
        if absent := absent_inputs(gate) + weight[0].numel() - rest.shape[1]:
            rest = rest - (weight.sum((1, 2)) - rest.sum(1))[:, None] / absent
        params[name] = rest
    return params
