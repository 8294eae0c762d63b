"""The pages around the chapters: each term, symbol, claim and link leads to something, and what is generated is fresh.

What a page says of a chapter is held from the moment that _toc.yml names the chapter.
"""

import ast
import dataclasses
import functools
import html
import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import api_docstrings
import api_pages
import back_matter
import book_extension
import nbformat
import numpy as np
import pytest
from docutils import nodes
from docutils.utils import new_document
from scipy import stats

import mglib
from studies import scoreboard

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
CHAPTERS = {chapter.page: chapter for chapter in back_matter.chapters()}
PAGES = sorted(BOOK.rglob("*.md"))
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def page(name: str) -> str:
    """The text of a page of the book."""
    return (BOOK / name).read_text(encoding="utf-8")


def table_rows(text: str) -> list[list[str]]:
    """The cells of all tables' rows, headings left out."""
    lines = text.splitlines()
    rows = [a for a, b in zip(lines, [*lines[1:], ""], strict=True) if a.startswith("| ") and not b.startswith("|--")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


CHAPTER_MAP = [row for row in table_rows(page("how_to_read.md")) if ".ipynb" in row[0]]
PLANNED = {LINK.search(row[0])[2] for row in CHAPTER_MAP}


# --- how to read ---------------------------------------------------------------------------------------------------


def test_the_map_holds_every_chapter_in_order():
    order = [LINK.search(row[0])[2] for row in CHAPTER_MAP]
    assert [name for name in order if name in CHAPTERS] == list(CHAPTERS)


@pytest.mark.parametrize("row", CHAPTER_MAP, ids=lambda row: LINK.search(row[0])[2])
def test_the_map_names_title_question_and_file(row):
    title, target = LINK.search(row[0]).groups()
    assert row[1].endswith("?")
    for file in re.findall(r"`((?:mglib|book)/[^`]+)`", row[2]):
        assert (ROOT / file).is_file(), file
    if target in CHAPTERS:
        assert title == CHAPTERS[target].title


# --- glossary and notation -----------------------------------------------------------------------------------------


def is_explained(term: str, text: str) -> bool:
    """Whether a term, singular or plural, stands in a heading or in bold, or in brackets behind bold words."""
    bold = [" ".join(part) for part in re.findall(r"\*\*(.+?)\*\*(?: \((\w+)\b)?", text, re.DOTALL)]
    marked = " | ".join(" ".join(each.split()) for each in [*bold, *re.findall(r"^#+ (.+)$", text, re.M)])
    return re.search(rf"(?<![\w-]){re.escape(term)}(?:s|es)?(?![\w-])", marked, re.IGNORECASE) is not None


@pytest.mark.parametrize(("term", "said"), back_matter.glossary().items())
def test_a_term_is_explained_in_its_chapter(term, said):
    targets = [target for _, target in LINK.findall(said)]
    assert targets, f"{term}: no chapter explains it"
    assert set(targets) <= PLANNED
    assert said.count(". ") == 1, f"{term}: one sentence, then the chapter"
    if targets[-1] in CHAPTERS:
        assert is_explained(term, CHAPTERS[targets[-1]].text), f"{targets[-1]} does not define {term}"


def test_every_entry_of_the_glossary_is_read():
    assert len(back_matter.glossary()) == len(re.findall(r"^: ", page("glossary.md"), re.M))


def test_an_explained_term_is_told_from_one_in_passing():
    assert is_explained("gate", "its **gates** close")
    assert is_explained("Gate head", "a **small\ngate head**")
    assert is_explained("MAML", "**Model-agnostic meta-learning** (MAML, 2017)")
    assert is_explained("collapse", "text\n\n## The collapse, filter by filter")
    assert not is_explained("gate", "a gate, **meta-gate**, **gateway** and **bold** (no gate)")


@functools.cache
def names_of_the_library() -> set[str]:
    """Every name that library, studies and pad define: functions, classes, parameters, fields and variables."""
    names = set()
    for path in (path for room in (ROOT / "mglib", BOOK / "studies", BOOK / "pad") for path in room.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return names


SYMBOLS = [row for row in table_rows(page("notation.md")) if row[0].startswith("$")]


def formulas(text: str) -> str:
    """The TeX of a Markdown text."""
    return " ".join(display or inline for display, inline in re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", text, re.DOTALL))


def occurs(symbol: str, tex: str) -> bool:
    """Whether a symbol stands in TeX, not as a part of another command or word."""
    tex, symbol = tex.replace("{", "").replace("}", ""), symbol.replace("{", "").replace("}", "")
    tex = re.sub(r"\\(?:text|operatorname|mathrm)\w*", " ", tex)
    return re.search(rf"(?<![A-Za-z\\]){re.escape(symbol)}(?![A-Za-z])", tex) is not None


@pytest.mark.parametrize("row", SYMBOLS, ids=lambda row: row[0])
def test_a_symbol_has_a_code_name_and_a_chapter(row):
    symbols, _, code, where = row
    for name in re.findall(r"`([^`]+)`", code):
        assert name in names_of_the_library(), f"{symbols}: mglib has no {name}"
    target = LINK.search(where)[2]
    assert target in PLANNED
    if target in CHAPTERS:
        for symbol in re.findall(r"\$(.+?)\$", symbols):
            assert occurs(symbol, formulas(CHAPTERS[target].text)), f"{target} does not use {symbol}"


def test_a_symbol_is_told_from_a_part_of_another():
    assert occurs(r"\theta'", r"F(\theta', \varphi)")
    assert occurs("L_S", r"\nabla L_{S}(x)")
    assert not occurs("a", r"\alpha + \text{and} x_{ab}")
    assert not occurs("L_S", "L_Q")


# --- claims --------------------------------------------------------------------------------------------------------

CLAIMS = re.split(r"^## ", page("claims.md"), flags=re.MULTILINE)[1:]
TESTS = {
    node.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


def resolve(name: str) -> object:
    """Import what a dotted name stands for."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.splitlines()[0])
def test_a_claim_leads_to_equation_code_test_figure_and_state(claim):
    assert re.findall(r"^- (\w+):", claim, re.M) == ["Equation", "Code", "Tests", "Figures", "State"]
    (state,) = re.findall(r"^- State: (.+)\Z", claim, re.M | re.S)
    assert re.search(r"\*\*(holds|holds in part|holds for .+?|open)\b", state)
    assert "**open" not in state or "settle" in state, "what would settle it?"
    assert re.findall(r"`(test_\w+)`", claim)
    for file in re.findall(r"`(results/[^`]+)`", claim):
        assert (ROOT / file).is_file(), file


SCOREBOARD = [row for row in table_rows(page("claims.md")) if re.match(r"\d\. ", row[0])]
RIVALS = {  # over which method's files a row states a lead: MetaGater's, or that of the method named first
    "1. The exact gradient for both beats its first-order shortcut": "first-order-50",
    "2. In one slim network, a meta-learnt start beats one that was trained to name all classes": "slim-50 fedavg-50",
    "2. … after 1,500 rounds, with learnt rates": "slim-long-50 fedavg-long-50",
    "3. Half of the MACs cost at most half a point against the dense network": "dense-100",
    "3. At half of the MACs, gates beat a slim network of the same cost by two points": "slim-50",
    "3. … and after 1,500 rounds with learnt rates": "dense-long-100",
    "3. … by two points after 1,500 rounds with learnt rates": "slim-long-50",
    "3. … by anything, after 1,500 rounds with learnt rates": "slim-long-50",
    "3. … by two points after 1,500 rounds, where both also know the names": (
        "metagater-named-long-50 slim-named-long-50"
    ),
    "3. At a quarter of the MACs, by two points": "slim-25",
    "3. … by two points after 1,500 rounds there": "slim-long-25",
    "3. … by anything, after 1,500 rounds there": "slim-long-25",
    "3. A quarter of the MACs costs at most three points against dense, after 1,500 rounds": "dense-long-100",
    "4. They beat a mask learnt with the network": "static-mask-50",
    "4. … after 1,500 rounds with learnt rates": "static-mask-long-50",
    "5. The second stage, which moves the gates, brings accuracy": "gates-fixed-50",
    "5. … after 1,500 rounds with learnt rates": "gates-fixed-long-50",
    "5. … at a quarter of the MACs, after 1,500 rounds": "gates-fixed-long-25",
    "7. MetaGater beats pFedMe": "pfedme-50",
    "7. MetaGater beats ANIL": "anil-50",
    "7. MetaGater beats Per-FedAvg": "per-fedavg-50",
    "7. MetaGater beats FedAvg that knows names and takes ten steps": "fedavg-10-50",
    "7. … after 1,500 rounds, with learnt rates": "fedavg-10-long-50",
    "7. … after 1,500 rounds, and knows the names as well": "metagater-named-long-50 fedavg-10-long-50",
}


def right_in_the_files(data: str, method: str) -> np.ndarray:
    """The share of right answers of each seed and task, in points, straight from the result files."""
    paths = sorted((ROOT / "results" / "evidence" / data / "1-shot" / method).glob("seed*.json"))
    records = [json.loads(path.read_text()) for path in paths]
    return np.array([np.array(record["correct"]) * 100 / record["queries"] for record in records])


@pytest.mark.parametrize("row", SCOREBOARD, ids=lambda row: row[0])
def test_a_number_of_the_scoreboard_is_its_files(row):
    claim, verdict, numbers, (seeds, where) = *row[:3], row[3].split(", ", 1)
    found = re.findall(r"(glyphs|Omniglot|CIFAR-10)( with \w+ \w+)?: ([+−]?[\d.]+) ± ([\d.]+)", numbers)
    assert re.fullmatch(r".*\*\*(yes|open|no)\*\*.*", verdict)
    assert LINK.fullmatch(where)
    if claim not in RIVALS:
        return
    *leader, rival = RIVALS[claim].split()
    length = "-long" * ("-long" in rival)
    budget = 25 if "quarter" in claim or claim.endswith("there") else 50
    ours = leader[0] if leader else f"metagater{length}-{budget}"
    assert len(found) == (4 if length and budget == 50 and "fedavg" not in rival and not leader else 3)
    counted = set()
    for name, few, mean, half in found:
        data = name.lower().replace("-", "") + ("-small" if few else "")
        both = [right_in_the_files(data, method) for method in (ours, rival)]
        counted.add(paired := min(map(len, both)))
        means = np.subtract(*(right[:paired] for right in both)).mean(axis=1)
        assert float(mean.replace("−", "-")) == pytest.approx(means.mean(), abs=0.051)
        assert float(half) >= stats.sem(means) * stats.t.ppf(0.975, len(means) - 1) - 0.051
    assert {*map(int, seeds.split(" to "))} == {min(counted), max(counted)}


def test_the_scoreboard_has_every_claim():
    assert {row[0][0] for row in SCOREBOARD} == {claim[0] for claim in CLAIMS}
    assert RIVALS.keys() <= {row[0] for row in SCOREBOARD}


@pytest.mark.parametrize(
    ("mean", "half", "least", "p", "word"),
    [
        (0.03, 0.02, 0.0, 0.01, "yes"),
        (0.03, 0.02, 0.0, 0.2, "open"),
        (-0.03, 0.02, 0.0, 0.01, "no"),
        (0.03, 0.02, 0.02, 0.01, "open"),
        (-0.03, 0.02, -0.005, 0.2, "no"),
    ],
)
def test_a_verdict_of_the_scoreboard_follows_the_interval(mean, half, least, p, word):
    row = {"data": "glyphs", "difference": -mean, "difference_ci95": half, "p": p, "paired_seeds": 5}
    assert scoreboard.compared(row, -1, least).verdict == word


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(BOOK)))
def test_names_of_code_and_tests_on_a_page_exist(path):
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"`(test_\w+)`", text)) <= TESTS
    for name in re.findall(r"`(mglib(?:\.\w+)+)`", text):
        assert resolve(name) is not None


# --- links ---------------------------------------------------------------------------------------------------------


def targets_of(name: str) -> set[str]:
    """What a link into a page may name after the #."""
    if name in CHAPTERS:
        chapter = CHAPTERS[name]
        headings = re.findall(r"^#+ (.+)$", chapter.text, re.M)
        exercises = {f"exercise-{number}" for number, *_ in back_matter.exercises(chapter.notebook)}
        return exercises | {back_matter.default_slugify(each) for each in headings}
    text = page(name)
    named = set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))
    named |= {back_matter.default_slugify(each) for each in re.findall(r"^#+ (.+)$", text, re.M)}
    if name == "glossary.md":
        named |= {back_matter.default_slugify(term) for term in back_matter.glossary()}
    return named | set(re.findall(r"^\.\. \S+:: (\S+)$", text, re.M))


def broken(text: str, own: str = "") -> list[str]:
    """The links into the book that lead nowhere; those without a page lead into the page itself."""
    found = []
    for _, link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        name, _, target = link.partition("#")
        name = name or own
        if re.match(r"https?:", link) or name in PLANNED - CHAPTERS.keys():
            continue
        if not (BOOK / name).is_file() or (target and target not in targets_of(name)):
            found.append(link)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(BOOK)))
