"""Rounds at scale: federations of a hundred to a hundred thousand nodes side by side, and two cores against one."""

import dataclasses
import hashlib
import math
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch

from mglib.federated import Round, RoundResult, Update
from mglib.federated.engines import ClientUpdate
from mglib.federated.process import one_thread
from mglib.params import Params
from mglib.tasks import Node, load_federation
from mglib.training import Recipe, set_up
from mglib.training.experiment import data_of
from studies.bench.report import Goal, Progress, Report, Row, interleaved
from studies.bench.virtual import virtual_federation
from studies.recipes import Experiment

SIZES = (10**2, 10**3, 10**4, 10**5)  # nodes
WARM_UP = 3  # rounds that are not counted
MANY = 16  # nodes a round for which more workers than this machine has cores are predicted


class Measured(NamedTuple):
    """What one federation's rounds took, the median over them, and what they needed and came to."""

    seconds: float  # a round
    outside: float  # share of the workers' time in it that is not the nodes' own computing
    peak_bytes: int  # of the process, over its whole life
    digest: str  # of the parameters in the end

    @property
    def computing(self) -> float:
        """Seconds of a round in which a worker computes for its nodes."""
        return self.seconds * (1 - self.outside)


@dataclasses.dataclass(frozen=True)
class Timed:
    """A client update that also says how long it computed, as a metric."""

    client_update: ClientUpdate

    def __call__(self, params: Params, node: Node, position: int, round: Round) -> Update:
        """Return the update with its `seconds` among the metrics."""
        started = time.perf_counter()
        update = self.client_update(params, node, position, round)
        return update._replace(metrics={**update.metrics, "seconds": time.perf_counter() - started})


def measure(quick: bool = False, progress: Progress = iter, recipe: Recipe | None = None) -> Report:
    """Time rounds of the default recipe in federations of several sizes, and with a second worker.

    Every federation lives in a process of its own, so that its peak memory is its own; they take turns round
    by round, so that a machine that is slow for a while is so for all.

    Raises:
        RuntimeError: if two workers end in other bits than one.
    """
    recipe, sizes, rounds = recipe or Recipe(), SIZES[:: len(SIZES) - 1] if quick else SIZES, 5 if quick else 60
    load_federation(**data_of(recipe))  # where it is drawn and kept, that costs none of the federations time or memory
    cases = [(size, 1) for size in sizes] + [(sizes[0], 2)]
    measured = dict(zip(cases, _take_turns(recipe, cases, rounds, progress), strict=True))
    return report_of(recipe, measured, rounds)


def report_of(recipe: Recipe, measured: dict[tuple[int, int], Measured], rounds: int) -> Report:
    """Return rows and goals of what was measured, by nodes and workers."""
    alone = {size: each for (size, workers), each in measured.items() if workers == 1}
    (fewest, first), *_, (most, last) = alone.items()
    two = measured[fewest, 2]
    if two.digest != first.digest:
        raise RuntimeError(f"with {fewest} nodes, two workers and one ended in different parameters")
    slower, parts = 2 * two.computing / first.computing, parts_of(recipe, most)
    many = parts_of(dataclasses.replace(recipe, nodes_per_round=MANY), most)
    off = on_workers(parts, recipe.nodes_per_round, 2, slower) / two.seconds - 1
    note = f"{1 - two.outside:.0%} of the workers' time is the nodes' computing, each {slower:.2f} of its time alone"
    goals = [
        Goal.at_most(f"seconds a round, {most} nodes over {fewest}", 1.1, last.seconds / first.seconds),
        Goal.at_most(f"peak memory, growth from {fewest} to {most} nodes", 0.1, last.peak_bytes / first.peak_bytes - 1),
        Goal.at_most("share of a round outside the nodes' computing", 0.05, max(e.outside for e in alone.values())),
        Goal.at_least("two workers over one, same bits", 1.6, first.seconds / two.seconds, note),
        Goal.at_most("seconds a round of two workers, how far the model is off", 0.2, abs(off)),
    ]
    notes = {
        "rounds": rounds,
        "a round": "sampling, making the nodes, their computing, the server's step; one thread a process",
        "peak_bytes": {str(size): each.peak_bytes for size, each in alone.items()},
        "outside, two workers": two.outside,
        "a node of two workers' over one alone": slower,
        "parts": parts,
        "predicted": {
            str(workers): on_workers(many, MANY, 1) / on_workers(many, MANY, workers) for workers in (2, 4, 16)
        },
        "predicted for nodes a round": MANY,
    }
    return Report(_rows(recipe, alone, two), goals, notes)


def on_workers(parts: dict[str, float], sampled: int, workers: int, slower: float = 1.0) -> float:
    """Return the seconds of a round on so many processes of one machine, from what its parts take.

    Sampling, reading the answers and the server's step are one process's; nodes and the bytes they send are shared out.

    slower: times the seconds of a node alone that one takes beside others: they share the memory and the clock.
    """
    server = parts["sampling"] + parts["the server's step"]
    node = parts["making a node"] + slower * parts["a node's computing"]
    if workers == 1:  # nothing travels
        return server + sampled * node
    pack, unpack = parts["parameters to bytes"], parts["bytes to parameters"]
    return server + pack + sampled * unpack + math.ceil(sampled / workers) * (unpack + node + pack)


