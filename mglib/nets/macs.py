"""Multiply-accumulates (MACs): what a layer costs, and what is left of it when filters stay closed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LayerCost:
    """What one convolution or linear layer costs when everything is open.

    A filter costs `taps` MACs for each input channel it reads, so the layer costs
    `taps · open inputs · open filters`, plus `gate_macs` for the head that decides which filters open.
    """

    name: str
    taps: int  # kernel height · kernel width · output height · output width
    in_channels: int
    out_channels: int
    reads: int | None = None  # the gate that closes this layer's inputs, by position; None: never closed
    writes: int | None = None  # the gate that closes this layer's filters
    gate_macs: int = 0  # paid for every input, whatever the gates say

    @property
    def dense(self) -> int:
        """MACs of the layer with everything open and no gate."""
        return self.taps * self.in_channels * self.out_channels


def dense_macs(costs: Sequence[LayerCost]) -> int:
    """Return the MACs per example of the same network without gates."""
    return sum(cost.dense for cost in costs)


def macs_per_layer(costs: Sequence[LayerCost], gates: Sequence[Tensor], batch: int = 1) -> Tensor:
    """Return the MACs that each example costs in each layer, gate heads included, shape (batch, layer).

    gates: one (batch, filter) tensor of zeros and ones a gated layer; the result is differentiable in them.
    batch: number of examples, read only where no gate tells it.

    Raises ValueError if the gates are fewer than the gated layers.
    """
    gated = sum(cost.writes is not None for cost in costs)
    if len(gates) < gated:
        raise ValueError(f"gates of {len(gates)} layers: need those of {gated}, one tensor for each gated layer")
    ones = torch.ones_like(gates[0][:, 0]) if gates else torch.ones(batch)
    columns = []
    for cost in costs:
        inputs = cost.in_channels if cost.reads is None else gates[cost.reads].sum(1)
        filters = cost.out_channels if cost.writes is None else gates[cost.writes].sum(1)
        column = cost.taps * inputs * filters + cost.gate_macs
        columns.append(column if isinstance(column, Tensor) else column * ones)
    return torch.stack(columns, 1)


def macs_ratio(costs: Sequence[LayerCost], gates: Sequence[Tensor], batch: int = 1) -> Tensor:
    """Return each example's MACs, gate heads included, over those of the dense network, shape (batch,)."""
    return macs_per_layer(costs, gates, batch).sum(1) / dense_macs(costs)
