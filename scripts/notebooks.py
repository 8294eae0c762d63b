"""Keep the committed notebooks executed and in one canonical form.

``run`` executes notebooks in place and writes their outputs without anything that changes from run to run; ``check``
says which notebooks are not in the state that ``run`` leaves behind. Without paths both take every notebook of book/.
``run`` also puts the cell for Colab behind each title and notes in results/run_times.json how long a notebook took.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from notebook_checks import (
    COLAB_METADATA,
    FOLDED,
    KEPT_CELL_METADATA,
    METADATA,
    ROOT,
    WIDGET_STATE,
    WIDGET_VIEW,
    colab_source,
    problems,
    read,
    source_hash,
)

BOOK = ROOT / "book"
TIMES = ROOT / "results" / "run_times.json"
CORES = 2  # what the chapters promise their times for
MAX_SECONDS = 60
KERNELS = 3  # to start one: its ports are chosen before it binds them, and another program may be faster


def notebooks() -> list[Path]:
    """Return the book's notebooks."""
    return sorted(path for path in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


# --- run -----------------------------------------------------------------------------------------------------------


def execute(path: Path, timeout: int) -> NotebookNode:
    """Return a notebook with its outputs made anew; the file stays as it was."""
    import nbclient

    notebook = read(path)
    notebook.metadata = NotebookNode(METADATA)
    put_colab_cell(notebook)
    client = nbclient.NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # it would warn of itself among the lines that say how far we are
    )
    for left in reversed(range(KERNELS)):
        try:
            client.execute()
            break
        except RuntimeError:
            if client.code_cells_executed or not left:
                raise
    normalise(notebook)
    return notebook


def put_colab_cell(notebook: NotebookNode) -> None:
    """Put the cell for Colab behind the title, in the place of one that names another address."""
    is_old = len(notebook.cells) > 1 and "google.colab" in notebook.cells[1].source
    cell = notebook.cells.pop(1) if is_old else nbformat.v4.new_code_cell(id="colab")
    cell.source, cell.metadata = colab_source(), nbformat.from_dict(COLAB_METADATA)
    notebook.cells.insert(1, cell)


def keep_to_two_cores() -> int:
    """Let this process and the kernels it starts use two cores, where the system can; return how many it has."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def note_time(path: Path, seconds: float, cores: int) -> None:
    """Write how long a notebook of the book took into results/run_times.json, beside the other notebooks' times."""
    times = run_times()
    times[path.stem] = {
        "seconds": round(seconds, 1),
        "date": datetime.date.today().isoformat(),
        "cores": cores,
        "executed_source": source_hash(read(path)),
    }
    write_whole(TIMES, json.dumps(dict(sorted(times.items())), indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is the old one or the new one, whatever happens."""
    from mglib.params import write_atomically  # it brings torch, for which `check` need not wait

    write_atomically(path, text.encode())


def run_times() -> dict[str, dict]:
    """Return results/run_times.json."""
    return json.loads(TIMES.read_text(encoding="utf-8")) if TIMES.is_file() else {}


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
        if FOLDED.intersection(cell.metadata.get("tags", ())):
            cell.metadata.jupyter = NotebookNode(source_hidden=True)
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


def time_problems(paths: list[Path]) -> list[str]:
    """Return which of the book's notebooks have no time for their present code, or too long a one."""
    found, times = [], run_times()
    for path in paths:
        entry = times.get(path.stem, {})
        if path.resolve().parent != BOOK:
            continue
        if entry.get("executed_source") != source_hash(read(path)):
            found.append(f"{path}: {TIMES.name} has no time for its present code; run `make notebooks`")
        elif entry["seconds"] > MAX_SECONDS:
            found.append(f"{path}: takes {entry['seconds']} s on {entry['cores']} cores, at most {MAX_SECONDS} s")
    return found


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
        cores = keep_to_two_cores()
        for path in paths:
            print(f"executing {path}", flush=True)
            start = time.perf_counter()
            executed = execute(path, arguments.timeout)
            seconds = time.perf_counter() - start
            write_whole(path, nbformat.writes(executed) + "\n")
            if path.resolve().parent == BOOK:
                note_time(path, seconds, cores)
    found = [f"{path}: {text}" for path in paths for text in problems(path)]
    found += time_problems(paths)
    found += format_problems(paths) if paths else []
    for text in found:
        print(text, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
