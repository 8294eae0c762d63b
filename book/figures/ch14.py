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
    columns: Sequence[str], lines: Mapping[str, Sequence[tuple[float, float] | None]], caption: str = ""
) -> Figure:
    """Draw what each method loses from one kind of new nodes to a harder one, a line a method.

    columns: two kinds of new nodes; lines: a method's name, and accuracy and half width of its interval in each, as
        shares, None where not measured: such a method is named below.
    """
    shown = {name: ends for name, ends in lines.items() if None not in ends}
    lacking = [name for name in lines if name not in shown]
    drawing, axis = new_drawing(5.4, 3.4 if shown else 1.2)
    looks = ((OPEN, "o", "-"), (INK, "s", "-"), (ACCENT, "D", "--"), (INK, "^", ":"), (FAINT, "v", "-"))
    told = []
    order = sorted(shown, key=lambda name: shown[name][1][0])
    spread = [value for ends in shown.values() for value, _ in ends]
    least, low = 0.07 * (float(np.ptp(spread)) if spread else 1.0), -np.inf
    for name in order:
        colour, mark, style = looks[list(lines).index(name) % len(looks)]
        (first, c), (second, d) = shown[name]
        axis.errorbar(
            (0, 1), (first, second), (c, d), color=colour, marker=mark, linestyle=style, markersize=7, capsize=4
        )
        low = max(second, low + least)
        axis.text(
            1.06,
            low,
            f"{name}: {100 * (second - first):+.1f}".replace("-", "−"),
            color=colour,
            va="center",
            fontsize=10,
        )
        told.append(f"{name} from {first:.1%} to {second:.1%}")
    axis.set(xlim=(-0.15, 2.25), xticks=(0, 1) if shown else ())
    if shown:
        axis.set_xticklabels(columns)
        axis.yaxis.set_major_locator(MaxNLocator(5))
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
        axis.set_ylabel("accuracy after one step")
    else:
        bare(axis).text(0.5, 0.5, f"{len(lacking)} methods: {NOT_YET}", transform=axis.transAxes, ha="center")
    told += [f"{name}: {NOT_YET}" for name in lacking]
    return Figure(
        drawing,
        caption,
        f"Lines from {columns[0]} to {columns[1]}, a line a method. {'; '.join(told)}.".replace("\n", " "),
    )
