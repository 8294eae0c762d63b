"""Chapter 4: what a writer draws, which scripts are kept apart, a riddle to solve, and who looks like whom."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil


@page_style
def show_tasks(tasks: Sequence[tuple[str, Tensor, Tensor, Tensor]], caption: str = "") -> Figure:
    """Draw a few tasks below each other: the labelled support examples on the left, some queries on the right.

    tasks: of each a name, support (ways, height, width) in the order of the labels, queries (query, height, width)
        and their labels (query,).
    """
    ways, gap, pitch = len(tasks[0][1]), 0.7, 2.6
    drawing, axes = new_drawing(5.4, 1.02 * len(tasks) + 0.3)
    for row, (name, support, queries, labels) in enumerate(tasks):
        top, start = pitch * row, ways + gap
        axes.text(0, top - 0.12, name, color=FAINT, va="bottom")
        _strip(axes, support, 0, top)
        _strip(axes, queries, start, top, "open")
        axes.add_patch(Rectangle((0, top), ways, 1, fill=False, edgecolor=FAINT, linewidth=1.5))
        for x, label in enumerate([*range(ways), *labels.tolist()]):
            left, colour = (x, INK) if x < ways else (x + gap, OPEN)
            axes.text(left + 0.5, top + 1.08, label, ha="center", va="top", fontsize=10, color=colour)
    axes.text(ways / 2, -1.15, "support", ha="center", fontweight="bold")
    axes.text(start + len(labels) / 2, -1.15, "query", ha="center", fontweight="bold", color=OPEN)
    _frame_of(axes, start + len(labels), pitch * len(tasks) - 0.9, top=-1.8)
    alt = (
        f"{len(tasks)} rows, a task each: {', '.join(task[0] for task in tasks)}. On the left {ways} characters in a "
        f"frame, numbered 0 to {ways - 1}; on the right, in another colour, {len(labels)} further drawings of them and "
        "their numbers. The same number stands for another character in each row."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_writers(rows: Mapping[str, Tensor], caption: str = "") -> Figure:
    """Draw how each writer draws one and the same character, a row a writer.

    rows: a writer's name and examples, (example, height, width), 0 to 1.
    """
    count = len(next(iter(rows.values())))
    drawing, axes = new_drawing(5.4, 0.56 * len(rows) + 0.1)
    for row, (name, images) in enumerate(rows.items()):
        axes.text(-0.25, row + 0.5, name, ha="right", va="center")
        _strip(axes, images, 0, row)
    _frame_of(axes, count, len(rows), left=-2.2)
    alt = f"One character drawn {len(rows) * count} times, a row for each of {', '.join(rows)}. "
    alt += "Along a row the drawings tilt, bend and swell a little; from row to row typeface and pen change."
    return Figure(drawing, caption, alt)


@page_style
def show_split(splits: Mapping[str, Mapping[str, Tensor]], characters: Mapping[str, int], caption: str = "") -> Figure:
    """Draw every script as a card of its characters: train above, validation (dashed) and test (heavy) below.

    splits: "train", "validation" and "test", of each a script's name and ten examples, (10, height, width).
    characters: how many characters each script has.
    """
    above, below = -(-len(splits["train"]) // 3), max(len(splits["validation"]), -(-len(splits["test"]) // 2))
    drawing, axes = new_drawing(5.4, 0.0535 * (29 * (above + below) + 21))
    places = {  # left, top, columns, what it is for
        "train": (0, 0, 3, "learn"),
        "validation": (0, 29 * above + 13, 1, "choose"),
        "test": (34, 29 * above + 13, 2, "look once"),
    }
    for split, (left, top, columns, purpose) in places.items():
        heading = f"{split}: {purpose}" if columns == 3 else f"{split}:\n{purpose}"
        axes.text(left, top + 5.5, heading, va="bottom", fontweight="bold", color=_split_style(split)[1])
        for index, (script, images) in enumerate(splits[split].items()):
            corner = left + 34 * (index % columns), top + 7 + 29 * (index // columns)
            _card(axes, *corner, split, script, characters[script], images)
    _frame_of(axes, 100, 29 * (above + below) + 18, left=-1, top=-1)
    told = "; ".join(f"{split}: {', '.join(scripts)}" for split, scripts in splits.items())
    alt = f"Cards of small drawn characters, one for each script, in three groups. {told}. The groups' frames differ."
    return Figure(drawing, caption, alt)


@page_style
def show_warp(
    images: Tensor, strengths: Sequence[float], accuracies: Sequence[float], index: int, caption: str = ""
) -> Figure:
    """Draw one frame of the way from clean type to scrawl: a few drawings, and where on the curve they lie.

    images: (character, example, height, width), 0 to 1, drawn at strength number `index`.
    strengths, accuracies: the whole curve, accuracies as shares.
    """
    images = np.asarray(images)
    drawing, (table, axis) = new_drawing(5, 2.6, ncols=2, width_ratios=[images.shape[0], 0.9 * images.shape[0]])
    for row in range(images.shape[1]):
        _strip(table, images[:, row], 0, row)
    _frame_of(table, *images.shape[:2])
    table.set_anchor("W")
    axis.plot(strengths, accuracies, color=FAINT)
    axis.plot(strengths[index], accuracies[index], marker="o", markersize=9, color=OPEN)
    style = {"textcoords": "offset points", "color": OPEN}
    axis.annotate(f"{accuracies[index]:.0%}", (strengths[index], accuracies[index]), (8, 3), **style)
    axis.axhline(0.2, color=FAINT, linestyle=":", linewidth=1.5)
    axis.text(0, 0.185, "chance", va="top", fontsize=10)
    axis.set_ylim(0, 1.1)
    axis.set_yticks([0, 0.5, 1])
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("warp")
    axis.set_title("nearest in pixels is right", loc="left")
    alt = f"On the left {images.shape[0]} characters, {images.shape[1]} drawings of each, warp {strengths[index]:.2f}. "
    alt += f"On the right accuracy falls along a curve with warp, a mark on it at {accuracies[index]:.0%}."
    return Figure(drawing, caption, alt)


@page_style
def show_riddle(support: Tensor, query: Tensor, label: int, answer: int | None = None, caption: str = "") -> Figure:
    """Draw a task of one query: a riddle while `answer` is None, else solved, with that answer marked right or wrong.

    support: (ways, height, width), 0 to 1, in the order of the labels; query: (height, width).
    label: the true class; answer: somebody's answer.
    """
    ways, right = len(support), answer == label
    drawing, axes = new_drawing(3.9, 3.05)
    _strip(axes, support, 0, 0)
    for column in range(ways):
        axes.text(column + 0.5, -0.08, column, ha="center", va="bottom")
    stencil(axes, np.asarray(query), "open", extent=(0.4, 2.1, 3.35, 1.65))
    axes.text(0.25, 2.5, "?" if answer is None else str(label), color=OPEN, ha="right", va="center", fontsize=18)
    text = f"It is {label}.\nThe nearest in pixels\nis {answer}: {'right' if right else 'wrong'}."
    text = f"Which of the {ways}\nis it?" if answer is None else text
    marks = {} if answer is None else {answer: ("pixels", ACCENT, "--"), label: ("true", OPEN, "-")}
    for column, (word, colour, line) in marks.items():
        style = {"fill": False, "edgecolor": colour, "linestyle": line, "linewidth": 2.5}
        axes.add_patch(Rectangle((column + 0.03, 0.03), 0.94, 0.94, **style))
        axes.text(column + 0.5, 1.06, word, color=colour, ha="center", va="top", fontsize=10)
    axes.text(2.4, 2.5, text, va="center", fontsize=12)
    _frame_of(axes, ways, 3.4, top=-0.5)
    told = "A question mark asks which." if answer is None else text.replace("\n", " ")
    alt = f"{ways} different characters in a row, numbered 0 to {ways - 1}, and below them one larger drawing. {told}"
    return Figure(drawing, caption, alt)


@page_style
def show_accuracies(rows: Sequence[tuple[str, float, float]], ours: Sequence[int] = (), caption: str = "") -> Figure:
    """Draw accuracies as bars with their 95 % intervals, chance of five classes dotted.

    rows: a label, an accuracy and the half width of its interval, as shares; ours: the rows to draw as learnt.
    """
    drawing, axis = new_drawing(5.4, 0.62 * len(rows) + 0.7)
    for row, (label, accuracy, ci95) in enumerate(rows):
        colour = OPEN if row in ours else INK
        axis.barh(row, accuracy, height=0.26, color=colour, alpha=0.8, zorder=1)
        axis.errorbar(accuracy, row, xerr=ci95, color=colour, capsize=4, linewidth=1.5)
        axis.text(0.0, row - 0.2, label, va="bottom", color=colour)
        axis.text(accuracy + ci95 + 0.015, row, f"{accuracy:.0%}", va="center", color=colour)
        axis.plot([0.2, 0.2], [row - 0.15, row + 0.5], color=FAINT, linestyle=":", linewidth=1.5, zorder=0)
    axis.set_xlim(0, 1.08)
    axis.set_ylim(len(rows) - 0.6, -0.75)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("accuracy; dotted: chance")
    told = "; ".join(f"{label}: {accuracy:.0%}" for label, accuracy, _ in rows)
    return Figure(drawing, caption, f"Horizontal bars of accuracy. {told}. A dotted line marks chance, 20%.")


@page_style
def show_twins(pairs: Sequence[tuple[Tensor, Tensor, str, float]], caption: str = "") -> Figure:
    """Draw pairs of characters that are one shape: the held-out one, its twin, whose it is and how alike they are.

    pairs: (held-out (height, width), trained (height, width), the twin's script, correlation).
    """
    columns, rows = 5, -(-len(pairs) // 5)
    drawing, axes = new_drawing(5.4, 0.87 * rows + 0.05)
    for index, (held_out, trained, script, correlation) in enumerate(pairs):
        left, top = 2.35 * (index % columns), 1.9 * (index // columns)
        _strip(axes, [held_out], left, top, "accent")
        _strip(axes, [trained], left + 1, top)
        axes.text(left + 1, top + 1.02, f"{script}\n{correlation:.2f}", ha="center", va="top", fontsize=10)
    _frame_of(axes, 2.35 * columns - 0.35, 1.9 * rows)
    told, least = ", ".join(dict.fromkeys(pair[2] for pair in pairs)), min(pair[3] for pair in pairs)
    alt = f"{len(pairs)} pairs of characters, each held-out one in another colour, beside its trained twin from {told}."
    alt += f" The least alike correlate by {least:.2f}."
    return Figure(drawing, caption, alt)


@page_style
def show_likeness(glyphs: Tensor, likeness: Sequence[float], threshold: float, caption: str = "") -> Figure:
    """Draw characters heaped up by how much they look like a trained one; beyond the threshold they are dropped.

    glyphs: (character, height, width), 0 to 1; likeness: (character,), correlation with the most similar trained one.
    """
    likeness, width = np.asarray(likeness), 0.02
    bins = np.ceil((likeness.clip(max=1 - 1e-6) - threshold) / width).astype(int) - 1  # an edge lies at it
    first, last = int(bins.min()), int(bins.max()) + 1
    heights = np.zeros(last - first, dtype=int)
    tallest = np.bincount(bins - first).max()
    drawing, axes = new_drawing(5.4, 5.3 / (last - first) * (tallest + 1.6) + 0.6)
    for index in np.argsort(likeness):
        role = "accent" if likeness[index] > threshold else "ink"
        heights[bins[index] - first] += 1
        _strip(axes, [glyphs[index]], bins[index], -heights[bins[index] - first], role)
    axes.axvline(0, color=ACCENT, linestyle="--", linewidth=1.5)
    count = int((likeness > threshold).sum())
    axes.text(0.3, -tallest - 0.4, f"{count} dropped", color=ACCENT, va="bottom")
    axes.text(-0.3, -tallest - 0.4, f"{len(likeness) - count} kept", ha="right", va="bottom")
    _frame_of(axes, last, 0, left=first, top=-tallest - 1.6)
    ticks = [tick for tick in range(first, last + 1) if tick % 5 == 0]
    axes.set_axis_on()
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.set_xticks(ticks, [f"{threshold + width * tick:.1f}" for tick in ticks])
    axes.set_xlabel("likeness to the most similar trained character")
    alt = (
        f"Held-out characters piled up by likeness to a trained one, lowest on the left. A dashed line at "
        f"{threshold:.2f} cuts off the right end: {count} of {len(likeness)} characters are right of it and dropped."
    )
    return Figure(drawing, caption, alt)


def _strip(axes: Axes, images: Sequence, left: float, top: float, role: str = "ink", size: float = 1) -> None:
    """Draw images (image, height, width) side by side as one picture, each one `size` units wide."""
    strip = np.concatenate([np.asarray(image) for image in images], axis=1)
    stencil(axes, strip, role, extent=(left, left + len(images) * size, top + size, top))


def _frame_of(axes: Axes, right: float, bottom: float, left: float = 0, top: float = 0) -> None:
    """Make a picture's plane: nothing but what lies in this box, the same scale in both directions."""
    bare(axes).set_aspect("equal")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _split_style(split: str) -> tuple[str, str, str, float]:
    """The role and colour of a split's characters, its frame's line style and width."""
    styles = {"train": ("ink", INK, "-", 1), "validation": ("ink", INK, "--", 1.5)}
    return styles.get(split, ("accent", ACCENT, "-", 2.5))


def _card(axes: Axes, left: float, top: float, split: str, script: str, count: int, images: Tensor) -> None:
    role, colour, line, width = _split_style(split)
    style = {"edgecolor": FAINT if split != "test" else ACCENT, "linestyle": line, "linewidth": width, "fill": False}
    axes.add_patch(FancyBboxPatch((left, top), 31, 26, boxstyle="round,pad=0,rounding_size=2", **style))
    for row, place in ((images[:5], 1), (images[5:], 6.6)):
        _strip(axes, row, left + 1.5, top + place, role, size=5.6)
    axes.text(left + 15.5, top + 16.5, script, ha="center", va="center", color=colour)
    axes.text(left + 15.5, top + 22, f"{count} characters", ha="center", va="center", fontsize=10, color=colour)
