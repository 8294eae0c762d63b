"""What one cell of a table is made of: a training, a look at the validation nodes on the way, the test tasks."""

import dataclasses
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mglib.evidence.cells import Cell
from mglib.evidence.methods import METHODS, recipe_of, reference_macs, width_within
from mglib.experiments.algorithms import ALGORITHMS, stages_of
from mglib.experiments.evaluation import evaluate
from mglib.experiments.fast_gradient import fast_adapt
from mglib.experiments.pruning import prune
from mglib.experiments.recipes import Recipe
from mglib.experiments.results import with_provenance
from mglib.experiments.training import Experiment, load_data, own_params, set_up
from mglib.meta import Stage
from mglib.nets import Objective, dense_macs
from mglib.params import Params
from mglib.tasks import Federation, Node, Task

TASKS, LOOK, LOOKS = 1000, 50, 12  # test tasks; validation tasks in a look on the way; looks
QUICK = {"rounds_share": 0.1, "tasks": 60, "look": 10}
TRIAL = {"rounds_share": 0.3, "tasks": 200, "seed": 1000}  # a seed that no cell has
QUERIES = 15  # scored examples a class
TARGETS = {"glyphs": 0.75, "omniglot": 0.75, "cifar10": 0.35, "cifar10-unseen": 0.35}  # accuracy, to count rounds to
STEPS = (0, 10)  # further numbers of gradient steps, for the methods below
STEPPED = ("metagater", "dense")
PRUNED_AFTER = 0.75  # of the rounds, the rest heals


class Counted(NamedTuple):
    """How one task went."""

    correct: int  # queries answered rightly
    queries: int
    macs_ratio: float


def count(objective: Objective, params: Params, task: Task, stages: Sequence[Stage]) -> Counted:
    """Adapt to one task and count the queries that are answered rightly."""
    adapted = fast_adapt(objective, params, task.support, stages)
    with torch.no_grad():
        _, metrics = objective(adapted, task.query)
    queries = len(task.query.labels)
    return Counted(round(float(metrics["accuracy"]) * queries), queries, float(metrics["macs_ratio"]))


def counted(
    experiment: Experiment, params: Params, nodes: Sequence[Node], tasks: int, *, steps: int | None = None
) -> list[Counted]:
    """Return how test tasks went; task t is drawn by the recipe's seed and t, whatever the method.

    steps: gradient steps of each stage; None: the recipe's.
    """
    recipe, stages = experiment.recipe, experiment.stages
    if steps is not None:
        stages = tuple(dataclasses.replace(stage, steps=steps) for stage in stages)
    own = own_params(experiment.net, params)
    setting = {"ways": recipe.ways, "shots": recipe.shots, "queries": QUERIES, "seed": recipe.seed}
    return list(evaluate(experiment.objective, own, nodes, stages, tasks=tasks, scored_by=count, **setting))


def right_share(scores: Sequence[Counted]) -> float:
    """Return the share of queries answered rightly."""
    return sum(score.correct for score in scores) / sum(score.queries for score in scores)


def trained(experiment: Experiment, *, pruned_to: int | None = None) -> Iterator[tuple[int, Experiment, Params]]:
    """Yield the rounds done, the experiment as it stands, and its parameters, after every round.

    pruned_to: filters left in each layer after PRUNED_AFTER of the rounds; the rest of them heals.
    """
    rounds = experiment.recipe.rounds
    before = rounds if pruned_to is None else round(PRUNED_AFTER * rounds)
    for result in islice(experiment.rounds(), before):
        yield result.round.index + 1, experiment, result.params
    if pruned_to is None:
        return
    net, params = prune(experiment.net, result.params, [pruned_to] * len(experiment.net.convolutions()))
    experiment = dataclasses.replace(experiment, net=net, initial=params, stages=stages_of(experiment.recipe, net))
    for later in experiment.rounds(start=before, params=params):
        yield later.round.index + 1, experiment, later.params


