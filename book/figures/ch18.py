"""Chapter 18: drawings of scripts that nobody trained on, and the pad that adapts to them in the page."""

import dataclasses
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import mglib
from mglib import Batch, adapt, show
from mglib.tasks import fonts
from mglib.tasks.glyphs import SCRIPTS, TEST, VALIDATION, kept_characters
from pad import DrawingPad, export_live
from pad.drawings import DrawingSettings, character_lines, shake
from pad.strokes import centred, rasterise

RUN = mglib.Run(Path(mglib.__file__).parents[1] / "results" / "runs" / "drawings" / "gated-50")
_LABELS = torch.arange(5)

Strokes = list[np.ndarray]


@cache
def held_out_lines() -> dict[str, dict[str, Strokes]]:
    """Return the centre lines of the characters of each held-out script, by name."""
    kept = kept_characters(tuple(SCRIPTS), {*TEST, *VALIDATION})
    return {script: character_lines(kept[script], fonts.covering_faces(kept[script])[0]) for script in TEST}


def draw_task(script: str, generator: np.random.Generator) -> list[list[Strokes]]:
    """Return two drawings of five characters by one shaking hand: five to adapt to, five to ask for."""
    settings, lines = DrawingSettings(), held_out_lines()[script]
    hand = settings.style * generator.standard_normal(30)
    chosen = [lines[name] for name in generator.choice(sorted(lines), 5, replace=False)]
    return [[shake(strokes, settings, generator, hand)[0] for strokes in chosen] for _ in range(2)]


def images_of(drawings: Sequence[Strokes]) -> Tensor:
    """Return drawings as the network sees them, (drawing, 1, 28, 28)."""
    images = np.stack([rasterise(centred(strokes)) for strokes in drawings])
    return torch.from_numpy(images)[:, None].float() / 255


def folded(line: str, room: int = 76) -> list[str]:
    """Return a line of code as lines of at most `room` characters, each broken where few brackets are open."""
    indent = len(line) - len(line.lstrip())
    depth, breaks = 0, []
    for place, letter in enumerate(line[:room] if len(line) > room else ""):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == " " and place > indent + 20:
            breaks.append((depth, line[place - 1] != ",", -place))
    if not breaks:
        return [line]
    place = -min(breaks)[-1]
    return [line[:place], *folded(" " * (indent + 4) + line[place + 1 :], room)]


@cache
def trained() -> tuple:
    """Return the start trained on drawings: its recipe, network, parameters, objective and stages."""
    recipe, net, start = RUN.load()
    # The stages and the objective are the recipe's; no data set is needed.
    experiment = mglib.set_up(dataclasses.replace(recipe, data="glyphs"))
    return recipe, net, start, experiment.objective, experiment.stages


def answers(support: Tensor, query: Tensor) -> list:
    """Return what the start and the adapted network say of the queries."""
    _, _, start, objective, stages = trained()
    own = adapt(objective, start, Batch(support, _LABELS), stages)
    asked = Batch(query, _LABELS, support)
    with torch.no_grad():
        return [objective.predict(each, asked) for each in (start, own)]


def open_pad(caption: str = "", filled: bool = False) -> DrawingPad:
    """Return the pad, with characters to take; filled: it opens on an alphabet that it has adapted to, and an answer.

    A browser that runs no scripts shows a picture of the same task instead.
    """
    first, second = draw_task("Hebrew", np.random.default_rng(1))
    support, query = images_of(first), images_of(second)
    shares = [told.logits.softmax(1) for told in answers(support, query)]
    told = "Five drawings of five characters, asked before and after one step."
    step = show.show_step(support[:, 0], query[:, 0], _LABELS, *shares, told)
    ready = {
        f"{script} {character}": strokes
        for script, lines in held_out_lines().items()
        for character, strokes in list(lines.items())[: 2 if filled else 6]
    }
    opening = (first, second[-1]) if filled else None
    return DrawingPad(export_live(RUN), ready, caption, step._repr_html_(), opening)
