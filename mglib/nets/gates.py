"""The binary gate: which filters a layer computes for this input, and how the choice gets a gradient."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Estimator = Literal["straight-through", "gumbel"]


def straight_through(logits: Tensor) -> Tensor:
    """Return `1[logit > 0]` whose gradient is that of the sigmoid (Bengio et al., arXiv 1308.3432).

    The step function is flat, so its true gradient teaches nothing. Here the forward value is the hard
    step, and the backward pass sees `sigmoid(logit)` in its place: a biased but quiet estimate. The soft
    part is added and taken away, so the value stays exactly 0 or 1 and derivatives of any order exist.

    logits: any shape; returns the same shape, every entry 0 or 1.
    """
    soft = torch.sigmoid(logits)
    return (logits > 0).to(logits.dtype) + (soft - soft.detach())


def gumbel(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return a straight-through gate on logits with logistic noise (Jang et al., arXiv 1611.01144).

    Two Gumbel variables differ by a logistic one, so the gate opens with probability `sigmoid(logit)`.

    logits: any shape; returns the same shape, every entry 0 or 1.
    """
    uniform = torch.rand(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)
    return straight_through(logits + torch.logit(uniform, eps=1e-6))


class GateHead(nn.Module):
    """From a layer's input to one logit a filter: average pool to a small grid, normalise, one linear map.

    The pooled values of an example are normalised among themselves (arXiv 1607.06450): what is left is how the
    input's maps differ from each other, not how bright it is. Without it the gates that we trained hardly
    looked at the input, and decided by their bias.

    The weights start at zero and the bias at `open_bias`, so every gate is open, for every input, until
    training gives it a reason to close.
    """

    def __init__(self, in_channels: int, out_channels: int, grid: int = 1, open_bias: float = 1.0):
        """Make a head for a layer with `out_channels` filters that reads `in_channels` maps.

        grid: cells a side to which each input map is averaged; 1 is the global average.
        open_bias: the logit every gate starts with; must be positive, or the layer would start closed.
        """
        super().__init__()
        if not open_bias > 0:
            raise ValueError(f"`open_bias` (={open_bias}) must be positive: gates start open")
        self.grid = grid
        self.linear = nn.Linear(in_channels * grid * grid, out_channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, open_bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (batch, filter) for inputs (batch, channel, height, width)."""
        pooled = inputs.mean((2, 3)) if self.grid == 1 else F.adaptive_avg_pool2d(inputs, self.grid).flatten(1)
        return self.linear(self.normalise(pooled))

    def normalise(self, pooled: Tensor) -> Tensor:
        """Return the pooled values of each example, (batch, value), normalised among themselves."""
        return F.layer_norm(pooled, pooled.shape[1:])


def check_estimator(name: str) -> None:
    """Raise ValueError unless `name` is a known gate estimator."""
    if name not in get_args(Estimator):
        raise ValueError(f"gate estimator {name!r} is unknown; choose one of {', '.join(get_args(Estimator))}")
