"""Chapter 9: what autograd writes down, and a product in four directions."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from figures.style import arrow
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

_ROWS = ("values", "derivatives", "tangents", "tangents of the\nderivatives")


@page_style
def show_arcs(edges: Sequence[tuple[int, int]], spans: Mapping[str, int], caption: str = "") -> Figure:
    """Draw a graph on one line: nodes in the order in which they were made, an arc from each to those it leads to.

    Arcs within a span are blue or of the text's colour in turn; those that reach back into an earlier span are orange.

    edges: pairs of positions; spans: how many nodes each part of the computation made, in order.

    Raises:
        ValueError: if an edge leads out of the spans.
    """
    ends = np.cumsum(list(spans.values()))
    pairs = np.sort(np.asarray(edges, int).reshape(-1, 2), 1)
    if len(pairs) and pairs.max() >= ends[-1]:
        raise ValueError(f"an edge leads to node {pairs.max()}, but the spans hold {ends[-1]}")
    part = np.searchsorted(ends, pairs, side="right")
    far = part[:, 0] != part[:, 1]
    reach = (pairs[:, 1] - pairs[:, 0]).max(initial=1)
    total, height = ends[-1], 0.5 * reach
    drawing, axes = new_drawing(5.4, 5.4 * min(0.62, max(0.3, (height / total))) + 0.55)
    fine = min(1.4, 110 / total + 0.35)  # points: a line for each of few edges, a haze of many
    for index in range(len(spans)):
        _arcs(axes, pairs[~far & (part[:, 1] == index)], (INK, OPEN)[index % 2], fine, 0.75)
    _arcs(axes, pairs[far], ACCENT, fine, 0.6)
    for index, (name, count) in enumerate(spans.items()):
        left, colour = ends[index] - count, (INK, OPEN)[index % 2]
        foot = Rectangle((left - 0.35, -0.035 * height), count - 0.3, 0.022 * height, color=colour, linewidth=0)
        axes.add_patch(foot)
        if total < 130:
            axes.plot(left + np.arange(count), np.zeros(count), "o", color=colour, markersize=4)
        words = f"{name}\n{count:,}"
        axes.text(left + count / 2 - 0.5, -0.06 * height, words, ha="center", va="top", fontsize=11, color=colour)
    bare(axes).set_xlim(-0.02 * total - 1, 1.02 * total)
    axes.set_ylim(-0.3 * height, 1.02 * height)
    told = ", ".join(f"{name} {count:,}" for name, count in spans.items())
    alt = (
        f"Nodes of a graph on one line, in the order they were made, joined by arcs. Nodes by part: {told}. Of "
        f"{len(pairs):,} arcs {int(far.sum()):,} reach back into an earlier part, the longest over {reach:,} nodes."
    )
    return Figure(drawing, caption, alt)


def _arcs(axes: Axes, pairs: np.ndarray, colour: str, width: float, alpha: float) -> None:
    """Draw an arc over each pair of places on the line, as high as half its width."""
    points, codes = [], []
    for left, right in pairs:
        up = 0.667 * (right - left)
        points += [(left, 0), (left, up), (right, up), (right, 0)]
        codes += [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    if points:
        axes.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=colour, linewidth=width, alpha=alpha))


def direction_frames(
    given: Mapping[tuple[int, int], np.ndarray], steps: Sequence[Mapping], columns: Sequence[str]
) -> list[Figure]:
    """Return a flip book's frames: a Hessian-vector product, number by number, in a table of four rows.

    The rows are values, derivatives, tangents, and the tangents of the derivatives.

    given: arrays (height, width) that are there from the start, by place (row, column).
    steps: in the order of computing, each with `place`, the `array` that it computes, `reads`, the places it
        reads, and `says`, what it is in words.
    columns: what stands above each column.
    """
    known = {place: np.asarray(array, float) for place, array in given.items()}
    frames = []
    for count, step in enumerate(steps, 1):
        known[tuple(step["place"])] = np.asarray(step["array"], float)
        frames.append(_direction_frame(known, step, f"Step {count} of {len(steps)}", columns))
    return frames


@page_style
def _direction_frame(
    known: Mapping[tuple[int, int], np.ndarray], now: Mapping, when: str, columns: Sequence[str]
) -> Figure:
    """Draw the table with the cells known so far, the newest ringed."""
    drawing, axes = new_drawing(5.4, 4.3)
    for row, column in ((row, column) for row in range(4) for column in range(len(columns))):
        left, right, top, bottom = column + 0.16, column + 0.84, row + 0.16, row + 0.84
        if (row, column) in known:
            array = known[row, column]
            tone = 0.08 + 0.92 * np.sqrt(np.abs(array) / max(np.abs(array).max(), 1e-9))
            for role, sign in (("open", array > 0), ("accent", array <= 0)):
                stencil(axes, tone * sign, role, extent=(left, right, bottom, top), aspect="auto")
        current = (row, column) == tuple(now["place"])
        style = {"edgecolor": INK, "linewidth": 2.6} if current else {"edgecolor": FAINT, "linewidth": 0.8}
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, **style))
    for row, column in now["reads"]:
        _read(axes, (row, column), now["place"])
    for column, name in enumerate(columns):
        axes.text(column + 0.5, -0.08, name, ha="center", va="bottom", fontsize=12)
    for row, name in enumerate(_ROWS):
        lines = name.split("\n")
        for index, line in enumerate(lines):
            y = row + 0.5 + 0.22 * (index - (len(lines) - 1) / 2)
            axes.text(-0.08, y, line, ha="right", va="center", fontsize=11)
    axes.text(-1.2, 4.12, now["says"], va="top", fontsize=12, fontweight="bold")
    bare(axes).set_xlim(-1.25, len(columns))
    axes.set_ylim(4.5, -0.4)
    caption = f"{when}. Blue is positive, orange negative. Arrows come from what is read."
    row, column = now["place"]
    alt = (
        f"{when}: {now['says']}. In a table of four rows, {', '.join(_ROWS)}, and "
        f"{len(columns)} columns, the cell in row {row + 1} under {columns[column]} is filled, from "
        f"{len(now['reads'])} cells that arrows lead from."
    ).replace("\n", " ")
    return Figure(drawing, caption, alt)


def _read(axes: Axes, tail: Sequence[int], head: Sequence[int]) -> None:
    """Draw an arrow from the edge of one cell to the edge of another; over cells in between it bends."""
    start, stop = (np.array([place[1] + 0.5, place[0] + 0.5]) for place in (tail, head))
    way = stop - start
    edge = 0.36 * way / np.abs(way).max()
    bend = 0.0 if np.abs(way).max() <= 1 else 0.25
    style = {"connectionstyle": f"arc3,rad={bend}"}
    arrow(axes, start + edge, stop - edge, INK, width=1.8, size=13, **style)
