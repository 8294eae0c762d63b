"""Chapter 19: which filters open for which question, and how rates of adaptation grow as a federation trains."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import NullFormatter

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

_LINES = ((INK, "-"), (OPEN, "--"), (ACCENT, "-."), (FAINT, ":"))


@page_style
def show_opened(moments: Mapping[str, Mapping[str, Sequence[np.ndarray]]], moment: str, caption: str = "") -> Figure:
    """Draw how often each filter opens at one of several moments: a row a question, layer beside layer.

    moments: a moment's name, and for each question the share of images that open a filter, (filter,), by layer. The
    last moment decides the order of the filters, so that drawings of several moments can be compared.
    """
    questions, last = moments[moment], list(moments.values())[-1]
    widths = [len(layer) for layer in next(iter(questions.values()))]
    drawing, axes = new_drawing(5.4, 0.34 * len(questions) + 0.55, ncols=len(widths), squeeze=False)
    told = []
    for place, axis in enumerate(axes[0]):
        shares = np.array([layers[place] for layers in questions.values()])
        order = np.argsort(-np.mean([layers[place] for layers in last.values()], axis=0), kind="stable")
        cells = 0.06 + 0.94 * shares[:, order]
        stencil(bare(axis), cells, "open", extent=(0, widths[place], len(questions), 0), aspect="auto")
        axis.set_title(f"layer {place + 1}", fontsize=10)
        told.append(f"layer {place + 1}: {shares.mean():.0%} open")
    for row, question in enumerate(questions):
        axes[0, 0].text(-1, row + 0.5, question, ha="right", va="center", fontsize=10)
    alt = (
        f"A table of cells, {moment}: a row for each of {len(questions)} questions, a column for each filter; the "
        f"stronger a cell, the more images open the filter. {'; '.join(told)}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_rates(stages: Mapping[str, Mapping[str, Sequence[float]]], rounds: int, caption: str = "") -> Figure:
    """Draw rates of adaptation against the rounds of training, on a logarithmic scale, a panel a stage.

    stages: a stage's name, and the course of up to four rates by name, at equal distances over all rounds.
    """
    drawing, axes = new_drawing(5.4, 2.5 * len(stages), nrows=len(stages), sharex=True, squeeze=False)
    told = []
    for axis, (stage, courses) in zip(axes[:, 0], stages.items(), strict=True):
        for (name, rates), (colour, style) in zip(courses.items(), _LINES, strict=False):
            across = np.linspace(0, rounds, len(rates), endpoint=False)
            axis.plot(across, rates, color=colour, linestyle=style, label=name)
            told.append(f"{stage}, {name}: from {rates[0]:.2g} to {rates[-1]:.2g}")
        axis.set_yscale("log")
        start, lowest = round(next(iter(courses.values()))[0], 2), min(map(min, courses.values()))
        ticks = sorted({start, *(tick for tick in (0.1, 0.2, 1, 2, 3, 5) if tick >= 0.8 * lowest)})
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_ylabel("rate, log scale")
        axis.set_title(stage, loc="left")
        axis.legend(frameon=False, fontsize=10, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes[-1, 0].set_xlabel("round")
    return Figure(drawing, caption, f"Lines of rates over {rounds} rounds. {'; '.join(told)}.")
