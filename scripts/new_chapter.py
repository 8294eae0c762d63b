"""Write the skeleton of a chapter: `make chapter NAME=20_what_it_is_about` makes book/20_what_it_is_about.ipynb.

It has every part that `scripts/notebooks.py check` asks for, and a test file beside it. What is still to be written
says so by failing: the moving figure has no frames, the exercises no answer; in the text stands "…".
"""

from __future__ import annotations

import argparse
import re
import sys

import nbformat
from notebooks import ROOT, normalise, put_colab_cell

TITLE = """\
# {title}

> **After this chapter** you can …
>
> **You need** …
>
> **It runs** in about … seconds on two cores and **reads** in … minutes.

…, one concrete question. *What is it?*"""
IMPORTS = """\
import torch

from mglib import show"""
IDEA = """\
## The idea

The idea in a figure, the maths, a short cell, the picture, what we saw, with a number that is printed.

$$
1 + 1 = 2
$$"""
CODE = """\
ones = torch.ones(2)
print(f"one and one make {ones.sum():.0f}")"""
MOVING = """\
## By hand

What the reader moves is drawn beforehand, frame by frame. What computes in the page is a script (class `mg-live`)."""
FRAMES = """\
frames = []
show.flip_book(frames, "step")"""
END = """\
## Summary

- …

## Exercises"""
SOLUTION = """\
answer = ...
assert answer == 2
print(f"the answer is {answer}")"""
READING = """\
## Further reading

- …, with a line on why: [Finn et al., 2017](bibliography.md#finn2017)."""
TEST = '''"""What chapter {number} builds from scratch is what the library holds."""

from chapters import code_of

CHAPTER = "{name}"


def test_the_code_can_be_read():
    """For each name that mglib has too: defined_in(CHAPTER, "name")["name"] equals mglib's, on random inputs."""
    assert code_of(CHAPTER).body
'''


def skeleton(title: str) -> nbformat.NotebookNode:
    """Return the chapter's notebook, not executed."""
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [
        text(TITLE.format(title=title)),
        code(IMPORTS),
        text(IDEA),
        code(CODE),
        text(MOVING),
        code(FRAMES),
        text(END),
    ]
    for number in (1, 2, 3):
        cells += [text(f"**{number}.** ★ …?\n\n**Solution.** …. …."), code(SOLUTION, metadata={"tags": ["hide-cell"]})]
    notebook = nbformat.v4.new_notebook(cells=[*cells, text(READING)])
    for cell in notebook.cells:
        cell.pop("id")  # normalise makes one of the text
    put_colab_cell(notebook)
    normalise(notebook)
    notebook.metadata.pop("mglib")  # nothing was executed
    return notebook


def main() -> int:
    """Write the files and say what is next; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="two digits and words, such as 20_what_it_is_about")
    name = parser.parse_args().name
    if not re.fullmatch(r"\d\d(_[a-z0-9]+)+", name):
        parser.error(f"{name!r} is not two digits and lower-case words joined by _, such as 20_what_it_is_about")
    chapter, test = ROOT / "book" / f"{name}.ipynb", ROOT / "tests" / "book" / f"test_chapter_{name[:2]}.py"
    for path in (chapter, test):
        if path.exists():
            parser.error(f"{path.relative_to(ROOT)} is there already")
    title = name[3:].replace("_", " ").capitalize()
    chapter.write_text(nbformat.writes(skeleton(title)) + "\n", encoding="utf-8")
    test.write_text(TEST.format(number=int(name[:2]), name=name), encoding="utf-8")
    print(f"Written: {chapter.relative_to(ROOT)}, {test.relative_to(ROOT)}. Next, in _toc.yml:  - file: book/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
