"""The book states one accuracy for the same method, data, budget, shots, steps and rounds, wherever it states it."""

import json
import re
from collections import defaultdict

import notebooks
import pytest
from chapters import prose_of

from studies import TABLES, Row, table_rows
from studies.lines import label_of
from studies.methods import LONG, METHODS
from studies.questions import compared

ROOT, EVIDENCE = notebooks.ROOT, notebooks.ROOT / "results" / "evidence"
VALUE = r"(\d+\.\d ± \d+\.\d)"
NAMES = {"glyphs": "glyphs", "Omniglot": "omniglot", "CIFAR-10": "cifar10"}
MARKED = {"evidence": "long", "long": "long", "quarter": "quarter"}  # which table of methods a page's marks hold
QUESTIONS = {"two stages": "metagater", "gates fixed": "gates-fixed", "slim network": "slim", "dense": "dense"}
# Sentences and lines about the long trainings, whose only mark is their words.
OF_LONG = [
    (rf"(?:the|The) gated network (?:is right in|has) {VALUE}", "glyphs/gated-50"),
    (rf"the\s+dense one in {VALUE}", "glyphs/dense"),
    (rf"the\s+slim\s+one,? (?:which has as few MACs, in )?{VALUE}", "glyphs/slim-dense"),
    (rf"one step reaches {VALUE}", "glyphs/gated-50"),
    (rf"learnt start, one step, one shot: {VALUE}", "glyphs/dense"),
    (rf"MAML's start on 400 tasks, [\d-]+: {VALUE}", "glyphs/dense"),
    (rf"^accuracy {VALUE} %, MACs", "drawings/gated-50"),
    (rf"On scripts that nobody trained on it is right for {VALUE}", "drawings/gated-50"),
]


def written(mean: float, half: float) -> str:
    return f"{100 * mean:.1f} ± {100 * half:.1f}"


def key_of(data, method, shots=1, budget=None, steps=None) -> tuple:
    """Return what an accuracy of the tables is of: one step if it says none, 600 rounds unless its name says long."""
    budget = budget or (1.0 if method.startswith("dense") else 0.5)
    return "tables", data, method, shots, budget, 1 if steps is None else steps


def in_files():
    """Yield key, value and place of what the result files hold."""
    for table in TABLES.values():
        for row in table_rows(table, EVIDENCE):
            if row["accuracy"] is not None:
                key = key_of(row["data"], row["method"], row["shots"], row["budget"], row["steps"])
                yield key, written(row["accuracy"], row["ci95"]), table.name
    for name in {name for _, name in OF_LONG}:
        record = json.loads((ROOT / "results" / f"{name}.json").read_text())
        yield ("long", name), written(record["accuracy"], record["ci95"]), f"{name}.json"
    for row in compared(ROOT / "results" / "questions"):
        if row["accuracy"] is not None and row["asked"] == 1:
            yield ("questions", row["method"], row["budget"]), written(row["accuracy"], row["ci95"]), "questions"


def in_words(text: str, place: str):
    """Yield key, value and place of what a page's text says."""
    labels = {method.label: Row(name, budget=None) for name, method in METHODS.items()}
    at_length = {label_of(name): name for name in METHODS if name.endswith("-long")}
    whole = {METHODS[name].label.partition(f", {LONG:,}")[0]: name for name in at_length.values()} | at_length
    marked = labels
    for line in text.splitlines():
        if found := re.match(r"<!-- (/?)(\w+) -->", line):
            table = None if found[1] else TABLES.get(MARKED.get(found[2]))
            rows = () if table is None else (table.reference, *table.compared)
            marked = {METHODS[row.method].label.partition(f", {LONG:,}")[0]: row for row in rows} or labels
        if found := re.match(rf"([\w-]+), ([\w-]+): {VALUE} %", line):
            yield key_of(*found.groups()[:2]), found[3], place
        if (found := re.match(rf"([\w-]+), (\S.*) at (\d+)%: {VALUE} %, \d+ seeds", line)) and found[2] in at_length:
            yield key_of(found[1], at_length[found[2]], budget=int(found[3]) / 100), found[4], place
        if found := re.match(rf"{VALUE} %, [\d.]+% of MACs: (.+)", line):  # the table of the network with few filters
            yield key_of("cifar10-small", whole[found[2]]), found[1], place
        if found := re.match(rf" *(\d+)% ({'|'.join(QUESTIONS)}) +{VALUE} %,", line):
            yield ("questions", QUESTIONS[found[2]], int(found[1]) / 100), found[3], place
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and (row := marked.get(cells[0])):
            for data, cell in zip(NAMES.values(), cells[1:], strict=False):
                if value := re.match(VALUE, cell):
                    yield key_of(data, row.method, budget=row.budget), value[1], place
        if cells and cells[0].startswith("2. One start serves"):
            for data, value in re.findall(rf"([\w-]+): {VALUE} %", line):
                yield key_of(NAMES[data], "metagater"), value, place
        if found := re.search(rf"\(\.\./results/(.+?)\.json\) \| {VALUE}", line):
            yield ("long", found[1]), found[2], place
    for pattern, name in OF_LONG:
        for value in re.findall(pattern, text, re.MULTILINE):
            yield ("long", name), value, place


