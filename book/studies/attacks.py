"""What attacked trainings come to: every attack against every aggregation, on the same test tasks as the clean run."""

from collections.abc import Mapping
from typing import Any

import torch

from studies.counting import counted, told
from studies.measure import as_record, federation_of
from studies.recipes import Recipe, set_up
from studies.statistics import accuracy_of

BASE = {
    "rounds": 80,
    "nodes_per_round": 36,  # all of them: in a round of few, more than half may lie by chance
    "width": 16,
    "queries": 5,
    "server_learning_rate": 1e-2,
}
_NORM = {"clip_norm": 0.1}  # of 0.2, 0.1 and 0.05, chosen on validation nodes
_SUSPECTED = {"trim_fraction": 0.45}  # of 0.32, 0.4 and 0.45, chosen on validation nodes
TASKS, QUICK = 300, {"rounds": 10, "tasks": 10}
ATTACKS = ("none", "sign-flip", "noise", "label-flip", "drift")
DEFENCES = {
    "mean": {"aggregation": "mean"},
    "clipped": {"aggregation": "clipped", **_NORM},
    "median": {"aggregation": "median"},
    "trimmed": {"aggregation": "trimmed", **_SUSPECTED},
    "krum": {"aggregation": "krum", **_SUSPECTED},
    # honest nodes shorten their own moves
    "bounded-krum": {"aggregation": "krum", "privacy": "node", "noise": 0.0, **_NORM, **_SUSPECTED},
}
PARTS = {  # the first seed of all before the second of any
    f"{attack}-{defence}-seed{seed}": {"attack": attack, "seed": seed, **changes}
    for seed in range(5)
    for attack in ATTACKS
    for defence, changes in DEFENCES.items()
}


def measure_attack(changes: Mapping[str, Any], quick: bool = False) -> dict[str, Any]:
    """Train under an attack and test on nodes that nobody trained on; the record counts right answers task by task.

    A training whose numbers overflow has an accuracy of chance, and its record says so.
    """
    recipe = Recipe(**{**BASE, **changes, **({"rounds": QUICK["rounds"]} if quick else {})})
    experiment = set_up(recipe, federation_of(recipe))
    for result in experiment.rounds():
        params = result.params
    finite = all(bool(torch.isfinite(value).all()) for value in params.values())
    scores = counted(experiment, params, experiment.federation.test, QUICK["tasks"] if quick else TASKS)
    record = {"finite": finite, "attack": recipe.attack, "aggregation": recipe.aggregation, **told(scores)}
    return as_record(record, experiment.recipe, quick)


def attack_rows(part: str, record: dict) -> list[dict]:
    """Return the row of one training."""
    said = {name: record[name] for name in ("attack", "macs_ratio", "finite")}
    defence = part.removeprefix(f"{record['attack']}-").rpartition("-")[0]
    return [{**said, "defence": defence, "seed": record["recipe"]["seed"], **accuracy_of(record)}]
