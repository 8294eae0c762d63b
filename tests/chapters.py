"""What a chapter defines, says and shows, taken out of its notebook: it is tested beside the library and the files."""

import ast
import math
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nbformat

BOOK = Path(__file__).resolve().parent.parent / "book"
RESULTS = BOOK.parent / "results"
NUMBER = r"(?:20\d\d−\d\d−\d\d|\d+(?:\.\d+)?(?: ± \d+(?:\.\d+)?| of \d+)?)(?!\w)"  # a date, number, interval or count
PARTS = re.compile(" ± | of ")
SIGNED = re.compile(rf"(?<![\w.])(?<!\w−)[+−]?{NUMBER}")


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


# --- its sections, and the numbers they show -------------------------------------------------------------------------


@dataclass
class Section:
    """A chapter's part under one heading: its prose, the numbers in its code, and those that it shows.

    `shown` has for each number how far off another machine's may be, by the tolerance of the cell that shows it.
    """

    title: str
    prose: str = ""
    cells: list[nbformat.NotebookNode] = field(default_factory=list)
    code: set[str] = field(default_factory=set)
    shown: dict[str, float] = field(default_factory=dict)


@cache
def sections(path: Path) -> list[Section]:
    """Return a chapter's parts in order, the one before the first heading with an empty title."""
    return sections_of(nbformat.read(path, as_version=4))


def sections_of(notebook: nbformat.NotebookNode) -> list[Section]:
    found = [Section("")]
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            before, *rest = re.split(r"^## (.+)$", cell.source, flags=re.MULTILINE)
            found[-1].prose += f"\n\n{before}"
            found += [Section(title.strip(), text) for title, text in zip(rest[::2], rest[1::2], strict=True)]
        elif cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", ()):
            section = found[-1]
            section.cells.append(cell)
            section.code |= numbers(cell.source)
            near = cell.metadata.get("tolerance", {})
            for number in numbers(text_of(cell, widgets)):
                off = max(near.get("absolute", 0), near.get("relative", 0) * size(number))
                for said in (number, *rounded(number)):
                    section.shown[said] = min(off, section.shown.get(said, math.inf))
    return found


def text_of(cell: nbformat.NotebookNode, widgets: dict) -> str:
    """Return what a code cell shows as text: printed lines, and the words of drawings, tables and flip-books."""
    texts, shown = [], []
    for output in cell.outputs:
        data = output.get("data", {})
        texts.append(output.text if output.get("name") == "stdout" else "")
        shown += [data.get("text/html", ""), data.get("image/svg+xml", "")]
        models = [data.get("application/vnd.jupyter.widget-view+json", {}).get("model_id")]
        while models:
            state = widgets.get(models.pop(), {}).get("state", {})
            models += [child.removeprefix("IPY_MODEL_") for child in state.get("children", ())]
            shown.append(str(state.get("value", "")))
    for html in filter(None, shown):
        html = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
        texts += [*re.findall(r'(?:aria-label|alt)="([^"]*)"', html), re.sub(r"<[^>]*>", " ", html)]
    return "\n".join(texts)


def plain(text: str) -> str:
    """Return a text with its numbers in one way of writing: no commas, hyphens or units before ±."""
    text = re.sub(r"(?<=\d)[,_](?=\d{3}(?!\d))|(?<=\d) ?(?:%|points)(?= *±)", "", text).replace("-", "−")
    return re.sub(r" *± *", " ± ", text)


def numbers(text: str) -> set[str]:
    """Return a text's numbers, intervals and counts (`3 of 10`), without their signs too, and the numbers in them."""
    signed = set(SIGNED.findall(plain(text)))
    bare = {each.lstrip("+−") for each in signed}
    positive = {f"+{each}" for each in bare if f"−{each}" not in signed or each in signed}
    return signed.union(bare, positive, *(PARTS.split(each) for each in bare))


def rounded(number: str) -> list[str]:
    """Return a decimal with fewer of its digits, two at least: 39.2 may be called 39."""
    sign, digits = re.fullmatch(r"([+−]?)(.*)", number).groups()
    if not re.fullmatch(r"\d+\.\d+", digits):
        return []
    fewer = (f"{float(digits):.{places}f}" for places in range(len(digits.partition(".")[2])))
    return [sign + each for each in fewer if len(each.replace(".", "").lstrip("0")) >= 2]


def size(number: str) -> float:
    """Return how large a number is, of two the larger; no tolerance is over a third of a date."""
    return math.inf if number.count("−") > 1 else max(map(float, PARTS.split(number.lstrip("+−"))))


def widest(number: str) -> float:
    """Return the widest tolerance that leaves a number its meaning: a third of it, or the length of its interval."""
    return max(size(number) / 3, *(2 * float(half) for half in number.split(" ± ")[1:]), 0)
