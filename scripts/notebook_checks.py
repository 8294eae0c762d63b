"""What keeps a notebook from being committed: `scripts/notebooks.py check` asks, pre-commit and the tests as well."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KEPT_CELL_METADATA = ("jupyter", "mystnb", "slideshow", "tags", "tolerance")
MAX_CODE_LINES = 25
MAX_TABLE_CHARACTERS = 56  # of a line, in print that a phone 390 pixels wide still keeps legible
MIN_ALT_CHARACTERS = 15
BOX = (r"> \*\*After this (chapter|page)\*\*", r"> \*\*You need\*\*", r"> \*\*It runs\*\*.*\*\*reads\*\*")
LAST_SECTIONS = ["Summary", "Exercises", "Further reading"]
EXERCISES = range(3, 7)
MIN_SENTENCES = 2  # of a solution
FOLDED = {"hide-input", "hide-cell", "remove-cell"}  # the tags of cells whose code a page does not show at once
COLAB = """\
# Colab lacks the book's library and results: they are fetched there only.
import sys

if "google.colab" in sys.modules:
    !git clone --quiet --depth 1 {url}
    %pip install --quiet ./{folder}
    sys.path[:0] = ["{folder}", "{folder}/book"]"""
COLAB_METADATA = {"jupyter": {"source_hidden": True}, "tags": ["remove-cell"]}


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def source_hash(notebook: NotebookNode) -> str:
    """Return a hash of the code cells: the outputs are fresh only while it is the hash of what was executed."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def colab_source() -> str:
    """Return the cell that makes a notebook run on Colab, with the repository's address from _config.yml."""
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    return COLAB.format(url=url, folder=url.rstrip("/").rsplit("/", 1)[-1])


def problems(path: Path) -> list[str]:
    """Return what keeps a notebook from being committed, each with the cell it is about."""
    notebook = read(path)
    found = [*metadata_problems(notebook), *colab_problems(notebook), *freshness_problems(notebook)]
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            found += [f"cell {number} ({cell.id}): {text}" for text in cell_problems(cell)]
    found += [f"widget state: {text}" for text in widget_problems(notebook)]
    if re.match(r"\d\d_", path.name):
        found += chapter_problems(notebook)
        project = any(re.search(r"^\*\*A project\.\*\* ★★★ ", cell.source, re.MULTILINE) for cell in notebook.cells)
        if path.stem in last_of_parts() and not project:
            found.append("the last chapter of a part ends its exercises with `**A project.** ★★★ …`, an open question")
    return found


def metadata_problems(notebook: NotebookNode) -> Iterator[str]:
    """Yield what is volatile or foreign in the notebook's metadata."""
    for key, wanted in METADATA.items():
        if notebook.metadata.get(key) != wanted:
            yield f"metadata.{key} is {dict(notebook.metadata.get(key, {}))}, not {wanted}; run `make notebooks`"
    for number, cell in enumerate(notebook.cells):
        if foreign := set(cell.metadata) - set(KEPT_CELL_METADATA):
            yield f"cell {number} ({cell.id}): metadata {sorted(foreign)} does not belong here; run `make notebooks`"


def colab_problems(notebook: NotebookNode) -> Iterator[str]:
    """Yield that the cell behind the title is not the one that Colab needs."""
    cell = notebook.cells[1] if len(notebook.cells) > 1 else None
    if cell is None or (cell.source, dict(cell.metadata)) != (colab_source(), COLAB_METADATA):
        yield "cell 1 is not the one for Colab (address from _config.yml, hidden); run `make notebooks`"


def freshness_problems(notebook: NotebookNode) -> Iterator[str]:
    """Yield signs that the outputs are not those of the code beside them."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        yield f"the code cells are numbered {counts}, not 1 to {len(cells)}; run `make notebooks`"
    if notebook.metadata.get("mglib", {}).get("executed_source") != source_hash(notebook):
        yield "the code has changed since it was executed; run `make notebooks`"


def cell_problems(cell: NotebookNode) -> Iterator[str]:
    """Yield what is wrong with a code cell and its outputs."""
    lines = len(cell.source.splitlines())
    if lines > MAX_CODE_LINES:
        yield f"{lines} lines of code, at most {MAX_CODE_LINES} are allowed"
    tags, hidden = cell.metadata.get("tags", ()), cell.metadata.get("jupyter", {}).get("source_hidden", False)
    if bool(FOLDED.intersection(tags)) != hidden:
        yield f"folded on the page and not in JupyterLab, or the reverse: source_hidden goes with {sorted(FOLDED)}"
    for output in cell.outputs:
        if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", ()):
            yield f"failed with {output.ename}: {output.evalue}"
        for line in str(output.get("text", "")).splitlines():
            if "  " in line.strip() and len(line) > MAX_TABLE_CHARACTERS:
                yield f"a printed table's line breaks on a phone, over {MAX_TABLE_CHARACTERS} characters: {line!r}"
            if re.search(r"\b(True|False)\W*$", line):
                yield f"a printed line ends in a truth value, print the number instead and assert the rest: {line!r}"
        data = output.get("data", {})
        if any(kind.startswith("image/") for kind in data) and "text/html" not in data:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            if len(alt) < MIN_ALT_CHARACTERS:
                yield f"its picture has the text alternative {alt!r} (metadata.mystnb.image.alt): say what is seen"
        yield from html_problems(data.get("text/html", ""))


def html_problems(html: str) -> Iterator[str]:
    """Yield the pictures of an HTML output that say nothing to those who cannot see them."""
    for tag in re.findall(r"<svg\b[^>]*>", html):
        hidden = 'aria-hidden="true"' in tag
        if not hidden and not ('role="img"' in tag and len(attribute(tag, "aria-label")) >= MIN_ALT_CHARACTERS):
            yield f'{tag[:120]} needs role="img" and an aria-label that says what is seen, or aria-hidden="true"'
    for tag in re.findall(r"<img\b[^>]*>", html):
        if len(attribute(tag, "alt")) < MIN_ALT_CHARACTERS:
            yield f"{tag[:120]} needs an alt that says what is seen"


def attribute(tag: str, name: str) -> str:
    """Return the value of a tag's attribute, empty where it has none."""
    match = re.search(rf"\b{name}=([\"'])(.*?)\1", tag, flags=re.DOTALL)
    return match[2].strip() if match else ""


