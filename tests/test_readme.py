"""What the README says is what the files say: its table, its goals, its commands, its picture."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

import mglib.__main__

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("reproduce_results", ROOT / "scripts" / "reproduce_results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_made_of_the_result_files(results):
    for name, made in results.TABLES_OF_README.items():
        assert f"<!-- {name} -->\n{made()}\n<!-- /{name} -->" in README


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


def test_every_command_and_file_in_the_readme_exists():
    commands = set(re.findall(r"python -m mglib ([\w-]+)", README))
    assert commands == set(mglib.__main__.COMMANDS)
    for target in re.findall(r"\]\(<?([^)>#]+)>?\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
    targets = set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert targets <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_first_screen_shows_a_gate_map_and_the_two_commands():
    first_screen = "\n".join(README.splitlines()[:10])
    assert "](assets/gate-map.svg)" in first_screen
    assert "make book" in first_screen
    assert "make test" in first_screen


def test_every_fault_in_the_table_has_its_test():
    named = re.findall(r"`(test_\w+)` \|$", README, re.MULTILINE)
    there = "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert len(named) >= 9
    for name in named:
        assert f"def {name}(" in there, name
