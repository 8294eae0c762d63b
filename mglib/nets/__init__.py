"""A network that chooses: gates, gated networks, what they cost, and the objective that asks them to save."""

from mglib.nets.freezing import Frozen, freeze
from mglib.nets.gates import GatedConv, GateHead, gumbel, straight_through
from mglib.nets.macs import LayerCost, dense_macs, macs_per_layer, macs_ratio
from mglib.nets.models import GatedConvNet, Prediction, Statistics, make_net
from mglib.nets.objective import Objective, annealed_budget
