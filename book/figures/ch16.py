"""Chapter 16: where nodes say they are, and where several means believe them to be."""

from collections.abc import Collection, Mapping

import numpy as np

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style

_MEANS = ("X", "P", "D", "v", "*")


@page_style
def show_lies(
    moves: np.ndarray, liars: Collection[int], means: Mapping[str, np.ndarray], reach: float, caption: str = ""
) -> Figure:
    """Draw moves in the plane from where the server is, and what several means make of them.

    moves: (node, 2); liars: positions of the nodes that lie; means: by name, (2,), five at most.
    reach: how far the plane goes; what lies beyond is drawn on its edge.

    Raises:
        ValueError: if there are more means than marks to tell them apart.
    """
    if len(means) > len(_MEANS):
        raise ValueError(f"{len(means)} means: {len(_MEANS)} can be told apart")
    drawing, axis = new_drawing(4.4, 4.4)
    bare(axis).set_aspect("equal")
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    edge = 0.97 * reach
    for place, move in enumerate(np.asarray(moves, float)):
        x, y = move * min(1.0, edge / max(np.abs(move).max(), 1e-9))
        lies = place in liars
        axis.plot([0, x], [0, y], color=ACCENT if lies else OPEN, linewidth=1, alpha=0.5)
        axis.plot(x, y, marker="s" if lies else "o", color=ACCENT if lies else OPEN, markersize=6, linestyle="none")
    axis.plot(0, 0, marker="+", color=FAINT, markersize=12)
    shown = {name: np.asarray(mean, float) for name, mean in means.items()}
    for marker, (name, (x, y)) in zip(_MEANS, shown.items(), strict=False):
        axis.plot(
            np.clip(x, -edge, edge), np.clip(y, -edge, edge), marker=marker, color=INK, markersize=9, linestyle="none",
            markeredgecolor="none", alpha=0.85, label=name,
        )  # fmt: skip
    axis.plot([], [], marker="o", color=OPEN, linestyle="none", label="honest")
    axis.plot([], [], marker="s", color=ACCENT, linestyle="none", label="lying")
    axis.legend(frameon=False, fontsize=10, ncols=4, columnspacing=1, loc="upper center", bbox_to_anchor=(0.5, 0.02))
    told = ", ".join(f"{name} at ({x:.2f}, {y:.2f})" for name, (x, y) in shown.items())
    alt = f"A plane with the moves of {len(moves)} nodes, {len(liars)} of which lie. {told}."
    return Figure(drawing, caption, alt)
