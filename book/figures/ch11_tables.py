"""Chapter 11: differences with their intervals, accuracy against cost, what was sent until a target."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from figures.style import arrow, name_rows
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, new_drawing, page_style


@page_style
def show_verdicts(
    title: str, rows: Sequence[Mapping], reference: Mapping, caption: str = "", reach: float = 8.0
) -> Figure:
    """Draw a forest plot: how far each method is from the reference, in points, with its interval, accuracy and MACs.

    Where a difference is beyond the axis, a triangle points there, with the number beside it.

    rows: `name`, `accuracy`, `macs_ratio`, `difference`, `difference_ci95` and `p`, shares; None: not measured.
    reference: a row itself; its difference is the line at zero. reach: where the axis ends, on both sides, in points.
    """
    known = sorted((r for r in rows if r["difference"] is not None), key=lambda row: -row["difference"])
    unknown = [row for row in rows if row["difference"] is None]
    ahead = [row for row in known if row["difference"] > 0]
    ordered = [*ahead, reference, *known[len(ahead) :], *unknown]
    drawing, axis = new_drawing(5.4, 0.36 * len(ordered) + 1.2)
    axis.axvline(0, color=OPEN, linewidth=1.6, zorder=1)
    right = axis.get_yaxis_transform()  # x in shares of the axis, y in rows
    columns = 8, 52  # in points from the axis, so that the drawing leaves room for them
    told = []
    for y, row in enumerate(ordered):
        if row["accuracy"] is None:
            axis.text(0.5, y, "not measured yet", color=FAINT, ha="center", va="center", fontsize=10, transform=right)
            told.append(f"{row['name']}: not measured yet")
            continue
        macs = "" if row["macs_ratio"] is None else f"{row['macs_ratio']:.2f}"
        for x, number in zip(columns, (f"{100 * row['accuracy']:.1f}", macs), strict=True):
            axis.annotate(number, (1, y), (x, 0), xycoords=right, textcoords="offset points", va="center", fontsize=10)
        if row is reference:
            axis.plot(0, y, "D", color=OPEN, markersize=8, zorder=3)
            told.append(f"{row['name']}, the line: {row['accuracy']:.1%}")
            continue
        sure = row["p"] is not None and row["p"] < 0.05
        middle, half = 100 * row["difference"], 100 * (row["difference_ci95"] or 0)
        colour = INK if not sure else ACCENT if middle > 0 else INK
        fill = colour if sure else "none"
        if abs(middle) > reach:
            _point_beyond(axis, y, reach if middle > 0 else -reach, f"{middle:+.1f}", colour, fill)
        else:
            style = {"marker": "o", "markersize": 7, "markerfacecolor": fill, "capsize": 3, "linewidth": 1.8}
            axis.errorbar(middle, y, xerr=half, color=colour, **style)
        told.append(f"{row['name']}: {middle:+.1f} ± {half:.1f}, {row['accuracy']:.1%} at {macs} of the MACs")
    for x, heading in zip(columns, ("right,\n%", "MACs,\nshare"), strict=True):
        axis.annotate(
            heading,
            (1, -0.75),
            (x, 0),
            xycoords=right,
            textcoords="offset points",
            va="bottom",
            fontsize=10,
            linespacing=1.5,
        )
    name_rows(axis, [row["name"] for row in ordered], 30)
    axis.set_xlim(-1.08 * reach, 1.08 * reach)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_title(title, loc="left", fontweight="bold", pad=40)
    axis.set_xlabel(f"points above {reference['name']}", fontsize=10)
    alt = f"{title}. Differences to {reference['name']} in points, with 95 % intervals. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


def _point_beyond(axis: Axes, y: int, edge: float, said: str, colour: str, fill: str) -> None:
    """Draw a mark at an edge of the axis that points outwards, with words on its inner side."""
    mark, side, place = ("<", 10, "left") if edge < 0 else (">", -10, "right")
    axis.plot(edge, y, mark, color=colour, markerfacecolor=fill, markersize=9, zorder=3)
    axis.annotate(
        said.replace("-", "−"), (edge, y), (side, 0), textcoords="offset points", ha=place, va="center", fontsize=10
    )


@page_style
def show_cost_frontier(panels: Mapping[str, Mapping], caption: str = "") -> Figure:
    """Draw accuracy against MACs, a panel a data set: some methods as lines over their budgets, the others as dots.

    panels: a title, with `lines`, a name to points of `macs_ratio`, `accuracy`, `ci95`; and `dots`, name to one point.
    """
    count = len(panels)
    drawing, axes = new_drawing(5.4, 3.3 * count, nrows=count, squeeze=False)
    told, styles = [], ((OPEN, "o"), (INK, "s"), (ACCENT, "D"))
    for axis, (title, panel) in zip(axes[:, 0], panels.items(), strict=True):
        for (name, points), (colour, mark) in zip(panel["lines"].items(), styles, strict=False):
            points = sorted(points, key=lambda point: point["macs_ratio"])
            across, up = [p["macs_ratio"] for p in points], [p["accuracy"] for p in points]
            half = [p["ci95"] or 0 for p in points]
            axis.errorbar(across, up, half, color=colour, marker=mark, markersize=7, capsize=3, label=name)
            told.append(
                f"{title}, {name}: " + ", ".join(f"{u:.0%} at {a:.2f}" for a, u in zip(across, up, strict=True))
            )
        for point in panel["dots"].values():
            axis.plot(point["macs_ratio"], point["accuracy"], "_", color=FAINT, markersize=13, markeredgewidth=1.6)
        best = max(panel["dots"].items(), key=lambda item: item[1]["accuracy"], default=None)
        if best:
            name, point = best
            place = point["macs_ratio"], point["accuracy"]
            axis.annotate(name, place, (9, 3), textcoords="offset points", color=INK, fontsize=10, va="bottom")
            told.append(f"{title}, the best of the others, {name}: {place[1]:.0%} at {place[0]:.2f}")
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))  # whole per cents
        axis.set_title(title, loc="left", fontweight="bold")
        axis.set(xlim=(0, 1.1), ylabel="accuracy")
        axis.margins(y=0.12)
    axes[0, 0].legend(loc="lower right", frameon=False, fontsize=10)
    axes[-1, 0].set_xlabel("share of the dense network's MACs, gates included")
    return Figure(drawing, caption, f"Accuracy against MACs. {'; '.join(told)}.")


@page_style
def show_traffic(title: str, rows: Sequence[Mapping], caption: str = "") -> Figure:
    """Draw what a method sends until its validation accuracy has reached a target: megabytes, as bars, and rounds.

    rows: `name`, `rounds` to the target, None if never, `planned` rounds, and `bytes_a_round`.
    """
    ordered = sorted(rows, key=lambda row: _megabytes(row) if row["rounds"] else np.inf)
    drawing, axis = new_drawing(5.4, 0.36 * len(ordered) + 1.0)
    longest, told = max(map(_megabytes, ordered)), []
    for y, row in enumerate(ordered):
        amount = _megabytes(row)
        if row["rounds"]:
            axis.barh(y, amount, height=0.55, color=OPEN, alpha=0.8)
            said = f"{row['rounds']:.0f} rounds"
        else:
            arrow(axis, (0, y), (amount, y), ACCENT, width=2.2)
            said = f"not in {row['planned']}"
        axis.text(amount + 0.015 * longest, y, said, va="center", fontsize=10)
        told.append(f"{row['name']}: {said}, {amount:.0f} megabytes")
    name_rows(axis, [row["name"] for row in ordered], 30)
    axis.set(xlim=(0, 1.32 * longest), xlabel="megabytes, there and back, all nodes")
    axis.set_title(title, loc="left", fontweight="bold")
    return Figure(drawing, caption, f"Bars, the shortest first; arrows never reach the target. {'; '.join(told)}.")


def _megabytes(row: Mapping) -> float:
    return row["bytes_a_round"] * (row["rounds"] or row["planned"]) / 1e6