def test_links_of_a_page_lead_somewhere(path):
    assert broken(path.read_text(encoding="utf-8"), path.name) == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_links_and_citations_of_a_chapter_lead_somewhere(name):
    assert broken(CHAPTERS[name].text, name) == []


def test_a_broken_link_is_noticed():
    assert broken("[a](glossary.md#gate) [b](glossary.md#gatte)") == ["glossary.md#gatte"]
    assert broken("[c](bibliography.md#finn2017) [d](bibliography.md#finn2016)") == ["bibliography.md#finn2016"]
    assert broken("[e](nowhere.md) [f](00_metagater_in_one_page.ipynb#exercise-1)") == ["nowhere.md"]


# --- what is generated ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "text"), back_matter.pages().items(), ids=lambda value: getattr(value, "name", ""))
def test_a_generated_page_is_up_to_date(path, text):
    assert path.read_text(encoding="utf-8") == text, "run `make notebooks`"


def test_the_check_notices_a_stale_page_and_writing_mends_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(back_matter, "ROOT", tmp_path)
    monkeypatch.setattr(back_matter, "pages", lambda: {tmp_path / "api" / "nets.md": "new"})
    for action, code in (("check", 1), ("write", 0), ("check", 0)):
        monkeypatch.setattr(sys, "argv", ["back_matter.py", action])
        assert back_matter.main() == code
    assert "out of date" in capsys.readouterr().out


