"""nbval compares numbers within the tolerance that a cell states, and everything else exactly."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = {"relative": 0.05, "absolute": 0.2, "why": "another machine's last digits turn a query"}
UNPRINTED = ["silent", "asserts", "draws"]
SHOW = """class Figure:
    def __repr__(self):
        return "Figure('a')"

    def _repr_html_(self):
        return "<svg></svg>"


display(Figure())"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Which cells pass, by what they print and what the file says that they print."""
    cases = {
        "near": ("accuracy 70.1 % ± 1.2", "accuracy 71.5 % ± 1.1", TOLERANCE),
        "far": ("accuracy 70.1 % ± 1.2", "accuracy 75.0 % ± 1.2", TOLERANCE),
        "other words": ("accuracy 70.1 %", "the MACs 70.1 %", TOLERANCE),
        "one number more": ("accuracy 70.1 %", "accuracy 70.1 70.1 %", TOLERANCE),
        "thousands": ("2,904 bytes", "2,950 bytes", TOLERANCE),
        "no number": ("a gate opens", "a gate closes", TOLERANCE),
        "no tolerance": ("accuracy 70.1 %", "accuracy 70.2 %", None),
    }
    folder = tmp_path_factory.mktemp("book")
    shutil.copy(ROOT / "book" / "conftest.py", folder)
    cells = []
    for count, (printed, stated, tolerance) in enumerate(cases.values(), 1):
        output = nbformat.v4.new_output("stream", name="stdout", text=f"{stated}\n")
        metadata = {"tolerance": tolerance} if tolerance else {}
        source = f"print({printed!r})"
        cells.append(nbformat.v4.new_code_cell(source, outputs=[output], execution_count=count, metadata=metadata))
    drawn = nbformat.v4.new_output("display_data", {"text/plain": "Figure('a')", "text/html": "<svg></svg>"})
    for source, outputs in (("x = 1", []), ("assert x == 1", []), (SHOW, [drawn])):
        count += 1
        cells.append(nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=count))
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "cells.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-v", "-p", "no:cacheprovider", "."]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    names, found = [*cases, *UNPRINTED], re.findall(r"Cell (\d+) (PASSED|FAILED|ONLY RUN)", ran.stdout)
    assert len(found) == len(names), ran.stdout
    return {names[int(place)]: outcome for place, outcome in found} | {"in all": ran.stdout.splitlines()[-1]}


@pytest.mark.parametrize("case", ["near", "thousands"])
def test_numbers_within_the_tolerance_are_equal(outcomes, case):
    assert outcomes[case] == "PASSED"


@pytest.mark.parametrize("case", ["far", "other words", "one number more", "no number", "no tolerance"])
def test_everything_else_is_a_difference(outcomes, case):
    assert outcomes[case] == "FAILED"


def test_a_cell_that_compares_nothing_is_counted_apart(outcomes):
    assert [outcomes[case] for case in UNPRINTED] == ["ONLY RUN", "PASSED", "ONLY RUN"]
    assert re.search(r"5 failed, 3 passed, 2 only run", outcomes["in all"])


def test_a_kernel_that_dies_as_it_starts_is_started_anew(nbval_rules):
    died = []

    def start(deaths):
        if len(died) < deaths:
            died.append("Address already in use")
            raise RuntimeError("Kernel died before replying to kernel_info")
        return "a kernel"

    assert nbval_rules.started(2, start=start) == "a kernel"
    assert len(died) == 2
    with pytest.raises(RuntimeError, match="Kernel died"):
        nbval_rules.started(9, start=start)


def test_every_tolerance_says_why_it_is_needed():
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            if tolerance := cell["metadata"].get("tolerance"):
                assert tolerance.keys() <= {"relative", "absolute", "why"}, path.stem
                assert tolerance["why"], path.stem
