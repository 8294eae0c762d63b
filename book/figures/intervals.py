"""Marks with their intervals, which several chapters draw: rows, differences, lines of points."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from figures.style import log_scale
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, new_drawing, page_style

_MARKS = ((OPEN, "o", "-"), (ACCENT, "s", "--"), (INK, "^", ":"))
Line = Sequence[tuple[float, float, float]]  # across, up, half width of the interval (0: none is drawn)
NOT_YET = "not measured yet"


@page_style
def show_rows(
    groups: Mapping[str, Sequence[Mapping]],
    caption: str = "",
    chance: float | None = None,
    reference: int = 0,
    scale_of: Sequence[Mapping] = (),
) -> Figure:
    """Draw accuracies with 95 % intervals, a panel a group, a dashed line through one of its rows, the reference.

    groups: a title and its rows: `label`, `accuracy` and `ci95` (shares), `macs_ratio` and `seeds`; what is None was
        not measured. chance: a dotted line, if given; reference: the row's place, from 0.
    scale_of: rows that every panel's scale makes room for: give all, and the panels share one scale.
    """
    counts = [len(rows) if any(row["accuracy"] is not None for row in rows) else 1 for rows in groups.values()]
    drawing, axes = new_drawing(
        5.4, 0.5 * sum(counts) + 0.75 * len(groups) + 0.3, nrows=len(groups), squeeze=False,
        height_ratios=[count + 0.4 for count in counts],
    )  # fmt: skip
    told = []
    for axis, count, (title, rows) in zip(axes[:, 0], counts, groups.items(), strict=True):
        axis.set_title(title, loc="left", fontweight="bold")
        axis.set(yticks=[], ylim=(count - 0.35, -0.75))
        axis.spines["left"].set_visible(False)
        if count < len(rows):
            axis.text(0.01, 0, f"{len(rows)} rows {NOT_YET}", transform=axis.get_yaxis_transform(), va="center")
            axis.set(xticks=[])
            told.append(f"{title}: {NOT_YET}")
            continue
        for place, row in enumerate(rows):
            told.append(f"{title}, {_row(axis, place, row, rows[reference], chance)}")
        axis.set_xlim(*_limits([*rows, *scale_of], chance))
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    axes[-1, 0].set_xlabel("accuracy" if chance is None else "accuracy; dotted: chance")
    which = ("first", "second", "third")[reference]
    alt = f"Marks with 95 % intervals; a dashed line marks each group's {which} row. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


@page_style
def show_differences(rows: Sequence[Mapping], zero: str, caption: str = "") -> Figure:
    """Draw differences in points with their intervals, what lies below zero in orange and open.

    Zero is in the middle, or on the left if every interval lies above it.

    rows: `label`, `difference` and `difference_ci95`, as shares, None where not measured.
    zero: what the line at zero stands for.
    """
    drawing, axis = new_drawing(5.4, 0.5 * len(rows) + 0.95)
    reach, told = [0.012], []
    above = all(row["difference"] is not None and row["difference"] > (row["difference_ci95"] or 0) for row in rows)
    for place, row in enumerate(rows):
        mean, half = row["difference"], row["difference_ci95"] or 0
        label = row["label"]
        if mean is None:
            axis.text(0, place - 0.1, f"{label}: {NOT_YET}", ha="center", va="center", color=INK, fontsize=10)
            told.append(f"{label}: {NOT_YET}")
            continue
        _line(axis, 0, place, OPEN, "--")
        colour = ACCENT if mean < 0 else OPEN
        said = f"{100 * mean:+.1f} ± {100 * half:.1f}".replace("-", "−")
        style = {"marker": "o", "markerfacecolor": colour} if mean >= 0 else {"marker": "s", "markerfacecolor": "none"}
        axis.errorbar(mean, place + 0.12, xerr=half, color=colour, capsize=4, linewidth=1.8, markersize=7, **style)
        across, align = (0, "left") if above else (mean, "center")
        axis.text(across, place - 0.08, f"{label}: {said}", ha=align, va="bottom", color=colour, fontsize=10)
        reach.append(abs(mean) + half)
        told.append(f"{label}: {said} points")
    left, right = (-0.05, 1.1) if above else (-1.35, 1.35)
    axis.set(xlim=(left * max(reach), right * max(reach)), ylim=(len(rows) - 0.4, -0.7), yticks=[])
    axis.spines["left"].set_visible(False)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=None, symbol=""))
    axis.set_xlabel(f"points; dashed: {zero}")
    return Figure(drawing, caption, f"Differences to {zero}, a dashed line. {'; '.join(told)}.")


def _line(axis: Axes, value: float | None, place: int, colour: str, style: str) -> None:
    """Draw a line through all rows, as high as a row's mark: it crosses no words."""
    if value is not None:
        axis.plot((value, value), (place - 0.08, place + 0.36), color=colour, linestyle=style, linewidth=1.5)


