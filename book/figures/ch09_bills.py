"""Chapter 9: bytes alive while a gradient is computed, operations under the roof, times beside others."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from figures.style import log_scale
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, new_drawing, page_style

Phases = Sequence[tuple[str, int]]  # a phase's name and the operation with which it begins
_BINS = 240  # of operations in a skyline: of each the highest is drawn
_MARKS = ("o", "s", "^", "D", "v")


@page_style
def show_skylines(
    heights: Mapping[str, Sequence[int]],
    phases: Mapping[str, Phases],
    caption: str = "",
    *,
    most: tuple[float, float] | None = None,
) -> Figure:
    """Draw the bytes alive after each operation, a skyline for each program, all at one scale, their phases marked.

    heights: bytes by program; phases: by program, in order.
    most: operations and bytes that the axes reach to, for frames to be laid upon each other; None: as far as needed.
    """
    reach = most or (max(map(len, heights.values())), max(map(max, heights.values())))
    drawing, axes = new_drawing(5.4, 1.55 * len(heights) + 0.5, nrows=len(heights), sharex=True, sharey=True)
    told = []
    for axis, (name, bytes_) in zip(np.atleast_1d(axes), heights.items(), strict=True):
        bytes_ = np.asarray(bytes_) / 1e6
        width = max(1, round(reach[0] / _BINS))
        starts = np.arange(0, len(bytes_), width)
        tops = np.maximum.reduceat(bytes_, starts)
        steps = {"color": OPEN, "linewidth": 0}
        axis.fill_between([*starts, len(bytes_)], [*tops, tops[-1]], step="post", alpha=0.75, **steps)
        _mark_phases(axis, phases[name], len(bytes_), reach)
        peak = int(bytes_.argmax())
        axis.plot([0, reach[0]], [bytes_[peak]] * 2, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
        axis.text(reach[0], bytes_[peak], f"{bytes_[peak]:.1f} MB", ha="right", va="bottom")
        axis.set_title(name, loc="left", fontsize=12, fontweight="bold")
        axis.set_ylabel("MB")
        told.append(
            f"{name}: {len(bytes_):,} operations, at most {bytes_[peak]:.1f} megabytes, {_where(phases[name], peak)}"
        )
    axis.set_xlim(0, reach[0])
    axis.set_ylim(0, 1.5 * reach[1] / 1e6)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.set_xlabel("operations, one after the other")
    alt = f"{len(heights)} filled skylines of the bytes alive after each operation. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


def _where(phases: Phases, operation: int) -> str:
    """Return the phase that an operation belongs to, in words."""
    return f"in the phase {[name for name, start in phases if start <= operation][-1]}"


def _mark_phases(axis: Axes, phases: Phases, end: int, reach: tuple[float, float]) -> None:
    """Shade every other phase and name it, a line lower; neighbours of one name are one; no room, no name."""
    top = reach[1] / 1e6
    merged = [phase for index, phase in enumerate(phases) if index == 0 or phase[0] != phases[index - 1][0]]
    borders = [*(start for _, start in merged), end]
    for index, (name, start) in enumerate(merged):
        stop = borders[index + 1]
        if index % 2:
            axis.add_patch(Rectangle((start, 0), stop - start, 2 * top, color=FAINT, alpha=0.16, linewidth=0, zorder=0))
        if stop - start > 0.0125 * len(name) * reach[0]:
            height = (1.48 - 0.22 * (index % 2)) * top
            axis.text((start + stop) / 2, height, name, ha="center", va="top", fontsize=10)


@page_style
def show_roofline(
    families: Mapping[str, Sequence[tuple[float, float]]],
    peak: float,
    slopes: Mapping[str, float],
    caption: str = "",
) -> Figure:
    """Draw operations as marks under the machine's roof: how fast they compute against how much they compute a byte.

    families: operations of a kind, each MACs a byte and MACs a second, both positive.
    peak: MACs a second, the flat part of the roof; slopes: bytes a second from each store, the highest first.
    """
    drawing, axis = new_drawing(5.4, 4.4)
    points = np.array([point for family in families.values() for point in family], float)
    left, right = points[:, 0].min() / 4, max(points[:, 0].max(), 1.2 * peak / min(slopes.values())) * 1.6
    low = points[:, 1].min() / 3
    across = np.geomspace(left, right, 200)
    for index, (name, bandwidth) in enumerate(slopes.items()):
        roof = np.minimum(peak, bandwidth * across)
        axis.plot(across, roof, color=INK if index else FAINT, linewidth=2.4 if index else 1.6)
        axis.fill_between(across, roof, low, color=FAINT, alpha=0.12, linewidth=0)
        if bandwidth == min(slopes.values()):  # named under its slope: marks lie above it
            axis.text(0.12 * peak / bandwidth, 0.1 * peak, name, fontsize=11, va="top", ha="left")
        else:
            axis.text(left * 1.1, bandwidth * left * 2.3, name, fontsize=11, va="bottom", ha="left")
    axis.text(peak / max(slopes.values()), 1.12 * peak, "matrix product", va="bottom", fontsize=11)
    colours = (OPEN, OPEN, ACCENT, ACCENT, INK)
    told = []
    for index, (name, family) in enumerate(families.items()):
        x, y = np.asarray(family, float).T
        style = {"color": colours[index % 5], "markersize": 8, "markeredgewidth": 1.8, "linestyle": "none"}
        style |= {"markerfacecolor": "none"} if index % 2 else {}
        axis.plot(x, y, _MARKS[index % 5], label=name, **style)
        told.append(
            f"{name}: {x.min():.2g} to {x.max():.2g} MACs a byte at {y.min() / peak:.0%} to {y.max() / peak:.0%}"
        )
    log_scale(axis, "xy")
    axis.set(xlim=(left, right), ylim=(low, max(3.2 * peak, 1.6 * points[:, 1].max())))
    axis.set_xlabel("MACs for each byte that must move")
    axis.set_ylabel("MACs a second")
    axis.legend(loc="lower right", frameon=False, fontsize=10, handletextpad=0.2, labelspacing=0.3)
    alt = (
        f"A roof that rises with the MACs a byte and then is flat at the rate of a matrix product, {peak:.2g} MACs a "
        f"second; marks below it are operations. As shares of that rate, {'; '.join(told)}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_beside(cases: Mapping[str, Mapping[str, float]], ours: str, limit: str, caption: str = "") -> Figure:
    """Draw a lane for each case, its length a time or a size in units of ours: a bar for ours, a mark for each other.

    cases: by the case's name, the amounts by who took them; the same unit within a case.
    ours: whose bar is drawn, one unit long; limit: whose part of the bar is filled, the least that is possible.
    """
    names = list(dict.fromkeys(name for case in cases.values() for name in case if name not in (ours, limit)))
    drawing, axis = new_drawing(5.4, 0.46 * len(cases) + 1.0)
    furthest, told = 1.0, []
    for row, (label, case) in enumerate(cases.items()):
        least = case.get(limit, 0) / case[ours]
        ratios = {name: case[name] / case[ours] for name in names if name in case}
        furthest = max(furthest, least, *ratios.values())
        axis.barh(row, 1, height=0.62, color=OPEN, alpha=0.3, linewidth=0)
        axis.barh(row, least, height=0.62, color=OPEN, alpha=0.75, linewidth=0)
        axis.plot([1, max(ratios.values())], [row, row], color=FAINT, linewidth=1, zorder=1)
        for name, ratio in ratios.items():
            index = names.index(name)
            axis.plot(ratio, row + 0.17 * (index - (len(names) - 1) / 2), _MARKS[index], **_look(index))
        words = ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items())
        told.append(f"{label}: {words}" + (f", {limit} {least:.2f}" if limit in case else ""))
    axis.axvline(1, color=INK, linewidth=1.2)
    axis.set_yticks(range(len(cases)), list(cases))
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set(xlim=(0, 1.06 * furthest), ylim=(len(cases) - 0.4, -0.6))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
    for index, name in enumerate(names):
        axis.plot([], [], _MARKS[index], label=name, **_look(index))
    drawing.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=11, handletextpad=0.1)
    alt = f"{len(cases)} lanes, {ours} one unit long in each. In that unit, {'; '.join(told)}."
    return Figure(drawing, caption, alt)


def _look(index: int) -> dict:
    """Return how the mark of the others of one name looks."""
    colours = (INK, ACCENT, ACCENT, INK, FAINT)
    hollow = {"markerfacecolor": "none"} if index % 2 else {}
    return {"color": colours[index % 5], "markersize": 6.5, "markeredgewidth": 1.6, "linestyle": "none"} | hollow
