"""Chapter 8: what one image reads and copies, which images agree, what a task never opens."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil
from mglib.nets import LayerCost

_KERNEL = 9  # weights of a filter for each channel it reads
_LABELS = 24  # of 100: how much of the width the words beside a tree take
_FULL = np.pad(np.ones((4, 4)), ((0, 1), (0, 1)))  # a cell and the gap to its neighbours
_DOT = np.pad(np.ones((2, 2)), ((1, 2), (1, 2)))  # the same with a small mark: told apart without colour, too


@page_style
def show_slices(image: Tensor, costs: Sequence[LayerCost], gates: Sequence[Tensor], caption: str = "") -> Figure:
    """Draw the weights of a network's convolutions as blocks, and what one image copies and multiplies of them.

    A column is a filter, a row a channel that it reads, a cell nine weights. Slicing copies the open filters whole,
    then the open channels of the copy.

    image: (height, width), 0 to 1; costs: of four convolutions, and what follows; gates: of each, (filter,), 0 or 1.

    Raises:
        ValueError: if there are not four gates.
    """
    if len(gates) != 4:
        raise ValueError(f"{len(gates)} gates: this drawing has places for four convolutions")
    gates = [np.asarray(gate) > 0 for gate in gates]
    drawing, axes = new_drawing(5.4, 5.6)
    bare(axes).set(xlim=(-0.5, 100.5), ylim=(103.5, 0), aspect="equal")
    stencil(axes, np.asarray(image), extent=(1, 15, 16, 2))
    axes.text(8, 19.5, "input", ha="center", va="center")
    side = 30 / max(len(gate) for gate in gates)
    told, all_macs, all_copied = [], 0, 0
    for index, (cost, filters) in enumerate(zip(costs, gates, strict=False)):
        channels = np.ones(cost.in_channels, bool) if cost.reads is None else gates[cost.reads]
        rows, columns = 0 if filters.all() else len(channels), 0 if channels.all() else channels.sum()
        copied = _KERNEL * filters.sum() * (rows + columns)
        macs = cost.taps * filters.sum() * channels.sum()
        left, top = (35 * (index - 1), 40) if index else (21, 8)
        name = f"{cost.name}: {filters.sum()} of {len(filters)} filters"
        if index:
            axes.text(left, top - 4.5, name.replace(": ", "\n"), va="center")
            _block(axes, channels, filters, left, top, side)
        else:
            axes.text(left, top - 3, f"{name}, its only channel" if len(channels) == 1 else name, va="center")
            _block(axes, channels, filters, left, top, 79 / len(filters))
        bottom = top + (32.5 if index else 79 / len(filters) * len(channels) + 2)
        bars = (("multiplied", macs, cost.taps * filters.size * channels.size, OPEN), ("copied", copied, None, ACCENT))
        _bars(axes, bars, 4 * _KERNEL * filters.size * channels.size, left, bottom, 30 if index else 79)
        told.append(
            f"{cost.name} opens {filters.sum()} of {filters.size} filters and reads {channels.sum()} of "
            f"{channels.size} channels, copies {4 * copied:,} bytes and multiplies {macs:,} times"
        )
        all_macs, all_copied = all_macs + macs, all_copied + 4 * copied
    keys = (("■", OPEN, "multiplied (and copied, unless nothing is closed)"), ("▪", ACCENT, "copied, then left out"))
    for y, (mark, colour, words) in zip((91.5, 96.5), keys, strict=True):
        axes.text(1.2, y, mark, color=colour, va="center", ha="center")
        axes.text(4, y, words, va="center", fontsize=10)
    axes.text(0, 101.5, f"in all {all_macs:,} MACs; {all_copied / 1e3:,.0f} kB copied", va="center", fontsize=10)
    alt = "A drawn character and four blocks of cells, a column for each filter, a row for each channel it reads. "
    return Figure(drawing, caption, f"{alt}{'; '.join(told)}.")


@page_style
def show_patterns(images: Tensor, gates: Sequence[Tensor], caption: str = "") -> Figure:
    """Draw how the examples of a batch part ways: after each layer, those that opened the same so far stand together.

    images: (example, height, width), 0 to 1; gates: a gated layer, (example, filter) of zeros and ones.
    """
    patterns = [np.asarray(gate) > 0 for gate in gates]
    groups = [np.zeros(len(images), int)]
    for gate in patterns:
        rows = np.column_stack([groups[-1], gate])
        groups.append(np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1))
    sizes = [np.bincount(group)[group] for group in groups]
    order = np.lexsort([key for group, size in zip(groups[::-1], sizes[::-1], strict=True) for key in (group, -size)])
    drawing, axes = new_drawing(5.4, 0.55 * len(groups) + 1.1)
    told, before = [], None
    for level, group in enumerate(groups):
        parts = _runs(group[order])
        places = _spread(parts, len(order))
        for (first, last), (left, right) in zip(parts, places, strict=True):
            several = last - first > 1
            colour, alpha = (OPEN, 1) if several else (FAINT, 0.6)
            axes.add_patch(Rectangle((left, level), right - left, 0.36, color=colour, alpha=alpha, linewidth=0))
            if before:
                _ribbon(axes, before, (first, last), (left, right), level, colour)
        where = f"after layer {level}" if level else "at first"
        axes.text(0, level + 0.18, f"{where}\n{_count(len(parts), 'group')}", va="center", fontsize=10.5)
        alone = sum(last - first == 1 for first, last in parts)
        told.append(f"{where} {_count(len(parts), 'group')}, {alone} of them a single image")
        before = parts, places
    largest = max(_runs(groups[1][order]), key=lambda part: part[1] - part[0])
    top = len(groups) + 0.1
    axes.text(0, top + 0.1, "the largest group after layer 1", va="center", fontsize=10.5)
    for place, index in enumerate(order[slice(*largest)][:12]):
        extent = (8 * place, 8 * place + 7, top + 0.98, top + 0.3)
        stencil(axes, np.asarray(images[index]), extent=extent, aspect="auto")
    bare(axes).set(xlim=(-0.5, 100.5), ylim=(top + 1, -0.1))
    alt = f"{len(images)} images in bars that split from layer to layer: {'; '.join(told)}."
    return Figure(drawing, caption, alt)


@page_style
def show_frozen(rows: Sequence[Mapping], caption: str = "") -> Figure:
    """Draw what tasks leave of a network's filters, a row a task, a block of cells a layer.

    rows: records with `name`, `images` (the support, (example, height, width)), `kept` and `missed`: a layer,
        (filter,) booleans, the filters that stay and those that are gone though a later image would open them.
    """
    depth = len(rows[0]["kept"])
    drawing, axes = new_drawing(
        5.4, 0.62 * len(rows) + 0.35, nrows=len(rows), ncols=1 + depth, width_ratios=[1.7, *[1] * depth], squeeze=False
    )
    told = []
    for number, (line, row) in enumerate(zip(axes, rows, strict=True)):
        strip = np.concatenate([np.asarray(image) for image in row["images"]], axis=1)
        stencil(bare(line[0]), strip)
        line[0].text(strip.shape[1] / 2, strip.shape[0] + 3, row["name"], ha="center", va="top", fontsize=10)
        for index, (axis, kept, missed) in enumerate(zip(line[1:], row["kept"], row["missed"], strict=True)):
            for role, cells, stamp in (("open", kept, _FULL), ("accent", missed, _DOT)):
                stencil(bare(axis), np.kron(_grid(np.asarray(cells)), stamp), role, aspect="auto")
            stencil(axis, 0.28 * np.kron(_grid(~np.asarray(kept)), _FULL), "faint", aspect="auto")
            if number == 0:
                axis.set_title(f"layer {index + 1}", fontsize=10.5)
        gone = sum(int((~np.asarray(kept)).sum()) for kept in row["kept"])
        regretted = sum(int(np.asarray(missed).sum()) for missed in row["missed"])
        told.append(f"{row['name']}: {gone} removed, {regretted} of them opened by a later image")
    return Figure(drawing, caption, f"{len(rows)} tasks, each with {depth} blocks of filters. {'; '.join(told)}.")


def _block(axes: Axes, channels: np.ndarray, filters: np.ndarray, left: float, top: float, side: float) -> None:
    """Draw a layer's weights: used cells full, copied and left out ones small, those of closed filters pale."""
    extent = (left, left + side * len(filters), top + side * len(channels), top)
    for role, cells, stamp, alpha in (
        ("open", np.outer(channels, filters), _FULL, 1),
        (
            "accent",
            np.outer(~channels, filters & ~filters.all()),
            _DOT,
            0.9,
        ),  # all filters open: nothing to copy them for
        ("faint", ~np.outer(channels | ~filters.all(), filters), _FULL, 0.22),
    ):
        stencil(axes, alpha * np.kron(cells, stamp), role, extent=extent)


