"""Every chapter can be taken home: its notebook and its script are in the page's download menu, and the script runs."""

import ast
import builtins
import os
import subprocess
import sys

import downloads
import nbformat
import pytest
from rendered import CHAPTERS, HTML, ROOT, Page

BOOK = ROOT / "book"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_page_offers_its_notebook_and_its_script(rendered_book, name):
    links = Page((HTML / f"{name}.html").read_text(encoding="utf-8")).links
    for kind in ("ipynb", "py"):
        assert f"../_sources/{name}.{kind}" in links
        assert (HTML / "_sources" / f"{name}.{kind}").is_file()
    notebook = (HTML / "_sources" / f"{name}.ipynb").read_bytes()
    assert notebook == (ROOT / f"{name}.ipynb").read_bytes()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_script_holds_every_cell_and_no_shell_command(name):
    text = downloads.script(ROOT / f"{name}.ipynb", "A book")
    tree = ast.parse(text)
    assert "A book" in ast.get_docstring(tree)
    assert "get_ipython" not in text
    assert "google.colab" not in text
    cells = nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells
    code = [c.source for c in cells if c.cell_type == "code" and "remove-cell" not in c.metadata.get("tags", [])]
    assert len(code) > 3
    assert all(source.strip() in text for source in code)
    assert unbound(tree) == set()


def unbound(tree: ast.Module) -> set[str]:
    """Return the names that a script reads and that nothing in it, and no built-in, gives."""
    nodes = list(ast.walk(tree))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    given = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {
        n.arg for n in nodes if isinstance(n, ast.arg)
    }
    given |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler)}
    imported = [alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    given |= {(alias.asname or alias.name).partition(".")[0] for alias in imported}
    return {node.id for node in names if isinstance(node.ctx, ast.Load)} - given - set(dir(builtins))


def unlike(notebook: nbformat.NotebookNode, printed: str, near) -> list[str]:
    """Return the lines that a script did not print, numbers compared as nbval does, and those it printed besides."""
    lines, found = printed.splitlines(), []
    for cell in notebook.cells:
        stated = "".join(o.text for o in cell.get("outputs", ()) if o.get("name") == "stdout").splitlines()
        tolerance = cell.metadata.get("tolerance", {})
        limits = tolerance.get("relative", 0.0), tolerance.get("absolute", 0.0)
        told, lines = lines[: len(stated)], lines[len(stated) :]
        if near("\n".join(stated), limits) != near("\n".join(told), limits):
            found += stated
    return found + lines


def test_a_script_runs_and_prints_what_its_notebook_prints(tmp_path, nbval_rules):
    name = "04_tasks_not_data_sets"
    path = tmp_path / f"{name}.py"
    path.write_text(downloads.script(BOOK / f"{name}.ipynb", "A book"), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(BOOK)]), "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, path], cwd=BOOK, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    notebook = nbformat.read(BOOK / f"{name}.ipynb", as_version=4)
    assert unlike(notebook, done.stdout, nbval_rules.Near) == []
    *most, last = done.stdout.splitlines()
    assert last in unlike(notebook, "\n".join(most), nbval_rules.Near)
    assert unlike(notebook, f"{done.stdout}one more", nbval_rules.Near) == ["one more"]
