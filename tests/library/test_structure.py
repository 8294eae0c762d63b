"""The cut: who may know whom, how long a file may be, and that the library stays silent."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY, BOOK = ROOT / "mglib", ROOT / "book"
FILES = sorted(LIBRARY.rglob("*.py"))
BESIDE = {path.parent.name for path in BOOK.glob("*/__init__.py")}  # packages that know mglib, never the reverse
# A room knows the ground, itself, and what stands here; `training` sees all but the pictures, `commands` and
# `__main__` everything.
CORE = ("params.py", "config.py", "nets", "tasks", "meta", "federated", "training")
KNOWS = {"nets": set(), "tasks": set(), "meta": set(), "federated": set()}
KNOWS["fast"] = {"nets", "meta"}
KNOWS["training"] = {"nets", "tasks", "meta", "federated", "fast"}
KNOWS["flower"] = KNOWS["training"] | {"training"}


def imported(path: Path) -> list[str]:
    """The full names of what a file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def imported_rooms(path: Path) -> set[str]:
    """The first-level parts of mglib that a file imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("mglib.")}


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("room", KNOWS)
def test_dependencies_point_one_way(room):
    for path in (LIBRARY / room).rglob("*.py"):
        strangers = imported_rooms(path) - {"params", "config", room} - KNOWS[room]
        assert not strangers, f"{path.name} must not know {strangers}"


def test_the_ground_and_the_pictures_know_nothing():
    assert imported_rooms(LIBRARY / "params.py") == set()
    assert imported_rooms(LIBRARY / "figure.py") == set()
    assert imported_rooms(LIBRARY / "show.py") == {"figure"}


def test_importing_the_library_imports_nothing_that_draws():
    heavy = ("matplotlib", "scipy", "ipywidgets", "skimage")
    code = f"import sys, mglib; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout == "[]\n"


def test_the_library_knows_nothing_of_the_book():
    assert {"figures", "pad", "studies"} <= BESIDE
    for path in FILES:
        assert not BESIDE & {name.partition(".")[0] for name in imported(path)}, path


@pytest.mark.parametrize("path", [*FILES, *sorted(BOOK.rglob("*.py"))], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_read_in_one_sitting(path):
    assert lines_of(path) <= 250


SHORT = {  # files of fewer than 80 lines, and why they stand alone
    "config.py": "what the rooms' settings share, and in each room what of a recipe is its own",
    "nets/macs.py": "the formula of the multiply-adds, which chapter 1 derives",
    "meta/gradient.py": "the meta-gradient alone, which chapter 6 derives",
    "fast/gradients.py": "the door of the fast path",
    "federated/rounds.py": "the round loop in one visible function",
    "flower/client_app.py": "what Flower loads on a node",
    "flower/node.py": "a node's own images, without Flower",
    "flower/connection.py": "where the superlink is, and how it is reached",
    "training/updates.py": "what a node does in a round",
}


def test_a_short_file_has_a_reason():
    short = {path.relative_to(LIBRARY).as_posix() for path in FILES if lines_of(path) < 80 and path.stem != "__init__"}
    reasons = {name for name in short if name in SHORT or name.endswith("/config.py")}
    assert short == reasons
    assert all((LIBRARY / name).is_file() for name in SHORT)


def test_the_library_grows_no_further():
    """To add lines, others have to go."""
    assert sum(map(lines_of, FILES)) <= 7_236
    core = [path for path in FILES if path.relative_to(LIBRARY).parts[0] in CORE]
    assert sum(map(lines_of, core)) <= 4_850


def test_the_library_prints_nothing():
    for path in FILES:
        if path.name != "__main__.py" and path.parent.name != "commands":
            calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls), path


def test_the_public_face_is_flat_and_whole():
    import mglib

    for name in mglib.__all__:
        assert getattr(mglib, name).__doc__ or name == "Params", name


def test_editors_and_python_find_the_same_public_names():
    """The names are imported when they are asked for; the imports in `mglib/__init__.py` are for editors alone."""
    import mglib

    declared = {
        alias.name: node.module
        for node in ast.walk(ast.parse((LIBRARY / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("mglib.")
        for alias in node.names
    }
    assert sorted(declared) == sorted(mglib.__all__)
    for name, module in declared.items():
        assert getattr(mglib, name) is getattr(importlib.import_module(module), name), name
    assert {*mglib.__all__, "nets"} <= set(dir(mglib))
    assert not hasattr(mglib, "nothing")
