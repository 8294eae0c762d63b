"""One layer of a network that chooses: convolution, normalisation, gate."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mglib.nets.gates import GateHead, gumbel, straight_through
from mglib.nets.macs import LayerCost

MapStatistics = tuple[Tensor, Tensor]  # mean and variance of a layer's maps over a batch, (filter,) each


class GatedConv(nn.Module):
    """`gate(x) · relu(norm(conv(x)))`, or without the gate, or without the relu."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 2,
        gated: bool,
        grid: int = 1,
        relu: bool = True,
        constant: bool = False,
    ):
        """Make a 3×3 convolution, its normalisation and, if `gated`, the head that opens its filters.

        constant: the head decides by its bias alone, the same for every input, and so costs nothing for one more.
        """
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.scale = nn.Parameter(torch.ones(out_channels))
        self.shift = nn.Parameter(torch.zeros(out_channels))
        self.gate = GateHead(in_channels, out_channels, grid) if gated else None
        self.relu, self.constant = relu, constant

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
        maps = torch.addcmul(shift[:, None, None], maps, scale[:, None, None])
        if self.relu:
            maps = F.relu(maps)
        if self.gate is None:
            return maps, None, (mean, variance)
        logits = self.gate(inputs)
        gate = straight_through(logits) if noise is None else gumbel(logits, noise)
        return maps * gate[:, :, None, None], gate, (mean, variance)

    def cost(self, name: str, out_size: int, reads: int | None, writes: int | None) -> LayerCost:
        """Return what the layer costs at `out_size` pixels a side; see `LayerCost` for `reads`, `writes`."""
        return LayerCost(
            name,
            taps=9 * out_size**2,
            in_channels=self.conv.in_channels,
            out_channels=self.conv.out_channels,
            reads=reads,
            writes=writes if self.gate is not None else None,
            gate_macs=0 if self.gate is None or self.constant else self.gate.linear.weight.numel(),
        )
