"""Chapter 8: two ways to multiply with some of the weights: copy them together, or leave them and copy pixels."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from figures.style import arrow
from mglib.figure import ACCENT, INK, Figure, bare, new_drawing, page_style, stencil

_CELL = np.pad(np.ones((6, 6)), ((0, 1), (0, 1)))


@page_style
def show_in_place(image: Tensor, channels: Tensor, filters: Tensor, caption: str = "") -> Figure:
    """Draw a layer's weights, and what is copied to multiply with the open ones: above the weights, below the pixels.

    image: what one channel shows, (height, width), 0 to 1; channels, filters: which are open, booleans, some of each.
    """
    channels, filters, image = np.asarray(channels), np.asarray(filters), np.asarray(image)
    drawing, axes = new_drawing(5.4, 4.8)
    bare(axes).set(xlim=(-1, 101), ylim=(89, 0), aspect="equal")
    side = 28 / max(len(filters), len(channels))
    used = np.outer(channels, filters)
    for top, words in ((9, "slicing: the weights are copied"), (49, "in place: the pixels are copied")):
        axes.text(0, top - 5.5, words, fontweight="bold", va="center")
        _weights(axes, channels, filters, 0, top, side)
    rows, columns = int(channels.sum()), int(filters.sum())
    extent = (46, 46 + side * columns, 9 + side * rows, 9)
    stencil(axes, np.kron(np.ones((rows, columns)), _CELL), "open", extent=extent)
    arrow(axes, (30, 20), (45, 20), ACCENT, width=2)
    axes.text(37.5, 17.5, "copy", ha="center", va="bottom", color=ACCENT)
    axes.text(46, 10 + side * rows + 2.5, "open weights,\nside by side", va="center", fontsize=10)
    axes.text(51 + side * columns, 9 + side * rows / 2, "× windows of\n   the maps", va="center")
    # One open weight below, and the row of the panel that it meets.
    down, across = (int(index[len(index) // 2]) for index in (np.flatnonzero(channels), np.flatnonzero(filters)))
    ring = (across * side, 49 + down * side)
    axes.add_patch(Rectangle(ring, side * 6 / 7, side * 6 / 7, fill=False, edgecolor=INK, linewidth=2))
    stencil(axes, image, extent=(84, 100, 65, 49))
    taps = _windows(image, 16)
    panel = (38, 76, 65, 49)
    stencil(axes, np.kron(0.12 + 0.88 * taps, _CELL), extent=panel)
    row = 4  # the middle of the window
    height = (panel[2] - panel[3]) / len(taps)
    place = (panel[0] - 0.4, panel[3] + row * height - 0.3)
    axes.add_patch(Rectangle(place, 38.6, height + 0.3, fill=False, edgecolor=INK, linewidth=2))
    arrow(axes, (83.5, 57), (76.8, 57), ACCENT, width=2)
    axes.text(80, 54.5, "copy", ha="center", va="bottom", color=ACCENT)
    arrow(axes, (ring[0] + side, ring[1] + side / 2), (37.3, place[1] + height / 2), INK, size=10)
    axes.text(38, 70.5, "a panel: what the windows of\nsome places see", va="center", fontsize=10)
    axes.text(0, 82, "One weight, where it lies, times a register\nof neighbouring pixels", va="center", fontsize=10)
    alt = (
        f"Two drawings of a block of {filters.size} filters by {channels.size} channels, of which {columns} and {rows} "
        f"are open. Above, its {int(used.sum())} open cells are copied into a smaller block without gaps. Below, the "
        "block stays as it is; pixels of a drawn character are copied into rows of a panel, and an arrow leads from "
        "one open cell of the block to one whole row of the panel."
    )
    return Figure(drawing, caption, alt)


def _weights(axes: Axes, channels: np.ndarray, filters: np.ndarray, left: float, top: float, side: float) -> None:
    """Draw the block of weights: open cells full, the others pale."""
    extent = (left, left + side * len(filters), top + side * len(channels), top)
    open_cells = np.outer(channels, filters)
    stencil(axes, np.kron(open_cells, _CELL), "open", extent=extent)
    stencil(axes, 0.25 * np.kron(~open_cells, _CELL), "faint", extent=extent)


def _windows(image: np.ndarray, places: int) -> np.ndarray:
    """Return what windows of 3×3 pixels with stride 2 see in the middle rows of an image, (9, place)."""
    middle, width = image.shape[0] // 2, image.shape[1]
    starts = [(middle + 2 * (k // (width // 2 - 1)), 2 * (k % (width // 2 - 1))) for k in range(places)]
    return np.stack([image[y : y + 3, x : x + 3].reshape(-1) for y, x in starts], 1)
