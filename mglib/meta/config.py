"""What of a recipe is about adaptation: a task's size, and the steps that a node takes on it."""

from dataclasses import dataclass

from mglib.config import Config


@dataclass(frozen=True)
class AdaptationConfig(Config):
    """A task's size, and the gradient steps of its two stages."""

    ways: int = 5
    """Classes in a task."""
    shots: int = 1
    """Labelled examples a class to adapt on."""
    queries: int = 15
    """Examples a class scored after adaptation."""
    backbone_learning_rate: float = 0.4
    """α: rate of the steps on the backbone."""
    gate_learning_rate: float = 0.5
    """β: rate of the steps on the gates."""
    steps: int = 1
    """Gradient steps of every stage of adaptation."""
    learn_rates: bool = False
    """A rate of its own for each tensor, learnt with the parameters from α and β on, within a tenth and ten times."""
    second_order: bool = True
    """The exact meta-gradient; otherwise its first-order part."""

    def check(self) -> None:
        """Raise ValueError for tasks or steps that cannot be."""
        super().check()
        self.check_counts("ways", "shots", "queries", "steps")
        self.refuse_unless(self.ways >= 2, "ways", "must be at least 2")
        for name in ("backbone_learning_rate", "gate_learning_rate"):
            self.refuse_unless(getattr(self, name) >= 0, name, "must not be negative")
