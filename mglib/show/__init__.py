"""Pictures of networks that choose: figures that follow the page's theme, and widgets that need no kernel."""

from mglib.show.estimators import show_choices, show_estimates, show_missing_gradient
from mglib.show.figures import Figure
from mglib.show.gate_path import show_gate_path
from mglib.show.idea import show_idea
from mglib.show.plots import show_federation, show_frontier, show_gate_map, show_step, show_training
from mglib.show.widgets import flip_book, gate_explorer

__all__ = [
    "Figure",
    "flip_book",
    "gate_explorer",
    "show_choices",
    "show_estimates",
    "show_federation",
    "show_frontier",
    "show_gate_map",
    "show_gate_path",
    "show_idea",
    "show_missing_gradient",
    "show_step",
    "show_training",
]
