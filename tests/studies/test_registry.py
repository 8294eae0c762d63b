"""Studies: a part a file, what has none is measured, and the committed files are those that the studies declare."""

import dataclasses
import json
from dataclasses import replace

import pytest
from small_tables import calls, measured_quickly, note

from studies import STUDIES, Study, measure_missing, registry
from studies.__main__ import RESULTS, main
from studies.compression import compression_parts, compression_rows, measure_compression
from studies.convergence import ConvergenceSetting
from studies.recipes import Recipe
from studies.workers import Failure


def fake_study(tmp_path, monkeypatch):
    def measure(changes, quick):
        note(tmp_path, f"part{changes['part']}")
        if changes["part"] == 2:
            raise RuntimeError("no")
        return {"part": changes["part"], "quick": quick}

    parts = {f"part-{number}": {"part": number} for number in (1, 2, 3)}
    study = Study("fake", "A fake", parts, measure, lambda part, record: [{"number": record["part"]}])
    monkeypatch.setitem(STUDIES, "fake", study)
    monkeypatch.setattr(registry, "run_jobs", lambda function, jobs, workers: map(outcome_of(function), jobs))
    return study


def outcome_of(function):
    def run(job):
        try:
            return job, function(job)
        except RuntimeError as error:
            return job, Failure(str(error))

    return run


def test_a_study_measures_the_parts_that_have_no_file_and_tells_of_failures(tmp_path, monkeypatch):
    study = fake_study(tmp_path, monkeypatch)
    made = list(measure_missing(study, tmp_path))
    assert made == [("fake/part-1", None), ("fake/part-2", "no"), ("fake/part-3", None)]
    lines = study.lines(tmp_path)
    assert [line.get("number", "missing") for line in lines] == [1, "missing", 3]
    assert list(measure_missing(study, tmp_path)) == [("fake/part-2", "no")]
    assert calls(tmp_path) == ["part1", "part2", "part3", "part2"]
    assert list(measure_missing(study, tmp_path, only="part-3")) == []


def test_a_quick_look_does_not_stand_for_a_measurement(tmp_path, monkeypatch):
    study = fake_study(tmp_path, monkeypatch)
    for quick, made in ((True, 1), (True, 0), (False, 1), (True, 0), (False, 0)):
        assert len(list(measure_missing(study, tmp_path, quick=quick, only="part-1"))) == made


def test_a_study_of_images_is_told_where_they_lie(tmp_path, monkeypatch):
    study, told = fake_study(tmp_path, monkeypatch), []
    monkeypatch.setitem(STUDIES, "fake", replace(study, measure=lambda changes, _: told.append(changes) or {}))
    for folders, sources in (((), {"cifar10": "here"}), (("cifar10",), {"cifar10": "here"}), (("cifar10",), None)):
        chosen = STUDIES["fake"] = replace(STUDIES["fake"], folders=folders)
        list(measure_missing(chosen, tmp_path / str(len(told)), only="part-1", sources=sources))
    assert told == [{"part": 1}, {"part": 1, "cifar10": "here"}, {"part": 1, "cifar10": None}]


def test_the_studies_are_shown_from_the_committed_files_alone(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # wherever the command is called
    assert main(["reproduce", *STUDIES, "--show", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    for name, study in STUDIES.items():
        own = [row for row in rows if row["table"] == name]
        assert {row["part"] for row in own} == set(study.parts)
        assert not all(row.get("missing") for row in own), name
    for name, expected in (("convergence", "squared_gradient_late"), ("gates", "lost_ci95")):
        assert any(row["table"] == name and expected in row for row in rows)


def test_the_committed_settings_of_the_studies_are_those_declared():
    for part, changes in STUDIES["convergence"].parts.items():
        setting = json.loads(STUDIES["convergence"].path(RESULTS, part).read_text())["setting"]
        assert changes.items() <= setting.items()
        assert setting.keys() == {field.name for field in dataclasses.fields(ConvergenceSetting)}


@pytest.mark.parametrize("part", ["convergence/five", "gates/glyphs-gated-50-seed0", "attacks/drift-krum-seed0"])
def test_a_study_is_really_measured(part, tmp_path):
    assert measured_quickly(part, tmp_path)


def test_every_part_of_the_study_is_a_recipe_and_its_row_says_what_was_measured():
    parts = compression_parts(range(2))
    assert len(parts) == 14
    assert all(Recipe(**changes).compression for changes in parts.values())
    record = measure_compression({**parts["top-0.01-seed1"], "rounds": 2}, quick=True)
    (row,) = compression_rows("top-0.01-seed1", record)
    assert (row["compression"], row["seed"]) == ("top-0.01", 1)
    assert row["bytes_up"] < 0.05 * row["bytes_down"]
    assert 0 <= row["accuracy"] <= 1
