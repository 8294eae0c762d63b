"""The first page: the whole idea in one drawing."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

from figures.style import arrow
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil


@page_style
def show_idea(nodes: Mapping[str, Tensor], newcomer: tuple[str, Tensor], caption: str = "") -> Figure:
    """Draw MetaGater: above, rounds between a server and its nodes; below, one step on a device it never met.

    nodes: three nodes' names and examples, (example, height, width), 0 to 1.
    newcomer: name and examples of the node that takes no part in the training.
    """
    drawing, axes = new_drawing(5.2, 6.3)
    bare(axes)
    axes.set_xlim(0, 100)
    axes.set_ylim(120, 0)
    axes.set_aspect("equal")
    _draw_training(axes, nodes)
    _draw_adaptation(axes, *newcomer)
    alt = (
        "A drawing in two parts. Above: a server holds a network, its backbone theta and gates phi, and exchanges it "
        f"with three nodes, {', '.join(nodes)}, each with its own characters; every node returns a better start, and "
        "the server averages. Below: a new node with five labelled characters receives the start, adapts first the "
        "backbone, then the gates, and owns a small network in which each character opens only some of the filters."
    )
    return Figure(drawing, caption, alt)


def _draw_training(axes: Axes, nodes: Mapping[str, Tensor]) -> None:
    axes.text(0, 3, "1  Many nodes find one start", fontweight="bold", fontsize=13)
    _box(axes, 32, 8, 36, 13, FAINT)
    axes.text(50, 11.5, "server", ha="center", va="center")
    axes.text(50, 17, "backbone θ  ·  gates φ", ha="center", va="center", color=OPEN)
    for index, (name, images) in enumerate(nodes.items()):
        left = 1 + 34 * index
        _box(axes, left, 39, 30, 19, FAINT)
        _glyphs(axes, np.asarray(images)[:5], left + 2, 42, 5.2, "ink")
        axes.text(left + 15, 54, name, ha="center", va="center")
        start = 40 + 10 * index
        arrow(axes, (start - 1.5, 21.5), (left + 12, 38.5), INK, width=1.3, size=12)
        arrow(axes, (left + 17, 38.5), (start + 1.5, 21.5), OPEN, width=1.3, size=12)
    axes.text(14, 29, "θ, φ", ha="right")
    axes.text(87.5, 25.5, "a step down the\nmeta-gradient", ha="center", va="center", color=OPEN, fontsize=11.5)


def _draw_adaptation(axes: Axes, name: str, images: Tensor) -> None:
    axes.text(0, 69, "2  A new node makes it its own, in one step", fontweight="bold", fontsize=13)
    _box(axes, 1, 76, 30, 34, ACCENT)
    axes.text(16, 80.5, name, ha="center", va="center", color=ACCENT)
    _glyphs(axes, np.asarray(images)[:5], 3, 85, 5.2, "accent")
    axes.text(16, 95, "five labelled\nexamples, never\nseen in training", ha="center", va="top", fontsize=11.5)
    for row, (first, second) in enumerate((("θ′ = θ − α ∇θ L", "backbone"), ("φ′ = φ − β ∇φ L", "then gates"))):
        top = 76 + 20 * row
        _box(axes, 37, top, 26, 14, FAINT)
        axes.text(50, top + 5, first, ha="center", va="center", color=OPEN)
        axes.text(50, top + 10.5, second, ha="center", va="center", fontsize=11.5)
    arrow(axes, (31.5, 83), (36.5, 83), INK, width=1.3, size=12)
    arrow(axes, (50, 90.5), (50, 95.5), INK, width=1.3, size=12)
    arrow(axes, (63.5, 103), (68.5, 95), INK, width=1.3, size=12)
    rng = np.random.default_rng(4)  # a sketch of a gate map, not a measurement
    for row in range(3):
        top = 77 + 12 * row
        _glyphs(axes, np.asarray(images)[row : row + 1], 69.5, top, 6, "accent")
        cells = 0.12 + 0.88 * (rng.random((4, 10)) < 0.5)
        stencil(axes, cells, "open", extent=(78, 99, top + 8, top - 0.4), aspect="auto")
    axes.text(85, 119, "each input opens\nits own filters", ha="center", va="bottom", fontsize=11.5)


def _box(axes: Axes, left: float, top: float, width: float, height: float, colour: str) -> None:
    style = "round,pad=0,rounding_size=2"
    axes.add_patch(
        FancyBboxPatch((left, top), width, height, boxstyle=style, fill=False, edgecolor=colour, linewidth=1.5)
    )


def _glyphs(axes: Axes, images: np.ndarray, left: float, top: float, size: float, role: str) -> None:
    for index, image in enumerate(images):
        x = left + index * size
        stencil(axes, image, role, extent=(x, x + size, top + size, top), aspect="equal")
