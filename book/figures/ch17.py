"""Chapter 17: images beside those that were found in an update, and what noise hides."""

from collections.abc import Mapping

import numpy as np

from mglib.figure import FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil


@page_style
def show_found(rows: Mapping[str, np.ndarray], caption: str = "", told: str = "") -> Figure:
    """Draw rows of images below each other, each row under its name; the first row are the true ones.

    rows: images (image, height, width), 0 to 1, as many in each; told: what the text alternative adds.

    Raises:
        ValueError: if rows differ in their number of images.
    """
    columns = {len(images) for images in rows.values()}
    if len(columns) != 1:
        raise ValueError(f"rows of {sorted(columns)} images: need as many in each")
    (count,) = columns
    drawing = new_drawing(0.95 * count, 1.2 * len(rows))[0]
    drawing.clear()
    grid = drawing.add_gridspec(2 * len(rows), count, height_ratios=[0.22, 1] * len(rows))
    for row, (name, images) in enumerate(rows.items()):
        _draw_row(drawing, grid, 2 * row, name, images, "ink" if row == 0 else "open")
    alt = f"{len(rows)} rows of {count} small drawings: {'; '.join(rows)}. {told}".strip()
    return Figure(drawing, caption, alt)


def _draw_row(drawing, grid, row: int, name: str, images: np.ndarray, kind: str) -> None:
    """Draw a row of images; its name has a row of its own, or a long one would push the first image aside."""
    bare(drawing.add_subplot(grid[row, :])).text(0, 0, name, fontsize=10, va="bottom")
    for column, image in enumerate(images):
        # Brightness and contrast say nothing: every image from its own darkest to its own lightest pixel.
        image = np.asarray(image, float)
        axis = bare(drawing.add_subplot(grid[row + 1, column]))
        stencil(axis, (image - image.min()) / max(float(np.ptp(image)), 1e-9), kind)
        axis.set_frame_on(True)


@page_style
def show_noise(true: np.ndarray, found: np.ndarray, bars: Mapping[str, float], caption: str = "") -> Figure:
    """Draw the true images, what an attack found of them, and bars: a frame of a flip book over the noise.

    true, found: (image, height, width), 0 to 1; bars: how long, 0 to 1, by the words that stand above them.
    """
    count = len(true)
    drawing = new_drawing(4.6, 3.9)[0]
    drawing.clear()
    grid = drawing.add_gridspec(5, count, height_ratios=[0.22, 1, 0.22, 1, 0.3 + 0.4 * len(bars)])
    _draw_row(drawing, grid, 0, "on the node", true, "ink")
    _draw_row(drawing, grid, 2, "found in the plain gradient", found, "open")
    axis = drawing.add_subplot(grid[4, :])
    for place, (name, share) in enumerate(bars.items()):
        axis.barh(place, 1, color=FAINT, alpha=0.25, height=0.35)
        axis.barh(place, max(share, 0), color=OPEN if place else INK, height=0.35)
        axis.text(0, place - 0.25, name, fontsize=10, va="bottom")
    axis.set(xlim=(0, 1), ylim=(len(bars) - 0.6, -0.85))
    bare(axis)
    told = "; ".join(bars)
    return Figure(drawing, caption, f"{count} drawings, and below them what an attack found of them. {told}.")