def _rows(recipe: Recipe, alone: dict[int, Measured], two: Measured) -> list[Row]:
    """The larger federations against the smallest, what is not computing against the round, one worker against two."""
    setting = {"nodes a round": recipe.nodes_per_round, "width": recipe.width, "image": recipe.image_size}
    one = {**setting, "workers": 1}
    (fewest, first), *larger = alone.items()
    name = f"a round, {fewest} nodes"
    rows = [Row(f"a round, {size} nodes", each.seconds, name, first.seconds, one) for size, each in larger]
    for size, each in alone.items():
        outside = each.seconds - each.computing
        rows.append(Row(f"what is not the nodes' computing, {size} nodes", outside, "a round", each.seconds, one))
    return [*rows, Row("one worker", first.seconds, "two workers", two.seconds, {**setting, "nodes": fewest})]


def _take_turns(recipe: Recipe, cases: list[tuple[int, int]], rounds: int, progress: Progress) -> list[Measured]:
    """Measure the cases, (nodes, workers) each, every round of one beside the same round of the others."""
    with ExitStack() as stack:
        processes = [stack.enter_context(federation_process(recipe, *case, WARM_UP + rounds)) for case in cases]
        taken = [[connection.recv() for connection in _asked(processes)] for _ in progress(range(WARM_UP + rounds))]
        ends = [connection.recv() for connection in _asked(processes)]
    columns = zip(*taken[WARM_UP:], strict=True)
    return [
        Measured(statistics.median(s for s, _ in column), statistics.median(1 - n / s for s, n in column), *end)
        for column, end in zip(columns, ends, strict=True)
    ]


def _asked(processes: list[Connection]) -> Iterator[Connection]:
    """Ask one after another to go on, each once the one before has answered."""
    for connection in processes:
        connection.send(None)
        yield connection


@contextmanager
def federation_process(recipe: Recipe, *case: Any) -> Iterator[Connection]:
    """A new interpreter that serves one federation for as long as the block lasts."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, recipe, *case))
    process.start()
    theirs.close()
    try:
        ours.recv()  # set up
        yield ours
    finally:
        ours.close()
        process.join()


def _serve(connection: Connection, recipe: Recipe, nodes: int, workers: int, rounds: int) -> None:
    """Answer each request with a round's seconds and those a worker computed, the last with peak and digest."""
    # Whoever asked may have gone: then so does this.
    with suppress(EOFError, KeyboardInterrupt), timed_rounds(recipe, nodes, workers) as states:
        connection.send(None)
        for _ in range(rounds):
            connection.recv()
            started = time.perf_counter()
            result = next(states)
            seconds = time.perf_counter() - started
            computing = sum(update.metrics["seconds"] for update in result.updates) / workers
            connection.send((seconds, computing))
        connection.recv()
        connection.send((peak_memory(), digest_of(result.params)))


@contextmanager
def timed_rounds(recipe: Recipe, nodes: int, workers: int) -> Iterator[Iterator[RoundResult]]:
    """Give the rounds of a recipe in a federation of so many virtual nodes, to be run one after another."""
    made = vars(set_up(recipe, virtual_federation(recipe, nodes)))
    experiment = Experiment(**made, wraps=(lambda update, _: Timed(update),))
    with closing(experiment.rounds(workers=workers)) as rounds:
        yield rounds


def parts_of(recipe: Recipe, nodes: int) -> dict[str, float]:
    """Return the median seconds of what a round is made of, each by itself, on one thread in this process."""
    experiment = set_up(recipe, virtual_federation(recipe, nodes))
    recipe, initial, virtual = experiment.recipe, experiment.initial, experiment.federation.train
    round = Round(0, recipe.rounds, recipe.seed)
    update, server = experiment.client_update(), experiment.server_update()
    sent = safetensors.torch.save(initial)
    with one_thread():
        node = virtual[nodes - 1]
        updates = [update(initial, node, nodes - 1, round)] * recipe.nodes_per_round
        _, state = server(initial, {}, updates, round)
        return interleaved(
            {
                "sampling": lambda: round.generator(0).choice(nodes, recipe.nodes_per_round, replace=False),
                "making a node": lambda: virtual[nodes - 1],
                "a node's computing": lambda: update(initial, node, nodes - 1, round),
                "the server's step": lambda: server(initial, state, updates, round),
                "parameters to bytes": lambda: safetensors.torch.save(initial),
                "bytes to parameters": lambda: safetensors.torch.load(sent),
            }
        )


def digest_of(params: Params) -> str:
    """Return a hash of the parameters, every bit of them."""
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in params.values())).hexdigest()


def peak_memory() -> int:
    """Return the most memory, in bytes, that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # rusage would count the memory of the process that started this one, too
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
