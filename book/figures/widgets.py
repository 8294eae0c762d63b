"""Figures that compute in the page: markup and a small script with its data inline, no kernel and no library."""

import hashlib
import html
import json
from pathlib import Path

from torch import Tensor

from mglib.figure import Captioned


def numbers(values: Tensor, digits: int) -> list | float:
    """Return a tensor as nested lists of rounded numbers, which a script's data are made of."""
    return [numbers(each, digits) for each in values] if values.ndim else round(float(values), digits)


class Live(Captioned):
    """A figure drawn by its own script; the reader moves it by mouse, by touch and by keyboard."""

    def __init__(self, script: str, data: dict, caption: str, alt: str):
        """Take the name of a script of this folder and the data it draws; see `Captioned` for the others."""
        super().__init__(caption, alt)
        self._data = json.dumps(data)
        here = Path(__file__).parent
        self._script = "".join((here / name).read_text(encoding="utf-8") for name in ("live.js", script))

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
