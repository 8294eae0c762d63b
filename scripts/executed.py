"""Executed copies of the notebooks in _build/executed, for the build: only what has changed is executed, side by side.

A copy is fresh while everything that its outputs can depend on is as it was: its own code, the library, the book's
figures and studies, the result files and the packages asked for.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from notebook_checks import ROOT, read, source_hash
from notebooks import execute, run_times, write_whole

EXECUTED = ROOT / "_build" / "executed"
READS = ("mglib", "book/figures", "book/studies", "book/pad", "results", "requirements.lock")
UNREAD = ("run_times.json", "fuzz.json")  # results that no notebook reads; running one writes the first
TIMEOUT = 600  # seconds that a cell may take


def fingerprint(root: Path = ROOT, reads: Sequence[str] = READS) -> str:
    """Return a hash of every file that notebooks read."""
    digest = hashlib.sha256()
    for name in reads:
        paths = sorted((root / name).rglob("*")) if (root / name).is_dir() else [root / name]
        for path in paths:
            if path.is_file() and "__pycache__" not in path.parts and path.name not in UNREAD:
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def bring_up_to_date(
    paths: Sequence[Path], folder: Path = EXECUTED, workers: int | None = None, inputs: str | None = None
) -> bool:
    """Execute the notebooks whose copies are not fresh, as many at a time as there are cores; say so, one line each.

    inputs: the fingerprint of what notebooks read besides their own code. Returns whether all are executed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    inputs = inputs or fingerprint()
    seconds = {name: entry["seconds"] for name, entry in run_times().items()}
    stale = [path for path in paths if not is_fresh(path, folder, inputs)]
    stale.sort(key=lambda path: -seconds.get(path.stem, 0))  # none of the longest is left for the end
    print(f"{len(paths) - len(stale)} of {len(paths)} notebooks are as they were executed", flush=True)
    failed = 0
    with ProcessPoolExecutor(min(workers or os.cpu_count() or 1, len(stale) or 1)) as pool:
        running = {pool.submit(execute_copy, path, folder, inputs): path for path in stale}
        for number, future in enumerate(as_completed(running), 1):
            if error := future.exception():
                failed += 1
                print(f"error: {running[future]}: {error}", file=sys.stderr, flush=True)
            else:
                print(f"{number}/{len(stale)} {running[future].stem}, {future.result():.0f} s", flush=True)
    return failed == 0


def is_fresh(path: Path, folder: Path, inputs: str) -> bool:
    """Return whether a notebook's copy was made by its present code and with these inputs."""
    copy = folder / path.name
    if not copy.is_file():
        return False
    made = read(copy).metadata.get("mglib", {})
    return (made.get("executed_source"), made.get("inputs")) == (source_hash(read(path)), inputs)


def execute_copy(path: Path, folder: Path, inputs: str) -> float:
    """Execute a notebook into the folder and return the seconds that it took."""
    started, notebook = time.perf_counter(), execute(path, TIMEOUT)
    notebook.metadata.mglib.inputs = inputs
    write_whole(folder / path.name, nbformat.writes(notebook) + "\n")
    return time.perf_counter() - started


def with_outputs(notebook: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """Return the notebook with the outputs of its executed copy; its text may have changed since."""
    for cell, done in zip(code_cells(notebook), code_cells(executed), strict=True):
        cell.outputs, cell.execution_count = done.outputs, done.execution_count
    notebook.metadata.pop("widgets", None)
    if "widgets" in executed.metadata:
        notebook.metadata.widgets = executed.metadata.widgets
    return notebook


def code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """Yield the cells that have outputs."""
    return (cell for cell in notebook.cells if cell.cell_type == "code")
