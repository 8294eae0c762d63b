"""Making records: trials first, on all cores, and work that goes on where it was killed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from small_tables import METHODS, NAMES, QUERIES, SEARCH, SMALL, Fake, calls, made, write_small

import studies.__main__
from studies import TABLES, Cell, Row, Table, reproduce_tables, table_rows
from studies.__main__ import main
from studies.methods import METHODS as OWN
from studies.methods import Method
from studies.reproduce import TRIALS, chosen, keep_trial
from studies.workers import Failure, run_jobs


def test_trials_come_first_and_the_best_within_the_budget_is_taken(tmp_path):
    steps = made(tmp_path, sources={"cifar10": "somewhere"})
    assert [step.error for step in steps] == [None] * (3 * 4 + 3 * 2)
    assert [(step.done, step.total) for step in steps] == [(n + 1, 18) for n in range(18)]
    assert steps[-1].seconds_left == 0 < steps[0].seconds_left
    assert all("seed" not in call for call in calls(tmp_path)[:12])
    kept = Cell("glyphs", "slim", seed=1).read(tmp_path / "out")
    assert kept["chosen"] == 3, "4 is better, and over the budget"
    assert (kept["quick"], kept["settings"], kept["sources"]) == (False, {"rate": 3}, {"cifar10": "somewhere"})
    trials = json.loads((tmp_path / "out" / "tuning" / "glyphs" / "slim.json").read_text())["trials"]
    assert sorted(trial["settings"]["rate"] for trial in trials) == [1, 2, 3, 4]
    assert {"settings", "accuracy", "ci95", "tasks", "seed"} <= trials[0].keys()


def test_a_quick_look_takes_the_settings_that_were_found_at_length(tmp_path):
    made(tmp_path, seeds=range(1))
    (tmp_path / "out" / "tuning" / "glyphs" / "anil.json").unlink()
    before = len(calls(tmp_path))
    quick = reproduce_tables(
        [SMALL], tmp_path / "quick", Fake(tmp_path).instruments(), seeds=range(1), quick=True, tuned=tmp_path / "out"
    )
    assert [step.error for step in quick] == [None] * (4 + 3)
    new = calls(tmp_path)[before:]
    assert sorted(new[:4]) == [f"glyphs/anil/{rate}" for rate in (1, 2, 3, 4)], "only what is not there is searched"
    assert Cell("glyphs", "slim").read(tmp_path / "quick")["settings"] == {"rate": 3}


def test_what_has_a_file_is_not_made_again(tmp_path):
    made(tmp_path, seeds=range(1))
    before = calls(tmp_path)
    assert made(tmp_path, seeds=range(1)) == []
    assert calls(tmp_path) == before
    made(tmp_path)
    assert sorted(calls(tmp_path)[len(before) :]) == [
        f"glyphs/1-shot/{m}-50/seed1" for m in ("anil", "metagater", "slim")
    ]


def test_only_what_is_named_is_made_and_tuned(tmp_path):
    made(tmp_path, only="slim-50/seed1", workers=1)
    assert calls(tmp_path) == [*(f"glyphs/slim/{n}" for n in (1, 2, 3, 4)), "glyphs/1-shot/slim-50/seed1"]


@pytest.mark.parametrize(("harm", "reason"), [("fails", "not finite"), ("dies", "died")])
def test_a_failure_is_reported_stops_nothing_and_is_tried_again(tmp_path, harm, reason):
    steps = made(tmp_path, Fake(tmp_path, **{harm: "slim-50/seed0"}), workers=1)  # the others follow it there
    failed = [step for step in steps if step.error]
    assert [step.what for step in failed] == ["glyphs/1-shot/slim-50/seed0"]
    assert reason in failed[0].error
    assert len(steps) == 18
    assert table_rows(SMALL, tmp_path / "out", range(2))[1]["missing"] == [0]
    assert [step.what for step in made(tmp_path)] == ["glyphs/1-shot/slim-50/seed0"]


def test_a_method_with_another_number_of_trials_is_refused_before_anything_runs(tmp_path):
    instruments = dataclasses.replace(
        Fake(tmp_path).instruments(), methods={**METHODS, "slim": Method("slim", {}, SEARCH[:3])}
    )
    with pytest.raises(ValueError, match="3 trials of slim"):
        list(reproduce_tables([SMALL], tmp_path / "out", instruments, seeds=range(1)))
    assert not (tmp_path / "calls.txt").exists()


def test_trials_of_another_search_are_not_hidden(tmp_path):
    made(tmp_path, seeds=range(1))
    other = {name: Method(name, {}, (*SEARCH[:3], {"rate": 5})) for name in NAMES}
    instruments = dataclasses.replace(Fake(tmp_path).instruments(), methods=other)
    with pytest.raises(ValueError, match="another search"):
        list(reproduce_tables([SMALL], tmp_path / "out", instruments))


def test_where_every_trial_spends_too_much_the_cheapest_is_taken(tmp_path):
    path = tmp_path / "slim.json"
    for rate, ratio in ((1, 0.7), (2, 0.6), (3, 0.8), (4, 0.9)):
        keep_trial(path, {"settings": {"rate": rate}, "accuracy": rate, "macs_ratio": ratio})
    assert chosen(path, SEARCH, 0.5) == {"rate": 2}
    assert chosen(path, SEARCH, 1.0) == {"rate": 4}


def wait_or_leave(job):
    if job == "leave":
        sys.exit("enough")
    time.sleep(job)
    return os.getpid()


def test_jobs_are_spread_and_no_worker_outlives_the_work():
    before = set(psutil.Process().children(recursive=True))
    outcomes = dict(run_jobs(wait_or_leave, [0.2, 0.21, "leave", 0.01], 2))
    assert outcomes["leave"] == Failure("SystemExit: enough")
    assert outcomes[0.2] != outcomes[0.21]
    work = run_jobs(wait_or_leave, [0, 60, 61], 2)
    next(work)
    started = time.monotonic()
    work.close()
    assert time.monotonic() - started < 30, "a job of a minute was ended in its middle"
    left = [
        child
        for child in set(psutil.Process().children(recursive=True)) - before
        if "forkserver" not in str(child.cmdline())
    ]
    assert left == [] or psutil.wait_procs(left, timeout=5)[1] == []


SCRIPT = """
import sys
from pathlib import Path
import studies.__main__
from small_tables import Fake, SMALL
if __name__ == "__main__":
    log = Path(sys.argv[1])
    studies.TABLES["small"] = SMALL
    studies.__main__.INSTRUMENTS = Fake(log, seconds=float(sys.argv[2])).instruments()
    sys.exit(studies.__main__.main(["reproduce", "small", "--out", str(log / "out")]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_work_that_is_killed_or_stopped_goes_on_where_it_was(tmp_path, how):
    script = tmp_path / "work.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, script, tmp_path, "0.3"], **options) as work:
        for line in work.stderr:
            if "seed1" in line:
                break
        children = psutil.Process(work.pid).children(recursive=True)
        work.send_signal(how)
        said = work.communicate()[1]
    assert work.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert how == signal.SIGKILL or said.strip().splitlines()[-1].startswith("stopped")
    assert "Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=20)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    finished = [str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("seed*.json")]
    assert any("seed1" in name for name in finished), "what was said to be finished is kept"
    assert len(finished) < 15
    assert [json.loads((tmp_path / "out" / name).read_text())["queries"] for name in finished] == [QUERIES] * len(
        finished
    )
    before = calls(tmp_path)
    again = subprocess.run(
        [sys.executable, script, tmp_path, "0"], check=False, capture_output=True, text=True, env=environment
    )
    assert again.returncode == 0, again.stderr
    more = calls(tmp_path)[len(before) :]
    assert len(more) == 15 - len(finished)
    assert not {f"{name}.json" for name in more} & set(finished)
    assert "15/15" not in again.stderr, "only what was missing is counted"


def test_a_variant_takes_its_methods_settings_and_the_split_by_classes_its_data_sets(tmp_path):
    table = Table("variants", "", (Row("wider"),), Row("metagater"), data=("cifar10", "cifar10-unseen"))
    made(tmp_path, table=table, seeds=range(1))
    assert sorted(calls(tmp_path)[:4]) == [f"cifar10/metagater/{rate}" for rate in (1, 2, 3, 4)]
    assert len(calls(tmp_path)) == 4 + 4
    for method in ("metagater", "wider"):
        kept = Cell("cifar10-unseen", method).read(tmp_path / "out")
        assert (kept["settings"], kept["chosen"]) == ({"rate": 3}, 3)


def test_every_method_of_the_tables_is_known_and_has_as_many_trials_as_every_other():
    assert all(len(method.search) == TRIALS or method.like in OWN for method in OWN.values())
    for table in TABLES.values():
        assert {cell.method for cell in table.cells((0,))} <= OWN.keys()


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The command with a small table, and instruments that measure nothing."""
    monkeypatch.setitem(TABLES, "small", SMALL)
    monkeypatch.setattr(studies.__main__, "INSTRUMENTS", Fake(tmp_path, fails="anil").instruments())
    return ["small", "--out", str(tmp_path / "out")]


def test_the_command_makes_what_is_missing_prints_the_table_and_tells_of_failures(fake, tmp_path, capsys):
    assert main(["reproduce", *fake, "--seeds", "2"]) == 1
    said = capsys.readouterr()
    assert "failed glyphs/1-shot/anil-50/seed1: RuntimeError: the loss is not finite" in said.err
    assert "2 of the records failed" in said.err
    assert "18/18" in said.err
    assert "%|" not in said.err, "a progress bar belongs on a terminal only"
    assert "anil at 50 %" in said.out
    assert "not measured yet" in said.out
    assert " ± " in said.out


def test_show_runs_nothing_and_prints_rows(fake, tmp_path, capsys):
    write_small(tmp_path / "out", seeds=range(4))  # the fifth is missing, and stays so
    assert main(["reproduce", "--show", *fake, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == json.loads(json.dumps(table_rows(SMALL, tmp_path / "out")))
    assert not (tmp_path / "calls.txt").exists()
    assert main(["reproduce", *fake, "--show"]) == 0
    assert "to metagater at 50 %, p " in capsys.readouterr().out


def test_a_table_that_does_not_exist_is_refused_with_those_that_do(tmp_path, capsys):
    assert main(["reproduce", "nonsense", "--show"]) == 2
    said = capsys.readouterr().err
    assert "nonsense" in said
    assert all(name in said for name in TABLES)


@pytest.mark.parametrize("option", ["--seeds", "--workers"])
def test_no_seeds_and_no_workers_are_refused(fake, capsys, option):
    assert main(["reproduce", *fake, option, "0"]) == 2
    assert option.strip("-") in capsys.readouterr().err


def test_a_quick_table_trains_tests_and_compares_for_real(tmp_path, capsys):
    asked = ["reproduce", "budgets", "--quick", "--seeds", "1", "--json", "--out", str(tmp_path)]
    for method in ("dense-100", "slim-50"):
        assert main([*asked, "--only", f"glyphs/1-shot/{method}"]) == 0
        rows = {(row["data"], row["label"]): row for row in json.loads(capsys.readouterr().out)}
    dense, slim = rows["glyphs", "dense at 100 %"], rows["glyphs", "slim at 50 %"]
    assert dense["accuracy"] > 0.25
    assert slim["accuracy"] > 0.25
    assert slim["macs_ratio"] <= 0.5 < dense["macs_ratio"] == 1
    assert slim["difference"] == pytest.approx(slim["accuracy"] - dense["accuracy"])
    assert slim["tasks"] == 60
    assert rows["glyphs", "metagater at 50 %"]["accuracy"] is None
    kept = [json.loads(file.read_text()) for file in tmp_path.rglob("seed0.json")]
    assert [record["quick"] for record in kept] == [True, True]
    assert not (tmp_path / "tuning").exists(), "a quick look takes the settings that were found at length"
