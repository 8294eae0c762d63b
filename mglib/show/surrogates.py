"""Pictures of what lies beyond the theorem: a field that is no gradient, and the deep net's gradient round by round."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from mglib.show.convergence import Grid
from mglib.show.figures import ACCENT, FAINT, INK, OPEN, Figure, arrow, new_drawing, page_style
from mglib.show.surfaces import draw_relief

_STYLES = ((OPEN, "-", "o"), (ACCENT, "--", "s"), (INK, ":", "D"))


@page_style
def show_circulation(grid: Grid, points: Tensor, field: Tensor, loop: Tensor, work: float, caption: str = "") -> Figure:
    """Draw a surrogate gradient's way downhill over the true loss, and a loop around which its work is not zero.

    grid: the true loss; points, field: (point, 2), where and what the surrogate gradient is; loop: (corner, 2).
    work: what the surrogate gradient adds up to once around the loop, against the clock.
    """
    across, up, height = (np.asarray(values, float) for values in grid)
    drawing, axis = new_drawing(5.4, 4.4)
    share = (height - height.min()) / np.ptp(height)
    draw_relief(axis, across, up, share, np.linspace(0.05, 0.95, 8), lambda fine: 0.55 * (1 - fine), alpha=0.25)
    field = np.asarray(field)
    longest = np.linalg.norm(field, axis=1).max()
    for point, slope in zip(np.asarray(points), field, strict=True):
        if np.linalg.norm(slope) > 0.02 * longest:
            arrow(axis, point, point - 0.42 * slope / longest, INK, width=1.1, size=7)
    corners = np.asarray(loop)
    for tail, head in zip(corners, np.roll(corners, -1, 0), strict=True):
        axis.plot(*np.stack([tail, head]).T, color=ACCENT, linewidth=2.6)
        arrow(axis, tail, (tail + head) / 2, ACCENT, width=2.6, size=16)
    axis.set_title(f"once around the loop: {work:.2f}", color=ACCENT, loc="left")
    axis.axhline(0, color=INK, linewidth=1.2, linestyle="--")
    axis.text(across[0] + 0.03, 0.06, "open", va="bottom", fontsize=10)
    axis.text(across[0] + 0.03, -0.08, "closed", va="top", fontsize=10)
    axis.set(xlabel="backbone θ", ylabel="gate φ", aspect="auto")
    alt = (
        "A loss that above a dashed line is a valley along the gate's axis and below it flat, with arrows of the "
        "surrogate gradient that point up or down as well, where the loss itself does not change. Around a rectangle "
        f"in the valley the surrogate adds up to {work:.2f}, where every true gradient adds up to 0."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_gradient_sizes(panels: Mapping[str, Mapping[str, dict]], label: str, caption: str = "") -> Figure:
    """Draw what was measured round by round, a panel for what was varied, a line for each of its up to three values.

    panels: what is varied, and by value `rounds` (probe,), `seeds` (seed, probe) and `mean` (probe,): each seed's
        measurement, dots, and what the line is drawn through; label: what is measured.
    """
    drawing, axes = new_drawing(5.4, 0.3 + 2.4 * len(panels), nrows=len(panels), sharex=True)
    told = []
    for axis, (title, lines) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        low, top = None, max(np.max(line["seeds"]) for line in lines.values())
        for (name, line), (colour, style, mark) in zip(
            sorted(lines.items(), key=lambda entry: entry[1]["mean"][-1]), _STYLES, strict=False
        ):
            rounds, seeds = np.asarray(line["rounds"]), np.asarray(line["seeds"])
            axis.plot(np.tile(rounds, len(seeds)), seeds.ravel(), mark, color=colour, markersize=2.6, alpha=0.5)
            axis.plot(rounds, line["mean"], color=colour, linestyle=style)
            low = _label(axis, rounds[-1], line["mean"][-1], low, name, colour, top)
            told.append(f"{title}, {name}: {line['mean'][0]:.2f} at first, {line['mean'][-1]:.2f} at the end")
        axis.axhline(0, color=FAINT, linewidth=0.8)
        axis.set_title(title, loc="left", fontsize=11)
        axis.set_xlim(-0.02 * rounds[-1], 1.36 * rounds[-1])
        axis.set_ylabel(label)
    axis.set_xlabel("rounds")
    axis.set_xticks([tick for tick in axis.get_xticks() if 0 <= tick <= rounds[-1]])
    alt = f"Lines over rounds, dots for seeds, of the {label}. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


def _label(axis, last: float, value: float, low: float | None, name: str, colour: str, top: float) -> float:
    """Write a line's name at its end, clear of the one below; return its height."""
    height = value if low is None else max(value, low + 0.15 * top)
    axis.annotate(name, (last, height), (6, 0), textcoords="offset points", color=colour, va="center", fontsize=10)
    return height
