"""A network that chooses: gates, gated networks, what they cost, and the objective that asks them to save."""

from mglib.nets.gates import GateHead, gumbel, straight_through
from mglib.nets.layers import GatedConv
from mglib.nets.macs import LayerCost, dense_macs, macs_per_layer, macs_ratio
from mglib.nets.models import (
    ARCHITECTURES,
    GatedConvNet,
    GatedResidualNet,
    Prediction,
    Statistics,
    make_net,
)
from mglib.nets.objective import Objective, annealed_budget
from mglib.nets.skipping import SkippingNet

__all__ = [
    "ARCHITECTURES",
    "GateHead",
    "GatedConv",
    "GatedConvNet",
    "GatedResidualNet",
    "LayerCost",
    "Objective",
    "Prediction",
    "SkippingNet",
    "Statistics",
    "annealed_budget",
    "dense_macs",
    "gumbel",
    "macs_per_layer",
    "macs_ratio",
    "make_net",
    "straight_through",
]
