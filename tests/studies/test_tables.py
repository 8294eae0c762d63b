"""Tables from the cells' files alone."""

import dataclasses
import json
import re

import numpy as np
import pytest
from small_tables import QUERIES, SMALL, drawn, record, write_small

from studies import TABLES, Cell, Row, compared_lines, days_line, table_rows
from studies.lines import difference_lines, label_of, pair_lines
from studies.methods import METHODS
from studies.statistics import bootstrap_interval, resampled_means
from studies.tables import head_to_head

COLUMNS = {"data", "shots", "method", "budget", "accuracy", "ci95", "macs_ratio", "seeds", "difference"}
COLUMNS |= {
    "difference_ci95",
    "p",
    "reference",
    "tasks",
    "bytes_sent",
    "rounds_to_target",
    "steps",
    "missing",
    "off_budget",
}


def test_rows_are_what_the_files_say(tmp_path):
    write_small(tmp_path)
    reference, slim, anil, ten = table_rows(SMALL, tmp_path)
    assert COLUMNS <= reference.keys() == slim.keys()
    shares = np.stack([drawn("anil", seed, shift=1) for seed in range(5)]) / QUERIES
    base = np.stack([drawn("metagater", seed) for seed in range(5)]) / QUERIES
    assert anil["accuracy"] == pytest.approx(shares.mean())
    assert anil["difference"] == pytest.approx((shares - base).mean())
    assert anil["difference"] > 0, "positive where the row is better"
    assert anil["difference_ci95"] < anil["ci95"], "what a task allows is the same for both"
    assert anil["p"] < 0.01 < slim["p"]
    assert (anil["seeds"], anil["paired_seeds"], anil["tasks"], anil["missing"]) == (5, 5, 40, [])
    assert (anil["macs_ratio"], anil["bytes_sent"], anil["rounds_to_target"]) == (0.5, 1000, 7)
    assert reference["difference"] is reference["difference_ci95"] is reference["p"] is None
    assert {row["reference"] for row in (reference, slim, anil, ten)} == {"metagater at 50 %"}
    assert ten["accuracy"] == pytest.approx(np.mean([drawn("ten", seed) for seed in range(5)]) / QUERIES)
    assert ten["macs_ratio"] is None, "the record does not say what ten steps made of the gates"
    json.dumps([reference, slim, anil, ten], allow_nan=False)


def test_further_seeds_count_where_there_are_files(tmp_path):
    write_small(tmp_path)
    for seed in (5, 7):
        for method in ("metagater", "slim"):
            Cell("glyphs", method, seed=seed).write(tmp_path, record(drawn(method, seed)))
    reference, slim, anil, _ = table_rows(SMALL, tmp_path)
    assert [(row["seeds"], row["missing"]) for row in (reference, slim, anil)] == [(7, []), (7, []), (5, [])]
    assert (slim["paired_seeds"], anil["paired_seeds"]) == (7, 5)
    assert slim["accuracy"] == pytest.approx(np.mean([drawn("slim", s) for s in (0, 1, 2, 3, 4, 5, 7)]) / QUERIES)
    assert [row["seeds"] for row in table_rows(SMALL, tmp_path, range(5))] == [5] * 4


def test_lines_say_the_rows_of_the_methods_asked_for(tmp_path, monkeypatch):
    write_small(tmp_path)
    monkeypatch.setitem(TABLES, "small", SMALL)
    reference, slim, anil, _ = table_rows(SMALL, tmp_path)
    beside, own, apart, days = compared_lines("small", tmp_path, "anil")
    half = f"{100 * reference['ci95']:.1f} %, MACs 50.0%"
    assert beside == f"glyphs, metagater: {100 * reference['accuracy']:.1f} ± {half}"
    assert own == f"glyphs, anil: {100 * anil['accuracy']:.1f} ± {100 * anil['ci95']:.1f} %, MACs 50.0%,"
    assert f"{100 * anil['difference']:+.1f} ± {100 * anil['difference_ci95']:.1f} points from metagater (5" in apart
    assert days.startswith("measured 20")
    _, own, *_ = compared_lines("small", tmp_path, "slim")
    assert own.startswith(f"glyphs, slim: {100 * slim['accuracy']:.1f}")


def test_a_difference_stands_beside_its_methods_label():
    anil = {"label": "anil at 50 %", "reference": "metagater at 50 %", "data": "glyphs", "method": "anil"}
    anil |= {"budget": 0.5, "difference": 0.02, "difference_ci95": 0.01, "p": 0.01, "macs_ratio": 0.53}
    named = anil | {"label": "metagater-named at 50 %", "method": "metagater-named", "p": 0.2, "macs_ratio": 0.51}
    other = anil | {"data": "omniglot", "difference": -0.3, "p": None}
    head, *lines, over, last = difference_lines([anil, named, other])
    assert head.split() == ["glyphs", "omniglot"]
    assert re.fullmatch(r"ANIL +\+2\.0 ± 1\.0\* -30\.0 ± 1\.0", lines[0])
    assert re.fullmatch(r"… with names +\+2\.0 ± 1\.0", lines[1])
    assert head.index("glyphs") + len("glyphs") == lines[1].index("1.0") + len("1.0")
    assert (over, last) == tuple(f"over its budget on {d}: ANIL, 53% of MACs" for d in ("glyphs", "omniglot"))
    _, *two = difference_lines([anil, anil | {"budget": 0.25, "macs_ratio": 0.25}])
    assert [line.partition("+")[0].strip() for line in two[:2]] == ["ANIL 50%", "ANIL 25%"]


