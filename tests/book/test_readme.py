"""What the README says is what the files say: its table, its goals, its commands, its picture."""

import json
import re
from pathlib import Path

import pytest

import mglib.__main__
import studies.readme
from studies import STUDIES, TABLES
from studies.__main__ import COMMANDS
from studies.questions import compared
from studies.rows import DATA

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
MASK = "static-mask-long"


@pytest.fixture(scope="module")
def results():
    return studies.readme


def test_the_tables_are_made_of_the_result_files(results):
    for page, tables in results.TABLES_OF_PAGES.items():
        for name, made in tables.items():
            assert f"<!-- {name} -->\n\n{made()}\n\n<!-- /{name} -->" in page.read_text()


@pytest.mark.parametrize("name", ["glyphs/gated-50", "omniglot/gated-50"])
def test_the_goals_of_the_first_landing_are_met_by_the_result_files(name):
    record = json.loads((ROOT / "results" / f"{name}.json").read_text())
    assert record["accuracy"] >= 0.78
    assert record["macs_ratio"] <= 0.50
    assert abs(record["accuracy_zero_step"] - 0.2) < 0.02
    assert record["training_seconds"] <= 600
    assert (record["tasks"], record["ways"], record["shots"], record["budget"]) == (400, 5, 1, 0.5)


def test_a_result_file_says_how_it_was_made(results):
    for name in results.RUNS:
        record = json.loads((ROOT / "results" / f"{name}.json").read_text())
        assert {"recipe", "versions", "date", "commands", "seed"} <= record.keys()
        assert not re.search(r"(?<![\w.])/\w+/", json.dumps(record["commands"])), "a path of somebody's machine"


def test_what_the_readme_says_below_its_table_is_of_the_files():
    rows = {
        (name, row["data"], row["method"]): row
        for name in ("long", "quarter", "named", "baselines")
        for row in studies.readme.rows_of(name)
    }
    asked = {(row["asked"], row["budget"], row["method"]): row for row in compared(ROOT / "results" / "questions")}
    step = asked[1.0, 0.12, "metagater"]

    def lead(*row):
        return f"{-100 * rows[row]['difference']:.1f} ± {100 * rows[row]['difference_ci95']:.1f}"

    dense, slim, mask = ([rows["long", data, name] for data in DATA] for name in ("dense-long", "slim-long", MASK))
    first_order = [lead("baselines", data, "first-order") for data in DATA]
    glyphs, omniglot = (lead("quarter", data, "slim-long") for data in ("glyphs", "omniglot"))
    said = [
        f"MetaGater leads by {lead('long', 'glyphs', 'slim-long')} points on glyphs",
        f"at a quarter of the MACs it leads by {glyphs} there and by {omniglot} on Omniglot",
        f"level on glyphs ({lead('named', 'glyphs', 'fedavg-10-long').replace('-', '−')})",
        f"MetaGater loses {first_order[0]} and {first_order[1]} points after 600 rounds;",
        f"on CIFAR-10 it loses {first_order[2]}, and random gates lose more",
        f"brings {100 * step['step']:.1f} ± {100 * step['step_ci95']:.1f} points",
    ]
    readme = " ".join(README.split())
    assert [words for words in said if words not in readme] == []
    assert all(row["difference"] < 0.01 for row in dense), "half of the multiplications cost less than a point"
    told = [rows["quarter", data, "slim-long"] for data in ("glyphs", "omniglot")]
    assert all(row["p"] < 0.05 and row["difference"] < 0 for row in (slim[0], *told))
    random, most = (rows["baselines", "cifar10", name]["difference"] for name in ("random-gates", "first-order"))
    assert random < most, "and random gates lose more"
    assert slim[2]["p"] < 0.05
    assert slim[2]["difference"] > 0, "on CIFAR-10 the slim network is ahead"
    assert [row["p"] < 0.05 for row in mask] == [True, False, False], "a mask does as well as gates"
    assert mask[0]["difference"] > 0, "and on glyphs better"


def test_the_page_of_results_names_every_table_and_study():
    said = (ROOT / "book" / "results.md").read_text()
    listed = said[said.index("The tables are") : said.index("`--omniglot")]
    assert set(re.findall(r"`(\w+)`", listed)) == {*TABLES, *STUDIES}


def test_every_command_and_file_in_the_readme_exists():
    pages = README + "".join((ROOT / "book" / f"{name}.md").read_text() for name in ("several_machines", "results"))
    assert set(re.findall(r"python -m mglib ([\w-]+)", pages)) == set(mglib.__main__.COMMANDS)
    assert set(re.findall(r"python -m studies ([\w-]+)", pages)) <= set(COMMANDS)
    for target in re.findall(r"\]\(<?([^)>#]+)>?\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
    targets = set(re.findall(r"^make (\w+)", pages, re.MULTILINE))
    assert targets <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_readme_is_short_and_names_no_test():
    assert len(README.splitlines()) <= 120
    assert "test_" not in README


def test_the_first_screen_shows_a_gate_map_and_the_two_commands():
    first_screen = "\n".join(README.splitlines()[:10])
    assert "](assets/gate-map.svg)" in first_screen
    assert "make book" in first_screen
    assert "make test" in first_screen


def test_omniglot_is_found_under_the_name_that_recipes_know(tmp_path, monkeypatch):
    monkeypatch.setattr(studies.readme, "ROOT", tmp_path)
    link = tmp_path / studies.readme.OMNIGLOT
    (one := tmp_path / "one").mkdir()
    (two := tmp_path / "two").mkdir()
    assert not studies.readme.link_to(None)
    for folder, target in ((one, one), (link, one), (None, one), (two, two)):
        assert studies.readme.link_to(folder)
        assert link.resolve() == target
    two.rmdir()  # the link is dead
    assert studies.readme.link_to(one)
    assert link.resolve() == one
