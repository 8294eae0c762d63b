"""Which filters a script opens after adaptation, and how it looks."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mglib.evidence.choices import Gates, View, open_top
from mglib.evidence.looks import layout, strokes
from mglib.experiments import Experiment
from mglib.federated.process import one_thread
from mglib.meta import adapt
from mglib.params import Params
from mglib.tasks import Task


def measure_patterns(experiment: Experiment, params: Params, *, tasks: int, seed: int) -> dict[str, dict]:
    """Return for each script of the federation how often it opens each filter after adaptation, and how it looks.

    tasks: of each node. A script's record has `split`, `inputs`, `rates` (filter,), all layers in a row, `strokes` and
    `layout` (see `looks`), means over its queries; and `characters`, of each how often it was seen and opened what.
    """
    found: dict[str, dict] = {}
    for split_name in ("train", "validation", "test"):
        for number, node in enumerate(getattr(experiment.federation, split_name)):
            kept = found.setdefault(script_of(node.name), {"split": split_name, "inputs": 0, "characters": {}})
            for index in range(tasks):
                recipe, generator = experiment.recipe, np.random.default_rng([seed, number, index])
                task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, generator)
                with one_thread():
                    moved = adapt(experiment.objective, params, task.support, experiment.stages)
                    bits = torch.cat(View(experiment.objective, moved, task).gates("query"), 1)
                _add(kept, task, bits)
    for record in found.values():
        for name in ("rates", "strokes", "layout"):
            record[name] = rounded((record[name] / record["inputs"]).tolist())
    return found


def mask_of(patterns: dict[str, dict], sizes: Sequence[int]) -> Gates:
    """Return one mask for all inputs, (filter,) a layer: the filters that the *training* scripts open most often.

    As many of each layer as an input of theirs opens on average; sizes: filters of each layer.
    """
    trained = [record for record in patterns.values() if record["split"] == "train"]
    inputs = sum(record["inputs"] for record in trained)
    rates = torch.stack([torch.tensor(record["rates"]) * record["inputs"] for record in trained]).sum(0) / inputs
    layers = [rate[None] for rate in rates.split(list(sizes))]
    gates = open_top(layers, [rate.sum(1, keepdim=True).round() for rate in layers])
    return tuple(gate[0] for gate in gates)


def script_of(name: str) -> str:
    """Return what comes before the first slash: the script of a writer, or of a character."""
    return name.split("/")[0]


def rounded(value):
    """Return a number, or lists of numbers, to four digits."""
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _add(kept: dict, task: Task, bits: Tensor) -> None:
    """Add a task's queries to what is known of a script."""
    images = task.query.images[:, 0]
    sums = {"rates": bits.sum(0), "strokes": strokes(images).sum(0), "layout": layout(images).sum(0)}
    for name, value in sums.items():
        kept[name] = kept[name] + value if name in kept else value
    kept["inputs"] += len(bits)
    for label, name in enumerate(task.classes):
        own = bits[task.query.labels == label]
        seen, opened = kept["characters"].get(name, (0, [0] * bits.shape[1]))
        counts = (torch.tensor(opened) + own.sum(0)).int().tolist()
        kept["characters"][name] = (seen + len(own), counts)