def test_a_line_of_pairs_says_over_how_many_trainings(tmp_path):
    write_small(tmp_path)
    for seed in (5, 6):
        Cell("glyphs", "slim", seed=seed).write(tmp_path, record(drawn("slim", seed), macs_ratio=0.6))
    reference, slim, anil, _ = table_rows(SMALL, tmp_path)
    own, *lines = pair_lines([reference, slim, anil, anil | {"accuracy": None}])
    assert own.startswith(f"glyphs, MetaGater at 50%: {100 * reference['accuracy']:.1f} ± ")
    assert own.endswith(" %, 5 seeds")
    ends = [re.search(r" (\d) pairs(?:, (\S+%))?$", line).groups() for line in lines]
    assert ends == [("5", "52.9%"), ("5", None)]
    assert next(pair_lines([anil | {"paired_seeds": 1}])).endswith(" 1 pair")


def test_labels_are_short_and_tell_methods_apart():
    for long in (False, True):
        labels = [label_of(name) for name in METHODS if name.endswith("-long") == long]
        assert len(set(labels)) == len(labels)
        assert max(map(len, labels)) <= 36
    assert label_of("per-fedavg") == "Per-FedAvg"
    assert label_of("slim-long") == label_of("slim") == "MAML, slimmer"
    assert label_of("gates-first") == "gates first, then backbone"


def test_one_method_beside_another_is_a_row_for_each_data_set_that_has_both(tmp_path):
    write_small(tmp_path)
    (row,) = head_to_head(Row("anil"), Row("slim"), tmp_path)
    both = [np.stack([drawn(name, seed, shift=name == "anil") for seed in range(5)]) for name in ("anil", "slim")]
    assert (row["data"], row["method"], row["reference"]) == ("glyphs", "anil", "slim at 50 %")
    assert row["difference"] == pytest.approx((both[0] - both[1]).mean() / QUERIES)
    assert head_to_head(Row("anil"), Row("slim"), tmp_path, seeds=[2])[0]["paired_seeds"] == 1
    assert head_to_head(Row("anil"), Row("slim"), tmp_path, data=("omniglot",)) == []


def test_p_is_corrected_within_a_family_alone(tmp_path):
    write_small(tmp_path)
    alone = dataclasses.replace(SMALL, compared=(Row("slim"),))
    (_, slim), (_, of_three, *_) = table_rows(alone, tmp_path), table_rows(SMALL, tmp_path)
    assert slim["p"] < of_three["p"] <= min(1, 3 * slim["p"] + 1e-9)
    twice = dataclasses.replace(alone, data=("glyphs", "omniglot"))
    assert table_rows(twice, tmp_path)[1]["p"] == slim["p"]


def test_pairs_are_the_same_task_of_the_same_seed(tmp_path):
    write_small(tmp_path / "paired")
    write_small(tmp_path / "mixed", shuffle=True)
    paired, mixed = (table_rows(SMALL, tmp_path / name)[2] for name in ("paired", "mixed"))
    assert mixed["accuracy"] == pytest.approx(paired["accuracy"])
    assert mixed["difference"] == pytest.approx(paired["difference"])
    spread = {}
    for name in ("paired", "mixed"):
        shares = [Cell("glyphs", m, seed=0).read(tmp_path / name)["correct"] for m in ("anil", "metagater")]
        difference = (np.array(shares[0]) - shares[1])[None, None] / QUERIES
        spread[name] = bootstrap_interval(resampled_means(difference)[0])
    assert spread["mixed"][0] > 2 * spread["paired"][0]
    assert spread["mixed"][1] > spread["paired"][1], "the p of one seed's tasks"
    assert mixed["difference_ci95"] > 1.5 * paired["difference_ci95"]


def test_rows_without_files_are_empty_and_partial_ones_say_so(tmp_path):
    assert [row["seeds"] for row in table_rows(SMALL, tmp_path)] == [0] * 4
    empty = table_rows(SMALL, tmp_path)[1]
    assert all(empty[name] is None for name in ("accuracy", "ci95", "macs_ratio", "difference", "p", "tasks"))
    write_small(tmp_path, seeds=(0, 2, 3))
    Cell("glyphs", "anil", seed=3).path(tmp_path).unlink()
    reference, _, anil, _ = table_rows(SMALL, tmp_path)
    assert (reference["seeds"], reference["missing"]) == (3, [1, 4])
    assert (anil["seeds"], anil["paired_seeds"], anil["missing"]) == (2, 2, [1, 3, 4])
    Cell("glyphs", "metagater", seed=2).path(tmp_path).unlink()
    anil = table_rows(SMALL, tmp_path)[2]
    own = drawn("anil", 0, shift=1) - drawn("metagater", 0)
    assert anil["difference"] == pytest.approx(own.mean() / QUERIES), "over the seeds that both have"
    assert anil["p"] is None


