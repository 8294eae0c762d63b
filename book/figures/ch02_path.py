"""Chapter 2: one input's path through the gates: every filter of every layer, open ones with what they see."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from torch import Tensor

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

_COLUMNS, _CELL, _TILE = 16, 6.25, 28  # cells a row; units a cell; pixels a cell's picture, which sides 2 to 28 divide


_MIDDLE, _GAP = _COLUMNS * _CELL / 2, 12  # the waist of every bundle; units between two layers


@page_style
def show_gate_path(
    image: Tensor,
    maps: Sequence[Tensor],
    gates: Sequence[Tensor],
    macs: Tensor,
    support: Tensor,
    probabilities: Tensor,
    label: int,
    caption: str = "",
) -> Figure:
    """Draw an input, layer below layer the maps of its open filters and the outlines of the closed, and the answer.

    image: (height, width), 0 to 1; maps: a layer, (filter, height, width), not negative; gates: a layer, (filter,).
    macs: (layer,), each layer's multiply-accumulates as a share of what it costs with everything open.
    support: (ways, height, width), the labelled examples; probabilities: (ways,); label: the true class.

    Raises:
        ValueError: if maps, gates and MACs do not speak of the same layers.
    """
    maps, gates = [np.asarray(values) for values in maps], [np.asarray(gate) > 0 for gate in gates]
    if not len(maps) == len(gates) == len(macs):
        raise ValueError(
            f"{len(maps)} layers of maps, {len(gates)} of gates, {len(macs)} of MACs: need as many of each"
        )
    heights = [_CELL * -(-len(gate) // _COLUMNS) for gate in gates]
    tops = 15 + _GAP + np.concatenate([[0], np.cumsum([height + _GAP for height in heights])])
    drawing, axes = new_drawing(4.8, 4.8 / 100 * (tops[-1] + 19))
    bare(axes).set(xlim=(-0.5, 100.5), ylim=(tops[-1] + 19, 0), aspect="equal")
    stencil(axes, np.asarray(image), extent=(_MIDDLE - 7, _MIDDLE + 7, 14.5, 0.5))
    axes.text(_MIDDLE - 10, 7.5, "input", ha="right", va="center")
    leaving = np.array([_MIDDLE])
    for index, (values, gate, top) in enumerate(zip(maps, gates, tops, strict=False)):
        _draw_layer(axes, values, gate, top)
        _draw_bundle(axes, leaving, top - _GAP + (0.5 if index else 0), _centres(gate), top - 0.4)
        axes.text(0, top - _GAP / 2, f"layer {index + 1}: {gate.sum()} of {len(gate)} open", va="center")
        axes.text(100, top - _GAP / 2, f"{float(macs[index]):.0%} of its MACs", ha="right", va="center")
        leaving = _centres(gate)
    axes.text(0, tops[-1] - _GAP / 2, "answer", va="center")
    places = _MIDDLE + 15 * (np.arange(len(support)) - (len(support) - 1) / 2)
    _draw_bundle(axes, leaving, tops[-1] - _GAP + 0.5, places, tops[-1] - 0.4)
    right = _draw_answer(axes, np.asarray(support), np.asarray(probabilities), label, places, tops[-1])
    opened = ", ".join(
        f"{gate.sum()} of {len(gate)} in layer {index + 1} at {float(macs[index]):.0%} of its multiply-accumulates"
        for index, gate in enumerate(gates)
    )
    alt = (
        f"From top to bottom: a drawn character, {len(gates)} layers of small square maps, and {len(support)} possible "
        f"answers. Open filters are filled with what they respond to and tied to the next layer; closed ones are empty "
        f"outlines. Open: {opened}. The answer is {'right' if right else 'wrong'}."
    )
    return Figure(drawing, caption, alt)


def _centres(gate: np.ndarray) -> np.ndarray:
    """Return where the strands of the open filters end, across the page; two rows share a column side by side."""
    filters = np.flatnonzero(gate)
    return _CELL * (filters % _COLUMNS + 0.35 + 0.3 * (filters // _COLUMNS % 2))


def _draw_layer(axes: Axes, maps: np.ndarray, gate: np.ndarray, top: float) -> None:
    """Draw a layer's filters as cells from `top` down: a tint and the map's pattern if open, an outline if not."""
    rows = -(-len(gate) // _COLUMNS)
    pixels = np.zeros((rows, _COLUMNS, _TILE, _TILE))
    nearest = np.arange(_TILE) * maps.shape[-1] // _TILE
    brightest = max(np.quantile(maps[gate], 0.98), 1e-6) if gate.any() else 1
    for index in np.flatnonzero(gate):
        pattern = np.round(np.clip(maps[index] / brightest, 0, 1) * 20) / 20  # twenty tones keep the file small
        pixels[divmod(index, _COLUMNS)] = 0.13 + 0.87 * pattern[np.ix_(nearest, nearest)]
    pixels = np.pad(pixels, ((0, 0), (0, 0), (2, 2), (2, 2)))  # a gap between cells
    sheet = pixels.transpose(0, 2, 1, 3).reshape(rows * (_TILE + 4), -1)
    stencil(axes, sheet, "open", extent=(0, _COLUMNS * _CELL, top + rows * _CELL, top))
    margin = 2 * _CELL / (_TILE + 4)
    for index in np.flatnonzero(~gate):
        row, column = divmod(index, _COLUMNS)
        corner = (column * _CELL + margin, top + row * _CELL + margin)
        side = _CELL - 2 * margin
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=FAINT, linewidth=0.6, alpha=0.45))


def _draw_bundle(axes: Axes, starts: np.ndarray, top: float, ends: np.ndarray, bottom: float) -> None:
    """Draw one strand from each start to the waist and from there to each end: what is open meets what is open."""
    waist = (top + bottom) / 2
    points, codes = [], []
    for places, edge in ((starts, top), (ends, bottom)):
        for x in places:
            pull = 0.72 * (waist - edge)  # most of the way to the side happens close to the cells
            points += [(x, edge), (x, edge + pull), (_MIDDLE + 0.1 * (x - _MIDDLE), edge + pull / 3), (_MIDDLE, waist)]
            codes += [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    if points:
        axes.add_patch(PathPatch(Path(points, codes), fill=False, edgecolor=OPEN, linewidth=0.7, alpha=0.6))


def _draw_answer(
    axes: Axes, support: np.ndarray, probabilities: np.ndarray, label: int, places: np.ndarray, top: float
) -> bool:
    """Draw the labelled examples with a bar as long as each is probable; say whether the longest is the true one."""
    answer = int(probabilities.argmax())
    for index, (image, probability, x) in enumerate(zip(support, probabilities, places, strict=True)):
        colour = FAINT if index != answer else INK if answer == label else ACCENT
        stencil(axes, image, extent=(x - 5, x + 5, top + 10, top))
        axes.add_patch(Rectangle((x - 5, top + 12), 10, 2, fill=False, edgecolor=FAINT, linewidth=0.6))
        axes.add_patch(Rectangle((x - 5, top + 12), 10 * float(probability), 2, color=colour, linewidth=0))
        if index == label:
            axes.text(x, top + 17, "true", ha="center", va="center")
    return answer == label
