"""What compressed updates come to: bytes that a node sends in a round against accuracy on new nodes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import safetensors.torch

from studies.counting import counted, told
from studies.measure import as_record, federation_of
from studies.recipes import Recipe, set_up
from studies.statistics import accuracy_of

KEPT = (0.3, 0.1, 0.03, 0.01)  # shares of the numbers that top-k sends
_BASE = {"rounds": 150, "width": 16, "queries": 5, "nodes_per_round": 12, "server_learning_rate": 5e-3}
_TASKS, _QUICK = 400, {"rounds": 10, "tasks": 20}


def compression_parts(seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return what is trained, by name: every number in full, in half precision, opened filters, the largest."""
    settings: dict[str, dict[str, Any]] = {"full": {}}
    settings |= {name: {"compression": name} for name in ("half", "opened")}
    settings |= {f"top-{kept:g}": {"compression": "top-k", "top_k_fraction": kept} for kept in KEPT}
    return {f"{name}-seed{seed}": {**changes, "seed": seed} for seed in seeds for name, changes in settings.items()}


def measure_compression(changes: Mapping[str, Any], quick: bool = False) -> dict[str, Any]:
    """Train by a short recipe with `changes`; the record holds mean bytes an update and right answers task by task."""
    recipe = Recipe(**{**_BASE, **changes, **({"rounds": _QUICK["rounds"]} if quick else {})})
    experiment, sizes = set_up(recipe, federation_of(recipe)), []
    full = float(len(safetensors.torch.save(experiment.initial)))
    for result in experiment.rounds():
        params = result.params
        sizes += [update.metrics.get("bytes", full) for update in result.updates]
    scores = counted(experiment, params, experiment.federation.test, _QUICK["tasks"] if quick else _TASKS)
    record = {"bytes_up": float(np.mean(sizes)), "bytes_down": full, **told(scores)}
    return as_record(record, experiment.recipe, quick)


def compression_rows(part: str, record: dict) -> list[dict]:
    """Return the row of one training."""
    said = {name: record[name] for name in ("bytes_up", "bytes_down", "macs_ratio")}
    said |= {"compression": part.rpartition("-")[0], "seed": record["recipe"]["seed"]}
    return [said | accuracy_of(record)]
