"""Chapter 10: what a network answers step by step, in which order its parts move, what tasks gain."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from figures.style import arrow
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

PARTS = {"backbone": "θ", "gates": "φ"}
MOST_BARS = 40  # of a histogram


@page_style
def show_sorted(
    support: Tensor, queries: Tensor, labels: Tensor, panels: Mapping[str, Tensor], caption: str = ""
) -> Figure:
    """Draw each query in the row of the class that a network takes it for, a panel below the other.

    support: (ways, height, width), one example a class, at the head of the rows; queries: (query, height, width).
    labels: (query,), the true classes; panels: a title, and the answers (query,).
    """
    support, queries, labels = (np.asarray(part) for part in (support, queries, labels))
    ways, longest = len(support), max(int(np.bincount(each, minlength=1).max()) for each in panels.values())
    columns = 1.8 + max(longest, 10)
    drawing, axes = new_drawing(5.4, len(panels) * (5.4 * (ways + 1.1) / columns + 0.05))
    told = []
    for place, (title, answers) in enumerate(panels.items()):
        top, answers = place * (ways + 1.5), np.asarray(answers)
        right = int((answers == labels).sum())
        axes.text(0, top - 0.25, f"{title}: {right} of {len(labels)} right", va="bottom", fontweight="bold")
        for row in range(ways):
            _put(axes, support[row], 0, top + row, "ink")
            held = np.flatnonzero(answers == row)
            for column, query in enumerate(held[np.argsort(labels[held] != row, kind="stable")]):
                wrong = labels[query] != row
                left = 1.6 + column
                _put(axes, queries[query], left, top + row, "accent" if wrong else "open")
                if wrong:
                    _box(axes, left, top + row)
        axes.plot((1.3, 1.3), (top, top + ways), color=FAINT, linewidth=1.5)
        told.append(f"{title}, {right} of {len(labels)} lie in their own row")
    bare(axes).set_aspect("equal")
    axes.set(xlim=(0, columns), ylim=(len(panels) * (ways + 1.5) - 0.4, -1.1))
    alt = (
        "Rows of small characters: each row begins with the one example of a class; the queries that the network takes "
        f"for that class follow it, framed in another colour where it is wrong. {'; '.join(told)}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_orders(variants: Mapping[str, Sequence[frozenset[str]]], caption: str = "") -> Figure:
    """Draw in which order a method moves its parts on a new node.

    variants: a method's name, and what moves in each of its steps: "backbone", "gates" or both.

    Raises:
        ValueError: if something else is to move.
    """
    if strange := {part for steps in variants.values() for step in steps for part in step} - PARTS.keys():
        raise ValueError(f"only {' and '.join(PARTS)} can move, not {', '.join(sorted(strange))}")
    drawing, axes = new_drawing(5.4, 0.95 * len(variants) + 0.1)
    told = []
    for row, (name, steps) in enumerate(variants.items()):
        y = 2.0 * row
        axes.text(0, y - 0.62, name, va="bottom")
        axes.add_patch(Circle((0.3, y), 0.16, color=INK))
        last = 0.46
        for number, step in enumerate(steps):
            left = 1.5 + 3.1 * number
            arrow(axes, (last, y), (left, y), INK, width=1.3, size=12)
            _step(axes, left, y, step)
            last = left + 1.9
        arrow(axes, (last, y), (last + 1, y), INK, width=1.3, size=12)
        axes.add_patch(Circle((last + 1.2, y), 0.16, fill=False, edgecolor=INK, linewidth=2))
        told.append(f"{name}: " + ", then ".join(" and ".join(sorted(step)) for step in steps))
    bare(axes).set_aspect("equal")
    axes.set(xlim=(0, 9.1), ylim=(2.0 * len(variants) - 1.2, -1.2))
    alt = f"A line a method, from a dot through boxes, its steps, to a ring, what a node owns. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


@page_style
def show_gains(panels: Mapping[str, np.ndarray], caption: str = "") -> Figure:
    """Draw how many tasks lose and gain how much, a panel a comparison.

    panels: what is compared, and for each task its gain in accuracy, as a share.
    """
    drawing, axes = new_drawing(5.4, 1.9 * len(panels) + 0.3, nrows=len(panels), sharex=True, squeeze=False)
    every = np.concatenate([np.ravel(gains) for gains in panels.values()])
    reach, width = max(float(np.abs(every).max()), 0.02), _bin(every)
    edges = np.arange(-np.ceil(reach / width) - 0.5, np.ceil(reach / width) + 1) * width
    told = []
    for axis, (title, gains) in zip(axes[:, 0], panels.items(), strict=True):
        gains = np.ravel(gains)
        counts, _ = np.histogram(gains, edges)
        centres = (edges[1:] + edges[:-1]) / 2
        side = np.sign(np.round(centres / width))
        for sign, colour, hatch in ((-1, ACCENT, "///"), (0, FAINT, None), (1, OPEN, None)):
            style = {"facecolor": colour if hatch is None else "none", "edgecolor": colour, "hatch": hatch}
            axis.bar(centres[side == sign], counts[side == sign], 0.85 * width, linewidth=1, **style)
        shares = [float((gains < 0).mean()), float((gains > 0).mean())]
        style = {"transform": axis.transAxes, "va": "top"}
        axis.text(0, 1, f"{shares[0]:.0%} of tasks lose", color=ACCENT, **style)
        axis.text(1, 1, f"{shares[1]:.0%} gain", color=OPEN, ha="right", **style)
        axis.set_title(title, loc="left")
        axis.set(yticks=[], ylim=(0, 1.35 * counts.max()))  # the words stand above the bars
        axis.spines["left"].set_visible(False)
        axis.axvline(float(gains.mean()), ymax=0.78, color=INK, linestyle="--", linewidth=1.5)
        told.append(f"{title}: {shares[0]:.0%} lose, {shares[1]:.0%} gain, {100 * gains.mean():+.1f} points on average")
    axes[-1, 0].xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axes[-1, 0].set_xlabel("gain of a task in points; dashed: their mean")
    return Figure(drawing, caption, f"Heaps of tasks by what they gain. {'; '.join(told)}.")


def _bin(gains: np.ndarray) -> float:
    """The width of a bar: the least gain that occurs, or a multiple of it, so that bars do not beat."""
    steps = np.unique(np.abs(gains[gains != 0]).round(6))
    least = float(steps[0]) if len(steps) else 0.01
    return least * max(1, int(np.ceil(2 * np.abs(gains).max() / least / MOST_BARS)))


def _put(axes: Axes, image: np.ndarray, left: float, top: float, role: str) -> None:
    stencil(axes, image, role, extent=(left, left + 1, top + 1, top))


def _box(axes: Axes, left: float, top: float) -> None:
    style = {"fill": False, "edgecolor": ACCENT, "linewidth": 1.3}
    axes.add_patch(Rectangle((left + 0.04, top + 0.04), 0.92, 0.92, **style))


def _step(axes: Axes, left: float, y: float, step: frozenset[str]) -> None:
    """Draw a box with the parts that one step moves; gates are blue."""
    style = "round,pad=0,rounding_size=0.25"
    edge = OPEN if step == {"gates"} else INK
    axes.add_patch(FancyBboxPatch((left, y - 0.5), 1.9, 1, boxstyle=style, fill=False, edgecolor=edge, linewidth=1.6))
    parts = [part for part in PARTS if part in step]
    for place, part in enumerate(parts):
        x = left + 1.9 * (place + 1) / (len(parts) + 1)
        colour = OPEN if part == "gates" else INK
        axes.text(x, y, PARTS[part], ha="center", va="center", color=colour, fontsize=14)
