"""What one cell of a table is made of: a training, a look at the validation nodes on the way, the test tasks."""

import dataclasses
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mglib.params import Params
from mglib.tasks import Federation, load_federation
from mglib.training.evaluation import with_provenance
from mglib.training.experiment import data_of
from mglib.training.recipes import Recipe
from studies import question_data
from studies.cells import Cell
from studies.counting import ci95_of, counted, macs_of, right_share
from studies.equal_macs import Intervention, intervention_of, trained
from studies.methods import METHODS, recipe_of, reference_macs
from studies.recipes import Experiment, set_up

TASKS, LOOK, LOOKS = 1000, 50, 12  # test tasks; validation tasks in a look on the way; looks
QUICK = {"rounds_share": 0.1, "tasks": 60, "look": 10}
TRIAL = {"rounds_share": 0.3, "tasks": 200, "seed": 1000}  # a seed that no cell has
TARGETS = {"glyphs": 0.75, "omniglot": 0.75}  # accuracy, to count rounds to
TARGETS |= dict.fromkeys(("cifar10", "cifar10-small", "cifar10-unseen"), 0.35)
STEPS = (0, 10)  # further numbers of gradient steps, for the methods below
STEPPED = ("metagater", "dense")


def subject_of(data: str, method: str, *, budget: float, **asked: Any) -> tuple[Experiment, Intervention | None]:
    """Return what is to be trained, by the arguments of `recipe_of`, and what else brings its MACs to the budget."""
    recipe = recipe_of(data, method, budget=budget, **asked)
    return set_up(recipe, federation_of(recipe)), intervention_of(data, method, budget)


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
    asked = {"settings": settings, "sources": sources, "rounds_share": share}
    experiment, intervention = subject_of(**dataclasses.asdict(cell), **asked)
    recipe, federation = experiment.recipe, experiment.federation
    curve, sent = [], 0
    every = max(1, recipe.rounds // LOOKS)
    look = QUICK["look"] if quick else LOOK
    for done, now, params in trained(experiment, intervention):
        sent += 2 * recipe.nodes_per_round * bytes_of(now, params)
        if done % every == 0 and federation.validation:
            curve.append([done, round(right_share(counted(now, params, federation.validation, look)), 4)])
    training_seconds = time.monotonic() - started
    tasks = QUICK["tasks"] if quick else TASKS
    scores = counted(now, params, federation.test, tasks)
    further = {}
    if cell.method in STEPPED and cell.shots == 1:
        further = {str(steps): counted(now, params, federation.test, tasks, steps=steps) for steps in STEPS}
    reference = reference_macs(cell.data)
    reached = [done for done, share in curve if share >= TARGETS[cell.data]]
    record = {
        **dataclasses.asdict(cell),
        "correct": [score.correct for score in scores],
        "queries": scores[0].queries,
        "macs_ratio": macs_of(now, scores) / reference,
        "bytes_sent": sent,
        "rounds_to_target": reached[0] if reached else None,
        "target": TARGETS[cell.data],
        "curve": curve,
        "steps": {steps: [score.correct for score in some] for steps, some in further.items()},
        "steps_macs_ratio": {steps: macs_of(now, some) / reference for steps, some in further.items()},
        "seconds": round(time.monotonic() - started, 1),
        "training_seconds": round(training_seconds, 1),
    }
    return as_record(record, recipe, quick)


def measure_trial(
    data: str, method: str, settings: Mapping[str, Any], *, sources: Mapping[str, str], quick: bool = False
) -> dict[str, Any]:
    """Return how settings do on the validation nodes after a shorter training: accuracy, MACs, tasks, seed, seconds."""
    started, budget = time.monotonic(), METHODS[method].budget
    share = QUICK["rounds_share"] if quick else TRIAL["rounds_share"]
    asked = {"settings": settings, "sources": sources, "rounds_share": share}
    experiment, intervention = subject_of(data, method, budget=budget, seed=TRIAL["seed"], **asked)
    *_, (_, now, params) = trained(experiment, intervention)
    scores = counted(now, params, experiment.federation.validation, QUICK["tasks"] if quick else TRIAL["tasks"])
    return {
        "settings": dict(settings),
        "accuracy": right_share(scores),
        "ci95": ci95_of(scores),
        "macs_ratio": macs_of(now, scores) / reference_macs(data),
        "tasks": len(scores),
        "seed": TRIAL["seed"],
        "rounds": experiment.recipe.rounds,
        "seconds": round(time.monotonic() - started, 1),
    }


def bytes_of(experiment: Experiment, params: Params) -> int:
    """Return the bytes of the parameters that a node is sent, and sends back, in a round: those that training moves."""
    return sum(value.nbytes for name, value in params.items() if name not in experiment.held)


def federation_of(recipe: Recipe) -> Federation:
    """Return the recipe's federation; one process loads it once."""
    if recipe.data.partition(":")[0] == "questions":
        return question_data.federation_of(recipe)
    return _load(**data_of(recipe))


_load = cache(load_federation)


def as_record(record: Mapping[str, Any], recipe: Recipe, quick: bool) -> dict[str, Any]:
    """Return what was measured with all that is needed to measure it again: recipe, versions, commit, date."""
    return with_provenance({**record, "quick": quick, "commit": commit()}, without_paths(recipe))


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


def without_paths(recipe: Recipe) -> Recipe:
    """Return the recipe with the folder's own name in place of its path, which means nothing elsewhere."""
    path = recipe.data.removeprefix("folder:")
    return dataclasses.replace(recipe, data=f"folder:{Path(path).name}") if path != recipe.data else recipe
