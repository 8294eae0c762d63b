"""Chapter 7: amounts of data as areas to scale."""

from collections.abc import Mapping

import numpy as np
from matplotlib.patches import Rectangle

from mglib.figure import ACCENT, OPEN, Figure, bare, new_drawing, page_style


@page_style
def show_amounts(amounts: Mapping[str, float], caption: str = "") -> Figure:
    """Draw amounts in bytes as squares beside each other whose areas are to scale."""
    drawing, axis = new_drawing(5.4, 3.2)
    bare(axis).set_aspect("equal")
    sides = np.sqrt(np.array(list(amounts.values())) / max(amounts.values()))
    left = 0.0
    for (name, amount), side in zip(amounts.items(), sides, strict=True):
        axis.add_patch(Rectangle((left, 0), side, side, facecolor=OPEN if side == 1 else ACCENT, alpha=0.85))
        axis.text(left, -0.04, f"{name}\n{size(amount)}", va="top")
        left += max(side, 0.55) + 0.12
    axis.set_xlim(0, max(left, 1.7))
    axis.set_ylim(-0.28, 1)
    told = "; ".join(f"{name}: {size(amount)}" for name, amount in amounts.items())
    return Figure(drawing, caption, f"Squares whose areas compare amounts of data. {told}.")


def size(count: float) -> str:
    """Return a number of bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
