"""Chapter 1: a convolution counted by hand, layers as areas, shares of cost beside shares of time."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil
from mglib.nets import LayerCost

GAP = 0.16  # of a cell's side, between cells
SMALL = 12  # points: still read where a phone shows the drawing at three quarters of its size


@page_style
def show_window(image: np.ndarray, filters: np.ndarray, maps: np.ndarray, step: int, caption: str = "") -> Figure:
    """Draw one step of a 3×3 convolution of stride 2, padding 1: the window, the filter, the maps as far as they are.

    image: (height, width), small whole numbers; filters: (filter, 3, 3); maps: (filter, out height, out width).
    step: which output value is computed, counted through the filters' maps one after the other, from 0.

    Raises:
        ValueError: if there is no such output value.
    """
    image, filters, maps = np.asarray(image), np.asarray(filters), np.asarray(maps)
    if not 0 <= step < maps.size:
        raise ValueError(f"`step` (={step}) must be one of the {maps.size} output values, counted from 0")
    now, row, column = (int(index) for index in np.unravel_index(step, maps.shape))
    padded = np.pad(image, 1)
    window = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
    drawing, axes = new_drawing(5.4, 3.1)
    width = padded.shape[1]
    _table(axes, padded, 0, 0, "ink", inner=(slice(1, -1), slice(1, -1)))
    _ring(axes, 2 * column, 2 * row, 3, ACCENT)
    for index, (weights, values) in enumerate(zip(filters, maps, strict=True)):
        top, done = 4.5 * index, step + 1 - index * values.size
        _table(axes, weights, width + 1.2, top, "open", alpha=1 if index == now else 0.35)
        shown = np.where(np.arange(values.size).reshape(values.shape) < done, values, np.nan)
        _table(axes, shown, width + 5.4, top, "ink")
    _ring(axes, width + 1.2, 4.5 * now, 3, ACCENT)
    _ring(axes, width + 5.4 + column, 4.5 * now + row, 1, ACCENT)
    for x, sign in ((width + 0.6, "×"), (width + 4.8, "=")):
        axes.text(x, 4.5 * now + 1.5, sign, ha="center", va="center", fontsize=15)
    for x, words in ((width / 2, "image in its padding"), (width + 2.7, "filters"), (width + 6.9, "maps")):
        axes.text(x, -0.35, words, ha="center", va="bottom", fontsize=SMALL)
    value, count = int(maps[now, row, column]), 9 * (step + 1)
    axes.text(0, 8.5, f"{count} multiply-accumulates so far, of {9 * maps.size}", va="top", fontsize=13)
    bare(axes).set_xlim(-0.1, width + 8.5)
    axes.set_ylim(9.4, -1.1)
    axes.set_aspect("equal")
    alt = (
        f"Step {step + 1} of {maps.size}: the window over rows {2 * row} to {2 * row + 2} and columns {2 * column} to "
        f"{2 * column + 2} of the padded image, {window.tolist()}, meets filter {now + 1} and gives {value}: nine "
        f"multiply-accumulates, {count} so far."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_areas(costs: Sequence[LayerCost], gates: Sequence[np.ndarray] = (), caption: str = "") -> Figure:
    """Draw a network's MACs as areas, all at one scale: a column is a filter, a row a channel that it reads.

    A cell costs the layer's taps, so its side is drawn as their square root. Cells of closed filters are pale.

    costs: four convolutions and a head, as `GatedConvNet.costs`.
    gates: one (filter,) of zeros and ones a gated layer; none: all is open.

    Raises:
        ValueError: if it is not five layers.
    """
    if len(costs) != 5:
        raise ValueError(f"{len(costs)} layers: this drawing has places for four convolutions and a head")
    gates = [np.asarray(gate) > 0 for gate in gates]
    total = sum(cost.taps * cost.in_channels * cost.out_channels for cost in costs)
    sides = [cost.taps**0.5 for cost in costs]
    spans = [side * cost.out_channels for side, cost in zip(sides, costs, strict=True)]
    free = (spans[0] - sum(spans[1:4])) / 2
    lefts = [0, 0, spans[1] + free, spans[1] + spans[2] + 2 * free, spans[1] + spans[2] + 2 * free]
    tops = [0, 272, 272, 272, 272 + sides[3] * 32 + 192]
    width, height = spans[0] + 150, 396 + spans[1] + 72
    drawing, axes = new_drawing(5.4, 5.4 * height / width)  # one scale in both directions: dashes rely on it
    drawing.set_layout_engine("none")
    bare(axes).set_position((0, 0, 1, 1))
    axes.set_xlim(-8, width - 8)
    axes.set_ylim(height - 124, -124)
    scale = 5.4 * 72 / width  # points a unit: dashes are measured in points
    told, spent = [], 0
    for cost, side, left, top in zip(costs, sides, lefts, tops, strict=True):
        rows = np.ones(cost.in_channels, bool) if cost.reads is None or not gates else gates[cost.reads]
        columns = np.ones(cost.out_channels, bool) if cost.writes is None or not gates else gates[cost.writes]
        cells = np.outer(rows, columns)
        _cells(axes, cells, left, top, side, scale)
        macs = int(cost.taps * cells.sum())
        spent += macs + cost.gate_macs
        _label(axes, cost, left, top, side, macs, macs / total)
        told.append(f"{cost.name} {int(rows.sum())} × {int(columns.sum())} cells of {cost.taps}, {macs:,} MACs")
    axes.text(lefts[2], 850, f"{spent / total:.1%}", fontsize=26, va="bottom", color=OPEN)
    axes.text(lefts[2], 858, f"{spent:,} of {total:,} MACs", va="top", fontsize=SMALL)
    if has_heads := any(cost.gate_macs for cost in costs):
        axes.text(lefts[2], 916, "small squares: the gate heads", va="top", fontsize=SMALL, color=ACCENT)
    alt = (
        f"Five rectangles of square cells, their areas the layers' MACs, input channels × filters: {'; '.join(told)}. "
        f"{'With gate heads' if has_heads else 'In all'} {spent:,} MACs, {spent / total:.1%} of the dense network's "
        f"{total:,}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_shares(bars: Mapping[str, Mapping[str, float]], caption: str = "") -> Figure:
    """Draw quantities as bars of one length, cut by part, with the largest part's way from bar to bar shaded.

    bars: a quantity's name to its parts' amounts, the same parts in each, in any unit.

    Raises:
        ValueError: if the quantities are not made of the same parts.
    """
    parts = [list(amounts) for amounts in bars.values()]
    if any(names != parts[0] for names in parts):
        raise ValueError(f"every bar needs the same parts in the same order, not {parts}")
    shares = np.array([list(amounts.values()) for amounts in bars.values()], float)
    shares /= shares.sum(1, keepdims=True)
    ends = np.pad(np.cumsum(shares, 1), ((0, 0), (1, 0)))
    drawing, axes = new_drawing(5.4, 1.05 * len(bars) + 0.1)
    largest = int(shares[0].argmax())
    for row, name in enumerate(bars):
        axes.text(0, 2 * row - 0.12, name, va="bottom", fontsize=SMALL)
        for part, (left, right) in enumerate(zip(ends[row], ends[row, 1:], strict=False)):
            colour, alpha = (OPEN, 0.5) if part == largest else (INK, 0.12 + 0.1 * (part % 2))
            axes.add_patch(Rectangle((left, 2 * row), right - left, 0.9, color=colour, alpha=alpha, linewidth=0))
            if right - left > 0.1:
                axes.text((left + right) / 2, 2 * row + 0.45, parts[0][part], ha="center", va="center", fontsize=SMALL)
        if row:
            above, below = ends[row - 1, largest : largest + 2], ends[row, largest : largest + 2]
            corners = [*zip(above, [2 * row - 1.1] * 2, strict=True), *zip(below[::-1], [2 * row] * 2, strict=True)]
            axes.add_patch(Polygon(corners, color=OPEN, alpha=0.15, linewidth=0))
    bare(axes).set_xlim(0, 1)
    axes.set_ylim(2 * len(bars) - 1, -0.7)
    told = ". ".join(
        f"{name}: " + ", ".join(f"{part} {share:.0%}" for part, share in zip(parts[0], row, strict=True))
        for name, row in zip(bars, shares, strict=True)
    )
    return Figure(drawing, caption, f"{len(bars)} bars of equal length, cut into shares. {told}.")


def _cells(axes: Axes, cells: np.ndarray, left: float, top: float, side: float, scale: float) -> None:
    """Draw open and closed cells (row, column): each run down a column is one dashed line as wide as a cell."""
    margin, width = GAP / 2 * side, (1 - GAP) * side * scale
    for state, colour, alpha in ((True, OPEN, 1), (False, FAINT, 0.3)):
        points = []
        for column in range(cells.shape[1]):
            edges = np.flatnonzero(np.diff(np.pad(cells[:, column] == state, 1).astype(int)))
            x = left + (column + 0.5) * side
            for start, stop in edges.reshape(-1, 2):
                points += [(x, top + start * side + margin), (x, top + stop * side - margin)]
        if points:
            path = Path(points, [Path.MOVETO, Path.LINETO] * (len(points) // 2))
            dashes = (0, (1, GAP / (1 - GAP)))  # in line widths
            style = {"edgecolor": colour, "alpha": alpha, "capstyle": "butt", "joinstyle": "miter"}
            axes.add_patch(PathPatch(path, fill=False, linewidth=width, linestyle=dashes, **style))


def _label(axes: Axes, cost: LayerCost, left: float, top: float, side: float, macs: int, share: float) -> None:
    """Name a layer above its cells and draw its gate head, at the same scale, below them."""
    bottom = top + side * cost.in_channels
    percent = f"{share:.0%}" if share == 0 or share > 0.005 else "<1%"
    axes.text(left, top - 60, f"{cost.name}: {percent}", va="bottom", fontweight="bold", fontsize=SMALL)
    axes.text(left, top - 14, f"{macs:,}", va="bottom", fontsize=SMALL)
    if cost.gate_macs:
        gate = cost.gate_macs**0.5
        axes.add_patch(Rectangle((left, bottom + 16), gate, gate, color=ACCENT, linewidth=0))
        axes.text(
            left + gate + 12, bottom + 18 + gate / 2, f"{cost.gate_macs:,}", va="center", color=ACCENT, fontsize=SMALL
        )


def _table(
    axes: Axes, values: np.ndarray, left: float, top: float, role: str, alpha: float = 1, inner: tuple | None = None
) -> None:
    """Draw numbers (height, width) in square cells, the larger the darker; nan is an empty cell.

    inner: the slices outside of which the cells are padding, drawn pale.
    """
    height, width = values.shape
    shades = np.nan_to_num(np.abs(values.astype(float)))
    shades = 0.45 * alpha * shades / max(shades.max(), 1)
    stencil(axes, shades, role, extent=(left, left + width, top + height, top), aspect="equal")
    corners = [((left, top + row), (left + width, top + row)) for row in range(height + 1)]
    corners += [((left + column, top), (left + column, top + height)) for column in range(width + 1)]
    grid = Path([point for line in corners for point in line], [Path.MOVETO, Path.LINETO] * len(corners))
    axes.add_patch(PathPatch(grid, fill=False, edgecolor=FAINT, linewidth=0.6, alpha=alpha))
    own = np.zeros(values.shape, bool)
    own[inner or ...] = True
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            colour = INK if own[row, column] else FAINT
            x, y, sign = left + column + 0.5, top + row + 0.52, f"{int(value)}".replace("-", "−")
            axes.text(x, y, sign, ha="center", va="center", fontsize=SMALL, color=colour, alpha=alpha)


def _ring(axes: Axes, left: float, top: float, side: float, colour: str) -> None:
    axes.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=2.2))
