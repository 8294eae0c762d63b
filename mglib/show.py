"""What a user of the library wants to see: a training, one step, a gate map, what accuracy costs, input by input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, image_column, new_drawing, page_style, stencil

if TYPE_CHECKING:
    import ipywidgets as widgets

__all__ = ["Figure", "flip_book", "gate_explorer", "show_frontier", "show_gate_map", "show_step", "show_training"]


@page_style
def show_training(history: Sequence[Mapping[str, float]], caption: str = "") -> Figure:
    """Draw loss, accuracy, open filters and MACs of a training against its rounds, each as a running mean.

    history: a round's metrics after adaptation, over the sampled nodes: `loss`, `accuracy`, `open_rate`,
        `macs_ratio` and the `budget` in force.

    Raises ValueError if there is no round, or one does not say them: those of a private training do not.
    """
    window = max(1, len(history) // 25)
    curves = (("loss", 0, INK), ("accuracy", 1, INK), ("open_rate", 2, OPEN), ("macs_ratio", 2, INK))
    needed = {"budget", *(name for name, *_ in curves)}
    if not history or any(needed - metrics.keys() for metrics in history):
        raise ValueError(f"the history does not say {', '.join(sorted(needed))} of each round; a private one cannot")
    drawing, axes = new_drawing(5.4, 5.8, nrows=3, sharex=True, height_ratios=[1, 1, 1.3])
    ends = {}
    for name, row, colour in curves:
        values = np.array([metrics[name] for metrics in history])
        smooth = np.convolve(values, np.ones(window) / window, mode="valid")
        axes[row].plot(values, color=colour, linewidth=0.6, alpha=0.3)
        axes[row].plot(np.arange(len(smooth)) + window - 1, smooth, color=colour)
        ends[name] = (smooth[0], smooth[-1], smooth.max())
    axes[2].plot([metrics["budget"] for metrics in history], color=FAINT, linestyle="--", linewidth=1.5)
    highest = np.nanmax([1.3 * ends["loss"][0], 1.05 * ends["loss"][2]])  # also if the training diverges
    for row, (label, top) in enumerate((("query loss", highest), ("query accuracy", 1), ("share", 1.1))):
        axes[row].set_ylabel(label)
        axes[row].set_ylim(0, top)
    for label, y, colour, side in (
        ("open filters", ends["open_rate"][1], OPEN, "bottom"),
        ("MACs, and the budget dashed", ends["macs_ratio"][1] - 0.06, INK, "top"),
    ):
        axes[2].annotate(label, (len(history) - 1, y), color=colour, ha="right", va=side)
    axes[2].set_xlabel("round")
    told = ", ".join(f"{name.replace('_', ' ')} from {ends[name][0]:.2f} to {ends[name][1]:.2f}" for name in ends)
    return Figure(drawing, caption, f"Four curves over {len(history)} rounds, running means: {told}.")


@page_style
def show_step(
    support: Tensor, queries: Tensor, labels: Tensor, before: Tensor, after: Tensor, caption: str = ""
) -> Figure:
    """Draw what one step of adaptation changes: each query's probabilities for the task's classes, before and after.

    support: (ways, height, width), one example a class; queries: (query, height, width).
    labels: (query,); before, after: (query, ways), probabilities.

    Raises ValueError if there is not one support image a class.
    """
    support, queries, labels = _one_a_class(support, after), np.asarray(queries), np.asarray(labels)
    ways, right = len(support), []
    drawing, axes = new_drawing(5.4, 0.45 * len(queries) + 1.1, ncols=3, width_ratios=[1, ways, ways])
    image_column(bare(axes[0]), queries, np.arange(len(queries)))
    axes[0].set_ylim(len(queries), -1.1)
    for axis, (title, probabilities) in zip(axes[1:], (("before", before), ("after one step", after)), strict=True):
        probabilities = np.asarray(probabilities)
        stencil(bare(axis), probabilities, "open", extent=(0, ways, len(queries), 0), aspect="auto")
        header = np.concatenate([np.pad(image, 3) for image in support], axis=1)
        stencil(axis, header, extent=(0, ways, -0.05, -1.05), aspect="auto")
        hits = probabilities.argmax(1) == labels
        right.append(int(hits.sum()))
        for row, (label, hit) in enumerate(zip(labels, hits, strict=True)):
            colour = INK if hit else ACCENT
            axis.add_patch(Rectangle((label + 0.04, row + 0.06), 0.92, 0.88, fill=False, ec=colour, lw=1.5))
        axis.set_xlim(0, ways)
        axis.set_ylim(len(queries), -1.1)
        axis.set_title(f"{title}: {right[-1]} of {len(labels)} right")
    alt = (
        f"Two tables of shaded cells, a row for each of {len(labels)} query images and a column for each of {ways} "
        f"classes; stronger is more probable, a frame marks the true class. Before the step {right[0]} rows are "
        f"strongest in their frame, after it {right[1]}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_gate_map(images: Tensor, gates: Sequence[Tensor], caption: str = "", groups: int = 1) -> Figure:
    """Draw which filters open, a row for each input, a column for each filter, layer beside layer.

    images: (input, height, width); gates: a gated layer, (input, filter) of zeros and ones.
    groups: number of equally large groups of consecutive inputs, set apart by a gap.

    Raises ValueError if the network has no gates, if they are of other inputs, or if these do not make such groups.
    """
    if not gates or any(len(gate) != len(images) for gate in gates):
        raise ValueError(f"need a row of gates for each of {len(images)} images; a dense network has none")
    images, gates = np.asarray(images), [np.asarray(gate) for gate in gates]
    if groups < 1 or len(images) % groups:
        raise ValueError(f"`groups` (={groups}) must be equally large groups of {len(images)} inputs")
    rows, each = len(images), len(images) // groups
    tops = np.arange(rows) + 0.6 * (np.arange(rows) // each)  # a gap after each group
    drawing, axes = new_drawing(
        5.4, 0.24 * (tops[-1] + 1) + 0.6, ncols=1 + len(gates), width_ratios=[7, *(gate.shape[1] for gate in gates)]
    )
    image_column(bare(axes[0]), images, tops)
    for index, (axis, gate) in enumerate(zip(axes[1:], gates, strict=True)):
        axis.set_title(f"layer {index + 1}\n{gate.mean():.0%} open", fontsize=10)
        for first in range(0, rows, each):
            cells, top = gate[first : first + each], tops[first]
            extent = (0, cells.shape[1], top + len(cells), top)
            stencil(bare(axis), 0.1 + 0.9 * cells, "open", extent=extent, aspect="auto")
    for axis in axes:
        axis.set_ylim(tops[-1] + 1, 0)
    shares = ", ".join(f"{gate.mean():.0%} in layer {index + 1}" for index, gate in enumerate(gates))
    alt = (
        f"A grid of cells, a row for each of {rows} input characters, a column for each filter of {len(gates)} layers; "
        f"filled cells are open filters: {shares}. Some columns are filled or empty for all rows, others change with "
        "the input."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_frontier(points: Sequence[Mapping], dense_macs: float, caption: str = "") -> Figure:
    """Draw accuracy against MACs, one mark a network with its 95 % interval.

    points: records with `label`, `macs` (of one example), `accuracy`, `ci95` and `method`.
    dense_macs: MACs of the network that counts as one.
    """
    styles = {"metagater": (OPEN, "o"), "maml": (INK, "s")}  # colour, mark
    drawing, axis = new_drawing(5.4, 4)
    for point in points:
        colour, marker = styles.get(point["method"], (ACCENT, "D"))
        x, y = point["macs"] / dense_macs, point["accuracy"]
        axis.errorbar(x, y, point["ci95"], color=colour, marker=marker, markersize=8, capsize=3)
        way, side = (-1, "top") if point["method"] == "maml" else (1, "bottom")  # each label on a side of its own
        end = (x, y + way * point["ci95"])
        axis.annotate(point["label"], end, (0, 5 * way), textcoords="offset points", ha="center", va=side, color=colour)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share of the dense network's MACs, gates included")
    axis.set_ylabel("accuracy after one step")
    axis.set_xlim(0, max(1.1, 1.1 * max(point["macs"] / dense_macs for point in points)))
    axis.margins(y=0.2)
    told = "; ".join(f"{p['label']}: {p['accuracy']:.0%} at {p['macs'] / dense_macs:.0%} of the MACs" for p in points)
    return Figure(drawing, caption, f"Accuracy against multiply-accumulates. {told}.")


def _one_a_class(support: Tensor, probabilities: Tensor) -> np.ndarray:
    if len(support) != probabilities.shape[1]:
        raise ValueError(f"{len(support)} support images for {probabilities.shape[1]} classes: show one of each")
    return np.asarray(support)


def flip_book(frames: Sequence[Figure], description: str, interval: int = 700, opens_at: int = 0) -> widgets.VBox:
    """Return a player over figures: a play button and a slider, linked in the browser without Python.

    Needs ipywidgets, which is in `mglib[show]`.

    frames: shown one at a time; description: what the slider counts; interval: milliseconds a frame when playing.
    opens_at: the frame that a page shows before anyone plays, counted from the first (0) or the last (-1).

    Raises ValueError if there is nothing to show, or no such frame.
    """
    import ipywidgets as widgets

    if not frames:
        raise ValueError("a flip book needs at least one frame")
    last = len(frames) - 1
    if not -len(frames) <= opens_at <= last:
        raise ValueError(f"`opens_at` (={opens_at}) must be a frame of {len(frames)}, counted from 0 or from -1")
    first = opens_at % len(frames)
    play = widgets.Play(value=first, max=last, interval=interval)
    slider = widgets.IntSlider(value=first, max=last, description=description, readout=False)
    stack = widgets.Stack([widgets.HTML(frame._repr_html_()) for frame in frames], selected_index=first)
    widgets.jslink((play, "value"), (slider, "value"))
    widgets.jslink((slider, "value"), (stack, "selected_index"))
    book = widgets.VBox([widgets.HBox([play, slider]), stack])
    book.add_class("mg-explorer")
    return book


def gate_explorer(
    images: Tensor, gates: Sequence[Tensor], probabilities: Tensor, labels: Tensor, support: Tensor, macs: Tensor
) -> widgets.VBox:
    """Return a flip book over inputs: the input, the filters it opens layer by layer, and what the network answers.

    images: (input, height, width); gates: a gated layer, (input, filter); probabilities: (input, ways).
    labels: (input,), the true classes; support: (ways, height, width); macs: (input,), share of the dense MACs.

    Raises ValueError if there is not one support image a class.
    """
    frames = [
        _path(
            np.asarray(images[index]),
            [np.asarray(gate[index]) for gate in gates],
            np.asarray(probabilities[index]),
            int(labels[index]),
            _one_a_class(support, probabilities),
            f"Input {index + 1} of {len(images)}: {float(macs[index]):.0%} of the dense multiply-accumulates.",
        )
        for index in range(len(images))
    ]
    return flip_book(frames, "input")


@page_style
def _path(
    image: np.ndarray, gates: list[np.ndarray], probabilities: np.ndarray, label: int, support: np.ndarray, caption: str
) -> Figure:
    """Return one input's way through the network, from the image on the left to the answer on the right."""
    drawing, axes = new_drawing(4.6, 1.7, ncols=2 + len(gates), width_ratios=[2.2, *[1] * len(gates), 2.6])
    stencil(bare(axes[0]), image)
    axes[0].set_title("input")
    for index, (axis, gate) in enumerate(zip(axes[1:-1], gates, strict=True)):
        cells = np.pad(gate, (0, -len(gate) % 4)).reshape(-1, 4)
        stencil(bare(axis), 0.1 + 0.9 * cells, "open")
        axis.set_xticks([])
        axis.set_title(f"layer {index + 1}\n{int(gate.sum())}/{len(gate)}", fontsize=10)
    _draw_answer(axes[-1], probabilities, label, support)
    answer = int(probabilities.argmax())
    opened = ", ".join(f"{int(gate.sum())} of {len(gate)}" for gate in gates)
    alt = (
        f"{caption} Open filters, layer by layer: {opened}. The answer is class {answer + 1}, "
        f"{'which is right' if answer == label else f'the true one is {label + 1}'}."
    )
    return Figure(drawing, caption, alt)


def _draw_answer(axis, probabilities: np.ndarray, label: int, support: np.ndarray) -> None:
    """Draw one bar a class, its support example beside it; the accent colour marks a wrong answer."""
    ways, wrong = len(probabilities), probabilities.argmax() != label
    for row, probability in enumerate(probabilities):
        best = row == probabilities.argmax()
        axis.barh(row, probability, color=ACCENT if best and wrong else INK if best else FAINT, height=0.6)
        stencil(axis, support[row], extent=(-0.34, -0.04, row + 0.45, row - 0.45), aspect="auto")
    axis.plot(-0.4, label, marker=">", color=INK, clip_on=False)
    bare(axis).set_xlim(-0.42, 1)
    axis.set_ylim(ways - 0.4, -0.6)
    axis.set_box_aspect(1.1)
    axis.set_title("answer")