def measure_cell(
    cell: Cell, *, settings: Mapping[str, Any], sources: Mapping[str, str], quick: bool = False
) -> dict[str, Any]:
    """Train and test one cell and return its record.

    settings: what tuning chose for the method; sources: folders of images, by the name of their option.

    Raises:
        ValueError: if the method or the data are unknown, or the data cannot be had.
    """
    started = time.monotonic()
    share = QUICK["rounds_share"] if quick else 1.0
    names = dict(shots=cell.shots, budget=cell.budget, seed=cell.seed)
    recipe = recipe_of(cell.data, cell.method, **names, settings=settings, sources=sources, rounds_share=share)
    federation = federation_of(recipe)
    pruned_to = width_within(cell.data, cell.budget) if cell.method == "pruned" else None
    experiment = set_up(recipe, federation)
    curve, sent = [], 0
    every = max(1, recipe.rounds // LOOKS)
    look = QUICK["look"] if quick else LOOK
    for done, now, params in trained(experiment, pruned_to=pruned_to):
        sent += 2 * recipe.nodes_per_round * bytes_of(now, params)
        if done % every == 0 and federation.validation:
            curve.append([done, round(right_share(counted(now, params, federation.validation, look)), 4)])
    training_seconds = time.monotonic() - started
    tasks = QUICK["tasks"] if quick else TASKS
    scores = counted(now, params, federation.test, tasks)
    further = {}
    if cell.method in STEPPED and cell.shots == 1:
        for steps in STEPS:
            further[str(steps)] = [s.correct for s in counted(now, params, federation.test, tasks, steps=steps)]
    reached = [done for done, share in curve if share >= TARGETS[cell.data]]
    record = {
        **dataclasses.asdict(cell),
        "correct": [score.correct for score in scores],
        "queries": scores[0].queries,
        "macs_ratio": macs_of(now, scores) / reference_macs(cell.data),
        "bytes_sent": sent,
        "rounds_to_target": reached[0] if reached else None,
        "target": TARGETS[cell.data],
        "curve": curve,
        "steps": further,
        "seconds": round(time.monotonic() - started, 1),
        "training_seconds": round(training_seconds, 1),
        "quick": quick,
        "commit": commit(),
    }
    return with_provenance(record, _without_paths(recipe))


def measure_trial(
    data: str, method: str, settings: Mapping[str, Any], *, sources: Mapping[str, str], quick: bool = False
) -> dict[str, Any]:
    """Return how settings do on the validation nodes after a shorter training: accuracy, MACs, tasks, seed, seconds."""
    started, budget = time.monotonic(), METHODS[method].budget
    share = QUICK["rounds_share"] if quick else TRIAL["rounds_share"]
    recipe = recipe_of(
        data, method, budget=budget, seed=TRIAL["seed"], settings=settings, sources=sources, rounds_share=share
    )
    experiment = set_up(recipe, federation_of(recipe))
    pruned_to = width_within(data, budget) if method == "pruned" else None
    *_, (_, now, params) = trained(experiment, pruned_to=pruned_to)
    scores = counted(now, params, experiment.federation.validation, QUICK["tasks"] if quick else TRIAL["tasks"])
    return {
        "settings": dict(settings),
        "accuracy": right_share(scores),
        "ci95": float(1.96 * np.std([s.correct / s.queries for s in scores], ddof=1) / len(scores) ** 0.5),
        "macs_ratio": macs_of(now, scores) / reference_macs(data),
        "tasks": len(scores),
        "seed": TRIAL["seed"],
        "rounds": recipe.rounds,
        "seconds": round(time.monotonic() - started, 1),
    }


def macs_of(experiment: Experiment, scores: Sequence[Counted]) -> float:
    """Return the MACs of an image on average, gate heads included; what was pruned away costs nothing."""
    share = sum(score.macs_ratio for score in scores) / len(scores)
    if experiment.net.gate_names():
        return share * dense_macs(experiment.net.costs)
    return float(sum(cost.taps * cost.in_channels * cost.out_channels for cost in experiment.net.costs))


def bytes_of(experiment: Experiment, params: Params) -> int:
    """Return the bytes of the parameters that a node is sent, and sends back, in a round: those that training moves."""
    held = ALGORITHMS[experiment.recipe.method].held(experiment.net)
    return sum(value.nbytes for name, value in params.items() if name not in held)


def federation_of(recipe: Recipe) -> Federation:
    """Return the recipe's federation; one process loads it once."""
    return _load(dataclasses.replace(Recipe(), **{name: getattr(recipe, name) for name in _DATA_FIELDS}))


_DATA_FIELDS = (
    "data",
    "held_out",
    "validation",
    "rotate",
    "image_size",
    "channels",
    "new_nodes",
    "nodes",
    "classes_per_node",
    "shots",
    "queries",
)
_load = cache(load_data)


def commit() -> str | None:
    """Return the commit of the source tree that the library lies in, with a mark if files differ from it."""
    folder = Path(__file__).parent
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip()


def _without_paths(recipe: Recipe) -> Recipe:
    """Return the recipe with the folder's own name in place of its path, which means nothing elsewhere."""
    path = recipe.data.removeprefix("folder:")
    return dataclasses.replace(recipe, data=f"folder:{Path(path).name}") if path != recipe.data else recipe
