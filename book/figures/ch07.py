"""Chapter 7: a round in four pictures, and a federation while it trains."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from figures.ch07_sizes import size
from figures.style import arrow
from mglib.figure import FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

_RINGS, _DISC = (96, 121), 10.5  # in points: the two circles on which nodes stand in turn, a node's own radius
_WINDOW = 20  # rounds in a running mean


@page_style
def show_round(weights: Sequence[float], sampled: Sequence[int], caption: str = "") -> Figure:
    """Draw one round as four small pictures: sample, send, compute, average.

    weights: of each node; the arrows back to the server are as wide as the sampled nodes' shares.
    sampled: positions of the nodes that take part.

    Raises:
        ValueError: if a sampled position is not one of the nodes'.
    """
    if not set(sampled) <= set(range(len(weights))):
        raise ValueError(f"`sampled` (={list(sampled)}) must be positions of the {len(weights)} nodes")
    drawing, axes = new_drawing(5.4, 4.1, nrows=2, ncols=2)
    total = sum(weights[position] for position in sampled)
    titles = ("1  the server samples", "2  sends its parameters", "3  each node takes steps", "4  the server averages")
    for step, (axis, title) in enumerate(zip(axes.flat, titles, strict=True)):
        bare(axis).set_title(title, loc="left", fontweight="bold")
        axis.set(xlim=(-1.15, 1.15), ylim=(-0.25, 1.22), aspect="equal")
        _disc(axis, (0, 1), 0.16, INK)
        if step == 0:
            axis.text(0.24, 1, "server", va="center", fontsize=10)
            axis.text(0, 0.22, "nodes", ha="center", va="center", fontsize=10)
        for position, x in enumerate(np.linspace(-0.85, 0.85, len(weights))):
            chosen = position in sampled
            _disc(axis, (x, 0), 0.12, OPEN if chosen else FAINT, chosen and step != 2)
            if chosen and step == 1:
                arrow(axis, (0.2 * x, 0.8), (0.92 * x, 0.19), INK, size=9, gap=2)
            if chosen and step == 2:
                walk = np.array([[-0.07, 0.05], [0.03, 0.06], [-0.02, -0.02], [0.06, -0.06]])
                axis.plot(x + walk[:, 0], walk[:, 1], color=OPEN, marker="o", markersize=3, linewidth=1)
            if chosen and step == 3:
                share = weights[position] / total
                arrow(axis, (0.92 * x, 0.19), (0.2 * x, 0.8), OPEN, width=0.8 + 6 * share, size=9, gap=2)
                axis.text(x, -0.21, f"{share:.0%}", ha="center", va="center", fontsize=10, color=OPEN)
    shares = ", ".join(f"{weights[position] / total:.0%}" for position in sampled)
    alt = (
        f"Four small pictures of one server above {len(weights)} nodes. First {len(sampled)} of the nodes are chosen; "
        "then arrows run from the server to them; then each draws a short path of steps inside itself; then arrows "
        f"run back, as wide as the nodes' shares of the average: {shares}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_rounds(
    groups: Mapping[str, Sequence[str]],
    samples: Mapping[str, Tensor],
    accuracies: Mapping[str, float],
    sampled: Sequence[str],
    history: Sequence[float],
    *,
    rounds: int,
    chance: float,
    sent: float,
    caption: str = "",
) -> Figure:
    """Draw a federation while it trains: the server amid its nodes, and how far each has come.

    groups: the nodes' names by group, as they stand around the circle, clockwise from the top.
    samples: one image of each group, (height, width), 0 to 1.
    accuracies: a node's latest accuracy, 0 to 1; a node that has not been sampled yet is missing.
    sampled: the nodes of the round on show; history: the mean accuracy round by round, so far, of `rounds` planned.
    chance: accuracy of guessing, an empty disc; sent: bytes on the wire so far.

    Raises:
        ValueError: if a name is not a node of the groups.
    """
    nodes = [name for names in groups.values() for name in names]
    if unknown := sorted({*accuracies, *sampled} - set(nodes)):
        raise ValueError(f"no nodes {unknown} in the groups")
    drawing, (axis, key, strip) = new_drawing(5.4, 7.4, nrows=3, height_ratios=[5.5, 0.45, 1])
    bare(axis).set(xlim=(-186, 186), ylim=(-176, 184), aspect="equal")
    for index, (group, names) in enumerate(groups.items()):
        middle = np.pi / 2 - 2 * np.pi * index / len(groups)
        _label(axis, middle, group, np.asarray(samples[group]))
        step = 0.73 * 2 * np.pi / len(groups) / len(names)
        for place, name in enumerate(names):
            angle, radius = middle + step * ((len(names) - 1) / 2 - place), _RINGS[place % 2]
            _node(axis, angle, radius, accuracies.get(name), chance, name in sampled)
    _disc(axis, (0, 0), 42, INK, filled=False)
    axis.text(0, 0, f"server\nround\n{len(history)}", ha="center", va="center", fontsize=10)
    _draw_key(bare(key), chance)
    mean = _draw_history(strip, history, rounds, chance, sent)
    alt = (
        f"A server in the middle of a circle of {len(nodes)} nodes in {len(groups)} groups: {', '.join(groups)}. "
        f"Round {len(history)} of {rounds}: lines join the server to {', '.join(sampled)}. {len(accuracies)} have been "
        f"sampled so far; their discs fill with their accuracy, {mean:.0%} in the mean of the last rounds; the discs "
        "of the others are dotted. "
        f"{size(sent)} have been sent."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_before_and_after(scores: Mapping[str, tuple[float, float]], chance: float, caption: str = "") -> Figure:
    """Draw what one step is worth from each start: a line from the accuracy before it to the one after it.

    scores: a start's name, and its accuracies before and after the step, 0 to 1; the best is drawn in colour.
    """
    drawing, axis = new_drawing(5.4, 3.4)
    height, ordered = 0.0, sorted(scores.items(), key=lambda score: score[1][1])
    for place, (name, pair) in enumerate(ordered):
        colour, style = (OPEN, "-") if place == len(ordered) - 1 else (INK, ("--", ":", "-.")[place % 3])
        axis.plot((0, 1), pair, color=colour, linestyle=style, marker="o", markersize=7)
        height = max(pair[1], height + 0.09)  # labels keep their distance
        axis.text(1.1, height, f"{name}, {pair[1]:.0%}", va="center", color=colour)
    axis.axhline(chance, xmax=0.6, color=FAINT, linewidth=1)
    axis.annotate("chance", (0, chance), (0, -12), textcoords="offset points", va="center", fontsize=10)
    axis.set_xticks((0, 1), ("before", "after one step"))
    axis.set(xlim=(-0.2, 2.1), ylim=(0, 1), ylabel="accuracy")
    axis.spines["bottom"].set_bounds(-0.2, 1.2)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    told = "; ".join(f"{name}: from {before:.0%} to {after:.0%}" for name, (before, after) in scores.items())
    return Figure(drawing, caption, f"Lines from the accuracy before one step to the accuracy after it. {told}.")


def _node(axes: Axes, angle: float, radius: float, accuracy: float | None, chance: float, sampled: bool) -> None:
    """Draw a disc whose filled area grows from chance (empty) to all right (full)."""
    direction = np.array([np.cos(angle), np.sin(angle)])
    if sampled:
        ends = (44 * direction, (radius - _DISC - 1) * direction)
        arrow(axes, *ends, INK, width=1.6, size=9, gap=2, arrowstyle="<|-|>")
    _fill(axes, radius * direction, accuracy, chance, sampled)


def _fill(axes: Axes, place: np.ndarray, accuracy: float | None, chance: float, sampled: bool = False) -> None:
    """Draw a node's disc: dotted if it has not been asked, thick in its round, filled by what it has above chance."""
    edge = {"edgecolors": INK, "linewidths": 1.8} if sampled else {"edgecolors": FAINT, "linewidths": 0.8}
    if accuracy is None:
        edge |= {"linestyles": [(0, (1, 2))], "linewidths": 1.2}
    axes.scatter(*place, s=(2 * _DISC) ** 2, facecolors="none", clip_on=False, **edge)
    if accuracy is not None:
        share = max(0.02, (accuracy - chance) / (1 - chance))
        ends = np.stack(
            [place, place + np.array([0.01, 0])], 1
        )  # a round-capped line of no length: a small disc in SVG
        width = 2 * (_DISC - 1.5) * share**0.5
        axes.plot(*ends, color=OPEN, alpha=0.35 + 0.65 * share, linewidth=width, solid_capstyle="round")


