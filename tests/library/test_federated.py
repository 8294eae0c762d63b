"""Rounds, engines and the server: same seed, same bits, wherever the nodes compute."""

import math
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from mglib.federated import FedAdam, LocalEngine, Round, Update, average, run_rounds


@dataclass(frozen=True)
class Hill:
    """A node whose loss is ½ |p − goal|²."""

    name: str
    goal: float
    weight: float


@dataclass(frozen=True)
class Descend:
    """Steps towards a node's goal, with noise drawn by round and position."""

    noise: float = 0.0

    def __call__(self, params, node, position, round):
        drawn = round.generator(1 + position).normal(size=3)
        step = 0.5 * (params["p"] - node.goal) + self.noise * torch.tensor(drawn)
        return Update(node.name, {"p": params["p"] - step}, node.weight, {"seed": float(drawn[0])})


HILLS = [Hill(f"node {index}", float(index), 1.0 + index) for index in range(6)]
START = {"p": torch.zeros(3, dtype=torch.double)}


def run(engine, server_update=average, **options):
    settings = {"rounds": 8, "nodes_per_round": 3, "seed": 4} | options
    return list(run_rounds(engine, START, server_update, **settings))


def test_one_round_is_the_weighted_mean_by_hand():
    (result,) = run(LocalEngine(Descend(), HILLS), rounds=1, nodes_per_round=6)
    expected = sum(0.5 * hill.goal * hill.weight for hill in HILLS) / sum(hill.weight for hill in HILLS)
    torch.testing.assert_close(result.params["p"], torch.full((3,), expected, dtype=torch.double))


def test_same_seed_same_bits_and_another_seed_others():
    first, second, other = (run(LocalEngine(Descend(0.1), HILLS), seed=seed)[-1] for seed in (4, 4, 5))
    assert torch.equal(first.params["p"], second.params["p"])
    assert not torch.equal(first.params["p"], other.params["p"])


@pytest.mark.parametrize("server_update", [average, FedAdam(0.1)])
def test_a_run_that_starts_from_a_rounds_state_goes_on_to_the_same_bits(server_update):
    whole = run(LocalEngine(Descend(0.1), HILLS), server_update)
    middle = whole[3]
    rest = run_rounds(
        LocalEngine(Descend(0.1), HILLS),
        middle.params,
        server_update,
        rounds=8,
        nodes_per_round=3,
        seed=4,
        start=4,
        server_state=middle.server_state,
    )
    assert torch.equal(list(rest)[-1].params["p"], whole[-1].params["p"])


def test_two_processes_give_the_bits_of_one():
    with LocalEngine(Descend(0.1), HILLS, workers=2) as engine:
        spread = run(engine)
    alone = run(LocalEngine(Descend(0.1), HILLS))
    assert torch.equal(spread[-1].params["p"], alone[-1].params["p"])
    assert [u.node for result in spread for u in result.updates] == [u.node for result in alone for u in result.updates]


def test_nodes_are_sampled_without_repetition_and_all_get_their_turn():
    rounds = run(LocalEngine(Descend(), HILLS), rounds=40)
    sampled = [[update.node for update in result.updates] for result in rounds]
    assert all(len(set(names)) == 3 for names in sampled)
    assert {name for names in sampled for name in names} == {hill.name for hill in HILLS}
    assert len({tuple(names) for names in sampled}) > 5


def test_every_node_round_and_the_server_draw_from_streams_of_their_own():
    draws = {
        Round(index, 3, seed).generator(stream).random()
        for seed in range(3)
        for index in range(3)
        for stream in range(4)
    }
    assert len(draws) == 3 * 3 * 4


def test_fedadam_takes_the_steps_of_torchs_adam():
    """With node steps of size 1, what the nodes moved is the gradient, and the server's Adam is torch's."""
    rounds = 6
    goal = torch.tensor([1.0, -2.0, 3.0], dtype=torch.double)
    expected = torch.zeros(3, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.Adam([expected], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, rounds)
    params, state, server_update = dict(START), {}, FedAdam(0.1)
    for index in range(rounds):
        moved = {"p": params["p"] - (params["p"] - goal)}
        params, state = server_update(params, state, [Update("n", moved, 1.0, {})], Round(index, rounds, 0))
        optimizer.zero_grad()
        (0.5 * (expected - goal).square().sum()).backward()
        optimizer.step()
        schedule.step()
    torch.testing.assert_close(params["p"], expected.detach())


def test_adams_bias_correction_counts_its_own_steps():
    """A first step is `rate` long in every number, in whichever round it is taken, as torch's is."""
    moved = Update("n", {"p": START["p"] - torch.tensor([1e-3, 1.0, -5.0], dtype=torch.double)}, 1.0, {})
    late = Round(75, 100, 0)
    params, state = FedAdam(0.1)(START, {}, [moved], late)
    beside, _ = FedAdam(0.1)(START, {"of another": torch.ones(1)}, [moved], late)
    assert torch.equal(beside["p"], params["p"])
    rate = 0.1 * 0.5 * (1 + math.cos(math.pi * late.progress))
    torch.testing.assert_close((params["p"] - START["p"]).abs(), torch.full_like(START["p"], rate), rtol=1e-4, atol=0)
    assert int(state["steps"]) == 1


def test_nodes_and_server_compute_on_one_thread_and_give_the_others_back(threads):
    seen = []

    def watched(update):
        def call(*arguments):
            seen.append(torch.get_num_threads())
            return update(*arguments)

        return call

    threads(2)
    run(LocalEngine(watched(Descend()), HILLS), watched(average), rounds=2)
    assert torch.get_num_threads() == 2
    assert seen == [1] * 2 * (3 + 1)


@pytest.mark.parametrize("nodes_per_round", [0, 7])
def test_a_round_of_more_nodes_than_there_are_is_refused(nodes_per_round):
    with pytest.raises(ValueError, match=rf"`nodes_per_round` \(={nodes_per_round}\) must be .* from 1 to 6"):
        run(LocalEngine(Descend(), HILLS), nodes_per_round=nodes_per_round)


@pytest.mark.parametrize(("name", "value"), [("start", -1), ("seed", -1), ("rounds", 2.5), ("nodes_per_round", 2.0)])
def test_rounds_that_cannot_be_counted_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"`{name}` \(={value}\) must be a whole number"):
        run(LocalEngine(Descend(), HILLS), **{name: value})


def test_an_engine_without_nodes_or_workers_is_refused():
    with pytest.raises(ValueError, match="at least one node"):
        LocalEngine(Descend(), [])
    with pytest.raises(ValueError, match=r"`workers` \(=0\)"):
        LocalEngine(Descend(), HILLS, workers=0)


ORPHANS = """
import time
from mglib.federated import LocalEngine, Round
from test_federated import HILLS, START, Descend
if __name__ == "__main__":
    LocalEngine(Descend(), HILLS, workers=2).run(START, [0, 1, 2], Round(0, 1, 0))
    print("ready", flush=True)
    time.sleep(60)
"""


def test_workers_do_not_outlive_a_parent_that_was_killed(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout.readline() == "ready\n"
        children = psutil.Process(parent.pid).children(recursive=True)  # on Linux a helper forks the workers
        assert len(children) >= 2
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []


FAULTS = """
import resource
import torch
from mglib.federated.process import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [torch.ones(4 * 1024 * 1024, dtype=torch.uint8) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory()
faults()
print(kept, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_freed_memory_is_used_again_without_a_page_fault():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    assert kept == "True"
    assert int(faults) < 1024, "a buffer of 4 MiB has 1024 pages, and twenty times eight were taken"
