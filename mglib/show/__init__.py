"""Pictures of networks that choose: figures that follow the page's theme, and widgets that need no kernel."""

from mglib.show.figures import Figure
from mglib.show.idea import show_idea
from mglib.show.plots import show_federation, show_frontier, show_gate_map, show_step, show_training
from mglib.show.rounds import show_amounts, show_before_and_after, show_drift, show_round, show_rounds
from mglib.show.widgets import flip_book, gate_explorer

__all__ = [
    "Figure",
    "flip_book",
    "gate_explorer",
    "show_amounts",
    "show_before_and_after",
    "show_drift",
    "show_federation",
    "show_frontier",
    "show_gate_map",
    "show_idea",
    "show_round",
    "show_rounds",
    "show_step",
    "show_training",
]
