"""What a chapter defines, taken out of its notebook: the reader's code is tested beside the library's."""

import ast
import re
from pathlib import Path

import nbformat

BOOK = Path(__file__).resolve().parent.parent / "book"
RESULTS = BOOK.parent / "results"


def cells_of(chapter: str, kind: str) -> list[nbformat.NotebookNode]:
    """Return the cells of `book/<chapter>.ipynb` that are of a kind, "code" or "markdown"."""
    return [c for c in nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4).cells if c.cell_type == kind]


def code_of(chapter: str) -> ast.Module:
    """Return the syntax tree of all code cells of a chapter, without IPython's own commands."""
    code = "\n".join(cell.source for cell in cells_of(chapter, "code"))
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", code, flags=re.MULTILINE))


def prose_of(chapter: str) -> str:
    """Return the text of all Markdown cells of a chapter, in one line."""
    return " ".join(" ".join(cell.source for cell in cells_of(chapter, "markdown")).split())


def outputs_of(chapter: str) -> list[nbformat.NotebookNode]:
    """Return the outputs of all code cells of a chapter."""
    return [output for cell in cells_of(chapter, "code") for output in cell.outputs]


def defined_in(chapter: str, *names: str) -> dict:
    """Return the functions, classes and plain names of a chapter, as its cells define them.

    The chapter's top-level imports are executed, then the definitions named, so that a later import of the library's
    version does not take the place of the chapter's own; nothing is trained or drawn.
    """
    imports, definitions = [], []
    for node in code_of(chapter).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(node)
        elif defined_by(node) & set(names):
            definitions.append(node)
    namespace: dict = {}
    exec(compile(ast.Module(imports + definitions, type_ignores=[]), f"{chapter}.ipynb", "exec"), namespace)
    missing = set(names) - {name for node in definitions for name in defined_by(node)}
    assert not missing, f"{chapter}.ipynb does not define {sorted(missing)}"
    return {name: namespace[name] for name in names}


def defined_by(node: ast.stmt) -> set[str]:
    """Return the names that a top-level statement gives something to, imports left out."""
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {node.name} if hasattr(node, "name") else set()
