"""Chapter 13: walks over hills, drift and its bound, and what lies beyond the theorem."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Arc
from torch import Tensor

from figures.style import arrow, draw_relief, log_scale
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style

Grid = tuple[Tensor, Tensor, Tensor]  # across (column,), up (row,), height (row, column)
_STYLES = ((OPEN, "-", "o"), (ACCENT, "-", "s"), (INK, "--", "D"))


@page_style
def show_walks(grid: Grid, walks: Mapping[str, Tensor], lowest: Tensor, caption: str = "") -> Figure:
    """Draw up to three walks of a server over the same hills, seen from above; bluer is lower.

    grid: the height of F on the plane; walks: a federation's name and where its server was, (round + 1, 2).
    lowest: (2,), the bottom of the valley in which they end.
    """
    drawing, (axis, near) = new_drawing(5.4, 3.9, ncols=2)
    _relief(axis, grid)
    lowest, told = np.asarray(lowest), []
    ends = {name: float(np.linalg.norm(np.asarray(walk)[-1] - lowest)) for name, walk in walks.items()}
    reach = 2.2 * sorted(ends.values())[1]
    for row, ((name, walk), (colour, style, mark)) in enumerate(zip(walks.items(), _STYLES, strict=False)):
        walk = np.asarray(walk)
        for each, width in ((axis, 1.6), (near, 1.2)):
            each.plot(*walk.T, color=colour, linestyle=style, linewidth=width, zorder=3 - row)
        near.plot(*walk.T, mark, color=colour, markersize=3.5, zorder=3 - row)
        axis.plot([], [], mark, color=colour, markersize=8, label=name)
        near.plot(*walk[-1], mark, color=colour, markersize=9, zorder=4)
        told.append(f"{name} ends {ends[name]:.3f} from the cross")
    axis.plot(*walk[0], "o", color=INK, markersize=7)
    axis.annotate("start", walk[0], (7, 7), textcoords="offset points")
    axis.plot(*lowest, "s", color=INK, markersize=9, markerfacecolor="none", zorder=5)
    near.plot(*lowest, "+", color=INK, markersize=18, markeredgewidth=2.2, zorder=6)
    near.set(xlim=lowest[0] + reach * np.array([-1, 1]), ylim=lowest[1] + reach * np.array([-1, 1]), aspect="equal")
    near.set_title("the square, enlarged", fontsize=10)
    _plain(axis)
    _plain(near)
    handles, labels = axis.get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=1, frameon=False)
    alt = (
        "Hills seen from above with three walks from one start into a valley; beside it the bottom of the valley, "
        f"enlarged, a cross at its lowest point. {'; '.join(told)}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_moves(grid: Grid, starts: Tensor, corners: Tensor, ends: Tensor, caption: str = "") -> Figure:
    """Draw what two stages do to the plane: from each start one arrow across, then one up or down.

    grid: the height of the support loss; starts, corners, ends: (start, 2), before, between and after the stages.
    """
    drawing, axis = new_drawing(5.4, 4.7)
    _relief(axis, grid)
    for start, corner, end in zip(*map(np.asarray, (starts, corners, ends)), strict=True):
        for tail, head, colour in ((start, corner, ACCENT), (corner, end, INK)):
            arrow(axis, tail, head, colour, width=1.8, size=min(9, 26 * np.linalg.norm(head - tail)))
        axis.plot(*start, "o", color=ACCENT, markersize=4)
    _plain(axis)
    axis.set_xlabel("backbone θ →")
    axis.set_ylabel("gates φ →")
    reach = np.linalg.norm(np.asarray(ends) - np.asarray(starts), axis=1)
    alt = (
        f"Hills seen from above. From each of {len(starts)} starts an orange arrow runs across and from its tip a dark "
        f"one up or down: the two stages. Together they lead {reach.min():.2f} to {reach.max():.2f} away, least on "
        "tops and in valleys."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_wrinkles(grid: Grid, seen: float, allowed: float, most: float, caption: str = "") -> Figure:
    """Draw a function on the plane, and two bars: the largest curvature seen on it and the largest that is allowed.

    most: where the bars' axis ends.
    """
    drawing, (axis, bars) = new_drawing(5.4, 5.4, nrows=2, height_ratios=[5, 1])
    _relief(axis, grid)
    _plain(axis)
    for row, (value, colour) in enumerate(((seen, OPEN), (allowed, ACCENT))):
        bars.barh(row, value, height=0.6, color=colour)
        bars.text(value + 0.01 * most, row, f"{value:.1f}", va="center", color=colour)
    bars.set_yticks((0, 1), ("seen", "Lemma 1"))
    bars.set(xlim=(0, 1.12 * most), ylim=(1.6, -0.6), xlabel="curvature")
    alt = f"{caption} Hills seen from above; two bars: a curvature of {seen:.1f} is seen, {allowed:.1f} is allowed."
    return Figure(drawing, caption, alt)


@page_style
def show_fans(start: Tensor, walks: Mapping[str, Tensor], radii: Sequence[float], caption: str = "") -> Figure:
    """Draw the nodes' local steps from one point, and for each the arc that a proof says it will not cross.

    walks: a node's name and its points, (step + 1, 2), the first one `start`; radii: a node's bound on the distance.
    """
    drawing, axis = new_drawing(5.4, 4.6)
    bare(axis).set_aspect("equal")
    start, shares = np.asarray(start), []
    for (name, walk), radius in zip(walks.items(), radii, strict=True):
        walk = np.asarray(walk) - start
        angle = np.degrees(np.arctan2(*walk[-1][::-1]))
        spread = min(34.0, 26 * max(radii) / radius)
        shape = {"theta1": angle - spread / 2, "theta2": angle + spread / 2}
        axis.add_patch(Arc((0, 0), 2 * radius, 2 * radius, color=ACCENT, linewidth=2.2, **shape))
        axis.plot(*walk.T, color=OPEN, marker="o", markersize=3.5, linewidth=1.6)
        beside = radius < 0.5 * max(radii)  # a near arc's name stands at its end, off the longer walks
        where = np.radians(angle + beside * (spread / 2 + 14))
        outside = (1.0 if beside else 1.13) * radius * np.array([np.cos(where), np.sin(where)])
        axis.plot(*1.1 * outside, alpha=0)  # room for the name
        axis.text(*outside, name, ha="center", va="center", fontsize=10)
        shares.append(np.linalg.norm(walk[-1]) / radius)
    axis.plot(0, 0, "o", color=INK, markersize=8)
    axis.autoscale_view()
    low, high = f"{min(shares):.0%}", f"{max(shares):.0%}"
    covered = low if low == high else f"{low} to {high}"
    alt = (
        f"From one point {len(walks)} nodes take {len(walk) - 1} steps in different directions; in front of each is an "
        f"arc that it does not reach. The walks cover {covered} of the way to their arcs."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_bounds(panels: Mapping[str, Mapping[str, Sequence[float] | float]], caption: str = "") -> Figure:
    """Draw for each federation the proven bound above the measured curve, rounds across, both axes logarithmic.

    panels: a title, and `measured` and `bound`, the running mean of the squared gradient after 1, 2, … rounds,
        `now`, the squared gradient itself, and `floor`, what the bound falls to; 0: nothing.
    """
    rows = (len(panels) + 1) // 2
    drawing, axes = new_drawing(5.4, 0.4 + 2.5 * rows, nrows=rows, ncols=2, sharex=True, sharey=True)
    told, axes = [], np.atleast_2d(axes)
    for axis, (title, panel) in zip(axes.flat, panels.items(), strict=True):
        rounds = np.arange(1, len(panel["measured"]) + 1)
        log_scale(axis, "xy")
        axis.plot(rounds, panel["bound"], color=ACCENT, linestyle="--")
        axis.plot(rounds, panel["now"], color=FAINT, linewidth=1.4)
        axis.plot(rounds, panel["measured"], color=OPEN)
        if panel["floor"]:
            axis.axhline(panel["floor"], color=ACCENT, linewidth=1, linestyle=":")
        axis.set_title(title, loc="left", fontsize=10)
        above = np.asarray(panel["bound"]) / np.asarray(panel["measured"])
        told.append(f"{title}: the bound is {above.min():.1f} to {above.max():.1f} times the running mean")
    drawing.legend(
        axes.flat[0].get_lines()[:3],
        ("bound", "now", "mean so far"),
        loc="outside upper center",
        ncols=3,
        frameon=False,
    )
    lowest = min(max(min(panel["now"]), 1e-9) for panel in panels.values() if panel["floor"])
    axes.flat[0].set_ylim(lowest / 6, 1.6 * max(panel["bound"][0] for panel in panels.values()))
    for axis in axes[-1]:
        axis.set_xlabel("rounds")
    for axis in axes[:, 0]:
        axis.set_ylabel("squared gradient")
    alt = f"In each of {len(panels)} plots the bound, dashed, stays above the measured curve. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


def _relief(axis: Axes, grid: Grid) -> None:
    """Draw hills, the lower the bluer, with ten level lines."""
    across, up, height = (np.asarray(values, float) for values in grid)
    share = (height - height.min()) / np.ptp(height)
    draw_relief(axis, across, up, share, 10, lambda fine: 0.62 * (1 - fine), alpha=0.22, smooth=True)
    axis.set_aspect("equal")


def _plain(axis: Axes) -> None:
    """Take away the numbers along the axes: the plane's own scale says nothing."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=FAINT, linewidth=0.6)


_CURVES = ((OPEN, "-", "o"), (ACCENT, "--", "s"), (INK, ":", "D"))


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
        "A loss that above a dashed line is a valley along the gate's axis and below it flat, with arrows against "
        "the surrogate gradient that point up or down as well, where the loss itself does not change. Around a "
        f"rectangle in the valley the surrogate adds up to {work:.2f}, where every true gradient adds up to 0."
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
            sorted(lines.items(), key=lambda entry: entry[1]["mean"][-1]), _CURVES, strict=False
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
    alt = f"{label} over rounds: lines, with dots for seeds. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


def _label(axis, last: float, value: float, low: float | None, name: str, colour: str, top: float) -> float:
    """Write a line's name at its end, clear of the one below; return its height."""
    height = value if low is None else max(value, low + 0.15 * top)
    axis.annotate(name, (last, height), (6, 0), textcoords="offset points", color=colour, va="center", fontsize=10)
    return height
