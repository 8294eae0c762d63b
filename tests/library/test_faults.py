"""Faults: nodes that fail or answer nonsense, processes that are killed; a bad update never reaches the average."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import FILES_OF_A_RUN, options_of, small_recipe, train_and_send

from mglib.__main__ import main
from mglib.federated import (
    FedAdam,
    LocalEngine,
    Refusal,
    Round,
    RoundFailed,
    RoundResult,
    Update,
    admit,
    average,
    run_rounds,
)
from mglib.federated.process import worker_context
from mglib.params import Params, load
from mglib.training import Run, set_up, train
from mglib.training.trainer import round_metrics
from mglib.training.updates import MetaUpdate

START = {"p": torch.zeros(3), "q": torch.zeros(2, 2)}
KILLS = 50
CHEAP = {
    "width": 4,
    "depth": 2,
    "method": "maml",
    "ways": 2,
    "queries": 1,
    "nodes_per_round": 1,
}  # a sixth of a round


@dataclass(frozen=True)
class Place:
    """A node that answers with its own number everywhere."""

    name: str
    number: float


PLACES = [Place(f"place {number}", float(number)) for number in range(1, 6)]


def answer(params: Params, node: Place, position: int, round: Round) -> Update:
    """Answer as one should."""
    everywhere = {name: torch.full_like(value, node.number) for name, value in params.items()}
    return Update(node.name, everywhere, 1.0, {"loss": 1.0}, round.index)


def nested(value):
    with warnings.catch_warnings(action="ignore"):  # it says that it is a prototype
        return torch.nested.nested_tensor([value])


BAD = {
    "not a number": lambda update: replace_first(update, lambda value: value.index_fill(0, torch.tensor([1]), np.nan)),
    "infinity": lambda update: replace_first(update, lambda value: value / 0),
    "wrong shape": lambda update: replace_first(update, lambda value: value[:2]),
    "wrong type": lambda update: replace_first(update, lambda value: value.double()),
    "stale round": lambda update: update._replace(round=update.round - 1),
    "another architecture": lambda update: update._replace(params={"layers.0.weight": torch.zeros(7)}),
    "a parameter too many": lambda update: update._replace(params=update.params | {"more": torch.zeros(1)}),
    "a parameter too few": lambda update: update._replace(params={"p": update.params["p"]}),
    "far too large": lambda update: update._replace(params=update.params | {"p": torch.zeros(10**6)}),
    "weight of nothing": lambda update: update._replace(weight=0.0),
    "weight without end": lambda update: update._replace(weight=float("inf")),
    "metrics not finite": lambda update: update._replace(metrics={"loss": float("nan")}),
    "not a number, squared": lambda update: replace_first(update, lambda value: value - 3e38),
    "squares that overflow": lambda update: replace_first(update, lambda value: value + 1e19),
    "no update": lambda update: None,
    "a tuple": lambda update: tuple(update),
    "round in words": lambda update: update._replace(round=torch.zeros(2)),
    "weight in words": lambda update: update._replace(weight="1"),
    "no weight": lambda update: update._replace(weight=None),
    "weight of yes": lambda update: update._replace(weight=True),
    "endless weight": lambda update: update._replace(weight=10**5000),
    "no parameters": lambda update: update._replace(params=None),
    "parameters in a list": lambda update: update._replace(params=list(update.params.items())),
    "nameless parameters": lambda update: update._replace(params={0: torch.zeros(3), "q": torch.zeros(2, 2)}),
    "numbers in a list": lambda update: replace_first(update, torch.Tensor.tolist),
    "sparse": lambda update: replace_first(update, torch.Tensor.to_sparse),
    "nested": lambda update: replace_first(update, nested),
    "complex": lambda update: replace_first(update, lambda value: value.to(torch.complex64)),
    "with a gradient": lambda update: replace_first(update, lambda value: value.requires_grad_()),
    "elsewhere": lambda update: replace_first(update, lambda value: value.to("meta")),
    "no metrics": lambda update: update._replace(metrics=None),
    "nameless metrics": lambda update: update._replace(metrics={1: 1.0}),
    "metrics in words": lambda update: update._replace(metrics={"loss": "low"}),
    "metrics in tensors": lambda update: update._replace(metrics={"loss": torch.ones(())}),
    "a metric that cannot travel": lambda update: update._replace(metrics={"loss": lambda: 1.0}),
    "an endless metric": lambda update: update._replace(metrics={"loss": 10**400}),
    "metrics without end": lambda update: update._replace(metrics={str(number): 1.0 for number in range(10**4)}),
}
REASONS = {
    "not a number": "not finite",
    "infinity": "not finite",
    "wrong shape": r"p is \(2,\) float32 where \(3,\) float32 was sent",
    "wrong type": "float64 where",
    "stale round": "answers round -1 in round 0",
    "another architecture": "another network",
    "a parameter too many": "more is unknown",
    "a parameter too few": "q is missing",
    "far too large": r"p is \(1000000,\) float32 where \(3,\) float32 was sent",
    "weight of nothing": "weight is 0.0",
    "weight without end": "weight is inf",
    "metrics not finite": "loss is nan",
    "not a number, squared": "not finite when they are squared",
    "squares that overflow": "not finite when they are squared",
    "no update": "answered with a NoneType",
    "a tuple": "answered with a tuple",
    "round in words": "answers round a Tensor in round",
    "weight in words": "weight is a str",
    "no weight": "weight is a NoneType",
    "weight of yes": "weight is a bool",
    "endless weight": "weight is an int",
    "no parameters": "parameters are a NoneType",
    "parameters in a list": "parameters are a list",
    "nameless parameters": "a parameter is named by an int",
    "numbers in a list": "p is a list where",
    "sparse": "p is a Tensor torch.sparse_coo where",
    "nested": "p is a Tensor, nested where",
    "complex": "complex64 where",
    "with a gradient": "p is a Tensor that requires a gradient where",
    "elsewhere": "p is on meta where it was sent on cpu",
    "no metrics": "metrics are a NoneType",
    "nameless metrics": "a metric is named by an int",
    "metrics in words": "loss is a str",
    "metrics in tensors": "loss is a Tensor",
    "a metric that cannot travel": "loss is a function",
    "an endless metric": "loss is an int",
    "metrics without end": "the names of its 10000 metrics",
}


def replace_first(update, change):
    return update._replace(params=update.params | {"p": change(update.params["p"])})


@dataclass(frozen=True)
class Faulty:
    """The second node answers badly, or raises."""

    fault: str

    def __call__(self, params, node, position, round):
        if position != 1:
            return answer(params, node, position, round)
        if self.fault == "raises":
            raise ValueError("no class holds enough examples")
        if self.fault == "exits":
            sys.exit("done for today")
        if self.fault == "raises what says nothing":
            raise Mute
        if self.fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return BAD[self.fault](answer(params, node, position, round))


class Mute(Exception):
    """An error that fails itself when it is asked what it is."""

    def __str__(self):
        return 1 / 0


def one_round(fault, workers=1, **options):
    with LocalEngine(Faulty(fault), PLACES, workers) as engine:
        return next(run_rounds(engine, START, average, **{"rounds": 2, "nodes_per_round": 5, "seed": 0} | options))


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_update_never_reaches_the_average_and_the_round_says_why(fault):
    result = one_round(fault)
    assert [refusal.node for refusal in result.refused] == ["place 2"]
    with pytest.raises(RoundFailed, match=f"4 of 5 needed nodes answered .*place 2: .*{REASONS[fault]}"):
        one_round(fault, quorum=5)
    assert torch.equal(result.params["p"], torch.full((3,), (1 + 3 + 4 + 5) / 4))
    assert len(result.updates) == 4


@dataclass(frozen=True)
class EachInTurn:
    """The second node has another fault in every round; the last answers as it should, in parts of one tensor."""

    def __call__(self, params, node, position, round):
        if position == 4:
            whole = torch.full((3, 3), node.number)
            return answer(params, node, position, round)._replace(params={"p": whole[:, 0], "q": whole[:2, :2].T})
        return Faulty([*BAD, "exits", "raises what says nothing"][round.index])(params, node, position, round)


def test_what_cannot_be_admitted_does_not_travel_from_a_worker():
    reasons = [*REASONS.values(), "SystemExit: done for today", "Mute: <exception str"]
    with LocalEngine(EachInTurn(), PLACES, workers=2) as engine:
        rounds = list(run_rounds(engine, START, average, rounds=len(reasons), nodes_per_round=5, seed=0))
    for result, reason in zip(rounds, reasons, strict=True):
        ((node, told),) = result.refused
        assert node == "place 2"
        assert re.search(
            reason.replace("round -1", r"round \d*"), told.replace(f"in round {result.round.index}", "in round 0")
        )
        assert torch.equal(result.params["q"], torch.full((2, 2), 3.25))


@dataclass(frozen=True)
class Scribbles:
    """Every node writes on what it was sent, and says that it is somebody else."""

    def __call__(self, params, node, position, round):
        for value in params.values():
            value += node.number
        return Update("place 1", params, 1.0, {}, round.index)


@dataclass(frozen=True)
class Lazy:
    """Nodes that are made when they are asked for; the second cannot be, and they are named by numbers."""

    def __len__(self):
        return len(PLACES)

    def __getitem__(self, position):
        if position == 1:
            raise OSError("its disk is gone")
        return Place(position, PLACES[position].number)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_neither_writes_on_others_nor_speaks_for_them(workers):
    before = {name: value.clone() for name, value in START.items()}
    with LocalEngine(Scribbles(), PLACES, workers) as engine:
        (result,) = run_rounds(engine, START, average, rounds=1, nodes_per_round=5, seed=0)
    assert [update.node for update in result.updates] == [place.name for place in PLACES]
    assert torch.equal(result.params["p"], torch.full((3,), 3.0))
    assert all(torch.equal(START[name], value) for name, value in before.items())


def test_a_node_that_cannot_be_made_is_refused():
    (result,) = run_rounds(LocalEngine(answer, Lazy()), START, average, rounds=1, nodes_per_round=5, seed=0)
    assert result.refused == [Refusal("1", "OSError: its disk is gone")]
    assert [update.node for update in result.updates] == ["0", "2", "3", "4"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_that_cannot_compute_is_refused_and_the_others_go_on(workers):
    result = one_round("raises", workers)
    assert result.refused == [Refusal("place 2", "ValueError: no class holds enough examples")]
    assert torch.equal(result.params["p"], torch.full((3,), 3.25))


def test_a_worker_that_dies_takes_its_own_nodes_and_the_next_round_has_a_new_one():
    with LocalEngine(Faulty("dies"), PLACES, workers=2) as engine:
        rounds = list(run_rounds(engine, START, average, rounds=2, nodes_per_round=5, seed=0))
    for result in rounds:
        assert "place 2" in {refusal.node for refusal in result.refused}
        assert all("died" in refusal.reason for refusal in result.refused)
        numbers = [PLACES[int(update.node[-1]) - 1].number for update in result.updates]
        assert float(result.params["p"][0]) == pytest.approx(np.mean(numbers))


def tell_the_process(params, node, position, round):
    return answer(params, node, position, round)._replace(metrics={"process": os.getpid()})


@pytest.mark.parametrize("count", [1, 5])
def test_a_worker_killed_between_rounds_costs_no_node_the_next(count):
    with LocalEngine(tell_the_process, PLACES, workers=2) as engine:
        first = engine.run(START, range(count), Round(0, 2, 0))
        os.kill(int(first[0].metrics["process"]), signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):  # until the death is noticed
            list(iter(lambda: engine._pool.submit(int).result(), None))
        second = engine.run(START, range(count), Round(1, 2, 0))
    assert [update.node for update in second] == [place.name for place in PLACES[:count]]
    assert all(isinstance(update, Update) for update in second)


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(), st.binary(), st.just(object()),
    st.fractions(), st.complex_numbers(), st.lists(st.none()), st.just(np.float32(1)), st.just(np.zeros(3)),
    st.sampled_from(["\ud800", "\x1b[2J"]),
)  # fmt: skip
TENSORS = st.sampled_from(
    [
        torch.zeros(3), torch.zeros(2, 2), torch.zeros(3).double(), torch.zeros(3, dtype=torch.complex64),
        torch.zeros(3).to_sparse(), torch.zeros(3, requires_grad=True),
        torch.nn.Parameter(torch.zeros(3)), torch.zeros(3, device="meta"), nested(torch.zeros(3)),
        torch.full((3,), 3e38), torch.full((2, 2), -torch.inf), torch.zeros(1).expand(3), torch.zeros(1).expand(10**12),
        torch.zeros(3, dtype=torch.int64), torch.zeros(()), torch.zeros(3, dtype=torch.bool),
    ]
)  # fmt: skip
NAMES = st.one_of(st.sampled_from(["p", "q", "loss", "round", "nodes", "refused"]), st.text(), st.integers(), st.none())


def in_turn(usual, odd):
    return st.one_of(st.just(usual), odd)


ANSWERS = st.one_of(
    ODD,
    st.builds(Refusal, in_turn("a", ODD), ODD),
    st.builds(
        Update,
        in_turn("b", ODD),
        in_turn(START, st.one_of(ODD, st.dictionaries(NAMES, st.one_of(TENSORS, ODD), max_size=3))),
        in_turn(1.0, ODD),
        in_turn({"loss": 1.0}, st.one_of(ODD, st.dictionaries(NAMES, ODD, max_size=3))),
        in_turn(0, ODD),
    ),
)


@settings(max_examples=300)
@given(answers=st.lists(ANSWERS, max_size=6), quorum=st.integers(0, 2))
def test_no_answer_can_end_a_round_in_an_error(answers, quorum):
    first = Round(0, 2, 0)
    try:
        updates, refused = admit(START, answers, first, quorum)
    except RoundFailed:
        return
    assert len(updates) + len(refused) == len(answers)
    assert len({update.node for update in updates}) == len(updates)
    assert all(reason and reason.isprintable() for _, reason in refused if reason)
    if updates:
        params, state = FedAdam()(START, {}, updates, first)
        assert all(value.isfinite().all() for value in (params | state).values())
        line = round_metrics(RoundResult(first, params, state, updates, refused))
        assert json.loads(json.dumps(line, allow_nan=False))["nodes"] == [update.node for update in updates]
        assert line["round"] == 0


def test_a_metric_that_some_nodes_lack_is_the_mean_of_the_others():
    metrics = [{}, {"loss": 1.0, "round": 7.0, "refused": 1.0}, {"loss": 2.0}]
    answers = [answer(START, PLACES[k], k, Round(3, 9, 0))._replace(metrics=told) for k, told in enumerate(metrics)]
    updates, _ = admit(START, answers, Round(3, 9, 0))
    line = round_metrics(RoundResult(Round(3, 9, 0), START, {}, updates, []))
    assert line == {"round": 3, "loss": 1.5, "nodes": ["place 1", "place 2", "place 3"]}


def test_numbers_whose_squares_are_finite_are_admitted():
    large = replace_first(answer(START, PLACES[0], 0, Round(0, 9, 0)), lambda value: value + 1e17)
    assert admit(START, [large], Round(0, 9, 0)) == ([large], [])


def test_a_second_answer_under_a_name_is_refused():
    twice = [answer(START, PLACES[0], 0, Round(0, 9, 0))] * 2
    updates, refused = admit(START, twice, Round(0, 9, 0))
    assert (len(updates), refused) == (1, [Refusal("place 1", "a second answer under this name")])


def test_learning_rates_that_overflow_are_named_as_the_cause(folder):
    for rate in ("backbone_learning_rate", "client_learning_rate"):
        recipe = small_recipe(folder, **{rate: 1e38})
        with pytest.raises(RoundFailed, match=r"round 0: 0 of 1 .* not finite.*after 0 rounds, learning rates .*small"):
            list(set_up(recipe).rounds())
    overflowing = lambda params, state, updates, round: ({"p": params["p"] + torch.inf}, state)  # noqa: E731
    rounds = run_rounds(LocalEngine(answer, PLACES), START, overflowing, rounds=9, nodes_per_round=4, seed=0)
    with pytest.raises(RoundFailed, match=r"round 0: after the server's step p holds numbers that are not .*small"):
        list(rounds)


def test_a_servers_state_that_overflows_ends_the_training():
    overflowing = lambda params, state, updates, round: (params, {"first.p": torch.tensor(torch.inf)})  # noqa: E731
    rounds = run_rounds(LocalEngine(answer, PLACES), START, overflowing, rounds=1, nodes_per_round=5, seed=0)
    with pytest.raises(RoundFailed, match=r"round 0: after the server's step first\.p holds numbers that are not"):
        list(rounds)


def test_nothing_but_refusals_ends_the_training_with_their_reasons():
    everyone = [Refusal("a", "late"), Refusal("b", "gone")]
    with pytest.raises(RoundFailed, match=r"round 3: 0 of 1 needed nodes answered \(a: late; b: gone"):
        admit(START, everyone, Round(3, 9, 0))


def test_what_was_refused_stands_in_the_metrics(folder, monkeypatch, tmp_path):
    recipe = small_recipe(folder)
    experiment = set_up(recipe)
    sample = type(experiment.federation.train[0]).sample_task
    bad = experiment.federation.train[0].name

    def empty(node, *rest):
        if node.name == bad:
            raise ValueError("no class holds enough examples")
        return sample(node, *rest)

    monkeypatch.setattr(type(experiment.federation.train[0]), "sample_task", empty)
    lines = [round_metrics(result) for result in experiment.rounds()]
    assert any(line.get("refused") == {bad: "ValueError: no class holds enough examples"} for line in lines)
    assert all(bad not in line["nodes"] for line in lines)


def test_a_training_below_its_quorum_stops_with_the_reason_and_exit_code_1(folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("mglib.training.updates.MetaUpdate.direction", lambda *rest: 1 / 0)
    assert main(["train", *options_of(small_recipe(folder, quorum=2), tmp_path / "run", workers=1)]) == 1
    said = capsys.readouterr().err
    assert "round 0: 0 of 2 needed nodes answered" in said
    assert "ZeroDivisionError" in said
    assert f"no checkpoint yet: remove {tmp_path / 'run'} to begin again" in said


def test_a_training_that_stops_later_names_its_checkpoint(folder, monkeypatch, tmp_path, capsys):
    direction, asked = MetaUpdate.direction, itertools.count()
    monkeypatch.setattr(MetaUpdate, "direction", lambda *rest: direction(*rest) if next(asked) < 22 else 1 / 0)
    assert main(["train", *options_of(small_recipe(folder, rounds=30), tmp_path / "run", workers=1)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("stopped: round 11: 0 of 1 needed nodes answered")
    assert said.endswith(f"; the same command with --resume goes on from the last checkpoint in {tmp_path / 'run'}\n")


def test_a_folder_that_is_trained_in_takes_no_other_training(folder, tmp_path):
    recipe, out, refused = small_recipe(folder), str(tmp_path / "run"), []

    def begin_another(metrics):
        with pytest.raises(ValueError, match=f"another training is at work in {out}; choose another folder"):
            train(recipe, out, resume=True)
        refused.append(metrics["round"])

    train(recipe, out, on_round=begin_another)
    assert refused == list(range(recipe.rounds))
    assert sorted(path.name for path in Path(out).iterdir()) == FILES_OF_A_RUN


def test_what_another_training_has_just_finished_is_left_alone(folder, tmp_path):
    recipe, run = small_recipe(folder), Run(tmp_path / "run")
    train(recipe, run.folder)
    before = run.metrics_file.read_text()
    with pytest.raises(ValueError, match="another training has just finished"), run.begin(recipe, resume=True):
        pass
    assert run.metrics_file.read_text() == before


def test_what_a_killed_training_left_half_written_is_removed(folder, tmp_path):
    run = Run(str(tmp_path / "run"))
    run.folder.mkdir()
    for name in (".recipe.json.0a1b.part", ".training.lock"):
        (run.folder / name).write_text("half")
    (run.folder / ".adapted.0a1b.part").mkdir()
    (run.folder / ".adapted.0a1b.part" / "recipe.json").write_text("half")
    train(small_recipe(folder), run.folder)
    assert sorted(path.name for path in run.folder.iterdir()) == FILES_OF_A_RUN


def test_a_script_without_a_main_guard_is_told_in_a_sentence(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from mglib.federated import LocalEngine\nLocalEngine(print, ['a node'], workers=2)\n")
    process = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith("RuntimeError: the worker processes did not start: what they")
    assert process.stderr.count("Traceback") == 1, "the workers say nothing"


def rounds_kept(run):
    return int(load(run.checkpoint_file)[1]["rounds_done"]) if run.checkpoint_file.exists() else 0


def test_a_trainer_that_is_killed_at_any_of_fifty_moments_loses_nothing_it_acknowledged(folder, tmp_path):
    """Killed again and again, each time somewhere else, the training ends in the bits of one that was left alone."""
    recipe = small_recipe(folder, rounds=300, **CHEAP)
    whole = train(recipe, tmp_path / "whole")
    context = worker_context("mglib.training")  # each trainer is forked from a process that has imported it
    generator, out, moments = np.random.default_rng(0), Run(tmp_path / "killed"), []
    for _ in range(KILLS):
        received, sent = context.Pipe(duplex=False)
        kept = rounds_kept(out)
        work = context.Process(target=train_and_send, args=(recipe, out.folder, sent))
        work.start()
        sent.close()  # here: a trainer that ends is heard of at once
        assert received.poll(60)
        assert received.recv() == kept, "what a checkpoint holds is neither lost nor trained again"
        for _ in range(generator.integers(25)):
            if not received.poll(60) or received.recv() == recipe.rounds - 1:
                break
        time.sleep(float(generator.exponential(0.01)))
        work.kill()
        work.join()
        moments.append(kept)
        if out.finished or rounds_kept(out) == recipe.rounds:  # it was faster than the kill: once more from the start
            ended = train(recipe, out.folder, resume=True)
            assert all(torch.equal(ended[name], whole[name]) for name in whole)
            shutil.rmtree(out.folder)
    again = train(recipe, out.folder, resume=True)
    assert len(set(moments)) > 5, "they were killed at different moments"
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert out.metrics_file.read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()
