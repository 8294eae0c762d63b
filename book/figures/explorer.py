"""A task under the reader's hand: with a kernel the controls compute, a page shows what was computed before."""

import html
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import ipywidgets as widgets
import numpy as np
import torch
from torch import Tensor, nn

import mglib
from mglib.figure import Captioned
from mglib.meta import Stage
from mglib.nets import Objective
from mglib.params import Params
from mglib.tasks import Node

STEPS = (0, 1, 2, 5, 10)
FACTORS = (0, 0.1, 0.5, 1, 2, 5, 10)  # of the rates that the network was trained with
EACH = 5  # queries of a class; the first two of them are drawn
ROW, CELL, GAP, TOP = 26, 3.2, 10, 58  # of the drawing: a row, a filter's least width, between layers, above the rows
INK, ACCENT = "currentColor", "var(--mg-accent, #d9730d)"
OPEN, FAINT = (f'fill="var(--mg-{role}, {tone})"' for role, tone in (("open", "#2f7fd1"), ("faint", "#8a93a0")))


class TaskFigure(Captioned):
    """A drawing written by hand: matplotlib would take longer than a reader's hand waits."""

    def __init__(self, body: str, size: tuple[float, float], caption: str, alt: str):
        """Take the SVG's body and its width and height; see `Captioned` for the others."""
        super().__init__(caption, alt)
        self.svg = (
            f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {size[0]:g} {size[1]:g}" '
            f'style="width: 100%; max-width: 700px" font-size="22">{body}</svg>'
        )

    def _repr_html_(self) -> str:
        return f'<figure class="mg-figure">{self.svg}<figcaption>{html.escape(self.caption)}</figcaption></figure>'


class Explorer(widgets.VBox):
    """A node, a task, both rates and the number of steps; what the adapted network opens, answers and spends.

    In JupyterLab every control makes the kernel adapt and predict anew. A page has no kernel: it shows the first task
    of each node at the trained rates, and hides the controls that would not answer there.
    """

    def __init__(
        self, net: nn.Module, objective: Objective, params: Params, stages: Sequence[Stage], nodes: Sequence[Node]
    ):
        """Take a meta-trained network, its stages, one or two, and the nodes to choose from."""
        self._net, self._objective, self._params = net, objective, params
        self._stages, self._nodes, self._number = stages, nodes, 0
        names = [(node.name, index) for index, node in enumerate(nodes)]
        self.node = widgets.Dropdown(options=names, description="node")
        self.steps = widgets.SelectionSlider(options=STEPS, value=1, description="steps")
        self.rates = [
            widgets.Dropdown(options=[(f"{f * s.learning_rate:g}", f) for f in FACTORS], value=1, description=letter)
            for letter, s in zip("αβ", stages, strict=False)
        ]
        self.draw = widgets.Button(description="draw a task")
        self.shown, self.took = widgets.HTML(), widgets.Label()
        for control in (self.node, self.steps, *self.rates):
            control.observe(self._answer, "value")
        self.draw.on_click(self._next_task)
        live = [widgets.HBox([*self.rates, self.draw, self.took]), self.shown]
        for widget in live:
            widget.add_class("mg-kernel")  # assets/book.css hides it on a page, and shows there what is hidden here
        super().__init__([widgets.HBox([self.node, self.steps]), *live, self._computed_before()])
        self.add_class("mg-explorer")
        self.shown.value = self._frame(0, 1)._repr_html_()

    def _computed_before(self) -> widgets.Stack:
        """Return the first task of each node after each number of steps, linked to the controls in the browser."""
        before = []
        for index in range(len(self._nodes)):
            frames = [widgets.HTML(self._frame(index, steps)._repr_html_()) for steps in STEPS]
            stack = widgets.Stack(frames, selected_index=self.steps.index)
            widgets.jslink((self.steps, "index"), (stack, "selected_index"))
            before.append(stack)
        nodes = widgets.Stack(before, selected_index=0, layout={"display": "none"})
        nodes.add_class("mg-no-kernel")
        widgets.jslink((self.node, "index"), (nodes, "selected_index"))
        return nodes

    def _next_task(self, _: object) -> None:
        self._number += 1
        self._answer()

    def _answer(self, _: object = None) -> None:
        start = perf_counter()
        self.shown.value = self._frame(self.node.value, self.steps.value)._repr_html_()
        self.took.value = f"computed in {1000 * (perf_counter() - start):.0f} ms"

    def _frame(self, index: int, steps: int) -> TaskFigure:
        """Adapt to the node's present task and draw what comes out."""
        node = self._nodes[index]
        ways = self._net.head.out_features
        task = node.sample_task(ways, 1, EACH, np.random.default_rng([index, self._number]))
        stages = [
            replace(stage, steps=steps, learning_rate=rate.value * stage.learning_rate)
            for stage, rate in zip(self._stages, self.rates, strict=True)
            if steps and rate.value
        ]
        adapted = mglib.adapt(self._objective, self._params, task.support, stages) if stages else self._params
        with torch.no_grad():
            prediction = self._objective.predict(adapted, task.query)
        probabilities = prediction.logits.softmax(1)
        right = int((probabilities.argmax(1) == task.query.labels).sum())
        macs = float(mglib.macs_ratio(self._net.costs, prediction.gates).mean())
        caption = (
            f"{node.name}, task {self._number + 1}, steps {steps}: {right} of {ways * EACH} queries right, "
            f"{100 * macs:.1f} % of the dense multiply-accumulates."
        )
        rows = [EACH * label + k for label in range(ways) for k in (0, 1)]
        gates = [gate[rows] for gate in prediction.gates]
        return show_task(
            task.support.images[:, 0], task.query.images[rows, 0], task.query.labels[rows], gates, probabilities[rows],
            caption,
        )  # fmt: skip


