"""What a chapter builds from scratch is what the library holds: by its source, or by a test of its numbers."""

import ast
import copy
import re
from pathlib import Path

import pytest
from chapters import BOOK, code_of

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "book"
STEMS = sorted(path.stem for path in BOOK.glob("*.ipynb"))
Definition = ast.FunctionDef | ast.ClassDef


def definitions(tree: ast.Module) -> dict[str, Definition]:
    """Return the functions and classes at a file's top level, those with a leading underscore left out."""
    found = [node for node in tree.body if isinstance(node, Definition)]
    return {node.name: node for node in found if not node.name.startswith("_")}


def in_library() -> dict[str, list[Definition]]:
    """Return the definitions of the library and of the book's studies by name; two modules may use one name.

    Commands and benchmarks are no part of it: no chapter builds them.
    """
    found: dict[str, list[Definition]] = {}
    paths = sorted(path for folder in (ROOT / "mglib", BOOK / "studies") for path in folder.rglob("*.py"))
    for path in (
        path for path in paths if path.name != "__main__.py" and path.parent.name not in ("bench", "commands")
    ):
        for name, node in definitions(ast.parse(path.read_text(encoding="utf-8"))).items():
            found.setdefault(name, []).append(node)
    return found


def bare(node: Definition) -> str:
    """Return a definition without docstrings, annotations and comments."""
    node = copy.deepcopy(node)
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(part) is not None:
            part.body = part.body[1:] or [ast.Pass()]
        if isinstance(part, ast.FunctionDef):
            part.returns = None
        if isinstance(part, ast.arg):
            part.annotation = None
    return ast.unparse(node)


def names_held(stem: str, folder: Path) -> set[str]:
    """Return what the chapter's test takes out of it: the names it has as strings beside the chapter's.

    `defined_in(stem, name, …)` may be called with constants or by a helper that passes them on; a chapter whose parts
    need each other is taken by `code_of(stem)`.
    """
    names: set[str] = set()
    for path in folder.glob(f"test_chapter_{stem[:2]}*.py"):
        tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        strings = {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        called = {node.id for node in tree if isinstance(node, ast.Name)}
        if stem in strings and called & {"defined_in", "code_of"}:
            names |= {text for text in strings if text.isidentifier()}
    return names


def strangers(chapter: dict[str, Definition], library: dict[str, list[Definition]], tested: set[str]) -> list[str]:
    """Return what a chapter defines under a name of the library's, of another source and untested."""
    shared = [name for name in chapter if name in library and name not in tested]
    return [name for name in shared if bare(chapter[name]) not in map(bare, library[name])]


@pytest.mark.parametrize("stem", STEMS)
def test_what_a_chapter_defines_is_what_the_library_has(stem):
    unlike = strangers(definitions(code_of(stem)), in_library(), names_held(stem, TESTS))
    assert not unlike, (
        f"book/{stem}.ipynb defines {unlike}, and so does mglib or book/studies, in other words: make them the same or "
        f"hold them equal "
        f"in tests/book/test_chapter_{stem[:2]}.py with defined_in({stem!r}, {', '.join(map(repr, unlike))})"
    )


@pytest.mark.parametrize(
    ("in_chapter", "same"),
    [
        ("def f(x):\n    return x + 1  # by hand", True),
        ("def f(x):\n    return x + 2", False),
        ("def f(y):\n    return y + 1", False),
        ("def g(x):\n    return 7", True),  # the library has no g
    ],
)
def test_the_same_source_is_told_from_another(in_chapter, same):
    library = definitions(ast.parse('def f(x: int) -> int:\n    """Return the next."""\n    return x + 1'))
    found = strangers(definitions(ast.parse(in_chapter)), {"f": [library["f"]]}, set())
    assert (found == []) == same


def test_a_test_of_the_chapter_s_numbers_counts(tmp_path):
    text = 'STEM = "01_x"\ndef own(*names):\n    return defined_in(STEM, *names)\ndef test_f():\n    own("f", "h")'
    (tmp_path / "test_chapter_01.py").write_text(text)
    assert names_held("01_x", tmp_path) == {"f", "h"}
    assert names_held("02_y", tmp_path) == set()
    (tmp_path / "test_chapter_01.py").write_text('assert "f"  # nothing is taken out of 01_x')
    assert names_held("01_x", tmp_path) == set()
    other = definitions(ast.parse("def f(x):\n    return -x"))
    library = {"f": [definitions(ast.parse("def f(x):\n    return 0 - x"))["f"]]}
    assert strangers(other, library, {"f"}) == []
    assert strangers(other, library, set()) == ["f"]


def test_commands_to_ipython_do_not_hinder_the_reading():
    for stem in STEMS:
        assert re.search("google.colab", ast.unparse(code_of(stem))), f"{stem} has no cell for Colab"
