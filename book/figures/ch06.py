"""Chapter 6: the graph of two stages, their path over a surface, the slopes they miss, the gates they move."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.patches import Circle
from torch import Tensor

from figures.style import arrow, draw_relief, log_scale, name_rows
from mglib.figure import ACCENT, INK, OPEN, Figure, bare, image_column, new_drawing, page_style, stencil

_PLACES = {"θ": (0, 1), "φ": (0, 0), "θ′": (1.5, 1), "φ′": (3.0, 0), "F": (4.3, 0.5)}


@page_style
def show_graph(caption: str = "") -> Figure:
    """Draw what depends on what in two stages, and along which arrows the gradient walks back."""
    drawing, axis = new_drawing(5.4, 2.9)
    bare(axis)
    axis.set_aspect("equal")
    axis.set_xlim(-0.5, 4.75)
    axis.set_ylim(-0.75, 1.6)
    for tail, head in (("θ", "θ′"), ("φ", "θ′"), ("φ", "φ′"), ("θ′", "φ′"), ("θ′", "F"), ("φ′", "F")):
        arrow(axis, _PLACES[tail], _PLACES[head], INK, width=1.6, size=15, gap=19)
    back = {"connectionstyle": "arc3,rad=-0.16", "linestyle": (0, (4, 2))}
    arrow(axis, _PLACES["θ′"], _PLACES["φ"], ACCENT, width=2.2, size=15, gap=20, **back)
    for name, (x, y) in _PLACES.items():
        axis.add_patch(Circle((x, y), 0.24, facecolor="none", edgecolor=OPEN, linewidth=2))
        axis.text(x, y - 0.02, name, ha="center", va="center", fontsize=14)
    notes = (
        (0.75, 1.36, "stage one, rate α", INK),
        (1.5, -0.42, "stage two, rate β", INK),
        (4.3, 0.98, "query loss", INK),
        (1.64, 0.21, "stage two must\nnot go back", ACCENT),
    )
    for x, y, words, colour in notes:
        axis.text(x, y, words, ha="center", va="center", color=colour)
    alt = (
        "A graph. Theta and phi lead to theta prime, stage one; phi and theta prime to phi prime, stage two. Theta "
        "prime and phi prime lead to F, the query loss. A dashed arrow leads from theta prime back to phi, the trap: "
        "stage two must not go that way when it takes its own gradient; the meta-gradient must."
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
def show_misses(measured: Tensor, predicted: Mapping[str, Tensor], caption: str = "") -> Figure:
    """Draw by how much slopes that gradients predict miss those measured by finite differences, on a scale of powers.

    measured: (direction,); predicted: ways by name, (direction,) each.
    """
    measured = np.asarray(measured)
    typical = np.linalg.norm(measured) / len(measured) ** 0.5
    drawing, axis = new_drawing(5.4, 0.75 * len(predicted) + 0.9)
    told = []
    for row, (name, values) in enumerate(predicted.items()):
        missed = np.abs(np.asarray(values) - measured) / typical
        lift = np.random.default_rng(row).uniform(-0.22, 0.22, len(missed))
        axis.plot(np.maximum(missed, 1e-12), row + lift, "o", color=ACCENT if row else OPEN, markersize=5, alpha=0.6)
        whole = np.linalg.norm(missed) / len(missed) ** 0.5
        axis.plot([whole, whole], [row - 0.34, row + 0.34], color=INK)
        told.append(f"{name} {whole:.1%}" if whole > 1e-3 else f"{name} {whole:.0e}")
    log_scale(axis, "x")
    axis.set_xlabel("miss, as a share of the typical slope")
    name_rows(axis, list(predicted), 12)
    alt = (
        f"Rows of {len(measured)} dots, a direction each, by how far a predicted slope is from the measured one, as a "
        f"share of the typical slope. Root mean squares: {'; '.join(told)}."
    )
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
