"""Chapter 12: how often a filter opens and for whom, what it sees, and what others' choices cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

_STYLES = ((OPEN, "o"), (INK, "s"), (ACCENT, "X"), (FAINT, "^"), (ACCENT, "D"), (OPEN, "v"))  # colour, mark


@page_style
def show_rates(rates: Mapping[str, Sequence[float]], sizes: Sequence[int], caption: str = "") -> Figure:
    """Draw how often each filter opens: a bar over the groups of inputs, from the least to the most, a dot the mean.

    rates: of each group (a script), by filter, all layers in a row; sizes: filters of each layer.
    """
    table, told, start = np.array(list(rates.values())), [], 0
    drawing, axes = new_drawing(5.4, 1.05 * len(sizes) + 0.1, nrows=len(sizes), squeeze=False)
    for index, (axis, size) in enumerate(zip(axes[:, 0], sizes, strict=True)):
        layer = table[:, start : start + size]
        layer, start = layer[:, layer.mean(0).argsort(kind="stable")], start + size
        low, high, mean = layer.min(0), layer.max(0), layer.mean(0)
        place = np.arange(size)
        axis.bar(place, np.maximum(high - low, 0.02), bottom=low, width=0.7, color=OPEN, alpha=0.35, linewidth=0)
        axis.plot(place, mean, "o", color=OPEN, markersize=4)
        never, always = int((high == 0).sum()), int((low == 1).sum())
        axis.set_title(
            f"layer {index + 1}: {mean.mean():.0%} open; {always} always, {never} never", loc="left", fontsize=10.5
        )
        axis.set(ylim=(-0.06, 1.08), xlim=(-0.8, size - 0.2), xticks=[], yticks=[0, 0.5, 1])
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        told.append(f"layer {index + 1}: {never} of {size} never open, {always} always, {mean.mean():.0%} on average")
    alt = (
        f"{len(sizes)} rows of dots and bars, a dot a filter, sorted by how often it opens for {len(table)} groups of "
        f"inputs; the bar reaches from the group that opens it least to the one that opens it most. {'; '.join(told)}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_sights(rows: Sequence[Mapping], caption: str = "") -> Figure:
    """Draw what filters see, a row a filter: the mean of what it sees where it answers most, then such drawings.

    rows: records with `name`; `mean`, (side, side), 0 to 1; `images`, (example, height, width); and `windows`, of each
        image the left, the top and the side of what the filter sees of it, in pixels.
    """
    count = max(len(row["images"]) for row in rows)
    drawing, axes = new_drawing(5.4, 0.86 * len(rows) + 0.2)
    for number, row in enumerate(rows):
        top = 1.3 * number
        axes.text(0, top + 0.5, row["name"], va="center", fontsize=10.5)
        mean = np.asarray(row["mean"])
        stencil(axes, mean / max(mean.max(), 1e-6), "open", extent=(2.3, 3.3, top + 1, top))
        axes.add_patch(Rectangle((2.3, top), 1, 1, fill=False, edgecolor=FAINT, linewidth=1))
        for place, (image, window) in enumerate(zip(row["images"], row["windows"], strict=True)):
            image, left = np.asarray(image), 3.75 + 1.1 * place
            stencil(axes, image, extent=(left, left + 1, top + 1, top))
            x, y, side = (each / image.shape[0] for each in window)
            x, y, right, bottom = max(x, 0), max(y, 0), min(x + side, 1), min(y + side, 1)
            frame = Rectangle((left + x, top + y), right - x, bottom - y, fill=False, edgecolor=ACCENT, linewidth=1.6)
            axes.add_patch(frame)
    bare(axes).set(xlim=(0, 3.75 + 1.1 * count), ylim=(1.3 * len(rows) - 0.2, -0.1), aspect="equal")
    names = "; ".join(row["name"].replace("\n", ", ") for row in rows)
    alt = (
        f"{len(rows)} rows, a filter each: {names}. In each row the blurred mean of what the filter sees where it "
        f"answers most strongly, then {count} drawings with a frame around that place. Along a row they have a stroke "
        "or a corner in common."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_losses(losses: Mapping[str, Mapping[str, tuple[float, float]]], unit: str, caption: str = "") -> Figure:
    """Draw what choices cost, a row a choice, with intervals; the largest cost below.

    losses: by condition (a mark each, three at most) and by choice: what is lost, and half the width of its interval.
    """
    first = next(iter(losses.values()))
    names = sorted(first, key=lambda name: first[name][0])
    drawing, axis = new_drawing(5.4, 0.4 * len(names) + 1)
    axis.axvline(0, color=FAINT, linewidth=1.2)
    told = []
    for (condition, values), (colour, mark), shift in zip(
        losses.items(), (_STYLES[0], _STYLES[3], _STYLES[1]), (-0.13, 0.17, 0.3), strict=False
    ):
        rows = [row for row, name in enumerate(names) if name in values]
        lost, half = np.array([values[names[row]] for row in rows]).T
        height = np.array(rows) + shift
        axis.errorbar(lost, height, xerr=half, fmt=mark, color=colour, markersize=6.5, capsize=2.5, label=condition)
        told.append(f"{condition}: " + ", ".join(f"{names[row]} {x:.1f}" for row, x in zip(rows, lost, strict=True)))
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(unit)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(axis="x", color=FAINT, alpha=0.25, linewidth=0.8)
    axis.legend(loc="upper right", frameon=False, fontsize=10.5, labelcolor="linecolor")
    return Figure(
        drawing, caption, f"Rows of marks with intervals: what each choice of gates loses. {'; '.join(told)}."
    )


@page_style
def show_closings(
    shares: Sequence[float],
    curves: Mapping[str, Sequence[tuple[float, float]]],
    layers: Mapping[str, Sequence[tuple[float, float]]],
    caption: str = "",
) -> Figure:
    """Draw accuracy against the share of the open filters that is closed, and below it for single layers.

    curves: by order, six at most, accuracy and half its interval at each share; layers: by the same orders, for each
        layer, half of it closed.

    Raises:
        ValueError: if there are more orders than marks.
    """
    if len(curves) > len(_STYLES):
        raise ValueError(f"{len(curves)} orders: there are marks for {len(_STYLES)}")
    drawing, (axis, below) = new_drawing(5.4, 5.6, nrows=2, height_ratios=[1.6, 1])
    told = []
    styles = dict(zip(curves, _STYLES, strict=False))
    for name, values in curves.items():
        (colour, mark), (mean, half) = styles[name], np.array(values).T
        line = "--" if mark in "vX" else "-"
        axis.errorbar(shares, mean, half, color=colour, marker=mark, linestyle=line, markersize=6, label=name)
        told.append(f"{name}: " + ", ".join(f"{x:.0%} at {share:.0%}" for share, x in zip(shares, mean, strict=True)))
    axis.axhline(0.2, color=FAINT, linestyle=":", linewidth=1.5)
    axis.text(0, 0.205, "chance", fontsize=10, va="bottom")
    axis.set_xlabel("share of the open filters that is closed, all layers")
    axis.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=3, frameon=False, fontsize=10.5, labelcolor="linecolor"
    )
    for place, (name, values) in enumerate(layers.items()):
        (colour, mark), (mean, half) = styles[name], np.array(values).T
        shift = 0.16 * (place - (len(layers) - 1) / 2)
        below.errorbar(np.arange(len(mean)) + shift, mean, half, fmt=mark, color=colour, markersize=6)
        told.append(f"half of one layer, {name}: " + ", ".join(f"{x:.0%}" for x in mean))
    depth = max((len(values) for values in layers.values()), default=0)
    below.set_xticks(range(depth), [f"layer {layer + 1}" for layer in range(depth)])
    below.set_title("half of one layer's open filters closed", loc="left", fontsize=10.5)
    axis.set_ylim(0, 1)
    for each in (axis, below):
        each.set_ylabel("accuracy")
        each.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    below.set_ylim(min(0.5, *(x for values in layers.values() for x, _ in values)) - 0.05, 1)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return Figure(drawing, caption, f"Curves that fall, and marks for each layer. {'; '.join(told)}.")


@page_style
def show_worths(panels: Sequence[tuple[str, Tensor, Tensor, Tensor]], caption: str = "") -> Figure:
    """Draw what filters are worth alone against what their gates say, a panel a layer, a dot a filter.

    panels: of each a title, mean logits, worths in nats, and the shares of the inputs that open them (size).
    """
    drawing, axes = new_drawing(5.4, 4.6, nrows=2, ncols=2, sharey=True)
    told = []
    for axis, (title, logit, worth, opened) in zip(axes.flat, panels, strict=True):
        axis.axhline(0, color=FAINT, linewidth=1)
        axis.scatter(logit, worth, s=8 + 40 * np.asarray(opened), color=OPEN, alpha=0.6, linewidths=0)
        axis.set_title(title, fontsize=10.5)
        told.append(f"{title}, worth from {min(worth):.3f} to {max(worth):.3f}")
    for axis in axes[1]:
        axis.set_xlabel("mean logit where open")
    for axis in axes[:, 0]:
        axis.set_ylabel("worth, nats")
    return Figure(drawing, caption, f"Four clouds of dots, a dot a filter. {'; '.join(told)}.")


@page_style
def show_likes(
    distance: Sequence[float],
    overlap: Sequence[float],
    pairs: Sequence[tuple[int, int]],
    images: Tensor,
    names: tuple[str, str],
    caption: str = "",
) -> Figure:
    """Draw for pairs of scripts how much their gates overlap against how unlike they look; some pairs as drawings.

    pairs: the two scripts of each point; images: an example of each script, (script, height, width).
    names: what the axes are called, across and up.
    """
    x, y = np.asarray(distance), np.asarray(overlap)
    drawing, axis = new_drawing(5.4, 4.6)
    place = np.stack([(x - x.min()) / np.ptp(x), (y - y.min()) / np.ptp(y)], 1)
    shown = [int(place.sum(1).argmin())]  # then, one after another, the pair farthest from all that are shown
    while len(shown) < min(14, len(x)):
        gaps = np.abs(place[:, None] - place[shown]) / (0.16, 0.11)
        far = gaps.max(2).min(1)
        if far.max() < 1:
            break
        shown.append(int(far.argmax()))
    rest = np.setdiff1d(np.arange(len(x)), shown)
    axis.plot(x[rest], y[rest], "o", color=FAINT, markersize=4.5, alpha=0.7)
    width, height = 0.062 * np.ptp(x), 0.085 * np.ptp(y)
    for index in shown:
        for side, script in zip((-1, 0), pairs[index], strict=True):
            left, bottom = x[index] + side * width, y[index] - height / 2
            stencil(
                axis, np.asarray(images[script]), extent=(left, left + width, bottom, bottom + height), aspect="auto"
            )
        corner = (x[index] - width, y[index] - height / 2)
        axis.add_patch(Rectangle(corner, 2 * width, height, fill=False, edgecolor=OPEN, linewidth=1.2))
    axis.set_xlim(x.min() - 0.1 * np.ptp(x), x.max() + 0.1 * np.ptp(x))
    axis.set_ylim(y.min() - 0.1 * np.ptp(y), y.max() + 0.1 * np.ptp(y))
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
    alt = (
        f"{len(x)} points, a pair of scripts each, {names[1]} against {names[0]}: overlap from {y.min():.2f} to "
        f"{y.max():.2f}. {len(shown)} points are drawn as the pairs themselves, a character of each script."
    )
    return Figure(drawing, caption, alt)
