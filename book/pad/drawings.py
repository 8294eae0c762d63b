"""The glyph federation as drawings: the same characters, drawn by a pen that shakes, one line after another."""

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor

from mglib.tasks import fonts, glyphs
from mglib.tasks.federations import LEAST_CLASSES, Federation, Names, choose_held_out
from mglib.tasks.glyphs import SCRIPTS, TEST, VALIDATION, cached_path, kept_characters, of_writers, read_or_make
from mglib.training import Recipe
from pad.strokes import PEN, Stroke, centre_lines, centred, rasterise


@dataclass(frozen=True)
class DrawingSettings:
    """How many drawings there are and how unsteady the hands; strengths are standard deviations.

    A writer's hand deviates from the typeface by `style` times as much as each of its drawings from the writer.
    """

    image_size: int = 28  # pixels a side
    examples: int = 20  # of each character by each writer
    writers: int = 4  # of each training script
    held_out_writers: int = 2  # of each validation and test script
    rotation: float = 6.0  # degrees
    shear: float = 0.12  # sideways shift per unit of height
    scale: float = 0.1  # of log size, width and height on their own
    bend: float = 0.028  # canvas sides, a smooth displacement
    shake: float = 0.006  # canvas sides, of each point by itself
    stray: float = 0.015  # canvas sides, of each stroke as a whole
    pen: float = 0.1  # of the log width of the pen
    style: float = 0.7
    seed: int = 0


def drawing_federation(
    settings: DrawingSettings | None = None,
    *,
    held_out: Names = (),
    validation: Names = (),
    rotate: bool = False,
    folder: Path | None = None,
) -> Federation:
    """Return the federation whose nodes are writers, whose classes are characters, as `glyph_federation` has them.

    Needs scikit-image (`mglib[book]`) unless the drawings are in `folder` already; None: the cache.

    Raises:
        ValueError: for a script that does not exist, or one held out that has hardly a shape of its own.
    """
    settings = settings or DrawingSettings()
    kept = choose_held_out(SCRIPTS, (held_out, validation), (TEST, VALIDATION))
    held = {*kept[0], *kept[1]}
    choices = [asdict(settings), sorted(held), matplotlib.__version__, np.__version__, version("scikit-image")]
    code = (__file__, str(Path(__file__).with_name("strokes.py")), glyphs.__file__, fonts.__file__)
    path = cached_path("drawings", choices, code, folder)
    return of_writers("drawings", read_or_make(path, lambda: _draw_all(settings, held)), kept, rotate=rotate)


def federation_of(recipe: Recipe) -> Federation:
    """Return the drawings that a recipe trains on and holds out, in the place of what its `data` would name.

    Raises:
        ValueError: if it asks for other data, for colour, for other nodes, or for scripts that there are not.
    """
    recipe.refuse_unless(recipe.data in (Recipe.data, "drawings"), "data", "is of no use: the data are the drawings")
    recipe.refuse_unless(recipe.channels in (None, 1), "channels", "must be 1: drawings are grey")
    for name in ("new_nodes", "nodes", "classes_per_node"):
        recipe.refuse_unless(not recipe.changed(name), name, "is of no use: each writer of the drawings is a node")
    settings = DrawingSettings(image_size=recipe.image_size, seed=recipe.data_seed)
    kept = {"held_out": recipe.held_out, "validation": recipe.validation}
    return drawing_federation(settings, **kept, rotate=recipe.rotate)


def _draw_all(settings: DrawingSettings, held: set[str]) -> dict[str, dict[str, Tensor]]:
    """Images of every character by every writer of every script."""
    nodes = {}
    for script, characters in kept_characters(tuple(SCRIPTS), held).items():
        if len(characters) < LEAST_CLASSES:
            raise ValueError(f"script {script} cannot be held out: too few of its characters are its own")
        faces = fonts.covering_faces(characters)
        for writer in range(settings.held_out_writers if script in held else settings.writers):
            generator = np.random.default_rng([settings.seed, zlib.crc32(script.encode()), writer])
            lines = character_lines(characters, faces[writer % len(faces)])
            nodes[f"{script}/writer{writer + 1}"] = draw_all(lines, settings, generator)
    return nodes


