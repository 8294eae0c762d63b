"""The binary gate, how its choice gets a gradient, and the convolution that asks it which filters to compute."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MapStatistics = tuple[Tensor, Tensor]  # mean and variance of a layer's maps over a batch, (filter,) each


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

    The weights start at zero and the bias at 1, so every gate is open, for every input, until
    training gives it a reason to close.
    """

    def __init__(self, in_channels: int, out_channels: int, grid: int = 1):
        """Make a head for a layer with `out_channels` filters that reads `in_channels` maps.

        grid: cells a side to which each input map is averaged; 1 is the global average.
        """
        super().__init__()
        self.grid = grid
        self.linear = nn.Linear(in_channels * grid * grid, out_channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.ones_(self.linear.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (batch, filter) for inputs (batch, channel, height, width)."""
        pooled = inputs.mean((2, 3)) if self.grid == 1 else F.adaptive_avg_pool2d(inputs, self.grid).flatten(1)
        return self.linear(self.normalise(pooled))

    def normalise(self, pooled: Tensor) -> Tensor:
        """Return the pooled values of each example, (batch, value), normalised among themselves."""
        return F.layer_norm(pooled, pooled.shape[1:])


class GatedConv(nn.Module):
    """`gate(x) · relu(norm(conv(x)))`, or without the gate."""

    def __init__(self, in_channels: int, out_channels: int, *, gated: bool, grid: int = 1):
        """Make a 3×3 convolution of stride 2, its normalisation and, if `gated`, the head that opens its filters."""
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.scale = nn.Parameter(torch.ones(out_channels))
        self.shift = nn.Parameter(torch.zeros(out_channels))
        self.gate = GateHead(in_channels, out_channels, grid) if gated else None

    def forward(
        self, inputs: Tensor, statistics: MapStatistics | None, noise: torch.Generator | None
    ) -> tuple[Tensor, Tensor | None, MapStatistics]:
        """Return the layer's maps, its gate (batch, filter) if it has one, and the statistics it used."""
        maps = self.conv(inputs)
        if statistics is None:
            variance, mean = torch.var_mean(maps, (0, 2, 3), correction=0)
        else:
            mean, variance = statistics
        scale = self.scale * torch.rsqrt(variance + 1e-5)
        shift = self.shift - mean * scale
        maps = F.relu(torch.addcmul(shift[:, None, None], maps, scale[:, None, None]))
        if self.gate is None:
            return maps, None, (mean, variance)
        logits = self.gate(inputs)
        gate = straight_through(logits) if noise is None else gumbel(logits, noise)
        return maps * gate[:, :, None, None], gate, (mean, variance)