@pytest.fixture
def chapter(tmp_path):
    """A chapter with a term in two sections, and an exercise whose solution prints."""
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    printed = nbformat.v4.new_output("stream", name="stdout", text="a claim: True\n")
    notebook = nbformat.v4.new_notebook(
        cells=[
            markdown("# A chapter\n\nGates decide."),
            markdown("## What it costs, what it buys\n\nA gate and its gate head. **1.** is no exercise."),
            code("print('no answer')", outputs=[printed]),
            markdown("## Exercises\n\n**1.** Take [one](x.md). How many\nare open? *Hint:* why?\n\n**Solution.** Two."),
            code("print('a claim: True')", metadata={"tags": ["hide-cell"]}, outputs=[printed]),
            markdown("**2.** Say so.\nAnd show it."),
            markdown("## Further reading\n\n**3.** gates"),
        ],
        metadata={"mglib": {"executed_source": "abc"}},
    )
    nbformat.write(notebook, tmp_path / "01_a_chapter.ipynb")
    return back_matter.Chapter(tmp_path / "01_a_chapter.ipynb")


def test_answers_are_what_the_solutions_say_and_printed(chapter, monkeypatch):
    monkeypatch.setattr(back_matter, "chapters", lambda: [chapter])
    text = back_matter.answers()
    asked = "[Exercise 1](01_a_chapter.ipynb#exercise-1): Take one. How many are open?\n\n"
    assert asked + "**Solution.** Two.\n\n```text\na claim: True\n```" in text
    assert "[Exercise 2](01_a_chapter.ipynb#exercise-2): Say so. And show it.\n\n```text\n(prints nothing)" in text
    assert text.count("a claim: True") == 1
    assert "Exercise 3" not in text


