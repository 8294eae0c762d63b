"""The drawing pad as a figure of a page: the exported start, the script that runs it, and what the reader sees."""

import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mglib.figure import Captioned
from pad.export import SOURCE

_HERE = Path(__file__).parent
_MARKUP = """
<div class="mg-app">
<div class="mg-slots" data-part="slots" role="group" aria-label="The characters of your alphabet, and a question">
<button type="button" data-part="ask"><span class="mg-question" aria-hidden="true">?</span>ask</button></div>
<div class="mg-table"><div>
<canvas data-part="pad" width="560" height="560" role="img" aria-label="Drawing pad, for mouse, pen or finger"></canvas>
<div class="mg-buttons"><button type="button" data-part="adapt" class="mg-main">Adapt</button>
<button type="button" data-part="undo">Undo</button>
<button type="button" data-part="clear">Clear</button>
<button type="button" data-part="reset">Reset</button></div>
<div class="mg-buttons"><label>or take one: <select data-part="picker"></select></label>
<button type="button" data-part="pick">Draw it</button></div>
</div><div>
<p data-part="status" role="status" aria-live="polite"></p>
<div class="mg-answers" data-part="answer"></div>
<div class="mg-work" aria-hidden="true"><span data-part="work"></span></div><p data-part="cost"></p>
<div data-part="gates"></div>
<div class="mg-look"><canvas data-part="map" width="84" height="84" aria-hidden="true"></canvas>
<p data-part="filter"></p></div>
</div></div></div>
"""


class DrawingPad(Captioned):
    """Five slots to draw an alphabet in, one step of adaptation in the page, and what it makes of the next drawing."""

    def __init__(
        self,
        model: Mapping[str, Any],
        characters: Mapping[str, Sequence[np.ndarray]],
        caption: str = "",
        without: str = "",
        opening: tuple[Sequence[Sequence[np.ndarray]], Sequence[np.ndarray]] | None = None,
    ):
        """Take what `export_live` gives, ready-made characters as strokes by name, and what is shown without a script.

        without: HTML of a picture, for a reader whose browser runs no scripts; a sentence is added.
        opening: drawings for the slots and one to ask for; the pad then opens adapted, with an answer.
        """
        alt = "A pad to draw five characters of your own on, and to have them recognised after one step."
        super().__init__(caption, alt)
        data = {"model": dict(model), "characters": {name: _rounded(lines) for name, lines in characters.items()}}
        if opening is not None:
            slots, question = opening
            data["opening"] = {"slots": [_rounded(lines) for lines in slots], "question": _rounded(question)}
        self._data = json.dumps(data, ensure_ascii=False)
        library = SOURCE.read_text(encoding="utf-8").replace("export ", "")
        self._script = library + (_HERE / "pad.js").read_text(encoding="utf-8")
        self._style = (_HERE / "pad.css").read_text(encoding="utf-8")
        self._without = without

    def _repr_html_(self) -> str:
        mark = "mg" + hashlib.sha256((self._script + self._data).encode()).hexdigest()[:8]
        return (
            f'<figure class="mg-figure mg-live mg-pad" id="{mark}" aria-label="{html.escape(self.alt)}">'
            f"<style>{self._style}</style>{_MARKUP}"
            f"<noscript><style>.mg-app {{ display: none; }}</style>"
            f"<p>The pad needs JavaScript, which this browser does not run. This is what it shows:</p>"
            f"{self._without}</noscript>"
            f"<figcaption>{html.escape(self.caption)}</figcaption>"
            f'<script type="module">const root = document.getElementById("{mark}"), data = {self._data};\n'
            f"{self._script}</script></figure>"
        )


def _rounded(lines: Sequence[np.ndarray]) -> list:
    return [np.round(stroke, 3).tolist() for stroke in lines]