def widget_problems(notebook: NotebookNode) -> Iterator[str]:
    """Yield what is wrong with the widgets that the page will show."""
    state = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    for model in state.values():
        if model.model_name == "HTMLModel":
            yield from html_problems(model.state.get("value", ""))
        elif model.model_name == "ImageModel":
            yield "widgets.Image has no text alternative: use widgets.HTML with an <img alt=…> or an <svg>"
    shown = any(WIDGET_VIEW in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
    if shown and not state:
        yield "a widget is shown, but its state was not saved; run `make notebooks`"


# --- the parts of a chapter ----------------------------------------------------------------------------------------


def chapter_problems(notebook: NotebookNode) -> Iterator[str]:
    """Yield what a numbered chapter lacks: its box, its last sections, exercises with solutions that assert."""
    if not notebook.cells or not notebook.cells[0].source.startswith("# "):
        yield "cell 0 is not the title, `# …`"
        return
    box = "\n".join(line for line in notebook.cells[0].source.splitlines() if line.startswith(">"))
    flat = re.sub(r"\n> (?!\*\*)", " ", box)  # an entry may go on in the next line
    for wanted in BOX:
        if not re.search(f"^{wanted}", flat, flags=re.MULTILINE):
            yield f"the box under the title has no line like {wanted!r}"
    for entry in re.findall(r"\n> .*\n> (\*\*(?:You need|It runs)\*\*)", box):
        yield f"the box's entry {entry} runs into the one before: put a line `>` between them"
    markdown = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    sections = re.findall(r"^## (.+?)\s*$", markdown, flags=re.MULTILINE)
    if sections[-3:] != LAST_SECTIONS:
        yield f"the last sections are {sections[-3:]}, not {LAST_SECTIONS}"
    yield from exercise_problems(exercises(notebook))


def last_of_parts() -> set[str]:
    """Return the names of the chapters that end one of the book's numbered parts."""
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    return {Path(part["chapters"][-1]["file"]).name for part in parts if part.get("numbered")}


def exercises(notebook: NotebookNode) -> list[tuple[int, str, list[NotebookNode]]]:
    """Return the exercises' numbers, each with its question and solution, and the code cells that follow."""
    section, found = "", []
    for cell in notebook.cells:
        if cell.cell_type == "code" and section == "Exercises" and found:
            found[-1][2].append(cell)
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("## "):
                section = line[3:].strip()
            elif section == "Exercises" and (number := re.match(r"\*\*(\d+)\.", line)):
                found.append((int(number[1]), line, []))
            elif section == "Exercises" and found:
                found[-1] = (found[-1][0], f"{found[-1][1]}\n{line}", found[-1][2])
    return found


def exercise_problems(found: list[tuple[int, str, list[NotebookNode]]]) -> Iterator[str]:
    """Yield what is wrong with the exercises."""
    numbers = [number for number, *_ in found]
    if len(numbers) not in EXERCISES or numbers != list(range(1, len(numbers) + 1)):
        yield f"the exercises are numbered {numbers}, not 1 to {EXERCISES[0]} … {EXERCISES[-1]} (`**1.** …`)"
    for number, text, cells in found:
        question, _, solution = text.partition("**A project.**")[0].partition("**Solution.**")
        stars = re.match(r"\*\*\d+\.\*\* (★{1,3}) ", question)
        if not stars:
            yield f"exercise {number}: it does not begin with how hard it is, `**{number}.** ★ …`, one to three stars"
        elif len(stars[1]) == 3 and "*Hint:*" not in question:
            yield f"exercise {number}: three stars and no `*Hint:* …` for those who are stuck"
        if len(re.findall(r"[.!?][*\"”)]*(?:\s|$)", re.sub(r"\$[^$]*\$", "", solution))) < MIN_SENTENCES:
            yield f"exercise {number}: `**Solution.**` says less than {MIN_SENTENCES} sentences before its cell"
        shown = [cell.id for cell in cells if "hide-cell" not in cell.metadata.get("tags", ())]
        if shown:
            yield f"exercise {number}: the solution's cells {shown} lack the tag hide-cell"
        if not any(re.search(r"^\s*assert\b", cell.source, flags=re.MULTILINE) for cell in cells):
            yield f"exercise {number}: no cell of its solution asserts anything"
