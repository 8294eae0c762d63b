"""Pruning: a dense network without its filters of smallest magnitude."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mglib.params import Params


def prune(net: nn.Module, params: Params, kept: Sequence[int]) -> tuple[nn.Module, Params]:
    """Return a dense `GatedConvNet` with so many filters left in each layer, those of greatest magnitude.

    A filter's magnitude is the norm of its weights (Li et al., arXiv 1608.08710). It is normalised afterwards, so that
    of its scale counts as well: the factor with which it is heard.

    Raises:
        ValueError: if the network has gates, or not as many layers as `kept` has numbers.
    """
    layers = net.convolutions()
    if net.gate_names() or len(layers) != len(kept):
        raise ValueError(f"a dense network of {len(kept)} layers is needed to keep {list(kept)} filters")
    pruned = dict(params)
    stay: Tensor | None = None  # of the layer below
    for name, count in zip(layers, kept, strict=True):
        weight = pruned[f"{name}.conv.weight"]
        magnitude = weight.flatten(1).norm(dim=1) * pruned[f"{name}.scale"].abs()
        above = stay
        stay = magnitude.topk(count).indices.sort().values
        weight = weight if above is None else weight[:, above]
        pruned[f"{name}.conv.weight"] = weight[stay]
        pruned |= {f"{name}.{part}": pruned[f"{name}.{part}"][stay] for part in ("scale", "shift")}
    columns = params["head.weight"].unflatten(1, (len(magnitude), -1))
    pruned["head.weight"] = columns[:, stay].flatten(1)
    small = net.thinned(kept)
    return small, {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in pruned.items()}
