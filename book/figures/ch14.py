"""Chapter 14: a flat set of classes in colour, which node holds which classes, what unseen classes cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from figures.intervals import NOT_YET
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

SPLITS = ("train", "validation", "test")


@page_style
def show_photos(
    rows: Mapping[str, Tensor], caption: str = "", told: str = "Backgrounds change within a row."
) -> Figure:
    """Draw a few images of each class in their own colours, a row a class.

    rows: a class's name and its images, (image, 3, height, width), uint8; told: what the text alternative adds.
    """
    count = max(len(images) for images in rows.values())
    drawing, axes = new_drawing(5.4, 5.0 * len(rows) / (count + 2.6) + 0.1)
    for row, (name, images) in enumerate(rows.items()):
        axes.text(-0.2, row + 0.5, name, ha="right", va="center")
        strip = np.concatenate([np.asarray(image).transpose(1, 2, 0) for image in images], axis=1)
        axes.imshow(strip, extent=(0, len(images), row + 0.96, row + 0.04), interpolation="none", aspect="auto")
    bare(axes).set_aspect("equal")
    axes.set(xlim=(-2.6, count), ylim=(len(rows), 0))
    alt = f"Rows of small images in colour, {count} of each class: {', '.join(rows)}. {told}"
    return Figure(drawing, caption, alt)


@page_style
def show_partition(
    nodes: Mapping[str, Mapping[str, Mapping[str, int]]], heads: Mapping[str, Tensor], caption: str = ""
) -> Figure:
    """Draw which node holds how many images of which class: a row a node, a column a class.

    nodes: train, validation and test, of each a node's name and the number of images by class; what training nodes
        hold is filled, what new nodes hold is a frame, orange where no training node has the class.
    heads: the classes in the order of the columns, and a picture of each, (height, width).
    """
    places = {name: place for place, name in enumerate(heads)}
    trained = {name for own in nodes.get("train", {}).values() for name in own}
    total = sum(len(nodes.get(split, {})) + 1.1 for split in SPLITS if nodes.get(split))
    drawing, axes = new_drawing(5.4, 5.2 * (0.72 * total + 1.3) / (len(heads) + 2.8) + 0.1)
    for name, place in places.items():
        stencil(axes, np.asarray(heads[name]), extent=(place, place + 1, -0.1, -1.1), aspect="auto")
    top, told = 0.0, []
    for split in SPLITS:
        if not nodes.get(split):
            continue
        axes.text(
            0, top + 0.5, {"train": "training nodes"}.get(split, f"new nodes: {split}"), fontweight="bold", va="center"
        )
        top += 0.8
        for name, own in nodes[split].items():
            axes.text(-0.2, top + 0.36, name, ha="right", va="center", fontsize=10)
            for each, count in own.items():
                colour = INK if split == "train" else OPEN if each in trained else ACCENT
                style = {"facecolor": colour, "alpha": 0.3, "linewidth": 0} if split == "train" else {"fill": False}
                style |= {} if split == "train" else {"edgecolor": colour, "linewidth": 1.8}
                axes.add_patch(Rectangle((places[each] + 0.06, top + 0.05), 0.88, 0.62, **style))
                axes.text(places[each] + 0.5, top + 0.37, count, ha="center", va="center", fontsize=10.5, color=colour)
            top += 0.72
        sizes = sorted({len(own) for own in nodes[split].values()})
        told.append(f"{len(nodes[split])} nodes for {split}, of {' or '.join(map(str, sizes))} classes each")
    bare(axes).set(xlim=(-2.8, len(heads)), ylim=(top + 0.1, -1.2))
    axes.hlines(0.02, 0, len(heads), color=FAINT, linewidth=1)
    new = sorted({each for split in SPLITS[1:] for own in nodes.get(split, {}).values() for each in own} - trained)
    unseen = f"{len(new)} classes are on new nodes only" if new else "every class is on some training node"
    alt = f"A table with a column for each of {len(heads)} classes and a row a node; {'; '.join(told)}; {unseen}."
    return Figure(drawing, caption, alt)


@page_style
def show_gap(
    columns: Sequence[str], methods: Mapping[str, Sequence[tuple[float, float] | None]], caption: str = ""
) -> Figure:
    """Draw what each method loses from one kind of new nodes to a harder one: a row a method, a mark with its interval.

    columns: two kinds of new nodes; methods: a method's name, and accuracy and half width of its interval in each, as
        shares, None where not measured. The two accuracies are not paired: the loss's interval comes from both.
    """
    drawing, axis = new_drawing(5.4, 0.5 * len(methods) + 0.75)
    told, reach = [], []
    for place, (name, ends) in enumerate(methods.items()):
        said = f"{name}: {NOT_YET}"
        if None not in ends:
            (first, c), (second, d) = ends
            loss, half = 100 * (second - first), 100 * float(np.hypot(c, d))
            said = f"{name}: {loss:+.1f} ± {half:.1f}, to {100 * second:.1f} %".replace("-", "−")
            axis.errorbar(loss, place + 0.12, xerr=half, color=OPEN, marker="o", markersize=7, capsize=4)
            reach += [loss - half, loss + half]
        axis.text(0.01, place - 0.12, said, transform=axis.get_yaxis_transform(), va="bottom", fontsize=10)
        told.append(said)
    axis.set(yticks=[], ylim=(len(methods) - 0.5, -0.75))
    axis.spines["left"].set_visible(False)
    if reach:
        margin = max(0.3, 0.06 * float(np.ptp(reach)))
        axis.set_xlim(min(reach) - margin, max(reach) + margin)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axis.set_xlabel(f"points, from {columns[0]} to {columns[1]}")
    else:
        axis.set_xticks([])
    alt = f"Marks with intervals: points lost from {columns[0]} to {columns[1]}, and what is left. {'; '.join(told)}."
    return Figure(drawing, caption, alt)
