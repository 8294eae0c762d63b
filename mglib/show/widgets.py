"""Widgets that work on a rendered page, where no kernel answers: everything they can show is drawn beforehand."""

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
from torch import Tensor

from mglib.show.figures import ACCENT, FAINT, INK, Figure, bare, new_drawing, page_style, stencil


def flip_book(frames: Sequence[Figure], description: str, interval: int = 700) -> widgets.VBox:
    """Return a player over figures: a play button and a slider, linked in the browser without Python.

    frames: shown one at a time; description: what the slider counts; interval: milliseconds a frame when playing.

    Raises:
        ValueError: if there is nothing to show.
    """
    if not frames:
        raise ValueError("a flip book needs at least one frame")
    last = len(frames) - 1
    play = widgets.Play(max=last, interval=interval)
    slider = widgets.IntSlider(max=last, description=description, readout=False)
    stack = widgets.Stack([widgets.HTML(frame._repr_html_()) for frame in frames], selected_index=0)
    widgets.jslink((play, "value"), (slider, "value"))
    widgets.jslink((slider, "value"), (stack, "selected_index"))
    book = widgets.VBox([widgets.HBox([play, slider]), stack])
    book.add_class("mg-explorer")
    return book


def gate_explorer(
    images: Tensor,
    gates: Sequence[Tensor],
    probabilities: Tensor,
    labels: Tensor,
    support: Tensor,
    macs: Tensor,
) -> widgets.VBox:
    """Return a flip book over inputs: the input, the filters it opens layer by layer, and what the network answers.

    images: (input, height, width); gates: a gated layer, (input, filter); probabilities: (input, ways).
    labels: (input,), the true classes; support: (ways, height, width); macs: (input,), share of the dense MACs.
    """
    frames = [
        _frame(
            np.asarray(images[index]),
            [np.asarray(gate[index]) for gate in gates],
            np.asarray(probabilities[index]),
            int(labels[index]),
            np.asarray(support),
            f"Input {index + 1} of {len(images)}: {float(macs[index]):.0%} of the dense multiply-accumulates.",
        )
        for index in range(len(images))
    ]
    return flip_book(frames, "input")


@page_style
def _frame(
    image: np.ndarray,
    gates: list[np.ndarray],
    probabilities: np.ndarray,
    label: int,
    support: np.ndarray,
    caption: str,
) -> Figure:
    """Return one input's way through the network, from the image on the left to the answer on the right."""
    drawing, axes = new_drawing(4.6, 1.7, ncols=2 + len(gates), width_ratios=[2.2, *[1] * len(gates), 2.6])
    stencil(bare(axes[0]), image)
    axes[0].set_title("input")
    for index, (axis, gate) in enumerate(zip(axes[1:-1], gates, strict=True)):
        columns = 4
        cells = np.pad(gate, (0, -len(gate) % columns)).reshape(-1, columns)
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