def test_the_index_finds_terms_by_section(chapter):
    second = "01_a_chapter.ipynb#what-it-costs-what-it-buys"
    first = "[A chapter](01_a_chapter.ipynb#a-chapter)"
    cost = f"[What it costs, what it buys]({second})"
    assert back_matter.occurrences("Gate", chapter) == f"A chapter: {first}, {cost}"
    assert back_matter.occurrences("Gate head", chapter) == f"A chapter: {cost}"
    assert back_matter.occurrences("Hinge", chapter) == ""


def test_an_everyday_word_counts_from_where_it_is_explained(tmp_path):
    texts = [
        "# A floor\n\nThe basin's **steps**.",
        "## Far\n\nNodes drift.",
        "## A bound\n\nIts **drift**.",
        "## After\n\nDrifts.",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])
    nbformat.write(notebook, tmp_path / "01_a_chapter.ipynb")
    found = back_matter.occurrences("Drift", back_matter.Chapter(tmp_path / "01_a_chapter.ipynb"))
    assert re.findall(r"\[(.+?)\]", found) == ["A bound", "After"]


def test_an_everyday_word_of_the_index_has_its_own_chapter_only():
    assert not back_matter.EVERYDAY - back_matter.glossary().keys()
    entries = dict(re.findall(r"^\[(.+?)\]\(glossary.+\n: (.+)$", back_matter.index_of_terms(), re.M))
    for term in back_matter.EVERYDAY:
        (page,) = {target.partition("#")[0] for _, target in LINK.findall(entries[term])}
        assert page == LINK.findall(back_matter.glossary()[term])[-1][1]


