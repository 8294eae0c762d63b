"""What of a recipe is about the network: its shape, its gates, and what it may cost."""

from dataclasses import dataclass
from typing import Literal

from mglib.config import Config
from mglib.nets.objective import check_budget


@dataclass(frozen=True)
class NetworkConfig(Config):
    """The network's shape, how its gates learn, and the budget that they keep to."""

    width: int = 32
    """Filters a layer."""
    depth: int = 4
    """Convolutions."""
    budget: float = 0.5
    """Share of the dense network's MACs that may be spent, gate heads included, in (0, 1]."""
    penalty: float = 1.0
    """λ: cross-entropy, in nats, that a whole dense network over budget is worth at a fixed price."""
    price: Literal["fixed", "dual", "signed"] = "fixed"
    """How MACs over the budget are priced: fixed, by the penalty; dual, by a multiplier that the server raises while
    the nodes spend more than the budget and lowers while they spend less, never below zero; signed, below zero too."""
    anneal_share: float = 0.5
    """Share of the rounds over which the budget falls from 1 to its value."""
    estimator: Literal["straight-through", "gumbel"] = "straight-through"
    """How the gates get a gradient: straight-through, or gumbel for noise in training."""
    gate_bias: float | None = None
    """Logit with which learnt gates start, open if positive; none: 1."""

    def check(self) -> None:
        """Raise ValueError for a network that cannot be."""
        super().check()
        check_budget(self.budget)
        self.check_counts("width", "depth")
        self.refuse_unless(self.penalty >= 0, "penalty", "must not be negative")
        self.refuse_unless(0 < self.anneal_share <= 1, "anneal_share", "must be in (0, 1]")
        positive = self.gate_bias is None or self.gate_bias > 0
        self.refuse_unless(positive, "gate_bias", "must be positive: gates start open")
