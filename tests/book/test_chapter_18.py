"""Chapter 18: what it draws by hand is what the library draws, what it prints is the script that runs in the page."""

import re
from pathlib import Path

import numpy as np
import pytest
from chapters import defined_in, outputs_of, prose_of

from figures.ch18 import folded
from pad import SOURCE
from pad.strokes import rasterise

CHAPTER = "18_draw_your_own_alphabet"


def shown_by(name):
    """Everything that a chapter's cells show: what is printed, and the HTML."""
    return [out.get("text") or out.get("data", {}).get("text/html", "") for out in outputs_of(name)]


@pytest.fixture(scope="module")
def outputs():
    return shown_by(CHAPTER)


@pytest.mark.parametrize("seed", range(3))
def test_the_ink_of_a_pixel_is_the_library_s(seed):
    strokes = [np.random.default_rng(seed).random((points, 2)) for points in (2, 4)]
    ink = np.maximum(*(defined_in(CHAPTER, "ink")["ink"]([stroke]) for stroke in strokes))
    np.testing.assert_allclose(ink, rasterise(strokes) / 255, atol=0.5 / 255 + 1e-9)


def test_the_javascript_shown_is_the_javascript_that_runs(outputs):
    javascript = defined_in(CHAPTER, "javascript")["javascript"]
    source = SOURCE.read_text(encoding="utf-8")
    (page,) = [text for text in outputs if "mg-pad" in text]
    for name in ("rasterise", "adapt", "step", "convolve"):
        text = javascript(name)
        assert text.count("{") == text.count("}"), f"{name} is not whole"
        assert any(text in shown for shown in outputs), f"{name} as printed is older than the script"
        lines = [line.strip() for line in text.splitlines()]
        assert all(line in source for line in lines)
        assert all(line.removeprefix("export ") in page for line in lines)


def test_a_long_line_of_code_breaks_where_few_brackets_are_open():
    line = "  const least = Math.min(1, Math.max(0, first * second)), most = third;"
    assert folded(line, 90) == [line]
    assert folded(line, 60) == ["  const least = Math.min(1, Math.max(0, first * second)),", "      most = third;"]


@pytest.mark.parametrize("name", [CHAPTER, "index"])
def test_the_page_s_pad_is_the_one_of_the_library(name):
    (page,) = [text for text in shown_by(name) if "mg-pad" in text]
    pad = (Path(SOURCE).parent / "pad.js").read_text(encoding="utf-8")
    assert pad in page, "execute the chapter again: its page holds an older script"
    assert re.search(r"<noscript>.*<svg role=\"img\"", page, flags=re.DOTALL), "a picture for readers without scripts"


def test_the_sentence_that_the_last_solution_quotes_is_chapter_0_s():
    chapter_0, chapter_18 = map(prose_of, ("00_metagater_in_one_page", CHAPTER))
    (quoted,) = re.findall(r'page.ipynb#summary\): "(.+?)"', chapter_18)
    assert quoted in chapter_0.partition("## Summary")[2]