def test_sources_are_in_order_and_articles_have_pages():
    entries = back_matter.parse_file(BOOK / "references.bib").entries
    shown = re.findall(r"^\((.+)\)=$", back_matter.bibliography(), re.M)
    assert shown.index("deepseek2024") < shown.index("dinh2020")
    assert shown == sorted(shown, key=lambda key: back_matter.names(entries[key]))
    for key, entry in entries.items():
        assert entry.type != "article" or {"volume", "pages"} <= set(entry.fields.keys()), key
    assert "Rényi" in back_matter.bibliography()


def test_run_times_say_what_is_missing_and_what_has_changed(chapter, tmp_path, monkeypatch):
    monkeypatch.setattr(back_matter, "chapters", lambda: [chapter])
    monkeypatch.setattr(back_matter, "RUN_TIMES", tmp_path / "run_times.json")
    assert "not measured yet" in back_matter.run_times()
    record = {"seconds": 12.6, "date": "2026-11-23T10:00:00", "cores": 2, "executed_source": "abc"}
    back_matter.RUN_TIMES.write_text(json.dumps({"01_a_chapter": record}))
    assert '| 13 | <span class="mg-together">2026-11-23</span> |' in back_matter.run_times()
    back_matter.RUN_TIMES.write_text(json.dumps({"01_a_chapter": record | {"executed_source": "def"}}))
    assert "2026-11-23</span>, its code has changed since" in back_matter.run_times()