def show_task(
    support: Tensor,
    queries: Tensor,
    labels: Tensor,
    gates: Sequence[Tensor],
    probabilities: Tensor,
    caption: str,
) -> TaskFigure:
    """Draw queries, a row each: the character, the filters it opens in each layer, and a probability for each class.

    support: (ways, height, width), one example a class; queries: (query, height, width); labels: (query,).
    gates: a layer, (query, filter); probabilities: (query, ways).
    """
    support, queries, labels = (np.asarray(part) for part in (support, queries, labels))
    probabilities, gates = np.asarray(probabilities), [np.asarray(gate) for gate in gates]
    ways, count, hits = len(support), len(queries), probabilities.argmax(1) == labels
    parts = [_ink(image, 0, TOP + row * ROW) for row, image in enumerate(queries)]
    left = ROW + 2 * GAP
    for layer, gate in enumerate(gates, start=1):
        cell = max(CELL, 80 / gate.shape[1])  # few filters are wide: the title above them needs its room
        opened = [(left + cell * column, TOP + ROW * row) for row, column in np.argwhere(gate)]
        cells = "".join(f"M{x:g} {y + 1:g}h{cell - 0.4:g}v{ROW - 2}h-{cell - 0.4:g}z" for x, y in opened)
        width = cell * gate.shape[1]
        parts.append(f'<rect x="{left:g}" y="{TOP}" width="{width:g}" height="{count * ROW}" {FAINT} opacity="0.15"/>')
        parts.append(f'<path d="{cells}" {OPEN}/>')
        parts += [_text(f"layer {layer}", left + width / 2, 20), _text(f"{gate.mean():.0%}", left + width / 2, 46)]
        left += width + GAP
    left += GAP
    for label, image in enumerate(support):
        parts.append(_ink(image, left + label * ROW, TOP - ROW - 4))
    for row, (label, hit) in enumerate(zip(labels, hits, strict=True)):
        for column, share in enumerate(probabilities[row]):
            place = f'x="{left + column * ROW:g}" y="{TOP + row * ROW}" width="{ROW}" height="{ROW}"'
            parts.append(f'<rect {place} {OPEN} opacity="{share:.2f}"/>')
        place = f'x="{left + label * ROW + 1.5:g}" y="{TOP + row * ROW + 1.5}" width="{ROW - 3}" height="{ROW - 3}"'
        parts.append(f'<rect {place} fill="none" stroke="{INK if hit else ACCENT}" stroke-width="2.5"/>')
    told = ", ".join(f"{gate.mean():.0%} in layer {layer}" for layer, gate in enumerate(gates, start=1)) or "all"
    alt = (
        f"{count} rows: a character, the filters it opens, and its probabilities for {ways} classes, a frame around "
        f"the true one. Open are {told}. In {int(hits.sum())} rows the true class is the most probable. {caption}"
    )
    return TaskFigure("".join(parts), (left + ways * ROW, TOP + count * ROW), caption, alt)


def _text(words: str, x: float, y: float) -> str:
    return f'<text x="{x:g}" y="{y}" text-anchor="middle" fill="currentColor">{words}</text>'


def _ink(image: np.ndarray, x: float, y: float) -> str:
    """Return an image (height, width), 0 to 1, as runs of pixels in two tones."""
    paths = []
    for low, high, opacity in ((0.2, 0.6, 0.45), (0.6, 2, 1)):
        inked = np.pad((image >= low) & (image < high), ((0, 0), (1, 1))).astype(int)
        turns = np.argwhere(np.diff(inked, axis=1)).reshape(-1, 2, 2)  # where a run begins and ends
        runs = "".join(f"M{begin} {row}h{end - begin}v1h{begin - end}z" for (row, begin), (_, end) in turns)
        paths.append(f'<path d="{runs}" fill="currentColor" opacity="{opacity}"/>')
    scale = (ROW - 2) / image.shape[0]
    return f'<g transform="translate({x + 1:g} {y + 1:g}) scale({scale:.4g})">{"".join(paths)}</g>'
