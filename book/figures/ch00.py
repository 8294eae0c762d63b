"""Chapter 0: the nodes of a federation, a row each."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from mglib.figure import ACCENT, INK, Figure, bare, new_drawing, page_style, stencil


@page_style
def show_federation(rows: Mapping[str, Tensor], held_out: Sequence[str], caption: str = "") -> Figure:
    """Draw a few examples of each node, one row a node, those held out of training in the accent colour.

    rows: a node's name and its examples, (example, height, width), 0 to 1.
    """
    drawing, axes = new_drawing(5.4, 0.38 * len(rows) + 0.1, nrows=len(rows))
    for axis, (name, images) in zip(np.atleast_1d(axes), rows.items(), strict=True):
        role = "accent" if name in held_out else "ink"
        strip = np.concatenate([np.pad(image, ((0, 0), (2, 2))) for image in np.asarray(images)], axis=1)
        stencil(bare(axis), strip, role)
        axis.text(-8, strip.shape[0] / 2, name, ha="right", va="center", color=ACCENT if role == "accent" else INK)
    trained = [name for name in rows if name not in held_out]
    alt = (
        f"Rows of small drawn characters, one row for each of {len(rows)} nodes. {', '.join(trained)} take part in "
        f"the training; {', '.join(held_out)}, in another colour, are kept for the end."
    )
    return Figure(drawing, caption, alt)
