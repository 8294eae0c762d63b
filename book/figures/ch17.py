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
    drawing, axes = new_drawing(0.95 * count, 1.2 * len(rows), nrows=len(rows), ncols=count, squeeze=False)
    for row, (name, images) in enumerate(rows.items()):
        for axis, image in zip(axes[row], images, strict=True):
            # Brightness and contrast say nothing: every image from its own darkest to its own lightest pixel.
            image = np.asarray(image, float)
            stencil(bare(axis), (image - image.min()) / max(float(np.ptp(image)), 1e-9), "ink" if row == 0 else "open")
            axis.set_frame_on(True)
        axes[row, 0].text(0, 1.06, name, transform=axes[row, 0].transAxes, fontsize=10, va="bottom")
    alt = f"{len(rows)} rows of {count} small drawings: {'; '.join(rows)}. {told}".strip()
    return Figure(drawing, caption, alt)


@page_style
def show_noise(true: np.ndarray, found: np.ndarray, bars: Mapping[str, float], caption: str = "") -> Figure:
    """Draw the true images, what an attack found of them, and shares as bars: a frame of a flip book over the noise.

    true, found: (image, height, width), 0 to 1; bars: shares, 0 to 1, by what they are of.
    """
    count = len(true)
    drawing = new_drawing(4.6, 3.9)[0]
    drawing.clear()
    grid = drawing.add_gridspec(3, count, height_ratios=[1, 1, 0.3 + 0.4 * len(bars)])
    for row, (name, images) in enumerate((("on the node", true), ("found in its update", found))):
        for column, image in enumerate(images):
            axis = bare(drawing.add_subplot(grid[row, column]))
            image = np.asarray(image, float)
            stencil(axis, (image - image.min()) / max(float(np.ptp(image)), 1e-9), ("ink", "open")[row])
            if column == 0:
                axis.text(0, 1.06, name, transform=axis.transAxes, fontsize=10, va="bottom")
    axis = drawing.add_subplot(grid[2, :])
    for place, (name, share) in enumerate(bars.items()):
        axis.barh(place, 1, color=FAINT, alpha=0.25, height=0.35)
        axis.barh(place, max(share, 0), color=OPEN if place else INK, height=0.35)
        axis.text(0, place - 0.25, f"{name}: {share:.0%}", fontsize=10, va="bottom")
    axis.set(xlim=(0, 1), ylim=(len(bars) - 0.6, -0.85))
    bare(axis)
    told = ", ".join(f"{name}: {share:.0%}" for name, share in bars.items())
    return Figure(drawing, caption, f"{count} drawings, and below them what an attack found of them. {told}.")
