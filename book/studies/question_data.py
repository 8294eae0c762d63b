"""Questions: nodes that see the same kind of image and are asked different things, which labels alone reveal.

Every image shows a character in coloured ink on striped ground. One node is asked for the character, another for the
ink, a third for the ground; what it is not asked for varies at random. The characters, inks and grounds of held-out
nodes occur on no training node.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor

from mglib.tasks import fonts, glyphs
from mglib.tasks.federations import SPLITS, Federation, assemble
from mglib.tasks.glyphs import (
    SCRIPTS,
    TEST,
    VALIDATION,
    GlyphSettings,
    cached_path,
    draw,
    kept_characters,
    read_or_make,
)
from mglib.training import Recipe

QUESTIONS = ("character", "ink", "ground")
NODES = {"train": 36, "validation": 6, "test": 12}
CLASSES, EXAMPLES = 20, 20  # of a node, at most; of each of its classes
VALUES, ANGLES = 36, 12  # inks, hues around the circle; grounds, stripes of as many angles and three pitches
WARP = 0.5  # of the characters, beside the glyphs
_SPLIT_OF = ("train", "test", "train", "validation", "train", "test")  # every sixth ink and ground alike
_HUE, _ANGLE, _PITCH, _NOISE = 0.012, 0.05, 0.04, 0.03  # deviations: turns, radians, of the logarithm, of brightness


def question_federation(
    asked: float = 1.0, *, image_size: int = 28, seed: int = 0, cache: Path | None = None
) -> Federation:
    """Return the federation whose nodes are asked for a character, an ink or a ground.

    asked: how much the nodes differ in that, from 0 (all are asked for the character) to 1 (a third for each).
    image_size: pixels a side of images in three channels.

    Raises:
        ValueError: if `asked` is not in [0, 1].
    """
    if not 0 <= asked <= 1:
        raise ValueError(f"`asked` (={asked}) must be in [0, 1]: the share of nodes, of two thirds, asked otherwise")
    choices = [asked, image_size, seed, torch.__version__, matplotlib.__version__]
    path = cached_path("questions", choices, (__file__, glyphs.__file__, fonts.__file__), cache)
    nodes = read_or_make(path, lambda: _draw_all(asked, image_size, seed))
    test, validation = ([name for name in nodes if name.startswith(split)] for split in ("test", "validation"))
    return assemble("questions", nodes, (test, validation))


def federation_of(recipe: Recipe) -> Federation:
    """Return the questions that a recipe's `data` names: "questions", or "questions:SHARE" for less difference.

    Raises:
        ValueError: if the share is no number from 0 to 1.
    """
    share = recipe.data.partition(":")[2] or "1"
    try:
        asked = float(share)
    except ValueError:
        raise ValueError(f"`data` (={recipe.data!r}): SHARE must be a number from 0 to 1, not {share!r}") from None
    return _load(asked, image_size=recipe.image_size, seed=recipe.data_seed)


_load = functools.cache(question_federation)


def question_of(node: str) -> str:
    """Return what the node of this name, "test/ink/7", is asked for."""
    return node.split("/")[1]


def _draw_all(asked: float, size: int, seed: int) -> dict[str, dict[str, Tensor]]:
    """Images of every node by class."""
    characters = kept_characters(list(SCRIPTS), {*VALIDATION, *TEST})
    scripts = {"train": [each for each in SCRIPTS if each not in {*VALIDATION, *TEST}]}
    scripts |= {"validation": list(VALIDATION), "test": list(TEST)}
    nodes = {}
    for number, split in enumerate(SPLITS):
        others = round(NODES[split] * asked / 3)
        questions = [*["ink"] * others, *["ground"] * others, *["character"] * (NODES[split] - 2 * others)]
        generator = np.random.default_rng([seed, number])
        for place, question in enumerate(generator.permutation(questions)):
            script = scripts[split][place % len(scripts[split])]
            name = f"{split}/{question}/{place + 1}"
            nodes[name] = _draw_node(split, question, characters[script], place, size, generator)
    return nodes


def _draw_node(
    split: str, question: str, characters: str, writer: int, size: int, generator: np.random.Generator
) -> dict[str, Tensor]:
    """Return a node's images of each of its classes, (example, 3, size, size), uint8."""
    faces = fonts.covering_faces(characters)
    clean = torch.from_numpy(fonts.render(characters, faces[writer % len(faces)]))
    values = [value for value in range(VALUES) if _SPLIT_OF[value % len(_SPLIT_OF)] == split]
    several = {"character": range(len(characters)), "ink": values, "ground": values}
    classes = generator.choice(several[question], min(CLASSES, len(several[question])), replace=False)
    drawn = {each: generator.choice(several[each], (len(classes), EXAMPLES)) for each in QUESTIONS}
    drawn[question] = np.repeat(classes[:, None], EXAMPLES, 1)
    images = draw_answers(clean, {each: values.ravel() for each, values in drawn.items()}, size, generator)
    names = [f"{question}/{characters[each] if question == 'character' else each}" for each in classes]
    return dict(zip(names, images.view(len(names), EXAMPLES, 3, size, size), strict=True))


def draw_answers(clean: Tensor, answers: Mapping[str, np.ndarray], size: int, generator: np.random.Generator) -> Tensor:
    """Return images, (example, 3, size, size), uint8, that give these answers to the three questions.

    clean: (character, side, side), signed distances as `fonts.render` returns them.
    answers: for each question (example,): the place of a character in `clean`, the number of an ink, of a ground.
    """
    settings = GlyphSettings(image_size=size, examples=1, warp=WARP)
    masks = draw(clean[answers["character"]], settings, generator).float() / 255  # (example, 1, 1, size, size)
    return _paint(masks[:, 0], answers["ink"], answers["ground"], generator)


def _paint(masks: Tensor, inks: Sequence[int], grounds: Sequence[int], generator: np.random.Generator) -> Tensor:
    """Return characters, (example, 1, size, size) from 0 to 1, in coloured ink on striped ground, as uint8."""
    count, size = len(masks), masks.shape[-1]

    def vary(deviation: float) -> np.ndarray:
        return deviation * generator.standard_normal(count)

    hue = 2 * np.pi * (np.asarray(inks) / VALUES + vary(_HUE))
    ink = 0.5 + 0.5 * np.cos(hue[:, None] - 2 * np.pi * np.arange(3) / 3)  # (example, channel)
    angle = np.pi * (np.asarray(grounds) % ANGLES / ANGLES) + vary(_ANGLE)
    waves = np.array([2.5, 4.0, 6.0])[np.asarray(grounds) // ANGLES] * np.exp(vary(_PITCH))
    rows, columns = np.meshgrid(*[np.linspace(-0.5, 0.5, size)] * 2, indexing="ij")
    along = np.cos(angle)[:, None, None] * columns + np.sin(angle)[:, None, None] * rows
    phase = generator.uniform(0, 2 * np.pi, count)[:, None, None]
    stripes = 0.25 + 0.18 * np.sin(2 * np.pi * waves[:, None, None] * along + phase)
    ground = torch.from_numpy(stripes).float()[:, None]
    coloured = torch.from_numpy(ink).float()[:, :, None, None]
    noise = torch.from_numpy(generator.standard_normal((count, 3, size, size), dtype=np.float32))
    return (torch.lerp(ground, coloured, masks) + _NOISE * noise).clamp(0, 1).mul(255).round().to(torch.uint8)
