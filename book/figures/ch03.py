"""Chapter 3: what a budget asks for, what training makes of it, and what the gates look at."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from figures.style import arrow
from mglib.figure import ACCENT, FAINT, INK, OPEN, ROLES, Figure, bare, new_drawing, page_style, stencil

_COLUMNS = 16  # cells in a row of a layer's filters


@page_style
def show_penalties(budget: float, caption: str = "") -> Figure:
    """Draw what a network pays for its MACs: a plain price, the hinge at `budget`, and the hinges on the way there.

    budget: share of the dense MACs, in (0, 1).
    """
    drawing, axis = new_drawing(5.4, 3.5)
    share = np.linspace(0, 1, 201)
    for start in np.linspace(1, budget, 5)[1:-1]:
        axis.plot(share, np.maximum(share - start, 0), color=OPEN, linewidth=1, linestyle=":")
    axis.plot(share, share, color=ACCENT)
    axis.plot(share, np.maximum(share - budget, 0), color=OPEN)
    for x in (0.2, 0.45, 0.7, 0.95):
        arrow(axis, (x, x), (x - 0.1, x), ACCENT, size=11)
        if x > budget + 0.1:
            arrow(axis, (x, x - budget), (x - 0.1, x - budget), OPEN, size=11)
    axis.text(0.42, 0.53, "a price: always pushes", ha="right", color=ACCENT)
    axis.text(budget / 2, 0.03, "the hinge: free", ha="center", color=OPEN)
    axis.text(budget + 0.03, 0.36 * 2 * (1 - budget), "then it pushes", color=OPEN)
    axis.axvline(budget, color=FAINT, linestyle="--", linewidth=1.5)
    axis.text(budget + 0.02, 1.0, "budget", color=INK, va="top", ha="left")
    axis.set_xlabel("share of the dense network's MACs")
    axis.set_ylabel("penalty, in units of λ")
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlim(0, 1.02)
    axis.set_ylim(-0.02, 1.05)
    alt = (
        "Penalty against the share of multiply-accumulates. A straight line from the origin, the plain price, pushes "
        f"to the left everywhere. The hinge is zero up to the budget of {budget:.0%} and rises beyond it; dotted "
        "hinges to its right are those of the budgets on the way there."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_paths(paths: Sequence[Mapping], budget: float, caption: str = "") -> Figure:
    """Draw trainings as paths in the plane of MACs and test accuracy, a dot for each record.

    paths: records with `label`, `macs` and `accuracy` (a sequence each, shares), `role`, the colour's, and `side`:
        above, to label the path's end, or left or right, to label it half-way up.
    budget: share of the dense MACs, drawn as a line.

    Raises:
        ValueError: if a side is none of these.
    """
    drawing, axis = new_drawing(5.4, 4.4)
    axis.axvline(budget, color=FAINT, linestyle="--", linewidth=1.5)
    axis.text(budget + 0.015, 0.98, "budget", color=INK, ha="left", va="top")
    places = {"above": ((0, 10), "center"), "left": ((-9, 0), "right"), "right": ((9, 0), "left")}
    for path in paths:
        if path["side"] not in places:
            raise ValueError(f"`side` (={path['side']!r}) must be one of {', '.join(places)}")
        offset, align = places[path["side"]]
        macs, accuracy, colour = np.asarray(path["macs"]), np.asarray(path["accuracy"]), ROLES[path["role"]][0]
        axis.plot(macs, accuracy, color=colour, marker="o", markersize=3, linewidth=1.3)
        axis.plot(macs[-1], accuracy[-1], color=colour, marker="o", markersize=8)
        at = -1 if path["side"] == "above" else int(np.abs(accuracy - 0.5 * accuracy[-1]).argmin())
        axis.annotate(
            path["label"], (macs[at], accuracy[at]), offset, textcoords="offset points", ha=align, va="center",
            color=colour if path["role"] != "faint" else INK,
        )  # fmt: skip
    for axis_of in (axis.xaxis, axis.yaxis):
        axis_of.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share of the dense network's MACs, gates included")
    axis.set_ylabel("test accuracy")
    axis.set_xlim(-0.04, 1.06)
    axis.set_ylim(0, 1)
    told = "; ".join(
        f"{path['label']} ends at {path['macs'][-1]:.0%} of the MACs with {path['accuracy'][-1]:.0%} right"
        for path in paths
    )
    alt = f"Paths of trainings from the dense network's MACs and no accuracy, upwards and to the left: {told}."
    return Figure(drawing, caption, alt)


def open_share_frames(histories: Mapping[str, Sequence[Mapping]], budget: float) -> list[Figure]:
    """Return a figure a record: side by side, for each training, the share of inputs that open each filter.

    histories: a training's name and its records, with `step`, `accuracy`, `macs` (share of the dense MACs) and
        `rates`, a gated layer: (filter,), the share of inputs for which it opens. Cells are sorted by their
        last record, so that a filter keeps its place.

    Raises:
        ValueError: if the trainings were not recorded at the same steps.
    """
    steps = [[record["step"] for record in records] for records in histories.values()]
    if any(other != steps[0] for other in steps):
        raise ValueError(f"the trainings were recorded at different steps: {steps}")
    orders = {
        name: [np.argsort(-np.asarray(rates), kind="stable") for rates in records[-1]["rates"]]
        for name, records in histories.items()
    }
    return [
        _open_share({name: records[at] for name, records in histories.items()}, orders, budget)
        for at in range(len(steps[0]))
    ]


@page_style
def _open_share(records: Mapping[str, Mapping], orders: Mapping, budget: float) -> Figure:
    """Draw one record of each training: its layers as blocks of cells, below them its MACs and its accuracy."""
    depth = len(next(iter(orders.values())))
    drawing, axes = new_drawing(
        5.4, 0.42 * depth + 1.5, nrows=depth + 1, ncols=len(records), height_ratios=[1] * depth + [1.7], squeeze=False
    )
    told = []
    for column, (name, record) in enumerate(records.items()):
        for row, (rates, order) in enumerate(zip(record["rates"], orders[name], strict=True)):
            cells = np.asarray(rates)[order]
            cells = np.pad(cells, (0, -len(cells) % _COLUMNS)).reshape(-1, _COLUMNS)
            axis = bare(axes[row, column])
            stencil(axis, np.kron(0.08 + 0.92 * cells, _CELL), "open", extent=(0, 1, 0, 1), aspect="auto")
            if column == 0:
                axis.text(-0.03, 0.5, f"layer {row + 1}", ha="right", va="center", fontsize=10)
        axes[0, column].set_title(name)
        _gauges(axes[depth, column], record, budget, labels=column == 0)
        closed = ", ".join(str(int((np.asarray(rates) == 0).sum())) for rates in record["rates"])
        told.append(
            f"{name}: {record['macs']:.0%} of the MACs, {record['accuracy']:.0%} right, filters that no input opens, "
            f"layer by layer: {closed}"
        )
    step = next(iter(records.values()))["step"]
    alt = f"After step {step}, cells of filters, stronger where more inputs open them. {'; '.join(told)}."
    return Figure(drawing, f"After step {step}.", alt)


_CELL = np.pad(np.ones((7, 7)), ((0, 1), (0, 1)))  # a cell and the gap to its neighbours


def _gauges(axis: Axes, record: Mapping, budget: float, labels: bool) -> None:
    """Draw MACs and accuracy as two bars, the budget as a mark across the first."""
    for y, (label, value, colour) in enumerate((("MACs", record["macs"], OPEN), ("accuracy", record["accuracy"], INK))):
        axis.barh(y, 1, color=FAINT, alpha=0.25, height=0.5)
        axis.barh(y, min(value, 1), color=colour, height=0.5)
        axis.text(1.02, y, f"{value:.0%}", va="center", ha="left", fontsize=10)
        if labels:
            axis.text(-0.03, y, label, ha="right", va="center", fontsize=10)
    axis.plot([budget, budget], [-0.4, 0.4], color=INK, linewidth=1.5)
    bare(axis).set_xlim(0, 1.22)
    axis.set_ylim(1.5, -0.6)


@page_style
def show_cheap_and_dear(rows: Mapping[str, tuple[Tensor, Tensor]], caption: str = "") -> Figure:
    """Draw inputs in rows, below each the share of the dense MACs that it costs.

    rows: a row's name, its images (input, height, width) and their MACs (input,).
    """
    drawing, axes = new_drawing(5.4, 0.78 * len(rows), nrows=len(rows), squeeze=False)
    for axis, (name, (images, macs)) in zip(axes[:, 0], rows.items(), strict=True):
        strip = np.concatenate([np.pad(image, ((0, 0), (3, 3))) for image in np.asarray(images)], axis=1)
        height, each = strip.shape[0], strip.shape[1] / len(macs)
        stencil(bare(axis), strip)
        for index, share in enumerate(np.asarray(macs)):
            axis.text(each * (index + 0.5), height + 3, f"{share:.0%}", ha="center", va="top", fontsize=10, color=OPEN)
        axis.text(-6, height / 2, name, ha="right", va="center")
        axis.set_ylim(height + 14, 0)
    told = "; ".join(f"{name}: {float(macs.min()):.0%} to {float(macs.max()):.0%}" for name, (_, macs) in rows.items())
    return Figure(drawing, caption, f"Rows of drawn characters, with the share of the MACs that each costs. {told}.")


@page_style
def show_swaps(accuracies: Mapping[str, float], caption: str = "") -> Figure:
    """Draw the accuracy of one network under several choices of its gates, the first its own, as bars."""
    drawing, axis = new_drawing(5.4, 0.42 * len(accuracies) + 0.2)
    own = next(iter(accuracies.values()))
    for row, (name, accuracy) in enumerate(accuracies.items()):
        axis.barh(row, accuracy, color=FAINT if row else OPEN, height=0.62)
        axis.text(max(accuracies.values()) + 0.02, row, f"{accuracy:.0%}", va="center", color=INK if row else OPEN)
        axis.text(-0.02, row, name, ha="right", va="center")
    axis.plot([own, own], [0.4, len(accuracies) - 0.6], color=OPEN, linestyle="--", linewidth=1.2)
    bare(axis).set_xlim(0, 1.15 * max(accuracies.values()))
    axis.set_ylim(len(accuracies) - 0.5, -0.5)
    told = "; ".join(f"{name}: {accuracy:.0%}" for name, accuracy in accuracies.items())
    return Figure(drawing, caption, f"Bars of test accuracy under different gates. {told}.")


@page_style
def show_agreement(agreement: Tensor, images: Tensor, caption: str = "") -> Figure:
    """Draw how alike the open filters of every two classes are, a shaded cell a pair, an example beside each row.

    agreement: (class, class), share of the filters on which two inputs agree; images: (class, height, width).
    """
    agreement, images = np.asarray(agreement), np.asarray(images)
    count, low, high = len(images), agreement.min(), agreement.max()
    drawing, axis = new_drawing(5.4, 5.4)
    stencil(bare(axis), (agreement - low) / (high - low), "open", extent=(0, count, count, 0))
    for index, image in enumerate(images):
        stencil(axis, image, extent=(-1.15, -0.15, index + 1, index))
        stencil(axis, image, extent=(index, index + 1, -0.15, -1.15))
    axis.set_xlim(-1.2, count)
    axis.set_ylim(count, -1.2)
    neighbours = np.diagonal(agreement, 1).mean()
    alt = (
        f"A square of shaded cells, {count} characters along each side, from {low:.0%} agreement (empty) to "
        f"{high:.0%} (full). Characters next to each other agree on {neighbours:.0%} of the filters, the first and "
        f"the last on {agreement[0, -1]:.0%}."
    )
    return Figure(drawing, caption, alt)
