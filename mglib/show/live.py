"""Figures that compute in the page: markup and a small script with its data inline, no kernel and no library."""

import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from mglib.show.figures import Captioned


class Live(Captioned):
    """A figure drawn by its own script; the reader moves it by mouse, by touch and by keyboard."""

    def __init__(self, script: str, data: dict, caption: str, alt: str):
        """Take the name of a script of this folder and the data it draws; see `Captioned` for the others."""
        super().__init__(caption, alt)
        self._data = json.dumps(data)
        self._script = (Path(__file__).parent / script).read_text(encoding="utf-8")

    def _repr_html_(self) -> str:
        # The id depends on what is drawn: two figures of one page stay apart, and a second run changes nothing.
        mark = "mg" + hashlib.sha256((self._script + self._data + self.alt).encode()).hexdigest()[:8]
        return (
            f'<figure class="mg-figure mg-live" id="{mark}">'
            f'<svg role="img" aria-label="{html.escape(self.alt)}"></svg>'
            f'<div class="mg-controls"></div><p class="mg-readout" role="status"></p>'
            f"<figcaption>{html.escape(self.caption)}</figcaption>"
            f'<script type="module">const root = document.getElementById("{mark}"), data = {self._data};\n'
            f"{self._script}</script></figure>"
        )


def play_bowls(
    centres: Tensor, curvatures: Tensor, learning_rate: float, start: Sequence[float], caption: str = ""
) -> Live:
    """Return tasks whose losses are bowls in the plane, `½ (p − c)ᵀ H (p − c)`, and a start that can be dragged.

    centres: (task, 2), within −3 to 3; curvatures: (task, 2, 2), symmetric; learning_rate: the step's, at first.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    if curvatures.shape != (*centres.shape, 2) or centres.shape[1] != 2:
        raise ValueError(
            f"centres {tuple(centres.shape)} and curvatures {tuple(curvatures.shape)}: need (n, 2), (n, 2, 2)"
        )
    data = {
        "centres": [[round(float(x), 4) for x in centre] for centre in centres],
        "curvatures": [[[round(float(x), 4) for x in row] for row in matrix] for matrix in curvatures],
        "rate": learning_rate,
        "start": list(start),
    }
    alt = (
        f"A plane with the bowls of {len(centres)} tasks, nested ellipses around their minima. From a start, a dot, an "
        "arrow leads for each task to where one gradient step lands. A ring marks the start with the least loss before "
        "the step, a cross the one with the least after it; they are different places."
    )
    return Live("bowls.js", data, caption, alt)