def _draw_key(axes: Axes, chance: float) -> None:
    """Draw what a disc says: not asked yet, guessing, half right, all right."""
    axes.set(xlim=(-186, 186), ylim=(-10, 10))
    entries = (("not asked", None), (f"{chance:.0%}", chance), ("60%", 0.6), ("100% right", 1.0))
    for x, (words, accuracy) in zip((-176, -68, 4, 76), entries, strict=True):
        _fill(axes, np.array([x, 0.0]), accuracy, chance)
        axes.text(x + 17, 0, words, va="center", fontsize=10)


def _label(axes: Axes, angle: float, name: str, image: np.ndarray) -> None:
    """Draw a group's sample outside of its nodes, and its name on the far side of it."""
    x, y = (_RINGS[1] + _DISC + 24) * np.cos(angle), (_RINGS[1] + _DISC + 18) * np.sin(angle)
    ink = np.where(image < 0.3, 0, image)  # the paper's noise would be specks at this size
    stencil(axes, ink, extent=(x - 16, x + 16, y - 16, y + 16), zorder=2)
    axes.text(x, y + (22 if np.sin(angle) > 0.3 else -21), name, ha="center", va="center", fontsize=10)


def _draw_history(axes: Axes, history: Sequence[float], rounds: int, chance: float, sent: float) -> float:
    """Draw the running mean of the rounds' accuracies; return its last value."""
    smooth = [np.mean(history[max(0, last - _WINDOW) : last]) for last in range(1, len(history) + 1)]
    axes.plot(range(1, len(history) + 1), smooth, color=OPEN, marker="o", markevery=[-1])
    axes.annotate(f"{smooth[-1]:.0%}", (len(history), smooth[-1]), (6, 0), textcoords="offset points", color=OPEN)
    axes.axhline(chance, color=FAINT, linestyle="--", linewidth=1)
    axes.annotate("chance", (rounds, chance), (0, 2), textcoords="offset points", ha="right", fontsize=10)
    axes.set(xlim=(0, 1.08 * rounds), ylim=(0, 1), xlabel="round")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title(f"right after one step; sent so far: {size(sent)}", loc="left")
    return float(smooth[-1])


def _disc(axes: Axes, centre: Sequence[float], radius: float, colour: str, filled: bool = True) -> None:
    face = colour if filled else "none"
    axes.add_patch(Circle(centre, radius, facecolor=face, edgecolor=colour, linewidth=1.2, zorder=3))
