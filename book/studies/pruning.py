"""Pruning: a dense network without its filters of smallest magnitude."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mglib.params import Params


def strongest_filters(net: nn.Module, params: Params, counts: Sequence[int]) -> list[Tensor]:
    """Return the positions of the `counts` filters of greatest magnitude in each layer of a dense `GatedConvNet`.

    A filter's magnitude is the norm of its weights (Li et al., arXiv 1608.08710) times its scale, for its maps are
    normalised before they are scaled.

    Raises:
        ValueError: if the network has gates, or not as many layers as there are counts.
    """
    layers = net.convolutions()
    if net.gate_names() or len(layers) != len(counts):
        raise ValueError(f"a dense network of {len(counts)} layers is needed to keep {list(counts)} filters")
    positions = []
    for name, count in zip(layers, counts, strict=True):
        magnitude = params[f"{name}.conv.weight"].flatten(1).norm(dim=1) * params[f"{name}.scale"].abs()
        positions.append(magnitude.topk(count).indices.sort().values)
    return positions


def prune(net: nn.Module, params: Params, positions: Sequence[Tensor]) -> Params:
    """Return parameters without the filters that are not at `positions`, and without what reads their maps.

    params: of a dense `GatedConvNet`, or anything in their shapes, such as an optimiser's moments.
    """
    pruned, below = dict(params), None
    for name, stay in zip(net.convolutions(), positions, strict=True):
        weight = params[f"{name}.conv.weight"]
        pruned[f"{name}.conv.weight"] = (weight if below is None else weight[:, below])[stay]
        pruned |= {f"{name}.{part}": params[f"{name}.{part}"][stay] for part in ("scale", "shift")}
        filters, below = len(weight), stay
    columns = params["head.weight"].unflatten(1, (filters, -1))
    pruned["head.weight"] = columns[:, below].flatten(1)
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in pruned.items()}
