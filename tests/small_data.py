"""A small folder of images in the layout that `folder:` reads, easy enough to learn within seconds."""

import shutil
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from mglib.training import train
from mglib.training.recipes import Recipe

FILES_OF_A_RUN = ["federation.json", "metrics.jsonl", "params.safetensors", "recipe.json"]


def write_alphabets(
    root: Path, alphabets: int = 4, characters: int = 6, examples: int = 8, size: int = 14, seed: int = 0
) -> Path:
    """Write `root/alphabet<i>/character<j>/<k>.png`: a random pattern a character, a noisy shift of it an example."""
    generator = np.random.default_rng(seed)
    for alphabet in range(alphabets):
        for character in range(characters):
            folder = root / f"alphabet{alphabet}" / f"character{character}"
            folder.mkdir(parents=True)
            pattern = np.kron(generator.random((4, 4)) < 0.4, np.ones((3, 3)))
            for example in range(examples):
                canvas = np.zeros((size, size))
                top, left = generator.integers(0, 3, 2)
                canvas[top : top + 12, left : left + 12] = pattern
                noisy = np.clip(canvas + 0.1 * generator.standard_normal(canvas.shape), 0, 1)
                Image.fromarray((255 * noisy).astype(np.uint8)).save(folder / f"{example}.png")
    return root


def small_recipe(folder: Path, kind: type[Recipe] = Recipe, **changes) -> Recipe:
    """Return a recipe on such a folder that trains in a second: one alphabet to test on, one to choose by."""
    sizes = {"image_size": 14, "width": 8, "depth": 3, "ways": 3, "queries": 4, "rounds": 4, "nodes_per_round": 2}
    data = {"data": f"folder:{folder}", "held_out": ("alphabet3",), "validation": ("alphabet2",)}
    return kind(**{**data, **sizes, **changes})


def options_of(recipe: Recipe, out: Path, **more) -> list[str]:
    """Return the options by which `train` takes a small recipe."""
    names = ("data", "image_size", "width", "depth", "ways", "queries", "rounds", "nodes_per_round", "quorum")
    options = {name.replace("_", "-"): getattr(recipe, name) for name in names} | {"out": out, **more}
    held = ["--held-out", *recipe.held_out, "--validation", *recipe.validation]
    return [*(f"--{name}={value}" for name, value in options.items()), *held]


def support_of(alphabet: Path, target: Path, characters: Iterable[int]) -> Path:
    """Copy the first image of some characters of an alphabet, each into a folder of its own; return `target`."""
    for character in characters:
        (target / f"character{character}").mkdir(parents=True)
        shutil.copy(alphabet / f"character{character}" / "0.png", target / f"character{character}")
    return target


class Stopped(Exception):
    """Raised in the middle of a training."""


def stopped_after(recipe: Recipe, out: Path, index: int) -> None:
    """Train, and stop as a process does that fails once the round of this index is done."""

    def stop(metrics):
        if metrics["round"] == index:
            raise Stopped

    try:
        train(recipe, out, on_round=stop)
    except Stopped:
        return
    raise AssertionError(f"the training ended before round {index} was done")


def train_and_send(recipe: Recipe, out: Path, pipe: Connection) -> None:
    """Train, or go on, and send the index of every round; it stands here, where a new process imports it quickly."""
    train(recipe, out, resume=True, on_round=lambda metrics: pipe.send(metrics["round"]))