def test_every_public_name_is_documented_once():
    names = [name for folder in api_pages.FOLDERS for name in api_pages.public_names(folder)]
    assert len(names) == len(set(names))
    assert {name.removeprefix("mglib.") for name in names if name.count(".") == 1} == set(mglib.__all__)
    documented = [
        d for path in (BOOK / "api").glob("*.md") for d in re.findall(r"^\.\. \S+:: (\S+)$", page(path), re.M)
    ]
    assert sorted(documented) == sorted(names)


def test_names_of_mglib_itself_come_first_in_a_folder():
    for folder in api_pages.FOLDERS:
        dots = [name.count(".") for name in api_pages.public_names(folder)]
        assert dots == sorted(dots)


# --- what Sphinx makes of it ---------------------------------------------------------------------------------------


def test_a_plain_docstring_becomes_lists():
    lines = [
        "Return a `thing`, see: this.",
        "",
        "data: one of two.",
        "  glyphs: generated,",
        "    at once.",
        "  folder:PATH, cifar-fs:PATH: files.",
        "first, second: numbers,",
        "    both positive.",
        "",
        "Raises ValueError if a number",
        "is negative.",
    ]
    made = api_docstrings.markup(lines, {"data", "first", "second"})
    assert made[0] == "Return a ``thing``, see: this."
    assert [line for line in made if line.startswith(":")] == [":Parameters:"]
    assert "   * **data**: one of two." in made
    assert made[made.index("     * ``glyphs``: generated,") + 1] == "       at once."
    assert "     * ``folder:PATH``, ``cifar-fs:PATH``: files." in made
    assert "   * **first**, **second**: numbers," in made
    assert "     both positive." in made
    assert made[-4:] == ["", "Raises ValueError if a number", "is negative.", ""]


def test_only_parameters_and_attributes_are_fields():
    lines = ["It tells what the noise", "hides: every node weighs one.", "", "norm: a length.", "costs: of layers."]
    made = api_docstrings.markup(lines, {"norm"}, {"costs"})
    assert made[:2] == lines[:2]
    assert made[3:6] == ["", ":Parameters:", "   * **norm**: a length."]
    assert made[6:9] == ["", ":Fields:", "   * **costs**: of layers."]
    assert "costs" in api_docstrings.attributes_of(mglib.GatedConvNet)


def test_a_name_in_a_table_breaks_after_an_underscore_only():
    document, cell = new_document("page"), nodes.entry()
    cell += nodes.literal("", "gate_learning_rate")
    document += [cell, nodes.literal("", "gate_names")]
    book_extension.break_names(None, document)
    parts = [
        ["<wbr>" if isinstance(part, nodes.raw) else part for part in code] for code in document.findall(nodes.literal)
    ]
    assert parts == [["gate_", "<wbr>", "learning_", "<wbr>", "rate"], ["gate_names"]]


def test_every_field_of_a_docstring_is_a_parameter_or_an_attribute():
    for full_name in (name for folder in api_pages.FOLDERS for name in api_pages.public_names(folder)):
        obj = resolve(full_name)
        if not (inspect.isclass(obj) or inspect.isfunction(obj)) or not obj.__module__.startswith("mglib"):
            continue
        known = {*api_docstrings.parameters_of(obj)}
        known |= api_docstrings.attributes_of(obj) if inspect.isclass(obj) else set()
        fields = filter(None, map(api_docstrings.FIELD.fullmatch, inspect.getdoc(obj).splitlines()[1:]))
        assert {name for field in fields for name in field[1].split(", ")} <= known, full_name


def test_every_setting_of_a_recipe_is_described():
    described = api_docstrings.described_fields(mglib.Recipe)
    assert list(described) == [field.name for field in dataclasses.fields(mglib.Recipe)]
    assert described["local_steps"] == "Meta-steps that a node takes before it answers."


