"""What figures of several chapters are drawn with."""

import re
import textwrap
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import LogFormatterSciNotation
from scipy import ndimage

from mglib.figure import INK, stencil

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


class _OnePieceFormatter(LogFormatterSciNotation):
    """Labels of a logarithmic axis: 0.1, 1, 10; on one that goes further 10⁻⁸, in one piece.

    matplotlib writes the raised part as a piece of its own, which is too small to read on a phone.
    """

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick; empty where matplotlib leaves it out."""
        label = super().__call__(x, pos)
        low, high = sorted(self.axis.get_view_interval())
        if label and low >= 1e-3 and high <= 2e4:
            return f"{x:g}"
        label = re.sub(r"\$\\mathdefault\{(.*)\}\$", r"\1", label).replace(r"\times", "·")
        return re.sub(r"\^\{(.+)\}", lambda match: match[1].translate(_RAISED), label)


def log_scale(axes: Axes, which: str) -> None:
    """Make the scales that are named, "x", "y" or "xy", logarithmic, with labels in one piece."""
    for name in which:
        axes.set(**{f"{name}scale": "log"})
        scale = getattr(axes, f"{name}axis")
        scale.set_major_formatter(_OnePieceFormatter())
        scale.set_minor_formatter(_OnePieceFormatter())


def arrow(
    axes: Axes,
    tail: Sequence[float],
    head: Sequence[float],
    colour: str,
    *,
    width: float = 1.5,
    size: float = 13,
    gap: float = 0,
    **options,
) -> None:
    """Draw an arrow; its width, the size of its head and the gap at both ends are in points."""
    shape = {"arrowstyle": "-|>", "mutation_scale": size, "shrinkA": gap, "shrinkB": gap} | options
    axes.add_patch(FancyArrowPatch(tail, head, color=colour, linewidth=width, **shape))


def name_rows(axes: Axes, names: Sequence[str], line: int) -> None:
    """Write a name beside each row, from the top, in several lines where it has more than `line` letters."""
    axes.set_yticks(range(len(names)), [textwrap.fill(name, line) for name in names], fontsize=10)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 0.4, -0.6)


def draw_relief(
    axes: Axes,
    across: Sequence[float],
    up: Sequence[float],
    heights: np.ndarray,
    levels: int | np.ndarray,
    opacity: Callable[[np.ndarray], np.ndarray],
    *,
    smooth: bool = False,
    alpha: float = 0.5,
    width: float = 0.5,
) -> None:
    """Draw a function of the plane as seen from above: blue of the given opacity, and level lines.

    across: (column,); up: (row,); heights: (row, column), drawn finer than it was measured, along straight lines or,
        if `smooth`, along curves; levels: how many lines, or at which heights; alpha, width: their opacity, and their
        width in points.
    """
    across, up = np.asarray(across, float), np.asarray(up, float)
    finer, order = (6, 3) if smooth else (4, 1)
    fine = ndimage.zoom(heights, finer, order=order)
    columns, rows = (np.linspace(values[0], values[-1], finer * len(values)) for values in (across, up))
    extent = (columns[0], columns[-1], rows[0], rows[-1])
    stencil(axes, np.clip(opacity(fine), 0, 1), "open", extent=extent, origin="lower")
    axes.contour(columns, rows, fine, levels, colors=[INK], linewidths=width, alpha=alpha)
    axes.set(xlim=extent[:2], ylim=extent[2:])
