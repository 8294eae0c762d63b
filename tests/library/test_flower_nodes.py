"""Flower with real nodes: those that never come, that are killed, that are slow for a while, and that come late."""

import json
import re
import signal
import subprocess
import time

import psutil
import pytest
from flower_processes import federation_in, metrics_of, options_of, wait_until
from small_data import small_recipe

from mglib.flower.connection import Connection, environment, program

KILLED, SLOW, LATE = "alphabet0", "alphabet1", "alphabet3"


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    with federation_in(tmp_path_factory.mktemp("federation")) as federation:
        federation.superlink()
        yield federation


@pytest.fixture(scope="module")
def lonely(federation, folder, tmp_path_factory):
    """A training before there is any node: its folder, exit code, last words, and the seconds that it took."""
    out, started = tmp_path_factory.mktemp("lonely") / "run", time.monotonic()
    training = federation.train(*options_of(small_recipe(folder), out, patience=1))
    said, _ = training.communicate(timeout=400)
    return out, training.returncode, said, time.monotonic() - started


@pytest.fixture(scope="module")
def troubled(federation, folder, lonely, tmp_path_factory):
    """The deadline and the metrics of a training in which one node is killed, one sleeps, and one comes late."""
    out = tmp_path_factory.mktemp("troubled") / "run"
    deadline = round(10 + 3 * lonely[-1])  # on a slower machine an honest answer takes longer, as all programs do
    nodes = {name: federation.node(name, f"folder:{folder / name}") for name in ("alphabet2", SLOW, KILLED)}
    recipe = small_recipe(folder, rounds=1000, nodes_per_round=3, held_out=(), validation=())  # all take part
    stopped = []
    training = federation.train(*options_of(recipe, out, deadline=deadline, patience=600))

    def told(key, name, since=1):
        return any(name in metrics.get(key, ()) for metrics in metrics_of(out)[since:])

    wait_until(lambda: metrics_of(out), training)
    slow = psutil.Process(nodes[SLOW].pid)
    try:
        for process in (slow, *slow.children(recursive=True)):
            process.suspend()
            stopped.append(process)
        federation.end(nodes[KILLED], signal.SIGKILL)
        federation.node(LATE, f"folder:{folder / LATE}")
        wait_until(lambda: told("refused", SLOW) and told("refused", KILLED), training)
    finally:
        for process in stopped:
            process.resume()
    known = len(metrics_of(out))
    wait_until(lambda: told("nodes", SLOW, known) and told("nodes", LATE), training)
    federation.end(training)
    return deadline, metrics_of(out)


def test_nodes_that_never_come_end_the_training_with_the_reason(lonely):
    out, code, said, _ = lonely
    assert code == 1, said
    assert "stopped: 0 of 2 nodes were there after 1 s: none" in said
    assert not (out / "params.safetensors").exists()


def test_a_driver_that_is_interrupted_stops_its_run(federation, lonely, folder, tmp_path):
    """The run of `lonely` was the first, and has failed."""
    (tmp_path / "config.toml").write_text(Connection(federation.address).settings)
    command = [*federation.prefix, program("flwr"), "list", "mglib", "--format", "json"]

    def states():
        done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=True)
        runs = json.loads(done.stdout[done.stdout.index("{") :])["runs"]
        return sorted(run["status"].partition(":")[0] for run in runs)

    training = federation.train(*options_of(small_recipe(folder), tmp_path / "run", patience=600))
    wait_until(lambda: "running" in states(), training)
    training.send_signal(signal.SIGINT)
    training.communicate(timeout=400)
    assert states() == ["finished", "finished"]


def test_a_killed_node_is_refused_and_the_others_go_on(troubled):
    """Kill -9 in the middle of a round."""
    _, (first, *others) = troubled
    assert first["nodes"] == ["alphabet0", "alphabet1", "alphabet2"]
    refused = [metrics["refused"][KILLED] for metrics in others if KILLED in metrics.get("refused", ())]
    assert re.search("no answer within|Node Unavailable|the superlink took no order", refused[0])
    assert others[-1]["nodes"], "the training goes on"
    assert not any(KILLED in metrics["nodes"] for metrics in others[1:])


def test_a_slow_node_is_refused_for_the_round_and_back_afterwards(troubled):
    deadline, metrics = troubled
    (place, *_) = (place for place, one in enumerate(metrics) if SLOW in one.get("refused", ()))
    assert re.search(f"no answer within {deadline} s|Node Unavailable", metrics[place]["refused"][SLOW])
    assert metrics[place]["nodes"], "the others' answers count"
    assert any(SLOW in one["nodes"] for one in metrics[place + 1 :])


def test_a_node_that_joins_late_takes_part_from_then_on(troubled):
    _, (first, *others) = troubled
    assert LATE not in first["nodes"]
    assert any(LATE in metrics["nodes"] for metrics in others)
