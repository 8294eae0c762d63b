"""Chapter 8: measured times against multiply-accumulates, where skipping pays, and what the time is made of."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style

_STYLES = {  # colour, mark, line, as far as the points have them
    "masked": (FAINT, "^", "--"),
    "slicing": (ACCENT, "D", "-"),
    "slim": (INK, "s", "-"),
    "skipping": (OPEN, "o", "-"),
    "slim, compiled": (OPEN, "v", "--"),
}


@page_style
def show_time_frontier(points: Sequence[Mapping], caption: str = "") -> Figure:
    """Draw milliseconds against the share of the dense network's MACs, a panel a width, with the limits drawn in.

    points: records with `width`, and for each of several networks, "dense" among them, its `seconds` and its `macs` as
        a share of the dense ones.
    """
    widths = sorted({point["width"] for point in points})
    drawing, axes = new_drawing(5.4, 3.3 * len(widths), nrows=len(widths), squeeze=False)
    told = []
    for axis, width in zip(axes[:, 0], widths, strict=True):
        own = sorted((p for p in points if p["width"] == width), key=lambda point: point["macs"]["skipping"])
        dense = 1e3 * float(np.median([point["seconds"]["dense"] for point in own]))
        axis.plot((0, 1), (0, dense), color=FAINT, linestyle=":", linewidth=1.8)
        axis.plot((0, 1), (dense, dense), color=FAINT, linewidth=1)
        curves = {}
        for name, (colour, mark, line) in _STYLES.items():
            if name in own[0]["seconds"]:
                at = [
                    p["macs"]["skipping" if name == "masked" else name] for p in own
                ]  # a mask multiplies all the same
                curves[name] = np.array(at), 1e3 * np.array([p["seconds"][name] for p in own])
                axis.plot(*curves[name], color=colour, marker=mark, linestyle=line, markersize=5.5, linewidth=1.8)
        _shade(axis, curves, "slim", "slicing", ACCENT)
        _shade(axis, curves, "slim, compiled", "skipping", OPEN)
        top = 1.08 * max(dense, *(values.max() for _, values in curves.values()))
        _name_curves(axis, curves, dense, top)
        axis.set(xlim=(0, 1.42), ylim=(0, top), ylabel="milliseconds")
        axis.set_xticks((0, 0.25, 0.5, 0.75, 1))
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set_title(f"width {width}", loc="left", fontweight="bold")
        told.append(
            f"Width {width}: the dense network takes {dense:.2f} ms; "
            + "; ".join(
                f"{name} from {t[0]:.2f} ms at {a[0]:.0%} to {t[-1]:.2f} ms at {a[-1]:.0%}"
                for name, (a, t) in curves.items()
            )
        )
    axes[-1, 0].set_xlabel("share of the dense network's MACs")
    return Figure(drawing, caption, f"Milliseconds against MACs. {'. '.join(told)}.")


@page_style
def show_where_it_pays(
    cells: Mapping[int, Mapping[tuple[int, int], float]],
    goal: float | None,
    *,
    at_most: bool,
    even: float,
    caption: str = "",
) -> Figure:
    """Draw one measured number for each width and image size as a map of tiles, one map a batch size.

    cells: batch size to {(width, image size): number}; goal: what was aimed for, at most or at least that, if anything.
    even: where nothing is won or lost; better numbers are blue, worse ones orange, stronger the further from it.
    """
    widths, sizes = (sorted({key[k] for of in cells.values() for key in of}) for k in (0, 1))
    drawing, axes = new_drawing(5.4, (0.55 * len(sizes) + 0.75) * len(cells) + 0.2, nrows=len(cells), squeeze=False)
    told = []
    for axis, (batch, of) in zip(axes[:, 0], cells.items(), strict=True):
        for (width, size), value in of.items():
            x, y = widths.index(width), sizes.index(size)
            better = (value < even) == at_most
            met = goal is not None and (value <= goal if at_most else value >= goal)
            colour, alpha = OPEN if better else ACCENT, 0.1 + 0.5 * min(1, abs(value - even) / max(1, abs(even)))
            axis.add_patch(Rectangle((x + 0.03, y + 0.05), 0.94, 0.9, color=colour, alpha=alpha, linewidth=0))
            if met:
                axis.add_patch(Rectangle((x + 0.05, y + 0.08), 0.9, 0.84, fill=False, edgecolor=INK, linewidth=2))
            number = f"{value:.2f}".replace("-", "−")
            axis.text(x + 0.5, y + 0.52, number + " ✓" * met, ha="center", va="center", fontsize=12)
            told.append(f"batch {batch}, width {width}, {size}×{size}: {value:.2f}{', goal met' * met}")
        for x, width in enumerate(widths):
            axis.text(x + 0.5, -0.1, width, ha="center", va="bottom", fontsize=10.5)
        for y, size in enumerate(sizes):
            axis.text(-0.06, y + 0.5, f"{size}×{size}", ha="right", va="center", fontsize=10.5)
        axis.text(-0.06, -0.1, "width", ha="right", va="bottom", fontsize=10.5)
        bare(axis).set(xlim=(-0.75, len(widths)), ylim=(len(sizes), -0.75))
        axis.set_title("one image" if batch == 1 else f"{batch} images at once", loc="left", fontweight="bold")
    return Figure(drawing, caption, f"Tiles of numbers by width and image size. {'; '.join(told)}.")


@page_style
def show_time_parts(
    bars: Mapping[str, Mapping[str, float]], marks: Mapping[str, Mapping[str, float]], unit: str, caption: str = ""
) -> Figure:
    """Draw what a time is made of, a bar a case, in units that make the cases comparable.

    bars: a case's name to its parts; marks: a case's name to other times to compare it with, by name; unit: of all.
    """
    drawing, axis = new_drawing(5.4, 0.9 * len(bars) + 1.15)
    names = list(dict.fromkeys(part for parts in bars.values() for part in parts))
    looks = [(OPEN, 0.75), (ACCENT, 0.8), (INK, 0.5), (FAINT, 0.45), (INK, 0.2)]
    longest = max(max(sum(parts.values()), *marks[case].values()) for case, parts in bars.items())
    x = 0.0
    for name, (colour, alpha) in zip(names, looks, strict=False):  # the key, in the order of the bars
        axis.add_patch(Rectangle((x, -1.22), 0.025 * longest, 0.2, facecolor=colour, alpha=alpha, linewidth=0))
        axis.text(x + 0.035 * longest, -1.12, name, va="center", fontsize=10)
        x += (0.075 + 0.021 * len(name)) * longest
    told = []
    for row, (case, parts) in enumerate(bars.items()):
        axis.text(0, row - 0.36, case, va="bottom", fontsize=10.5)
        left = 0.0
        for name, amount in parts.items():
            colour, alpha = looks[names.index(name) % len(looks)]
            axis.add_patch(Rectangle((left, row - 0.3), amount, 0.42, facecolor=colour, alpha=alpha, linewidth=0))
            left += amount
        for place, (name, amount) in enumerate(marks[case].items()):
            axis.plot((amount, amount), (row - 0.3, row + 0.18), color=INK, linewidth=2)
            side = "right" if place % 2 == 0 and amount > 0.1 * longest else "left"
            axis.text(amount, row + 0.2, name, ha=side, va="top", fontsize=10)
        told.append(
            f"{case}: "
            + ", ".join(f"{name} {amount:.2f}" for name, amount in {**parts, **marks[case]}.items())
            + f", in all {left:.2f}"
        )
    axis.set(xlim=(0, 1.03 * longest), ylim=(len(bars) - 0.45, -1.25), xlabel=unit)
    axis.spines["left"].set_visible(False)
    axis.set_yticks([])
    return Figure(drawing, caption, f"Bars cut into parts, in {unit}. {'; '.join(told)}.")


def _shade(axis: Axes, curves: Mapping[str, tuple], low: str, high: str, colour: str) -> None:
    """Shade what one curve takes more than another, where both were measured."""
    if low in curves and high in curves:
        grid = np.linspace(max(curves[low][0][0], curves[high][0][0]), min(curves[low][0][-1], 1), 40)
        between = [np.interp(grid, *curves[name]) for name in (low, high)]
        axis.fill_between(grid, *between, color=colour, alpha=0.16, linewidth=0)


def _name_curves(axis: Axes, curves: Mapping[str, tuple], dense: float, top: float) -> None:
    """Write each curve's name at its right end, as far apart as it takes to read them."""
    ends = {name: values[-1] for name, (_, values) in curves.items()} | {"dense": dense}
    least = 0.083 * top
    places = sorted(ends, key=lambda name: ends[name])
    heights = [ends[name] for name in places]
    for _ in range(50):  # neighbours that are too close push each other away
        for lower in range(len(places) - 1):
            lack = least - (heights[lower + 1] - heights[lower])
            if lack > 1e-6 * top:
                heights[lower] -= lack / 2
                heights[lower + 1] += lack / 2
    for name, height in zip(places, heights, strict=True):
        colour = _STYLES[name][0] if name in _STYLES and name != "masked" else INK
        axis.text(1.03, height, name, va="center", color=colour)
    axis.text(0.66, 0.3 * dense, "dotted: in proportion", va="top", fontsize=10, color=INK)
