"""Pictures of networks that choose: figures that follow the page's theme, and widgets that need no kernel."""

from mglib.show.figures import Figure
from mglib.show.idea import show_idea
from mglib.show.plots import show_federation, show_frontier, show_gate_map, show_step, show_training
from mglib.show.tasks import (
    show_accuracies,
    show_likeness,
    show_riddle,
    show_split,
    show_tasks,
    show_twins,
    show_warp,
    show_writers,
)
from mglib.show.widgets import flip_book, gate_explorer

__all__ = [
    "Figure",
    "flip_book",
    "gate_explorer",
    "show_accuracies",
    "show_federation",
    "show_frontier",
    "show_gate_map",
    "show_idea",
    "show_likeness",
    "show_riddle",
    "show_split",
    "show_step",
    "show_tasks",
    "show_training",
    "show_twins",
    "show_warp",
    "show_writers",
]
