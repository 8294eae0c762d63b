"""Which filters a script opens after adaptation, and how it looks."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mglib.params import Params
from mglib.tasks import Task
from mglib.training import Experiment
from studies.choices import Gates, open_top, opened_after_adaptation

LAYOUT = 4  # cells a side, where the ink lies
DIRECTIONS = 8  # bins of half a turn, in which strokes run


def measure_patterns(experiment: Experiment, params: Params, *, tasks: int, seed: int) -> dict[str, dict]:
    """Return for each script of the federation how often it opens each filter after adaptation, and how it looks.

    tasks: of each node. A script's record has `split`, `inputs`, `rates` (filter,), all layers in a row, `strokes` and
    `layout` (what the functions of these names return), means over its queries; and `characters`, of each how often it
    was seen and opened what.
    """
    found: dict[str, dict] = {}
    for split_name in ("train", "validation", "test"):
        for number, node in enumerate(getattr(experiment.federation, split_name)):
            kept = found.setdefault(script_of(node.name), {"split": split_name, "inputs": 0, "characters": {}})
            for index in range(tasks):
                recipe, generator = experiment.recipe, np.random.default_rng([seed, number, index])
                task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, generator)
                _add(kept, task, opened_after_adaptation(experiment, params, task))
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


def strokes(images: Tensor) -> Tensor:
    """Return what the strokes of each drawing are like, wherever they lie: (image, `DIRECTIONS` + 2).

    First the shares of the edges' length that run in each direction, from the brightness's slope; then the ink's share
    of the image, and the length of edge for each inked pixel, which is large where strokes are thin.

    images: (image, height, width), background 0 and ink 1.
    """
    padded = F.pad(images[:, None], (1, 1, 1, 1))
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    across, down = F.conv2d(padded, torch.stack([kernel, kernel.T])[:, None]).unbind(1)
    steepness, angle = torch.hypot(across, down), torch.atan2(down, across) % torch.pi
    place = angle / torch.pi * DIRECTIONS  # an edge between two bins counts for both
    lower = place.floor()
    shares = torch.zeros(len(images), DIRECTIONS)
    for bins, part in ((lower, 1 - place + lower), (lower + 1, place - lower)):
        shares.scatter_add_(1, bins.long().flatten(1) % DIRECTIONS, (part * steepness).flatten(1))
    length, ink = shares.sum(1, keepdim=True), images.sum((1, 2))[:, None]
    return torch.cat([shares / length.clamp(min=1e-6), ink / images[0].numel(), length / ink.clamp(min=1e-6)], 1)


def layout(images: Tensor) -> Tensor:
    """Return where the ink lies: its share in each of `LAYOUT`² cells, (image, `LAYOUT`²), which sum to one."""
    cells = F.adaptive_avg_pool2d(images[:, None], LAYOUT).flatten(1)
    return cells / cells.sum(1, keepdim=True).clamp(min=1e-6)
