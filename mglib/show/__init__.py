"""Pictures of networks that choose: figures that follow the page's theme, and widgets that need no kernel."""

from mglib.show.budgets import (
    open_share_frames,
    show_agreement,
    show_cheap_and_dear,
    show_paths,
    show_penalties,
    show_swaps,
)
from mglib.show.figures import Figure
from mglib.show.idea import show_idea
from mglib.show.plots import show_federation, show_frontier, show_gate_map, show_step, show_training
from mglib.show.widgets import flip_book, gate_explorer

__all__ = [
    "Figure",
    "flip_book",
    "gate_explorer",
    "open_share_frames",
    "show_agreement",
    "show_cheap_and_dear",
    "show_federation",
    "show_frontier",
    "show_gate_map",
    "show_idea",
    "show_paths",
    "show_penalties",
    "show_step",
    "show_swaps",
    "show_training",
]