def test_tasks_beyond_those_both_have_seen_are_no_part_of_the_difference(tmp_path):
    Cell("glyphs", "metagater").write(tmp_path, record([4] * 10))
    Cell("glyphs", "slim").write(tmp_path, record([5] * 10 + [10] * 10))
    slim = table_rows(SMALL, tmp_path)[1]
    assert slim["difference"] == pytest.approx(0.1)
    assert slim["accuracy"] == pytest.approx(0.75)


def test_a_target_that_most_seeds_miss_has_no_number(tmp_path):
    for seed, rounds in enumerate((None, 5, None, 9, None)):
        Cell("glyphs", "slim", seed=seed).write(tmp_path, record([5, 6], rounds_to_target=rounds))
        Cell("glyphs", "anil", seed=seed).write(tmp_path, record([5, 6], rounds_to_target=rounds or 20))
    _, slim, anil, _ = table_rows(SMALL, tmp_path)
    assert slim["rounds_to_target"] is None
    assert anil["rounds_to_target"] == 20


@pytest.mark.parametrize(("spent", "off"), [(0.5, False), (0.491, False), (0.489, True), (0.511, True)])
@pytest.mark.parametrize("place", [0, 1], ids=["the reference", "a rival"])
def test_a_row_off_its_budget_is_marked(tmp_path, monkeypatch, spent, off, place):
    monkeypatch.setitem(TABLES, "small", SMALL)
    for at, method in enumerate(("metagater", "slim")):
        Cell("glyphs", method).write(tmp_path, record([4, 6], macs_ratio=spent if at == place else 0.5))
    assert table_rows(SMALL, tmp_path)[place]["off_budget"] == off
    reference, rival, *others = compared_lines("small", tmp_path, "slim")
    assert ["(off its budget)" in line for line in (reference, rival)] == [off and place == 0, off and place == 1]
    assert any(line == "off its budget: by more than one point of the MACs" for line in others) == off


def test_what_is_no_record_of_the_cell_is_refused(tmp_path):
    cell = Cell("glyphs", "slim", budget=0.25, seed=3)
    assert cell.path(tmp_path) == tmp_path / "glyphs" / "1-shot" / "slim-25" / "seed3.json"
    with pytest.raises(ValueError, match=r"lacks .*curve"):
        cell.write(tmp_path, {name: value for name, value in record([1]).items() if name != "curve"})
    with pytest.raises(ValueError, match="0 to 10"):
        cell.write(tmp_path, record([11]))
    assert not cell.path(tmp_path).exists()
    cell.write(tmp_path, record([1]))
    written = cell.path(tmp_path).read_text()
    cell.path(tmp_path).write_text(written.replace('"seed": 3', '"seed": 4'))
    with pytest.raises(ValueError, match=r"seed3\.json.*see seed"):
        cell.read(tmp_path)
    cell.path(tmp_path).write_text(written[:20])
    with pytest.raises(ValueError, match="not a record"):
        cell.read(tmp_path)


def test_quick_cells_are_not_compared_with_others(tmp_path):
    Cell("glyphs", "metagater").write(tmp_path, record([4], quick=True))
    Cell("glyphs", "slim").write(tmp_path, record([4], quick=False))
    with pytest.raises(ValueError, match="quick"):
        table_rows(SMALL, tmp_path)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_row_is_there_once_and_every_family_has_its_reference(table):
    for family in table.families():
        assert len(set(family)) == len(family)
        assert len({(row.data, row.shots) for row in family}) == 1
        assert dataclasses.replace(family[0], data="", shots=1) == table.reference


def test_the_first_seed_of_all_methods_comes_before_the_second_of_any():
    seeds = [cell.seed for cell in TABLES["baselines"].cells(range(3))]
    assert seeds == sorted(seeds)
    assert len(set(TABLES["baselines"].cells(range(3)))) == len(seeds)


def test_the_days_of_tables_are_the_first_and_the_last(tmp_path, monkeypatch):
    monkeypatch.setitem(TABLES, "small", SMALL)
    monkeypatch.setitem(TABLES, "other", dataclasses.replace(SMALL, compared=(Row("joint"),)))
    assert days_line(tmp_path, "small") == ""
    for method, day in (("slim", "2026-02-01"), ("anil", "2026-02-03"), ("joint", "2026-01-30")):
        Cell("glyphs", method).write(tmp_path, record([4, 6], date=day))
    assert days_line(tmp_path, "small") == "measured 2026-02-01 to 2026-02-03"
    assert days_line(tmp_path, "small", "other") == "measured 2026-01-30 to 2026-02-03"
