"""Many nodes: a round in four pictures, local steps in the plane, and a federation while it trains."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from mglib.show.figures import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

_RINGS, _DISC = (97, 121), 11  # in points: the two circles on which nodes stand in turn, a node's own radius
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
    drawing, axes = new_drawing(5.4, 4.5, nrows=2, ncols=2)
    total = sum(weights[position] for position in sampled)
    titles = ("1  the server samples", "2  sends its parameters", "3  each node takes steps", "4  the server averages")
    for step, (axis, title) in enumerate(zip(axes.flat, titles, strict=True)):
        bare(axis).set_title(title, loc="left", fontweight="bold")
        axis.set_xlim(-1.15, 1.15)
        axis.set_ylim(-0.25, 1.22)
        _disc(axis, (0, 1), 0.16, INK)
        if step == 0:
            axis.text(0.24, 1, "server", va="center", fontsize=10)
            axis.text(0, 0.22, "nodes", ha="center", va="center", fontsize=10)
        for position, x in enumerate(np.linspace(-0.85, 0.85, len(weights))):
            chosen = position in sampled
            _disc(axis, (x, 0), 0.12, OPEN if chosen else FAINT, 1 if chosen and step != 2 else 0)
            if chosen and step == 1:
                _arrow(axis, (0.2 * x, 0.8), (0.92 * x, 0.19), INK, 1.5)
            if chosen and step == 2:
                walk = np.array([[-0.07, 0.05], [0.03, 0.06], [-0.02, -0.02], [0.06, -0.06]])
                axis.plot(x + walk[:, 0], walk[:, 1], color=OPEN, marker="o", markersize=3, linewidth=1)
            if chosen and step == 3:
                share = weights[position] / total
                _arrow(axis, (0.92 * x, 0.19), (0.2 * x, 0.8), OPEN, 0.8 + 6 * share)
                axis.text(x, -0.21, f"{share:.0%}", ha="center", va="center", fontsize=10, color=OPEN)
        axis.set_aspect("equal")
    shares = ", ".join(f"{weights[position] / total:.0%}" for position in sampled)
    alt = (
        f"Four small pictures of one server above {len(weights)} nodes. First {len(sampled)} of the nodes are chosen; "
        "then arrows run from the server to them; then each draws a short path of steps inside itself; then arrows "
        f"run back, as wide as the nodes' shares of the average: {shares}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_drift(
    loss: Callable[[np.ndarray], np.ndarray],
    minima: Mapping[str, np.ndarray],
    curvatures: Sequence[np.ndarray],
    server: np.ndarray,
    walks: Sequence[np.ndarray],
    best: np.ndarray,
    caption: str = "",
) -> Figure:
    """Draw rounds in the plane: the server's path, and the nodes' own paths that fan out and are averaged.

    loss: the average of the nodes' losses, of points (…, 2); minima: each node's own minimum, (2,).
    curvatures: of each node's bowl along the axes, (2,), all positive.
    server: (round + 1, 2); walks: one node in one round each, (local step + 1, 2); best: (2,), the average's minimum.
    """
    drawing, axis = new_drawing(5.4, 4.7)
    bare(axis).set_aspect("equal")
    points = np.array([*minima.values(), server[0]])
    low, high = points.min(0) - 0.7, points.max(0) + 0.7
    grid = np.stack(np.meshgrid(*(np.linspace(a, b, 60) for a, b in zip(low, high, strict=True))), -1)
    values, least = loss(grid), float(loss(best))
    levels = least + (values.max() - least) * np.linspace(0.06, 1, 9)[:-1] ** 2
    axis.contour(grid[..., 0], grid[..., 1], values, levels=levels, colors=FAINT, linewidths=0.8, alpha=0.5)
    for walk in walks:
        axis.plot(*walk.T, color=ACCENT, linewidth=1, alpha=0.55)
    axis.plot(*server.T, color=OPEN, marker="o", markersize=5, linewidth=2.2, zorder=3)
    for (name, (x, y)), curvature in zip(minima.items(), curvatures, strict=True):
        axis.plot(x, y, marker="s", color=ACCENT, markersize=6)
        axis.annotate(name, (x, y), (8, 7), textcoords="offset points", color=ACCENT)
        for level in (0.03, 0.15):
            across, up = 2 * np.sqrt(2 * level / np.asarray(curvature))
            axis.add_patch(Ellipse((x, y), across, up, fill=False, edgecolor=ACCENT, linewidth=0.8, alpha=0.6))
    axis.plot(*best, marker="+", color=INK, markersize=15, markeredgewidth=2.2, zorder=4)
    axis.annotate(
        "minimum of\nthe average", best, (0, 11), textcoords="offset points", ha="center", va="bottom", fontsize=10
    )
    axis.annotate("start", server[0], (0, -8), textcoords="offset points", ha="center", va="top", color=OPEN)
    axis.set_xlim(low[0], high[0])
    axis.set_ylim(low[1], high[1])
    rounds, gap = len(server) - 1, float(np.linalg.norm(server[-1] - best))
    alt = (
        f"A plane with contour lines of the average loss, a cross at its minimum and a square at the minimum of each "
        f"of {len(minima)} nodes. The server's path over {rounds} rounds ends {gap:.2f} from the cross; in every round "
        f"one faint path of {len(walks[0]) - 1} steps a node fans out from it towards the node's own square."
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
    drawing, (axis, strip) = new_drawing(5.4, 6.1, nrows=2, height_ratios=[4.6, 1])
    bare(axis).set_aspect("equal")
    axis.set_xlim(-192, 192)
    axis.set_ylim(-176, 182)
    for index, (group, names) in enumerate(groups.items()):
        middle = np.pi / 2 - 2 * np.pi * index / len(groups)
        _label(axis, middle, group, np.asarray(samples[group]))
        step = 0.7 * 2 * np.pi / len(groups) / len(names)
        for place, name in enumerate(names):
            angle, radius = middle + step * ((len(names) - 1) / 2 - place), _RINGS[place % 2]
            _node(axis, angle, radius, accuracies.get(name), chance, name in sampled)
    axis.add_patch(Circle((0, 0), 36, facecolor="none", edgecolor=INK, linewidth=1.8))
    axis.text(0, 0, f"server\nround {len(history)}", ha="center", va="center")
    mean = _draw_history(strip, history, rounds, chance, sent)
    alt = (
        f"A server in the middle of a circle of {len(nodes)} nodes in {len(groups)} groups: {', '.join(groups)}. "
        f"Round {len(history)} of {rounds}: lines join the server to {', '.join(sampled)}. {len(accuracies)} nodes have "
        f"been sampled so far; their discs fill with their accuracy, {mean:.0%} in the mean of the last rounds. "
        f"{_size(sent)} have been sent."
    )
    return Figure(drawing, caption, alt)


def _node(axes: Axes, angle: float, radius: float, accuracy: float | None, chance: float, sampled: bool) -> None:
    """Draw a disc whose filled area grows from chance (empty) to all right (full)."""
    direction = np.array([np.cos(angle), np.sin(angle)])
    if sampled:
        _arrow(axes, tuple(38 * direction), tuple((radius - _DISC - 2) * direction), INK, 1.6, style="<|-|>")
    edge = {"edgecolors": INK, "linewidths": 1.8} if sampled else {"edgecolors": FAINT, "linewidths": 0.8}
    axes.scatter(*radius * direction, s=(2 * _DISC) ** 2, facecolors="none", **edge)
    if accuracy is not None:
        share = max(0.02, (accuracy - chance) / (1 - chance))
        ends = np.outer(direction, (radius, radius + 0.01))  # a round-capped line of no length: a small disc in SVG
        width = 2 * (_DISC - 1.5) * share**0.5
        axes.plot(*ends, color=OPEN, alpha=0.35 + 0.65 * share, linewidth=width, solid_capstyle="round")


def _label(axes: Axes, angle: float, name: str, image: np.ndarray) -> None:
    """Draw a group's sample outside of its nodes, and its name on the far side of it."""
    x, y = (_RINGS[1] + _DISC + 26) * np.cos(angle), (_RINGS[1] + _DISC + 16) * np.sin(angle)
    ink = np.where(image < 0.3, 0, image)  # the paper's noise would be specks at this size
    stencil(axes, ink, extent=(x - 13, x + 13, y - 13, y + 13), zorder=2)
    axes.text(x, y + (20 if np.sin(angle) > 0.3 else -20), name, ha="center", va="center", fontsize=10)


