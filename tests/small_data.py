"""A small folder of images in the layout that `folder:` reads, easy enough to learn within seconds."""

from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from mglib.training import train
from mglib.training.recipes import Recipe


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


def train_and_send(recipe: Recipe, out: Path, pipe: Connection) -> None:
    """Train, or go on, and send the index of every round; it stands here, where a new process imports it quickly."""
    train(recipe, out, resume=True, on_round=lambda metrics: pipe.send(metrics["round"]))
