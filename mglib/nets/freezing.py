"""Freezing: a network of its own for one task, without the filters that the task never opens."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mglib.nets.models import Prediction, Statistics
from mglib.params import Params


class Frozen(NamedTuple):
    """A network without the filters that a task never opens, and which ones are left."""

    net: nn.Module
    params: Params
    statistics: Statistics
    kept: dict[int, Tensor]  # a gate whose filters may go, by position: which of them are left, ascending


def freeze(net: nn.Module, params: Params, prediction: Prediction) -> Frozen:
    """Return the network without the filters that stay closed for a whole batch; on that batch it answers the same.

    A filter that no image opens writes zeros, so its row leaves the convolution, the normalisation and the gate head,
    its column leaves the layer and the gate head that read it, and only the zeros' part in that head's normalisation
    stays. A layer that opens nothing at all keeps its first filter, closed, so that there is a layer. Filters that
    something else reads beside their gate, those a residual block adds to its stream, stay. A dense network does
    not change.

    prediction: the answer of `net` with `params` to the batch, the node's support set.
    """
    names = [*net.convolutions(), "head"]
    readers = {cost.reads: name for cost, name in zip(net.costs, names, strict=True) if cost.reads is not None}
    params, statistics, kept = dict(params), list(prediction.statistics), {}
    for index, (cost, name) in enumerate(zip(net.costs, names, strict=True)):
        if cost.writes not in readers:
            continue
        opened = prediction.gates[cost.writes].any(0)
        stay = opened.nonzero()[:, 0] if opened.any() else torch.zeros(1, dtype=torch.long, device=opened.device)
        for part in ("conv.weight", "scale", "shift", "gate.linear.weight", "gate.linear.bias"):
            params[f"{name}.{part}"] = params[f"{name}.{part}"][stay]
        statistics[index] = tuple(statistic[stay] for statistic in statistics[index])
        _keep_inputs(net, params, readers[cost.writes], stay, len(opened))
        kept[cost.writes] = stay
    small = net.thinned([len(stay) for stay in kept.values()]) if kept else net
    return Frozen(small, params, tuple(statistics), kept)


def _keep_inputs(net: nn.Module, params: Params, reader: str, stay: Tensor, channels: int) -> None:
    """Take from `params` all that the layer `reader` holds for those of its `channels` input maps that do not stay."""
    if reader == "head":
        params["head.weight"] = _columns(params["head.weight"], channels)[:, stay].flatten(1)
        return
    params[f"{reader}.conv.weight"] = params[f"{reader}.conv.weight"][:, stay]
    # The normalised values of an image sum to zero, so a number taken from all of a row's weights changes no logit.
    # This one makes the weights of the absent maps, whose normalised values are all the same, sum to zero: they may go.
    name, head = f"{reader}.gate.linear.weight", net.convolutions()[reader].gate
    weight = _columns(params[name], channels)
    rest = weight[:, stay].flatten(1)
    absent = head.absent + weight[0].numel() - rest.shape[1]
    if absent:
        rest = rest - (weight.sum((1, 2)) - rest.sum(1))[:, None] / absent
    params[name] = rest


def _columns(weight: Tensor, channels: int) -> Tensor:
    """Return a linear map's weight, whose inputs are maps one after the other, as (output, channel, cell)."""
    return weight.unflatten(1, (channels, -1))
