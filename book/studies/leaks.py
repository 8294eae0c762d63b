"""What an update gives away, measured: support sets sought from gradients, and how many of them are found."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mglib.federated.aggregation import clip, with_noise
from mglib.params import Params
from mglib.tasks import Node, Task
from mglib.training import Experiment, Recipe, Run, set_up
from studies.cells import RESULTS
from studies.inversion import Attack, GradientFunction, batch_gradient, likeness, peak_ratio, task_gradient
from studies.measure import as_record

RUNS = RESULTS / "runs" / "glyphs"
NETWORKS = {"dense": "dense", "gated": "gated-50"}
NOISE = (0.003, 0.01, 0.03, 0.1)  # in clips, on a gradient that is longer than the clip
CLIP = 1.0


def inversion_parts(seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return what is attacked, by name: the gradient of one plain step, and the meta-gradient."""
    kinds = ("step", "meta")
    return {f"{kind}-seed{seed}": {"kind": kind, "seed": seed} for kind in kinds for seed in seeds}


def measure_inversion(kind: str, seed: int, *, quick: bool = False) -> dict[str, Any]:
    """Attack one task of a training node in every way and return what was found of its images.

    kind: "step", the gradient of one plain step on the support set; "meta", the meta-gradient that a node sends.
    """
    attack = Attack(steps=20 if quick else 600 if kind == "step" else 300, seed=seed)
    found = {}
    for name, (experiment, params) in networks().items():
        node = experiment.federation.train[seed * 7 % len(experiment.federation.train)]
        if kind == "step":
            task = drawn(node, seed, queries=1)
            gradient_of = batch_gradient(experiment.objective, params, task.support.labels)
            changed = changes(gradient_of, task.support.images, seed) if name == "gated, trained" else {"": None}
            for change, gradient in changed.items():
                gradient = own(gradient_of, task.support.images) if gradient is None else gradient
                images = attack(gradient_of, gradient, task.support.images.shape)
                found[f"{name}{change}"] = score(images, task, node)
        elif name.endswith(", trained"):
            for queries in (1, 15) if name.startswith("gated") else (1,):
                task = drawn(node, seed, queries=queries)
                labels = (task.support.labels, task.query.labels)
                gradient_of = task_gradient(experiment.objective, params, labels, experiment.stages)
                true = torch.cat([task.support.images, task.query.images])
                images = attack(gradient_of, own(gradient_of, true), true.shape)
                few = "one query a class" if queries == 1 else f"{queries} queries a class"
                found[f"{name}, {few}"] = score(images[: len(task.support.images)], task, node)
    record = {
        "node": node.name,
        "classes": list(task.classes),
        "true": pixels(task.support.images),
        "found": found,
        "steps": attack.steps,
        "smoothness": attack.smoothness,
    }
    return as_record(record, experiment.recipe, quick)


def networks() -> dict[str, tuple[Experiment, Params]]:
    """Return experiment and parameters of each network that is attacked, by what it is."""
    attacked = {}
    for name, folder in NETWORKS.items():
        recipe, _, params = Run(RUNS / folder).load()
        experiment = set_up(recipe)
        attacked |= {f"{name}, untrained": (experiment, experiment.initial), f"{name}, trained": (experiment, params)}
    return attacked


def drawn(node: Node, seed: int, queries: int) -> Task:
    """Return the task that is attacked; its support set does not depend on the number of queries."""
    recipe = Recipe()
    whole = node.sample_task(recipe.ways, recipe.shots, recipe.queries, np.random.default_rng([seed, 17]))
    first = torch.arange(recipe.ways * recipe.queries).view(recipe.ways, -1)[:, :queries].flatten()
    query = replace(whole.query, images=whole.query.images[first], labels=whole.query.labels[first])
    return replace(whole, query=query)


def own(gradient_of: GradientFunction, images: Tensor) -> Params:
    """Return what the true images tell, as plain numbers."""
    return {name: value.detach() for name, value in gradient_of(images).items()}


def changes(gradient_of: GradientFunction, images: Tensor, seed: int) -> dict[str, Params | None]:
    """Return the gradient as it would leave a node with clipping, and with noise of each level."""
    gradient = own(gradient_of, images)
    still = {name: torch.zeros_like(value) for name, value in gradient.items()}
    clipped = clip(still, gradient, CLIP)
    noisy = {
        f", noise {noise:g}": with_noise(clipped, noise * CLIP, np.random.default_rng([seed, index]))
        for index, noise in enumerate(NOISE)
    }
    return {"": None, ", clipped": clipped, **noisy}


def score(images: Tensor, task: Task, node: Node) -> dict[str, Any]:
    """Return how near images came to the support set's: `likeness`, `peak_ratio`, and `named`, with the images.

    named: whether an image is more like the true one's other drawings than like any other character's of the node, on
    average over drawings; the true image is not among them.
    """
    alike = likeness(images, task.support.images)
    whole = likeness(images, node.images.float() / 255)
    itself = likeness(task.support.images, node.images.float() / 255) > 1 - 1e-6
    whole = whole.masked_fill(itself, torch.nan)
    means = torch.stack([whole[:, node.labels == label].nanmean(1) for label in range(len(node.classes))], 1)
    named = [node.classes[int(best)] == name for best, name in zip(means.argmax(1), task.classes, strict=True)]
    return {
        "likeness": [round(float(value), 4) for value in alike.diag()],
        "likeness_to_others": round(float(alike[~torch.eye(len(alike), dtype=torch.bool)].mean()), 4),
        "peak_ratio": [round(float(value), 2) for value in peak_ratio(alike.diag(), task.support.images)],
        "named": named,
        "characters": len(node.classes),
        "images": pixels(images),
    }


def pixels(images: Tensor) -> list[str]:
    """Return grey images as bytes in hexadecimal digits, a row after another, one text an image."""
    return [bytes((255 * image[0]).round().byte().flatten().tolist()).hex() for image in images.clamp(0, 1)]


def images_from(texts: Sequence[str]) -> np.ndarray:
    """Return what `pixels` wrote: (image, height, width), 0 to 1."""
    grey = np.stack([np.frombuffer(bytes.fromhex(text), np.uint8) for text in texts]) / 255
    side = round(grey.shape[1] ** 0.5)
    return grey.reshape(len(grey), side, side)


def inversion_rows(part: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a table says of a part."""
    return [
        {
            "attacked": name,
            "likeness": float(np.mean(one["likeness"])),
            "peak_ratio": float(np.mean(one["peak_ratio"])),
            "named": float(np.mean(one["named"])),
        }
        for name, one in record["found"].items()
    ]