def _row(axis: Axes, place: int, row: Mapping, reference: Mapping, chance: float | None) -> str:
    """Draw one row, its label above its mark, and return what it says."""
    if row["accuracy"] is None:
        axis.text(0.01, place - 0.1, f"{row['label']}: {NOT_YET}", transform=axis.get_yaxis_transform(), va="center")
        return f"{row['label']}: {NOT_YET}"
    colour = OPEN if row is reference else INK
    half = row["ci95"] or 0
    _line(axis, reference["accuracy"], place, OPEN, "--")
    _line(axis, chance, place, FAINT, ":")
    axis.errorbar(row["accuracy"], place + 0.12, xerr=half, color=colour, marker="o", markersize=7, capsize=4)
    macs = "" if row.get("macs_ratio") is None else f", {row['macs_ratio']:.0%} of MACs"
    said = f"{row['label']}: {100 * row['accuracy']:.1f} ± {100 * half:.1f}{macs}"
    axis.text(0.01, place - 0.12, said, transform=axis.get_yaxis_transform(), va="bottom", color=colour, fontsize=10)
    return said


def _limits(rows: Sequence[Mapping], chance: float | None) -> tuple[float, float]:
    ends = [
        row["accuracy"] + sign * (row["ci95"] or 0) for row in rows for sign in (-1, 1) if row["accuracy"] is not None
    ]
    ends += [] if chance is None else [chance]
    if not ends:
        return 0.0, 1.0
    margin = max(0.01, 0.06 * float(np.ptp(ends)))
    return min(ends) - margin, max(ends) + margin


@page_style
def show_price(
    lines: Mapping[str, Line],
    labels: tuple[str, str],
    caption: str = "",
    *,
    percent: bool = True,
    logarithmic: tuple[bool, bool] = (True, False),
    level: tuple[str, float] | None = None,
    least: float | None = None,
    alt: str | None = None,
) -> Figure:
    """Draw up to three lines of points with intervals.

    lines: by name, points (across, up, half width); labels: of the axes; percent: what is up is a share.
    logarithmic: across, up; level: a dashed line across, its name and where it lies; least: where the axis up begins,
    what is below it is not drawn; alt: what the text alternative says in place of every point.

    Raises:
        ValueError: if there are more lines than marks to tell them apart.
    """
    if len(lines) > len(_MARKS):
        raise ValueError(f"{len(lines)} lines: {len(_MARKS)} can be told apart")
    drawing, axis = new_drawing(4.6, 3.0)
    said = []
    for (name, points), (colour, marker, style) in zip(lines.items(), _MARKS, strict=False):
        across, up, half = np.array(points, float).T
        axis.errorbar(
            across, up, yerr=half if half.any() else None, color=colour, marker=marker, linestyle=style, capsize=3,
            markersize=6, label=name,
        )  # fmt: skip
        told = [f"{u:.0%}" if percent else f"{u:.3g}" for u in up]
        if least is not None:
            told = [f"below {least:g}" if u < least else words for u, words in zip(up, told, strict=True)]
        said.append(f"{name}: {', '.join(f'{words} at {a:.3g}' for a, words in zip(across, told, strict=True))}")
    if level is not None:
        axis.axhline(level[1], color=FAINT, linestyle="--", linewidth=1.5)
        axis.annotate(
            level[0], (0.01, level[1]), xycoords=("axes fraction", "data"), xytext=(0, 4), textcoords="offset points",
            va="bottom", fontsize=10,
        )  # fmt: skip
        bottom, top = axis.get_ylim()
        axis.set_ylim(bottom, max(top, level[1] + 0.14 * (top - bottom)))  # room for its name
        said.append(f"{level[0]}: {level[1]:.0%}" if percent else f"{level[0]}: {level[1]:.3g}")
    log_scale(axis, "".join(name for name, is_log in zip("xy", logarithmic, strict=True) if is_log))
    if least is not None:
        axis.set_ylim(least, 2 * max(up for points in lines.values() for _, up, _ in points))
    if percent:
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axis.set(xlabel=labels[0], ylabel=labels[1])
    axis.legend(frameon=False, fontsize=10, loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=len(lines))
    return Figure(drawing, caption, f"{labels[1]} against {labels[0]}. {alt or '; '.join(said) + '.'}")