def _draw_history(axes: Axes, history: Sequence[float], rounds: int, chance: float, sent: float) -> float:
    """Draw the running mean of the rounds' accuracies; return its last value."""
    window = min(_WINDOW, len(history))
    smooth = np.convolve(history, np.ones(window) / window, mode="valid")
    across = np.arange(len(history) - len(smooth), len(history)) + 1
    axes.plot(across, smooth, color=OPEN)
    axes.plot(across[-1], smooth[-1], marker="o", color=OPEN)
    axes.annotate(f"{smooth[-1]:.0%}", (across[-1], smooth[-1]), (6, 0), textcoords="offset points", color=OPEN)
    axes.axhline(chance, color=FAINT, linestyle="--", linewidth=1)
    axes.annotate("chance", (rounds, chance), (0, 2), textcoords="offset points", ha="right", fontsize=10)
    axes.set_xlim(0, 1.08 * rounds)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title(f"right after one step; sent so far: {_size(sent)}", loc="left")
    axes.set_xlabel("round")
    return float(smooth[-1])


def _size(count: float) -> str:
    """Return a number of bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _disc(axes: Axes, centre: Sequence[float], radius: float, colour: str, opacity: float = 1) -> None:
    axes.add_patch(Circle(centre, radius, facecolor=colour, alpha=opacity, edgecolor="none", zorder=3))
    if opacity == 0:
        axes.add_patch(Circle(centre, radius, facecolor="none", edgecolor=colour, linewidth=1.2, zorder=3))


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, width: float, style: str = "-|>"
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle=style, mutation_scale=9, color=colour, linewidth=width, shrinkA=0, shrinkB=0
        )
    )