def test_a_function_as_a_default_is_no_method(rendered_book):
    text = (rendered_book / "book" / "api" / "federated.html").read_text(encoding="utf-8")
    assert "&lt;function" not in text
    assert 'id="mglib.FedAdam.aggregate"' not in text
    assert 'id="mglib.FedAdam.__call__"' in text


def test_a_protocol_has_no_signature_and_constants_their_value(rendered_book):
    text = (rendered_book / "book" / "api" / "meta.html").read_text(encoding="utf-8")
    assert "kwargs" not in re.search(r'<dt[^>]*id="mglib.meta.Task".*?</dt>', text, re.DOTALL)[0]
    assert api_pages.entry("mglib.tasks.DATA_NAMES")[1] == f"`{mglib.tasks.DATA_NAMES!r}`"


def test_what_python_says_of_a_named_tuple_is_left_out():
    from mglib.nets import Prediction

    lines = [Prediction.__new__.__doc__]
    api_docstrings.write_docstring(None, "class", "mglib.nets.Prediction", Prediction, None, lines)
    assert lines == []


def test_a_link_to_a_chapter_to_come_is_plain_text_and_a_notebook_stays_one():
    app = SimpleNamespace(env=SimpleNamespace(found_docs={"book/00_start", "book/glossary"}))
    text = "See [the\nstart](00_start.ipynb#a) and [two\nmore](07_to_come.ipynb#b), a [term](glossary.md#gate)."
    source = [text]
    book_extension.unlink_missing_chapters(app, "book/preface", source)
    assert source[0] == text.replace("[two\nmore](07_to_come.ipynb#b)", "two\nmore")
    notebook = json.dumps({"cells": [{"source": ["a [b](07_to_come.ipynb)\n", "[c](00_start.ipynb)"]}]})
    source = [notebook]
    book_extension.unlink_missing_chapters(app, "book/01_next", source)
    assert json.loads(source[0])["cells"][0]["source"] == ["a b\n", "[c](00_start.ipynb)"]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("so (FORMULA), and", ["(p),"]),
        ("so FORMULA.", ["p."]),
        ("so FORMULA and", []),
        ("FORMULA: FORMULA!", ["p:", "p!"]),
    ],
)
def test_marks_next_to_a_short_formula_stay_on_its_line(text, held):
    line = nodes.paragraph()
    for part in re.split("(FORMULA)", text):
        line += nodes.math("p", "p") if part == "FORMULA" else nodes.Text(part)
    document = new_document("page")
    document += line
    book_extension.keep_punctuation(None, document)
    together = [node.astext() for node in document.findall(nodes.inline) if "mg-together" in node["classes"]]
    assert together == held
    assert document.astext() == text.replace("FORMULA", "p")


def test_comments_beside_fields_are_kept():
    from mglib.nets import LayerCost

    fields = api_docstrings.described_fields(LayerCost)
    assert fields["gate_macs"] == "paid for every input, whatever the gates say"
    assert "name" not in fields


def test_what_stands_in_angle_brackets_is_no_tag():
    directive, first = api_pages.entry("mglib.tasks.read_support")
    assert directive == ".. autofunction:: mglib.tasks.read_support"
    assert r"PATH/\<class>/\<image>" in first


def test_parameter_lists_are_valid_html(rendered_book):
    text = (rendered_book / "book" / "api" / "meta.html").read_text(encoding="utf-8")
    assert 'class="mg-parameters"><span>' in text
    assert not re.search(r"<dl>\s*<dd>", text)


def test_signatures_stand_as_they_are_written(rendered_book):
    text = re.sub(r"<[^>]+>", "", (rendered_book / "book" / "api" / "meta.html").read_text(encoding="utf-8"))
    text = " ".join(html.unescape(text).split())
    assert "adapt( loss_fn: LossFn, params: Params, support: Any, stages: Iterable[Stage], ) → Params" in text
