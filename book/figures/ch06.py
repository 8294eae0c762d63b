"""Chapter 6: the graph of two stages, their path over a surface, the slopes they predict, the gates they move."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.patches import Circle
from torch import Tensor

from figures.style import arrow, draw_relief
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, image_column, new_drawing, page_style, stencil

_PLACES = {"θ": (0, 1), "φ": (0, 0), "θ′": (1.5, 1), "φ′": (3.0, 0), "F": (4.3, 0.5)}


@page_style
def show_graph(caption: str = "") -> Figure:
    """Draw what depends on what in two stages, and along which arrows the gradient walks back."""
    drawing, axis = new_drawing(5.4, 2.9)
    bare(axis)
    axis.set_aspect("equal")
    axis.set_xlim(-0.5, 4.75)
    axis.set_ylim(-0.75, 1.6)
    for tail, head in (("θ", "θ′"), ("φ", "φ′"), ("θ′", "φ′"), ("θ′", "F"), ("φ′", "F")):
        arrow(axis, _PLACES[tail], _PLACES[head], INK, width=1.6, size=15, gap=19)
    arrow(axis, _PLACES["φ"], _PLACES["θ′"], ACCENT, width=2.6, size=15, gap=19)
    for name, (x, y) in _PLACES.items():
        axis.add_patch(Circle((x, y), 0.24, facecolor="none", edgecolor=OPEN, linewidth=2))
        axis.text(x, y - 0.02, name, ha="center", va="center", fontsize=14)
    notes = (
        (0.75, 1.36, "stage one, rate α", INK),
        (1.5, -0.42, "stage two, rate β", INK),
        (4.3, 0.98, "$L_Q$", INK),
        (1.12, 0.46, "the trap", ACCENT),
    )
    for x, y, words, colour in notes:
        axis.text(x, y, words, ha="center", va="center", color=colour)
    alt = (
        "A graph. Theta and phi lead to theta prime, stage one; phi and theta prime to phi prime, stage two. Theta "
        "prime and phi prime lead to F, the query loss. The arrow from phi to theta prime is marked as a trap: stage "
        "two must not follow it, the meta-gradient must."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_staircase(
    grid: tuple[Tensor, Tensor, Tensor], paths: Mapping[str, Sequence[tuple[float, float]]], caption: str = ""
) -> Figure:
    """Draw ways of adapting two numbers, θ across and φ up, on the map of the support loss; bluer is lower.

    grid: θ (column,), φ (row,), loss (row, column); paths: two ways by name, each a sequence of points (θ, φ).
    """
    across, up, loss = grid
    drawing, axis = new_drawing(5.4, 4.2)
    depth = np.sqrt(np.asarray(loss, float))
    levels = np.arange(0.1, 1.4, 0.15)
    draw_relief(axis, across, up, depth, levels, lambda fine: 0.9 * (1 - fine / 1.3), alpha=0.35)
    axis.set_aspect("equal")
    told = []
    for (name, points), colour in zip(paths.items(), (ACCENT, INK), strict=True):
        points = np.asarray(points, float)
        for tail, head in pairwise(points):
            arrow(axis, tail, head, colour, width=2.4, size=15)
        axis.plot(*points[-1], "o", color=colour, markersize=6)
        axis.annotate(name, points[-1], (-8, -2), textcoords="offset points", color=colour, ha="right", va="top")
        told.append(
            f"{name}: from ({points[0][0]:.1f}, {points[0][1]:.1f}) to ({points[-1][0]:.2f}, {points[-1][1]:.2f})"
        )
    axis.plot(*points[0], "o", color=INK, markersize=8)
    axis.set_xlabel("backbone θ")
    axis.set_ylabel("gates φ")
    alt = f"A map of a loss with a curved valley, and two ways to adapt on it. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


@page_style
def show_slopes(measured: Tensor, predicted: Mapping[str, Tensor], caption: str = "") -> Figure:
    """Draw slopes that gradients predict against slopes measured by finite differences; right is the diagonal.

    measured: (direction,); predicted: three ways by name, (direction,) each, the exact one first.
    """
    measured = np.asarray(measured)
    drawing, axis = new_drawing(5.4, 4.2)
    reach = 1.1 * max(np.abs(np.asarray(values)).max() for values in (measured, *predicted.values()))
    axis.plot([-reach, reach], [-reach, reach], color=FAINT, linewidth=1)
    told = []
    for row, ((name, values), colour, mark) in enumerate(
        zip(predicted.items(), (OPEN, ACCENT, FAINT), ("o", "x", "."), strict=True)
    ):
        values = np.asarray(values)
        axis.plot(measured, values, mark, color=colour, markersize=7, markeredgewidth=2)
        error = np.abs(values - measured).mean() / np.abs(measured).mean()
        axis.text(
            0.03,
            0.96 - 0.09 * row,
            f"{mark} {name}".replace("o ", "● "),
            color=colour,
            transform=axis.transAxes,
            va="top",
        )
        told.append(f"{name} misses by {error:.1%} on average")
    axis.set_xlabel("measured by finite differences")
    axis.set_ylabel("predicted by the gradient")
    axis.set_aspect("equal")
    axis.set_xlim(-reach, reach)
    axis.set_ylim(-reach, reach)
    alt = f"Predicted slopes against measured ones for {len(measured)} directions. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


@page_style
def show_flips(images: Tensor, before: Sequence[Tensor], after: Sequence[Tensor], caption: str = "") -> Figure:
    """Draw which filters a stage opens and closes: a row an input, a column a filter, layer beside layer.

    images: (input, height, width); before, after: a gated layer, (input, filter) of zeros and ones each.
    Blue is open before and after; an orange cell is a gate that the stage closed, an orange dot one that it opened.
    """
    images = np.asarray(images)
    before, after = ([np.asarray(gate) for gate in gates] for gates in (before, after))
    rows = len(images)
    widths = [8, *(gate.shape[1] for gate in before)]
    drawing, axes = new_drawing(5.4, 0.23 * rows + 0.6, ncols=1 + len(before), width_ratios=widths)
    image_column(bare(axes[0]), images, range(rows))
    closed = opened = 0
    for index, (axis, old, new) in enumerate(zip(axes[1:], before, after, strict=True)):
        extent = (0, old.shape[1], rows, 0)
        stencil(bare(axis), 0.1 + 0.7 * (old * new), "open", extent=extent, aspect="auto")
        stencil(axis, (old > new).astype(float), "accent", extent=extent, aspect="auto")
        where = np.argwhere(new > old)
        axis.plot(where[:, 1] + 0.5, where[:, 0] + 0.5, "o", color=ACCENT, markersize=3.2)
        closed, opened = closed + int((old > new).sum()), opened + len(where)
        axis.set_title(f"layer {index + 1}\n{new.mean():.0%} open", fontsize=10)
        axis.set_ylim(rows, 0)
    axes[0].set_ylim(rows, 0)
    total = sum(gate.size for gate in before)
    alt = (
        f"A grid of cells, a row for each of {rows} inputs, a column for each filter of {len(before)} layers. Of "
        f"{total} gates the stage closes {closed} and opens {opened}."
    )
    return Figure(drawing, caption, alt)
