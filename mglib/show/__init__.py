"""Pictures of networks that choose: figures that follow the page's theme, and widgets that need no kernel."""

from mglib.show.bills import show_beside, show_roofline, show_skylines
from mglib.show.budgets import (
    open_share_frames,
    show_agreement,
    show_cheap_and_dear,
    show_paths,
    show_penalties,
    show_swaps,
)
from mglib.show.closing import play_closing
from mglib.show.convergence import show_bounds, show_fans, show_moves, show_walks, show_wrinkles
from mglib.show.costs import show_areas, show_shares, show_window
from mglib.show.dealt import show_dealing, show_gap, show_photos
from mglib.show.estimators import show_choices, show_estimates, show_missing_gradient
from mglib.show.figures import Figure
from mglib.show.gate_path import show_gate_path
from mglib.show.gradients import direction_frames, show_arcs
from mglib.show.idea import show_idea
from mglib.show.in_place import show_in_place
from mglib.show.knowledge import (
    show_closings,
    show_likes,
    show_losses,
    show_rates,
    show_sights,
    show_worths,
)
from mglib.show.lies import show_lies
from mglib.show.live import Live, play_bowls
from mglib.show.new_node import show_gains, show_orders, show_sorted
from mglib.show.plots import show_federation, show_frontier, show_gate_map, show_step, show_training
from mglib.show.privacy import show_found, show_noise, show_price
from mglib.show.relatives import draw_duels, show_family, show_resamples, show_tasks_apart, show_trials
from mglib.show.rounds import show_amounts, show_before_and_after, show_drift, show_round, show_rounds
from mglib.show.rows import show_differences, show_rows
from mglib.show.skipping import show_frozen, show_patterns, show_slices
from mglib.show.stages import show_flips, show_graph, show_slopes, show_staircase
from mglib.show.surfaces import Surface, show_correction, show_descents, show_steps, show_surface
from mglib.show.surrogates import show_circulation, show_gradient_sizes
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
from mglib.show.timings import show_time_frontier, show_time_parts, show_where_it_pays
from mglib.show.verdicts import show_cost_frontier, show_traffic, show_verdicts
from mglib.show.widgets import flip_book, gate_explorer
from mglib.show.wire import show_parties, show_waits

__all__ = [
    "Figure",
    "Live",
    "Surface",
    "direction_frames",
    "draw_duels",
    "flip_book",
    "gate_explorer",
    "open_share_frames",
    "play_bowls",
    "play_closing",
    "show_accuracies",
    "show_agreement",
    "show_amounts",
    "show_arcs",
    "show_areas",
    "show_before_and_after",
    "show_beside",
    "show_bounds",
    "show_cheap_and_dear",
    "show_choices",
    "show_circulation",
    "show_closings",
    "show_correction",
    "show_cost_frontier",
    "show_dealing",
    "show_descents",
    "show_differences",
    "show_drift",
    "show_estimates",
    "show_family",
    "show_fans",
    "show_federation",
    "show_flips",
    "show_found",
    "show_frontier",
    "show_frozen",
    "show_gains",
    "show_gap",
    "show_gate_map",
    "show_gate_path",
    "show_gradient_sizes",
    "show_graph",
    "show_idea",
    "show_in_place",
    "show_lies",
    "show_likeness",
    "show_likes",
    "show_losses",
    "show_missing_gradient",
    "show_moves",
    "show_noise",
    "show_orders",
    "show_parties",
    "show_paths",
    "show_patterns",
    "show_penalties",
    "show_photos",
    "show_price",
    "show_rates",
    "show_resamples",
    "show_riddle",
    "show_roofline",
    "show_round",
    "show_rounds",
    "show_rows",
    "show_shares",
    "show_sights",
    "show_skylines",
    "show_slices",
    "show_slopes",
    "show_sorted",
    "show_split",
    "show_staircase",
    "show_step",
    "show_steps",
    "show_surface",
    "show_swaps",
    "show_tasks",
    "show_tasks_apart",
    "show_time_frontier",
    "show_time_parts",
    "show_traffic",
    "show_training",
    "show_trials",
    "show_twins",
    "show_verdicts",
    "show_waits",
    "show_walks",
    "show_warp",
    "show_where_it_pays",
    "show_window",
    "show_worths",
    "show_wrinkles",
    "show_writers",
]
