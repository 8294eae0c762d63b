"""The study of what labels decide: its parts train, and its comparison pairs seeds and tasks."""

import json

import numpy as np
import pytest
from small_tables import measured_quickly

from studies import STUDIES
from studies.questions import compared, question_parts


@pytest.mark.slow
@pytest.mark.parametrize("part", ["metagater-12-asked-1-seed0", "slim-12-asked-1-seed0"])
def test_a_part_is_measured_and_its_row_says_so(part, tmp_path):
    (row,) = measured_quickly(f"questions/{part}", tmp_path)
    assert row["budget"] == 0.12
    assert {"character", "ink", "ground"} <= row.keys()
    record = json.loads(STUDIES["questions"].path(tmp_path, part).read_text())
    learnt = part.startswith("metagater")
    assert (record["price"] is not None) == learnt
    assert any(".gate." in name for name in record["course_of_rates"]) == learnt
    assert (record["without_gate_step"] == record["correct"]) != learnt


@pytest.mark.slow
@pytest.mark.parametrize("part", ["glyphs-metagater-dual-25", "questions-metagater-signed-50-long"])
def test_a_price_is_measured(part, tmp_path):
    (row,) = measured_quickly(f"prices/{part}", tmp_path)
    assert row["off"] == pytest.approx(row["macs_ratio"] - row["budget"])


def test_leads_and_steps_are_paired_and_corrected(tmp_path):
    generator, tasks = np.random.default_rng(0), 30
    wanted = {"metagater": 45, "gates-fixed": 42, "slim": 30}
    for part, changes in question_parts(range(3)).items():
        if changes["asked"] != 1 or changes["budget"] != 0.12:
            continue
        luck = np.random.default_rng(changes["seed"]).integers(-9, 9, tasks)  # of the tasks, the same for all methods
        correct = wanted[changes["method"]] + luck + generator.integers(0, 2, tasks)
        record = {
            **changes,
            "correct": correct.tolist(),
            "without_gate_step": (correct - 3).tolist(),
            "queries": 75,
            "questions": ["ink", "ground", "character"] * (tasks // 3),
            "macs_ratio": 0.12,
        }
        (tmp_path / f"{part}.json").write_text(json.dumps(record))
    rows = {row["method"]: row for row in compared(tmp_path, range(3)) if row["budget"] == 0.12}
    assert rows["metagater"]["lead"] is None
    assert rows["metagater"]["step"] == pytest.approx(3 / 75)
    assert rows["gates-fixed"]["lead"] == pytest.approx(3 / 75, abs=0.5 / 75)
    assert rows["gates-fixed"]["lead_ci95"] < rows["gates-fixed"]["ci95"]  # what tasks share drops out
    assert rows["slim"]["lead"] > rows["gates-fixed"]["lead"]
    assert rows["gates-fixed"]["paired_seeds"] == 3
    missing = [row for row in compared(tmp_path, range(3)) if row["budget"] == 0.5]
    assert [row["accuracy"] for row in missing] == [None] * 3