def character_lines(characters: str, face: str) -> dict[str, list[Stroke]]:
    """Return the centre lines of each character in a typeface."""
    clean = fonts.render(characters, face)
    return {character: centre_lines(shape < 0) for character, shape in zip(characters, clean, strict=True)}


def draw_all(
    lines: dict[str, list[Stroke]], settings: DrawingSettings, generator: np.random.Generator
) -> dict[str, Tensor]:
    """Return one writer's drawings of each character: (example, 1, image_size, image_size), uint8."""
    hand = generator.standard_normal(_NUMBERS) * settings.style
    drawn = {}
    for character, strokes in lines.items():
        images = []
        for _ in range(settings.examples):
            shaken, pen = shake(strokes, settings, generator, hand)
            images.append(rasterise(centred(shaken), settings.image_size, pen))
        drawn[character] = torch.from_numpy(np.stack(images))[:, None]
    return drawn


_NUMBERS = 30  # that a hand is described by: 5 of the affine map, 1 of the pen, 2 x 3 x 4 of the bend
_STEP = 0.04  # canvas sides
_WAVES = np.array([(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])  # of the bend, in cycles a canvas


def shake(
    strokes: Sequence[Stroke], settings: DrawingSettings, generator: np.random.Generator, hand: np.ndarray | float = 0.0
) -> tuple[list[Stroke], float]:
    """Return the strokes as an unsteady hand draws them, on the same canvas, and half the width of its pen.

    hand: what the writer always does, (30,) in strengths.
    """
    own = generator.standard_normal(_NUMBERS) + hand
    angle, shear = np.deg2rad(own[0] * settings.rotation), own[1] * settings.shear
    width, height = np.exp(np.clip(own[2:4], -2.5, 2.5) * settings.scale)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    affine = turn @ np.array([(width, shear * height), (0.0, height)])
    waves = own[6:].reshape(2, 3, 4) * settings.bend / 3**0.5
    moved = []
    for stroke in strokes:
        points = _dense(stroke)
        phases = 2 * np.pi * points @ _WAVES.T  # (point, wave)
        kinds = np.stack([np.sin(phases), np.cos(phases), np.sin(2 * phases) / 2, np.cos(2 * phases) / 2], 2)
        bent = points + np.einsum("pwk,dwk->pd", kinds, waves)
        bent += settings.stray * generator.standard_normal(2) + settings.shake * generator.standard_normal(bent.shape)
        moved.append((bent - 0.5) @ affine.T + 0.5)
    return moved, PEN * float(np.exp(np.clip(own[5], -2, 2) * settings.pen))


@cache
def held_out_lines() -> dict[str, dict[str, list[Stroke]]]:
    """Return the centre lines of the characters of each script that nobody trained on, by name."""
    kept = kept_characters(tuple(SCRIPTS), {*TEST, *VALIDATION})
    return {script: character_lines(kept[script], fonts.covering_faces(kept[script])[0]) for script in TEST}


def draw_task(lines: dict[str, list[Stroke]], generator: np.random.Generator) -> list[list[list[Stroke]]]:
    """Return two drawings of five of these characters by one shaking hand: five to adapt to, five to ask for."""
    settings = DrawingSettings()
    hand = settings.style * generator.standard_normal(_NUMBERS)
    chosen = [lines[name] for name in generator.choice(sorted(lines), 5, replace=False)]
    return [[shake(strokes, settings, generator, hand)[0] for strokes in chosen] for _ in range(2)]


def images_of(drawings: Sequence[Sequence[Stroke]]) -> Tensor:
    """Return drawings as the network sees them, (drawing, 1, 28, 28), 0 to 1."""
    images = np.stack([rasterise(centred(strokes)) for strokes in drawings])
    return torch.from_numpy(images)[:, None].float() / 255


def _dense(stroke: Stroke) -> Stroke:
    """Return the stroke with a point at least every `_STEP`, as a pointer leaves them."""
    points = [stroke[:1]]
    for start, end in itertools.pairwise(stroke):
        count = max(1, int(np.ceil(np.linalg.norm(end - start) / _STEP)))
        points.append(start + (end - start) * (np.arange(1, count + 1) / count)[:, None])
    return np.concatenate(points)
