"""The evidence: tables from the files alone, intervals that cover, and work that goes on where it was killed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from scipy import stats

import mglib.evidence
from mglib.__main__ import main
from mglib.evidence import (
    TABLES,
    Cell,
    Instruments,
    Row,
    Study,
    Table,
    estimate_means,
    holm,
    reproduce_tables,
    studies,
    table_rows,
    tuning,
)
from mglib.evidence.convergence import ConvergenceSetting
from mglib.evidence.methods import METHODS as OWN
from mglib.evidence.methods import Method, Source
from mglib.evidence.statistics import bootstrap_interval, resampled_means, seed_interval
from mglib.evidence.workers import Failure, run_jobs

QUERIES = 10
COMPARED = (Row("slim"), Row("anil"), Row("metagater", steps=10))
SMALL = Table("small", "A small table", COMPARED, Row("metagater"), data=("glyphs",))
COLUMNS = {"data", "shots", "method", "budget", "accuracy", "ci95", "macs_ratio", "seeds", "difference"}
COLUMNS |= {"difference_ci95", "p", "reference", "tasks", "bytes_sent", "rounds_to_target", "steps", "missing"}


def record(correct, **more):
    base = {"queries": QUERIES, "macs_ratio": 0.5, "bytes_sent": 1000, "rounds_to_target": 7, "curve": [[1, 0.5]]}
    return {"correct": [int(count) for count in correct], **base, "seconds": 1.0, **more}


def drawn(method, seed, tasks=40, shift=0):
    """Right answers: what a task allows is the same for all methods, a method adds its shift and a little chance."""
    easy = np.random.default_rng([seed, 1]).integers(2, 8, tasks)
    own = np.random.default_rng([seed, sum(map(ord, method))]).integers(0, 2, tasks)
    return easy + own + shift


def write_small(folder, seeds=range(5), shuffle=False):
    for seed in seeds:
        steps = {"10": [int(n) for n in drawn("ten", seed)]}
        Cell("glyphs", "metagater", seed=seed).write(folder, record(drawn("metagater", seed), steps=steps))
        anil = drawn("anil", seed, shift=1)
        for method, correct in (("slim", drawn("slim", seed)), ("anil", anil)):
            mixed = np.random.default_rng(seed).permutation(correct) if shuffle else correct
            Cell("glyphs", method, seed=seed).write(folder, record(mixed))


# --- intervals -----------------------------------------------------------------------------------------------------


def test_the_interval_of_five_seeds_covers_the_truth_where_the_bootstrap_alone_does_not():
    generator = np.random.default_rng(3)
    several = generator.normal(0, 0.02, (400, 5, 1)) + generator.normal(0, 0.05, (400, 5, 60))
    reported = estimate_means(list(several))
    off = np.abs([estimate.mean for estimate in reported])
    assert np.mean(off <= [estimate.ci95 for estimate in reported]) >= 0.93
    assert np.mean([estimate.p < 0.05 for estimate in reported]) <= 0.07
    alone = [bootstrap_interval(resampled) for resampled in resampled_means(several, 1000)]
    assert np.mean(off <= [half for half, _ in alone]) < 0.9, "or the wider of the two would not be needed"
    assert np.mean([p < 0.05 for _, p in alone]) > 0.1


def test_where_seeds_do_not_differ_the_interval_covers_too():
    several = np.random.default_rng(5).normal(0, 0.05, (300, 5, 60))
    covered = [abs(estimate.mean) <= estimate.ci95 for estimate in estimate_means(list(several))]
    assert np.mean(covered) >= 0.93


def test_the_bootstrap_of_one_seed_is_that_of_its_tasks_and_of_many_seeds_that_of_both_levels():
    values = np.random.default_rng(0).normal(0, 1, (1, 1, 200))
    assert resampled_means(values)[0].std() == pytest.approx(values.std() / 200**0.5, rel=0.05)
    both = np.random.default_rng(1).normal(0, 1, (1, 40, 1)) + np.random.default_rng(2).normal(0, 1, (1, 40, 50))
    by_hand = both.mean(2).var() / 40 + both.var(axis=2).mean() / (40 * 50)
    assert resampled_means(both)[0].std() == pytest.approx(by_hand**0.5, rel=0.05)


def test_the_bootstrap_agrees_with_scipys_on_one_level():
    values = np.random.default_rng(4).normal(0.1, 1, 300)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    half, _ = bootstrap_interval(resampled_means(values[None, None])[0])
    assert half == pytest.approx((theirs.high - theirs.low) / 2, rel=0.05)


def test_the_interval_over_seeds_is_students():
    means = np.array([0.1, 0.3, 0.2, 0.25, 0.18])
    theirs = stats.ttest_1samp(means, 0)
    half, p = seed_interval(means)
    assert p == pytest.approx(theirs.pvalue)
    assert means.mean() + half == pytest.approx(theirs.confidence_interval().high)


def test_one_seed_says_nothing_of_others():
    (estimate,) = estimate_means([np.random.default_rng(0).random((1, 50))])
    assert estimate.ci95 > 0
    assert estimate.p is None


def test_holm_corrects_for_the_number_of_questions_asked():
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.02]) == [0.02]
    assert holm([None]) == [None]


# --- tables --------------------------------------------------------------------------------------------------------


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
    seeds = [cell.seed for cell in TABLES["relatives"].cells(range(3))]
    assert seeds == sorted(seeds)
    assert len(set(TABLES["relatives"].cells(range(3)))) == len(seeds)


# --- making records ------------------------------------------------------------------------------------------------

NAMES = ("metagater", "slim", "anil", "dense")
SEARCH = tuple({"rate": rate} for rate in (1, 2, 3, 4))
METHODS = {name: Method(name, {}, SEARCH) for name in NAMES} | {"wider": Method("wider", {}, like="metagater")}
SOURCES = {"glyphs": Source({}), "cifar10": Source({}), "cifar10-unseen": Source({}, tuned_on="cifar10")}


def note(folder, what):
    with open(folder / "calls.txt", "a") as file:
        file.write(f"{what}\n")


def calls(folder):
    return (folder / "calls.txt").read_text().split()


@dataclasses.dataclass(frozen=True)
class Fake:
    """Measures nothing: notes in a file that it was asked, and answers by method and seed."""

    log: Path
    fails: str = ""
    dies: str = ""
    seconds: float = 0.0

    def measure(self, cell, *, quick, settings, sources):
        note(self.log, cell.name)
        if self.fails and self.fails in cell.name:
            raise RuntimeError("the loss is not finite")
        if self.dies and self.dies in cell.name:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return record(drawn(cell.method, cell.seed, tasks=5), chosen=settings["rate"], sources=sources)

    def trial(self, data, method, settings, *, quick, sources):
        note(self.log, f"{data}/{method}/{settings['rate']}")
        rate = settings["rate"]
        return {"accuracy": rate / 10, "ci95": 0.01, "macs_ratio": 0.6 if rate == 4 else 0.5, "tasks": 5, "seed": 0}

    def instruments(self):
        return Instruments(self.measure, self.trial, METHODS, SOURCES)


def made(tmp_path, fake=None, table=SMALL, **options):
    fake = fake or Fake(tmp_path)
    return list(reproduce_tables([table], tmp_path / "out", fake.instruments(), **{"seeds": range(2)} | options))


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


def test_classes_never_seen_take_the_trials_of_their_data_set(tmp_path):
    table = dataclasses.replace(SMALL, data=("cifar10", "cifar10-unseen"), compared=())
    made(tmp_path, table=table, seeds=range(1), workers=1)
    assert [call for call in calls(tmp_path) if "seed" not in call] == [f"cifar10/metagater/{n}" for n in (1, 2, 3, 4)]
    assert Cell("cifar10-unseen", "metagater").read(tmp_path / "out")["chosen"] == 3


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
        tuning.keep_trial(path, {"settings": {"rate": rate}, "accuracy": rate, "macs_ratio": ratio})
    assert tuning.chosen(path, SEARCH, 0.5) == {"rate": 2}
    assert tuning.chosen(path, SEARCH, 1.0) == {"rate": 4}


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
import signal, sys
from pathlib import Path
import mglib.evidence
from mglib.__main__ import main
from test_evidence import Fake, SMALL
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where the tests run in the background
    log = Path(sys.argv[1])
    mglib.evidence.TABLES["small"] = SMALL
    mglib.evidence.own_instruments = Fake(log, seconds=float(sys.argv[2])).instruments
    sys.exit(main(["reproduce", "small", "--out", str(log / "out")]))
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


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The command with a small table, and instruments that measure nothing."""
    monkeypatch.setitem(mglib.evidence.TABLES, "small", SMALL)
    monkeypatch.setattr(mglib.evidence, "own_instruments", Fake(tmp_path, fails="anil").instruments)
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


