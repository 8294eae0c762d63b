"""What a section or a generated table has from result files, it dates."""

import ast
import re

import nbformat
import notebooks
import pytest
from chapters import Section, sections, sections_of

PATHS = notebooks.notebooks()
READERS = {
    "compared",
    "compared_lines",
    "head_to_head",
    "read_record",
    "read_results",
    "slim_by_budget",
    "starts_compared",
}
READERS |= {"table_rows"}
A_READING = re.compile(r"json\.loads\(.*\.read_text\(|\.(?:read|lines)\((?:evidence|folder)\b")


def reads(node: ast.AST, names: set[str]) -> bool:
    """Return whether code reads a result file: it calls one of the names, or does it by hand."""
    loaded = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
    return bool(loaded & names or A_READING.search(ast.unparse(node)))


def undated(chapter: list[Section]) -> list[str]:
    """Return the sections that read result files, or use rows read before the first one, and show no date.

    A date before the first section is one for all of them.
    """
    names, found = set(READERS), []
    for section in chapter:
        shown = {*section.shown, *chapter[0].shown}
        dated = any(re.fullmatch(r"20\d\d−\d\d−\d\d", number) for number in shown)
        for cell in section.cells:
            for node in ast.parse(re.sub(r"^\s*[%!].*$", "pass", cell.source, flags=re.MULTILINE)).body:
                if isinstance(node, ast.Import | ast.ImportFrom) or not reads(node, names):
                    continue
                if isinstance(node, ast.FunctionDef):
                    names |= {node.name} if reads(node, READERS) else set()
                elif not section.title and isinstance(node, ast.Assign) and reads(node, READERS):
                    names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
                elif section.title and not dated and section.title not in found:
                    found.append(section.title)
    return found


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_section_that_reads_result_files_shows_their_dates(path):
    missing = undated(sections(path))
    assert not missing, f"print a line like 'measured 2026-11-23' in each of the sections {missing}"


@pytest.mark.parametrize(
    "code",
    [
        'rows = table_rows(TABLES["steps"], evidence)',
        'print(json.loads((results / "wire.json").read_text())["bytes"])',
        'def load(name):\n    return read_record(results / name)\n\n\nprint(load("a.json"))',
        "print(cell.read(evidence))",
    ],
)
def test_a_section_of_undated_results_is_noticed(code):
    def told(source, printed):
        cell = nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", text=printed)])
        return undated(sections_of(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("## One"), cell])))

    assert told(code, "70.1 %") == ["One"]
    assert told(code, "70.1 %, measured 2026-11-23") == []
    assert told("text = read(path)", "70.1 %") == []


def test_rows_read_before_the_first_section_are_dated_where_used():
    cells = [nbformat.v4.new_code_cell("rows = table_rows(table, folder)"), nbformat.v4.new_markdown_cell("## One")]
    cells += [nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_markdown_cell("## Two")]
    cells.append(nbformat.v4.new_code_cell("print(rows[0])"))
    assert undated(sections_of(nbformat.v4.new_notebook(cells=cells))) == ["Two"]


@pytest.mark.parametrize(
    ("name", "block"), [("claims.md", "scoreboard"), ("results.md", "methods"), ("results.md", "runs")]
)
def test_a_table_made_of_result_files_shows_their_dates(name, block):
    page = (notebooks.BOOK / name).read_text(encoding="utf-8")
    _, table, _ = re.split(f"<!-- /?{block} -->", page)
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", table), f"{block} of {name}: end it with a line 'measured 2026-11-23'"
