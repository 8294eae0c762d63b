"""Chapter 15: who sends what to whom, and what a round waits for."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from figures.style import arrow
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style


@page_style
def show_parties(down: int, up: int, images: int, caption: str = "") -> Figure:
    """Draw the three parties of a federation and what passes between them, with its size.

    down, up: bytes of a round's order to a node and of its answer; images: bytes of a node's images, which stay.
    """
    drawing, axis = new_drawing(4.4, 4.3)
    bare(axis)
    axis.set(xlim=(0, 8.8), ylim=(0, 8.6))
    _party(axis, 0.1, 6.7, "node", f"its images, {_kilobytes(images)}, stay")
    _party(axis, 4.8, 6.7, "node", "its images stay")
    _party(axis, 2.45, 3.5, "superlink", "rounds, no images")
    _party(axis, 2.45, 0.2, "driver", "a recipe, a result")
    for x, bend in ((2.0, 3.7), (6.8, 5.1)):
        arrow(axis, (bend - 0.25, 5.25), (x - 0.25, 6.65), OPEN)
        arrow(axis, (x + 0.25, 6.65), (bend + 0.25, 5.25), ACCENT)
    axis.text(0.1, 5.6, f"order, {_kilobytes(down)}", color=OPEN, ha="left", fontsize=10)
    axis.text(8.7, 5.6, f"answer, {_kilobytes(up)}", color=ACCENT, ha="right", fontsize=10)
    arrow(axis, (4.1, 1.95), (4.1, 3.45), INK)
    arrow(axis, (4.7, 3.45), (4.7, 1.95), INK)
    axis.text(3.9, 2.6, "recipe", ha="right", fontsize=10)
    axis.text(4.9, 2.6, "states", ha="left", fontsize=10)
    alt = (
        f"Two nodes above, the superlink in the middle, the driver below. A node's images, {_kilobytes(images)}, "
        f"stay with it. In a round an order of {_kilobytes(down)} goes to each node and an answer of {_kilobytes(up)} "
        f"comes back to the superlink. A recipe goes from the driver to the superlink, states come back."
    )
    return Figure(drawing, caption, alt)


def _party(axis: Axes, left: float, bottom: float, name: str, told: str) -> None:
    width, style = 3.9, "round,pad=0,rounding_size=0.25"
    axis.add_patch(FancyBboxPatch((left, bottom), width, 1.7, boxstyle=style, fill=False, edgecolor=FAINT))
    axis.text(left + width / 2, bottom + 1.1, name, ha="center", va="center", fontweight="bold")
    axis.text(left + width / 2, bottom + 0.5, told, ha="center", va="center", fontsize=10)


@page_style
def show_waits(waits: Mapping[str, float], reach: float, caption: str = "") -> Figure:
    """Draw what a round waits for, a bar each on one scale; the longest is marked.

    waits: seconds by name; reach: seconds that the scale spans, at least the longest.
    """
    drawing, axis = new_drawing(5.4, 0.42 * len(waits) + 0.7)
    longest = max(waits, key=waits.get)
    for place, (name, seconds) in enumerate(waits.items()):
        axis.barh(place, seconds, height=0.55, color=ACCENT if name == longest else OPEN)
        axis.text(seconds + reach / 80, place, f"{seconds:.3g} s", va="center", fontsize=10)
    axis.set(yticks=range(len(waits)), xlim=(0, 1.12 * reach), xlabel="seconds")
    axis.set_yticklabels(list(waits))
    axis.invert_yaxis()
    told = ", ".join(f"{name} {seconds:.3g} s" for name, seconds in waits.items())
    return Figure(drawing, caption, f"Bars of what a round waits for: {told}. The longest is {longest}.")


def _kilobytes(count: int) -> str:
    return f"{count / 1e3:.0f} kB"