def test_a_variant_takes_its_methods_settings_and_the_split_by_classes_its_data_sets(tmp_path):
    table = Table("variants", "", (Row("wider"),), Row("metagater"), data=("cifar10-unseen",))
    made(tmp_path, table=table, seeds=range(1))
    assert sorted(calls(tmp_path)[:4]) == [f"cifar10/metagater/{rate}" for rate in (1, 2, 3, 4)]
    assert len(calls(tmp_path)) == 4 + 2
    assert Cell("cifar10-unseen", "wider").read(tmp_path / "out")["settings"] == {"rate": 3}


def test_every_method_of_the_tables_is_known_and_has_as_many_trials_as_every_other():
    assert all(len(method.search) == tuning.TRIALS or method.like in OWN for method in OWN.values())
    for table in TABLES.values():
        assert {cell.method for cell in table.cells((0,))} <= OWN.keys()


# --- studies -------------------------------------------------------------------------------------------------------


def fake_study(tmp_path, monkeypatch):
    def measure(changes, quick):
        note(tmp_path, f"part{changes['part']}")
        if changes["part"] == 2:
            raise RuntimeError("no")
        return {"part": changes["part"], "quick": quick}

    parts = {f"part-{number}": {"part": number} for number in (1, 2, 3)}
    study = Study("fake", "A fake", parts, measure, lambda part, record: [{"number": record["part"]}])
    monkeypatch.setitem(studies.STUDIES, "fake", study)
    monkeypatch.setattr(studies, "run_jobs", lambda function, jobs, workers: map(outcome_of(function), jobs))
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
    made = list(studies.measure_missing(study, tmp_path))
    assert made == [("fake/part-1", None), ("fake/part-2", "no"), ("fake/part-3", None)]
    lines = study.lines(tmp_path)
    assert [line.get("number", "missing") for line in lines] == [1, "missing", 3]
    assert list(studies.measure_missing(study, tmp_path)) == [("fake/part-2", "no")]
    assert calls(tmp_path) == ["part1", "part2", "part3", "part2"]
    assert list(studies.measure_missing(study, tmp_path, only="part-3")) == []


def test_the_studies_are_shown_from_the_committed_files_alone(capsys):
    for name, expected in (("convergence", "squared_gradient_late"), ("gates", "lost_ci95")):
        assert main(["reproduce", name, "--show", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert {row["part"] for row in rows} == set(studies.STUDIES[name].parts)
        assert any(expected in row for row in rows)


def test_the_committed_settings_of_the_studies_are_those_declared():
    for part, changes in studies.STUDIES["convergence"].parts.items():
        setting = json.loads(studies.STUDIES["convergence"].path(Path("results"), part).read_text())["setting"]
        assert changes.items() <= setting.items()
        assert setting.keys() == {field.name for field in dataclasses.fields(ConvergenceSetting)}


@pytest.mark.parametrize("part", ["convergence/five", "gates/glyphs-gated-50-seed0", "attacks/drift-krum-seed0"])
def test_a_study_is_really_measured(part, tmp_path):
    study = studies.STUDIES[part.partition("/")[0]]
    assert list(studies.measure_missing(study, tmp_path, quick=True, only=part, workers=1)) == [(part, None)]
    assert [line for line in study.lines(tmp_path) if not line.get("missing")]
