"""Chapter 19: which filters open for which question, and how rates of adaptation grow as a federation trains."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import NullFormatter

from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

_LINES = ((INK, "-"), (OPEN, "--"), (ACCENT, "-."), (FAINT, ":"))


@page_style
def show_opened(panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]], caption: str = "") -> Figure:
    """Draw how often each filter opens: a panel a moment, in it a row a question, layer beside layer.

    panels: a moment's name, and for each question the share of images that open a filter, (filter,), by layer.
    """
    first = next(iter(next(iter(panels.values())).values()))
    widths = [len(layer) for layer in first]
    rows = len(next(iter(panels.values())))
    drawing, axes = new_drawing(
        5.4, len(panels) * (0.34 * rows + 0.55), nrows=len(panels), ncols=len(widths), squeeze=False
    )
    told = []
    for line, (moment, questions) in zip(axes, panels.items(), strict=True):
        for place, axis in enumerate(line):
            shares = np.array([layers[place] for layers in questions.values()])
            last = np.array([layers[place] for layers in list(panels.values())[-1].values()])
            cells = 0.06 + 0.94 * shares[:, np.argsort(-last.mean(0), kind="stable")]  # as the last moment sorts them
            stencil(bare(axis), cells, "open", extent=(0, widths[place], rows, 0), aspect="auto")
            axis.set_title(f"layer {place + 1}" if line is axes[0] else "", fontsize=10)
            told.append(f"{moment}, layer {place + 1}: {shares.mean():.0%} open")
        line[0].text(0, -0.12, moment, fontweight="bold", va="bottom", transform=line[0].transData)
        for row, question in enumerate(questions):
            line[0].text(-1, row + 0.5, question, ha="right", va="center", fontsize=10)
    alt = (
        f"A table of cells for each moment, a row for each of {rows} questions, a column for each filter; the stronger "
        f"a cell, the more images open the filter. {'; '.join(told)}."
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
        for (name, rates), (colour, style) in zip(courses.items(), _LINES, strict=True):
            across = np.linspace(0, rounds, len(rates), endpoint=False)
            axis.plot(across, rates, color=colour, linestyle=style, label=name)
            told.append(f"{stage}, {name}: from {rates[0]:.2g} to {rates[-1]:.2g}")
        axis.set_yscale("log")
        ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5) if min(map(min, courses.values())) * 0.8 <= tick]
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_title(stage, loc="left")
        axis.legend(frameon=False, fontsize=10, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes[-1, 0].set_xlabel("round")
    return Figure(drawing, caption, f"Lines of rates over {rounds} rounds. {'; '.join(told)}.")
