"""What a chapter defines, taken out of its notebook: the reader's code is tested beside the library's."""

import ast
import re
from pathlib import Path

import nbformat

BOOK = Path(__file__).resolve().parent.parent / "book"


def code_of(chapter: str) -> ast.Module:
    """Return the syntax tree of all code cells of `book/<chapter>.ipynb`, without IPython's own commands."""
    cells = nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE))


def defined_in(chapter: str, *names: str) -> dict:
    """Return the functions and classes of a chapter by name, as its cells define them.

    The chapter's top-level imports are executed, and of its definitions those named; nothing is trained or drawn.
    """
    namespace: dict = {}
    wanted = []
    for node in code_of(chapter).body:
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        if is_import or getattr(node, "name", None) in names:
            wanted.append(node)
    exec(compile(ast.Module(wanted, type_ignores=[]), f"{chapter}.ipynb", "exec"), namespace)
    missing = [name for name in names if name not in namespace]
    assert not missing, f"{chapter}.ipynb does not define {missing}"
    return {name: namespace[name] for name in names}
