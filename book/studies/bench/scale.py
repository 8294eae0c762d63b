"""A million devices: bytes, seconds and memory of a round from what one node costs, checked against real rounds."""

import dataclasses
import statistics
from typing import NamedTuple

import safetensors.torch

from mglib.federated import Round
from mglib.federated.process import one_thread
from mglib.tasks import load_federation
from mglib.training import Recipe, set_up
from mglib.training.experiment import data_of
from studies.bench.report import Goal, Progress, Report, Row, interleaved
from studies.bench.rounds import federation_process, parts_of

DEVICES = 10**6
SAMPLED = (4, 16, 100)  # nodes a round that the model is checked at
WARM_UP = 2


class Costs(NamedTuple):
    """What a round is made of, measured piece by piece; seconds and bytes."""

    sampling: float  # seconds a round
    making: float  # seconds a node that is simulated
    computing: float  # seconds a node
    step: float  # seconds of the server's step apart from the nodes' parameters
    adding: float  # seconds a node that the server's mean takes
    packing: float  # seconds a message, written and read
    message: int  # bytes of all parameters

    def simulated(self, sampled: int) -> float:
        """Return the seconds of a round that one core simulates."""
        return self.sampling + self.step + sampled * (self.making + self.computing + self.adding)

    def memory(self, sampled: int) -> int:
        """Return the bytes that the server holds: parameters, two moments, and every node's answer until the mean."""
        return self.message * (3 + sampled)

    def distributed(self, sampled: int, *, slower: float, device_rate: float, link_rate: float) -> float:
        """Return the seconds of a round on devices elsewhere: the slowest device, or the server, whichever is later.

        slower: times this machine's seconds that the slowest device takes which is waited for.
        device_rate, link_rate: bytes a second of that device and of the server, in each direction.
        """
        device = slower * (self.computing + self.packing) + 2 * self.message / device_rate
        link = sampled * (self.packing + 2 * self.message / link_rate)
        return self.sampling + max(device, link) + self.step + sampled * self.adding


def measure(quick: bool = False, progress: Progress = iter, recipe: Recipe | None = None) -> Report:
    """Measure what one node costs, predict rounds of several sizes among a million devices, and run those rounds.

    The rounds are real: as many nodes are made, compute, and are averaged; each federation lives in a process of its
    own. Only the devices' own speed and lines are not here, and `Costs.distributed` takes them as assumptions.
    """
    recipe, sampled, rounds = recipe or Recipe(), SAMPLED[:2] if quick else SAMPLED, 2 if quick else 12
    load_federation(**data_of(recipe))
    costs = costs_of(recipe)
    several = [dataclasses.replace(recipe, nodes_per_round=count) for count in sampled]
    measured = [_run(each, WARM_UP + rounds) for each in progress(several)]
    return report_of(costs, dict(zip(sampled, measured, strict=True)), rounds)


def costs_of(recipe: Recipe) -> Costs:
    """Return what the recipe's rounds are made of among a million virtual nodes, timed piece by piece."""
    parts = parts_of(recipe, DEVICES)
    experiment = set_up(recipe)
    initial, server = experiment.initial, experiment.server_update()
    first = Round(0, recipe.rounds, recipe.seed)
    answer = experiment.client_update()(initial, experiment.federation.train[0], 0, first)
    _, state = server(initial, {}, [answer], first)
    with one_thread():
        steps = interleaved(
            {count: lambda count=count: server(initial, state, [answer] * count, first) for count in (2, 34)}
        )
    adding = max(0.0, (steps[34] - steps[2]) / 32)
    return Costs(
        sampling=parts["sampling"],
        making=parts["making a node"],
        computing=parts["a node's computing"],
        step=max(0.0, steps[2] - 2 * adding),
        adding=adding,
        packing=parts["parameters to bytes"] + parts["bytes to parameters"],
        message=len(safetensors.torch.save(initial)),
    )


def report_of(costs: Costs, measured: dict[int, tuple[float, int]], rounds: int) -> Report:
    """Return predictions beside measurements, (median seconds a round, peak bytes) by nodes sampled."""
    rows = [
        Row(f"a round of {sampled}, predicted", costs.simulated(sampled), "the round", seconds, {"devices": DEVICES})
        for sampled, (seconds, _) in measured.items()
    ]
    (fewest, (_, least)), *_, (most, (_, peak)) = measured.items()
    grown = costs.memory(most) - costs.memory(fewest)
    off = max(abs(row.ratio - 1) for row in rows)
    goals = [
        Goal.at_most("a round's seconds, how far the model is off", 0.2, off),
        Goal.at_most(
            f"memory of {most} a round over {fewest}, beyond the model, as a share of the process",
            0.1, max(0, peak - least - grown) / least,
        ),
    ]  # fmt: skip
    notes = {
        "rounds": rounds,
        "costs": costs._asdict(),
        "peak_bytes": {str(sampled): peak for sampled, (_, peak) in measured.items()},
        "memory_predicted": {str(sampled): costs.memory(sampled) for sampled in measured},
    }
    return Report(rows, goals, notes)


def _run(recipe: Recipe, rounds: int) -> tuple[float, int]:
    """Return the median seconds of a round, the first ones left out, and the peak memory of the process."""
    with federation_process(recipe, DEVICES, 1, rounds) as connection:
        taken = []
        for _ in range(rounds):
            connection.send(None)
            seconds, _ = connection.recv()
            taken.append(seconds)
        connection.send(None)
        peak, _ = connection.recv()
    return statistics.median(taken[WARM_UP:]), peak
