"""What an update gives away: images beside those that were found, and what hiding them costs."""

from collections.abc import Mapping, Sequence

import numpy as np

from mglib.show.figures import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

_MARKS = ((OPEN, "o", "-"), (ACCENT, "s", "--"), (INK, "^", ":"))
Line = Sequence[tuple[float, float, float]]  # across, up, half width of the interval (0: none is drawn)


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
def show_price(
    lines: Mapping[str, Line],
    labels: tuple[str, str],
    caption: str = "",
    *,
    percent: bool = True,
    logarithmic: tuple[bool, bool] = (True, False),
    level: tuple[str, float] | None = None,
) -> Figure:
    """Draw up to three lines of points with intervals.

    lines: by name, points (across, up, half width); labels: of the axes; percent: what is up is a share.
    logarithmic: across, up; level: a dashed line across, its name and where it lies.

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
        told = (f"{u:.0%} at {a:.3g}" if percent else f"{u:.3g} at {a:.3g}" for a, u in zip(across, up, strict=True))
        said.append(f"{name}: {', '.join(told)}")
    if level is not None:
        axis.axhline(level[1], color=FAINT, linestyle="--", linewidth=1.5)
        axis.annotate(
            level[0], (0.99, level[1]), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=10
        )
        said.append(f"{level[0]}: {level[1]:.0%}" if percent else f"{level[0]}: {level[1]:.3g}")
    if logarithmic[0]:
        axis.set_xscale("log")
    if logarithmic[1]:
        axis.set_yscale("log")
    if percent:
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axis.set(xlabel=labels[0], ylabel=labels[1])
    axis.legend(frameon=False, fontsize=10, loc="upper center", bbox_to_anchor=(0.5, 1.22), ncols=len(lines))
    return Figure(drawing, caption, f"{labels[1]} against {labels[0]}. {'; '.join(said)}.")


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