def texts():
    """Yield the text and the name of every page: prose and printed output."""
    for path in [ROOT / "README.md", *notebooks.BOOK.glob("*.md")]:
        yield path.read_text(encoding="utf-8"), path.name
    for path in notebooks.notebooks():
        for cell in notebooks.read(path).cells:
            if cell.cell_type == "markdown":
                yield cell.source, path.name
            for output in cell.get("outputs", []):
                yield output.get("text", ""), path.name


@pytest.fixture(scope="module")
def stated():
    """What is stated, by what it is of: a value, and where it stands."""
    found = defaultdict(lambda: defaultdict(set))
    for key, value, place in in_files():
        found[key][value].add(place)
    for text, place in texts():
        for key, value, where in in_words(text, place):
            found[key][value].add(where)
    return found


def test_the_same_training_has_one_accuracy_wherever_the_book_states_it(stated):
    several = {key: dict(values) for key, values in stated.items() if len(values) > 1}
    assert not several, "\n".join(f"{key}: {values}" for key, values in several.items())


def test_statements_of_many_pages_are_collected(stated):
    places = set().union(*(places for values in stated.values() for places in values.values()))
    chapters = {name for name in places if name.endswith(".ipynb")}
    assert {"README.md", "results.md", "claims.md", "baselines", "glyphs/gated-50.json", "questions"} <= places
    assert {name[:2] for name in chapters} >= {"00", "03", "04", "05", "11", "14", "18", "19"}
    elsewhere = [key for key, values in stated.items() if len(set().union(*values.values())) > 2]
    assert len(elsewhere) > 20, "most numbers stand in several places"


def test_a_second_value_of_a_network_names_the_first(stated):
    """Chapter 12 tests the gated network of chapter 0 on more tasks."""
    (first,) = stated["long", "glyphs/gated-50"]
    prose = prose_of("12_what_the_meta_gates_know")
    assert re.search(rf"chapter 0\b[^.]*{first}|{first}[^.]*\bchapter 0\b", prose.replace(".ipynb", "")), first


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("glyphs, slim: 79.2 ± 1.6 %, MACs 49%,", key_of("glyphs", "slim")),
        ("glyphs, MetaGater at 25%: 84.5 ± 0.4 %, 5 seeds", key_of("glyphs", "metagater-long", budget=0.25)),
        ("| MAML, dense | 82.2 ± 0.6 (100) | 1.0 ± 1.0 | 1.0 ± 1.0 |", key_of("glyphs", "dense")),
        ("<!-- quarter -->\n| MAML, dense | 86.7 ± 0.4 (100) | 1.0 ± 1.0 |", key_of("glyphs", "dense-long")),
        ("<!-- quarter -->\n| a |\n<!-- /quarter -->\n| ANIL | 79.3 ± 1.1 (49) |", key_of("glyphs", "anil")),
        ("39.8 ± 1.5 %, 49.4% of MACs: MAML, slimmer network", key_of("cifar10-small", "slim-long")),
        (" 12% two stages   67.3 ± 3.1 %, 11.3% of MACs", ("questions", "metagater", 0.12)),
        ("With half of the MACs, the gated network is right in 87.1 ± 1.0 %", ("long", "glyphs/gated-50")),
    ],
)
def test_a_number_that_disagrees_is_noticed(stated, text, key):
    (found, value, _), *_ = in_words(text, "here")
    assert found == key
    assert value not in stated[key]
