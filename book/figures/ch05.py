"""Chapter 5: the loss surface that a step crosses, what curvature adds to a gradient, and steps to play with."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from figures.style import arrow, draw_relief
from figures.widgets import Live, numbers
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style

_LEVELS, _TOP = 0.2, 2.4  # nats between two level lines; nats above which all is drawn as ground


class Surface(NamedTuple):
    """The query loss on a plane through a start, spanned by the step (across, 1 is the whole step) and another way."""

    title: str
    across: Tensor  # (column,), where the step leads from 0 to 1
    up: Tensor  # (row,)
    loss: Tensor  # (row, column), nats
    before: float  # query accuracy at the start
    after: float  # and after the step


@page_style
def show_surface(surfaces: Sequence[Surface], caption: str = "") -> Figure:
    """Draw loss surfaces seen from above beside each other, bluer is lower, with one step of adaptation on each."""
    drawing, axes = new_drawing(5.4, 3.2, ncols=len(surfaces), sharey=True)
    told = []
    for axis, surface in zip(np.atleast_1d(axes), surfaces, strict=True):
        across, up, loss = (np.asarray(values, float) for values in (surface.across, surface.up, surface.loss))
        heights, levels = np.minimum(loss, _TOP + 0.6), np.arange(_LEVELS, _TOP, _LEVELS)
        draw_relief(axis, across, up, heights, levels, lambda fine: _ground(fine, _TOP), smooth=True, width=0.6)
        arrow(axis, (0, 0), (1, 0), ACCENT, width=2.5, size=15)
        axis.plot(0, 0, "o", color=ACCENT, markersize=7)
        axis.set(aspect="auto", xticks=[], yticks=[])
        axis.spines[:].set(visible=True, color=FAINT, linewidth=0.6)
        axis.set_title(f"{surface.title}\n{surface.before:.0%} → {surface.after:.0%} right", fontsize=11)
        step = np.interp([0, 1], across, loss[np.abs(up).argmin()])
        told.append(
            f"{surface.title}: the step leads from a loss of {step[0]:.1f} to {step[1]:.1f} nats, from "
            f"{surface.before:.0%} to {surface.after:.0%} of the queries right"
        )
    alt = f"Maps of the query loss, a level line every {_LEVELS} nats, an arrow for one step. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


@page_style
def show_correction(
    start: Tensor, stepped: Tensor, gradient: Tensor, correction: Tensor, bowl: tuple[Tensor, Tensor], caption: str = ""
) -> Figure:
    """Draw for one task in the plane what the second-order term does to the gradient.

    start, stepped: (2,), before and after the step; gradient: (2,), of the loss at `stepped`.
    correction: (2,), what the exact gradient adds to it; bowl: the task's minimum (2,) and curvature (2, 2).
    """
    start, stepped, gradient, correction = (np.asarray(v, float) for v in (start, stepped, gradient, correction))
    centre, curvature = (np.asarray(v, float) for v in bowl)
    drawing, axis = new_drawing(5.4, 3.1)
    rings = _levels(bare(axis), centre, curvature, (0.03, 0.12, 0.3, 0.6, 1.0, 1.5, 2.1, 2.8))
    axis.plot(*centre, "+", color=FAINT, markersize=10)
    axis.plot(*start, "o", color=INK, markersize=7)
    arrow(axis, start, stepped, INK, width=2, size=14)
    words = [
        axis.annotate("the step", (start + stepped) / 2, (8, 4), textcoords="offset points"),
        axis.annotate("start", start, (-8, 6), textcoords="offset points", ha="right"),
    ]
    for base, vector, colour, told, offset in (
        (stepped, -gradient, ACCENT, "downhill\nafter the step:\nfirst order", (8, -2)),
        (start, -(gradient + correction), OPEN, "downhill for the start:\nexact", (-10, -8)),
    ):
        arrow(axis, base, base + vector, colour, width=2, size=14)
        style = {
            "textcoords": "offset points",
            "color": colour,
            "ha": "left" if offset[0] > 0 else "right",
            "va": "top",
        }
        words.append(axis.annotate(told, base + vector, offset, **style))
    arrow(axis, start, start - gradient, ACCENT, width=1.2, size=14, linestyle="--")
    axis.plot(*np.stack([start - gradient, start - gradient - correction]).T, color=FAINT, linewidth=1.5, linestyle=":")
    axis.set_aspect("equal")
    points = np.stack([start, stepped, centre, stepped - gradient, start - gradient, start - gradient - correction])
    middle, reach = (points.min(0) + points.max(0)) / 2, 0.62 * np.ptp(points[:, 1])
    axis.set_ylim(middle[1] - reach, middle[1] + reach)
    axis.set_xlim(middle[0] - 1.75 * reach, middle[0] + 1.75 * reach)
    _part(rings, words)
    cosine = gradient @ (gradient + correction) / np.linalg.norm(gradient) / np.linalg.norm(gradient + correction)
    alt = (
        "Level lines of one task's bowl, a start and one step down. From its end an arrow points downhill. "
        "Put at the start, dashed, it differs from the exact direction, another arrow: the angle between them is "
        f"{np.degrees(np.arccos(np.clip(cosine, -1, 1))):.0f} degrees."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_descents(
    paths: Mapping[str, Sequence[Tensor]], grid: tuple[Tensor, Tensor, Tensor], centres: Tensor, caption: str = ""
) -> Figure:
    """Draw where descents of the plane end, on the map of the loss after one step; bluer is lower.

    paths: for two methods, several paths, (step, 2) each; grid: across (column,), up (row,), loss (row, column).
    centres: (task, 2), minima of the tasks' own losses.
    """
    across, up, loss = grid
    drawing, axis = new_drawing(5.4, 3.9)
    depth = np.sqrt(np.asarray(loss, float) / float(loss.max()))
    draw_relief(bare(axis), across, up, depth, 12, lambda fine: 0.55 * (1 - fine), alpha=0.25)
    axis.set_aspect("equal")
    for letter, centre in zip("ABCDEFGH", np.asarray(centres), strict=False):
        axis.annotate(letter, centre, ha="center", va="center", color=INK, fontsize=13)
    ends, lines, words = [], [], []
    for (name, several), (colour, mark, width, offset, align) in zip(
        paths.items(), ((OPEN, "P", 1.6, (0, 13), "center"), (ACCENT, "D", 1.2, (10, 0), "left")), strict=True
    ):
        for path in several:
            lines += axis.plot(*np.asarray(path).T, color=colour, linewidth=width, alpha=0.8)
        end = np.asarray(several[0])[-1]
        axis.plot(*end, mark, color=colour, markersize=10)
        style = {"textcoords": "offset points", "ha": align, "va": "center", "weight": "bold"}
        words.append(axis.annotate(name, end, offset, **style))
        ends.append(f"those of {name} end at ({end[0]:.1f}, {end[1]:.1f})")
    _part(lines, words)
    alt = f"A map of the mean loss after one step, with paths of descent from several starts: {'; '.join(ends)}."
    return Figure(drawing, caption, alt)


@page_style
def show_steps(curves: Mapping[str, Sequence[float]], caption: str = "") -> Figure:
    """Draw accuracy against the number of gradient steps from several starts.

    curves: up to three starts by name and the query accuracy after 0, 1, 2, … steps; the first is drawn in blue.
    """
    drawing, axis = new_drawing(5.4, 3.4)
    lowest = 2.0
    for name, colour, mark in sorted(
        zip(curves, (OPEN, INK, ACCENT), "osD", strict=False), key=lambda entry: -curves[entry[0]][-1]
    ):
        values = curves[name]
        axis.plot(values, color=colour, marker=mark, markersize=6)
        lowest = min(values[-1], lowest - 0.07)  # labels keep a line's height apart
        axis.annotate(name, (len(values) - 0.9, lowest), color=colour, va="center")
    steps = max(len(values) for values in curves.values())
    axis.set_ylim(0, 1)
    axis.set_xlim(-0.2, 1.45 * (steps - 1))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xticks(range(steps))
    axis.set_xlabel("gradient steps on five labelled examples")
    axis.set_ylabel("query accuracy")
    told = "; ".join(
        f"{name}: {values[0]:.0%} before, {values[1]:.0%} after one step, {values[-1]:.0%} after {len(values) - 1}"
        for name, values in curves.items()
    )
    return Figure(drawing, caption, f"Accuracy against gradient steps from {len(curves)} starts. {told}.")


def _ground(loss: np.ndarray, top: float) -> np.ndarray:
    """Return how blue a loss is drawn: full at zero, nothing from `top` upwards."""
    return np.clip(1.05 * (1 - loss / top), 0, 1) ** 1.2


def _levels(axis: Axes, centre: np.ndarray, curvature: np.ndarray, levels: Sequence[float]) -> list[Line2D]:
    """Draw the ellipses on which `½ (p − c)ᵀ H (p − c)` has the given values."""
    angles = np.linspace(0, 2 * np.pi, 360)
    values, vectors = np.linalg.eigh(curvature)
    rings = []
    for level in levels:
        radii = np.sqrt(2 * level / values)
        ring = (vectors * radii) @ np.stack([np.cos(angles), np.sin(angles)])
        rings += axis.plot(*(centre[:, None] + ring), color=FAINT, linewidth=0.8)
    return rings


def _part(lines: Sequence[Line2D], words: Sequence[Text]) -> None:
    """Leave a gap in lines where words stand: nothing crosses them, whatever the colour of the page."""
    words[0].figure.draw_without_rendering()
    for line in lines:
        points = line.get_xydata().copy()
        places = line.axes.transData.transform(points)
        for box in (word.get_window_extent().padded(3) for word in words):
            points[((places > box.min) & (places < box.max)).all(1)] = np.nan
        line.set_data(*points.T)


def play_bowls(
    centres: Tensor, curvatures: Tensor, learning_rate: float, start: Sequence[float], caption: str = ""
) -> Live:
    """Return tasks whose losses are bowls in the plane, `½ (p − c)ᵀ H (p − c)`, and a start that can be dragged.

    centres: (task, 2), within −3 to 3; curvatures: (task, 2, 2), symmetric; learning_rate: the step's, at first.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    if curvatures.shape != (*centres.shape, 2) or centres.shape[1] != 2:
        raise ValueError(
            f"centres {tuple(centres.shape)} and curvatures {tuple(curvatures.shape)}: need (n, 2), (n, 2, 2)"
        )
    data = {
        "centres": numbers(centres, 4),
        "curvatures": numbers(curvatures, 4),
        "rate": learning_rate,
        "start": list(start),
    }
    alt = (
        f"A plane with the bowls of {len(centres)} tasks, nested ellipses around their minima. From a start, a dot, an "
        "arrow leads for each task to where one gradient step lands. A ring marks the start with the least loss before "
        "the step, a cross the one with the least after it; they are different places."
    )
    return Live("bowls.js", data, caption, alt)
