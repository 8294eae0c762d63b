"""Chapter 18: drawings of scripts that nobody trained on, and the pad that adapts to them in the page."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from mglib import Batch, adapt, show
from mglib.training.algorithms import final_objective, stages_of
from pad import START, DrawingPad, drawings, export_live
from pad.drawings import held_out_lines, images_of

_LABELS = torch.arange(5)

Strokes = list[np.ndarray]


def draw_task(script: str, generator: np.random.Generator) -> list[list[Strokes]]:
    """Return two drawings of five characters of a held-out script by one shaking hand: to adapt to, and to ask for."""
    return drawings.draw_task(held_out_lines()[script], generator)


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
    recipe, net, start = START.load()
    return recipe, net, start, final_objective(recipe, net), stages_of(recipe, net)


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
    return DrawingPad(export_live(START), ready, caption, step._repr_html_(), opening)
