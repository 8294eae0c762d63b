"""Keep the committed notebooks executed and in one canonical form.

``run`` executes notebooks in place and writes their outputs without anything that changes from run to run; ``check``
says which notebooks are not in the state that ``run`` leaves behind. Without paths both take every notebook of book/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KEPT_CELL_METADATA = ("jupyter", "mystnb", "slideshow", "tags")
MAX_CODE_LINES = 25
MIN_ALT_CHARACTERS = 15


def notebooks() -> list[Path]:
    """Return the book's notebooks."""
    return sorted(path for path in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def source_hash(notebook: NotebookNode) -> str:
    """Return a hash of the code cells: the outputs are fresh only while it is the hash of what was executed."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


# --- run -----------------------------------------------------------------------------------------------------------


def execute(path: Path, timeout: int) -> None:
    """Execute a notebook in place; on a failing cell the file stays as it was."""
    import nbclient

    notebook = read(path)
    notebook.metadata = NotebookNode(METADATA)
    client = nbclient.NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        coalesce_streams=True,
    )
    client.execute()
    normalise(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def normalise(notebook: NotebookNode) -> None:
    """Remove in place what differs from one run to the next or from one machine to the next."""
    widgets = notebook.metadata.get("widgets")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    taken: set[str] = set()
    count = 0
    for cell in notebook.cells:
        cell.id = cell_id(cell, taken)
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA})
        if cell.cell_type != "code":
            continue
        if not cell.source.strip():
            cell.execution_count, cell.outputs = None, []
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    if widgets:
        notebook.metadata.widgets = widgets
        number_widgets(notebook)
    notebook.metadata.mglib = NotebookNode(executed_source=source_hash(notebook))


def cell_id(cell: NotebookNode, taken: set[str]) -> str:
    """Return the cell's id, or one made of its text where it has none of its own."""
    own = cell.get("id", "")
    if not own or own in taken:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()
        own = next(digest[i : i + 8] for i in range(56) if digest[i : i + 8] not in taken)
    taken.add(own)
    return own


def number_widgets(notebook: NotebookNode) -> None:
    """Replace the widgets' random ids by their number in the order of creation."""
    state = notebook.metadata.widgets[WIDGET_STATE]["state"]
    names = {old: f"{number:032x}" for number, old in enumerate(state)}
    pattern = re.compile("|".join(map(re.escape, names)) or r"(?!)")

    def rename(value: object) -> object:
        if isinstance(value, dict):
            return {rename(key): rename(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rename(item) for item in value]
        return pattern.sub(lambda match: names[match[0]], value) if isinstance(value, str) else value

    notebook.metadata.widgets = nbformat.from_dict(rename(notebook.metadata.widgets))
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if WIDGET_VIEW in output.get("data", {}):
                output.data[WIDGET_VIEW] = nbformat.from_dict(rename(output.data[WIDGET_VIEW]))


# --- check ---------------------------------------------------------------------------------------------------------


def problems(path: Path) -> list[str]:
    """Return what keeps a notebook from being committed, each with the cell it is about."""
    notebook = read(path)
    found = [*metadata_problems(notebook), *freshness_problems(notebook)]
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            found += [f"cell {number} ({cell.id}): {text}" for text in cell_problems(cell)]
    found += [f"widget state: {text}" for text in widget_problems(notebook)]
    return found


def metadata_problems(notebook: NotebookNode) -> Iterator[str]:
    """Yield what is volatile or foreign in the notebook's metadata."""
    for key, wanted in METADATA.items():
        if notebook.metadata.get(key) != wanted:
            yield f"metadata.{key} is {dict(notebook.metadata.get(key, {}))}, not {wanted}; run `make notebooks`"
    for number, cell in enumerate(notebook.cells):
        if foreign := set(cell.metadata) - set(KEPT_CELL_METADATA):
            yield f"cell {number} ({cell.id}): metadata {sorted(foreign)} does not belong here; run `make notebooks`"


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
    for output in cell.outputs:
        if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", ()):
            yield f"failed with {output.ename}: {output.evalue}"
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


def format_problems(paths: list[Path]) -> list[str]:
    """Return what ruff says about the format of the notebooks' code."""
    command = [sys.executable, "-m", "ruff", "format", "--check", *map(str, paths)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return [] if result.returncode == 0 else [f"`ruff format` would change the code:\n{result.stdout}{result.stderr}"]


def main() -> int:
    """Run or check notebooks; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["run", "check"])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (default: all of book/)")
    parser.add_argument("--timeout", type=int, default=120, help="seconds a cell may take (default: 120)")
    arguments = parser.parse_args()
    paths = arguments.paths or notebooks()
    if arguments.action == "run":
        for path in paths:
            print(f"executing {path}", flush=True)
            execute(path, arguments.timeout)
    found = [f"{path}: {text}" for path in paths for text in problems(path)]
    found += format_problems(paths) if paths else []
    for text in found:
        print(text, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