def _bars(axes: Axes, bars: Sequence[tuple], whole: int, left: float, top: float, width: float) -> None:
    """Draw what is multiplied and copied, against all multiply-accumulates and all bytes of the layer's weights."""
    for row, (name, amount, of, colour) in enumerate(bars):
        y = top + 1 + 6.4 * row
        size, share = (f"{amount:,}", amount / of) if of else (_kilobytes(4 * amount), 4 * amount / whole)
        scale = width if of else width / 2  # two copies of all weights are the most there can be
        axes.add_patch(Rectangle((left, y), width, 1.8, facecolor=FAINT, alpha=0.25, linewidth=0))
        axes.add_patch(Rectangle((left, y), scale * share, 1.8, facecolor=colour, linewidth=0))
        axes.text(left, y + 4, f"{name} {size}", va="center", fontsize=10, color=INK)


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Return where runs of one value start and end."""
    edges = np.flatnonzero(np.diff(values)) + 1
    return list(zip([0, *edges], [*edges, len(values)], strict=True))


def _spread(parts: Sequence[tuple[int, int]], count: int) -> list[tuple[float, float]]:
    """Return the left and right end of each run beside the labels, with gaps between the runs."""
    each = (100 - _LABELS) / count
    return [(_LABELS + each * first, _LABELS + each * last - each / 4) for first, last in parts]


def _ribbon(axes: Axes, before: tuple, part: tuple[int, int], to: tuple[float, float], level: int, colour: str) -> None:
    """Draw the way from a group's share of the group that it leaves."""
    first, last = part
    (from_first, from_last), (left, right) = next(
        pair for pair in zip(*before, strict=True) if pair[0][0] <= first < pair[0][1]
    )
    each = (right - left) / (from_last - from_first)
    start, end = left + each * (first - from_first), left + each * (last - from_first)
    corners = [(start, level - 0.64), (end, level - 0.64), (to[1], level), (to[0], level)]
    axes.add_patch(Polygon(corners, color=colour, alpha=0.25, linewidth=0))


def _grid(cells: np.ndarray, columns: int = 8) -> np.ndarray:
    """Return a layer's filters in rows of `columns` cells."""
    return np.pad(cells.astype(float), (0, -len(cells) % columns)).reshape(-1, columns)


def _kilobytes(count: int) -> str:
    return f"{count / 1e3:.1f} kB" if count else "nothing"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
