"""Chapter 11: who is related to whom, their trials, and task against task."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import PercentFormatter

from figures.style import name_rows
from mglib.figure import ACCENT, FAINT, INK, OPEN, Figure, bare, new_drawing, page_style, stencil

LINE = 30  # characters of a method's name in one line


@page_style
def show_family(
    branches: Mapping[str, Mapping[str, Sequence[bool | str]]], traits: Sequence[str], caption: str = ""
) -> Figure:
    """Draw methods as a family tree, a branch for each direction they step in, and beside each what it has.

    branches: a direction's name to its methods, each with one entry a trait: whether it has it, or a word.
    """
    rows = sum(1 + len(methods) for methods in branches.values())
    drawing, axis = new_drawing(5.4, 0.31 * rows + 0.75)
    bare(axis)
    places, told, y, trunk = [6.6 + 1.55 * k for k in range(len(traits))], [], 0, 0
    for x, trait in zip(places, traits, strict=True):
        axis.text(x, -0.75, trait.replace(" ", "\n"), ha="center", va="bottom", fontsize=10)
    for branch, methods in branches.items():
        trunk = y
        axis.plot((0, 0.28), (y, y), color=OPEN, linewidth=2.2)
        axis.text(0.36, y, branch, color=OPEN, va="center", fontweight="bold", fontsize=10)
        axis.plot((0.45, 0.45), (y + 0.35, y + len(methods)), color=FAINT, linewidth=1.3)
        for name, values in methods.items():
            y += 1
            axis.plot((0.45, 0.65), (y, y), color=FAINT, linewidth=1.3)
            axis.text(0.75, y, name, va="center", fontsize=10)
            for x, value in zip(places, values, strict=True):
                if isinstance(value, str):
                    axis.text(x, y, value, ha="center", va="center", fontsize=10)
                else:
                    colour, size = (OPEN, 8) if value else (FAINT, 2.5)
                    axis.plot(x, y, "o", color=colour, markersize=size)
            has = [
                f"{t}: {v}" if isinstance(v, str) else t for t, v in zip(traits, values, strict=True) if v is not False
            ]
            told.append(f"{name} ({', '.join(has) or 'none of these'})")
        y += 1
    axis.plot((0, 0), (-0.5, trunk), color=OPEN, linewidth=2.2)
    axis.set(xlim=(-0.1, places[-1] + 0.7), ylim=(y - 0.4, -2.0))
    alt = f"A tree with a branch for each direction of a step: {', '.join(branches)}. Its leaves: {'; '.join(told)}."
    return Figure(drawing, caption, alt)


@page_style
def show_trials(rows: Mapping[str, Sequence[Mapping]], caption: str = "") -> Figure:
    """Draw the trials of each method, the chosen one in blue with a ring, one that spent too much as a cross.

    rows: a method's name to its trials, each with `accuracy`, `within` (the budget) and `chosen`.
    """
    drawing, axis = new_drawing(5.4, 0.33 * len(rows) + 0.7)
    told = []
    for y, (name, trials) in enumerate(rows.items()):
        shares = [trial["accuracy"] for trial in trials]
        axis.plot((min(shares), max(shares)), (y, y), color=FAINT, linewidth=1, zorder=1)
        for trial in trials:
            style = {"marker": "o" if trial["within"] else "x", "color": OPEN if trial["chosen"] else INK}
            axis.plot(trial["accuracy"], y, markersize=8 if trial["chosen"] else 5, zorder=2, **style)
            if trial["chosen"]:
                axis.plot(trial["accuracy"], y, "o", markersize=13, color=OPEN, markerfacecolor="none", zorder=3)
        picked = next(trial["accuracy"] for trial in trials if trial["chosen"])
        told.append(f"{name} {min(shares):.0%} to {max(shares):.0%}, chosen {picked:.0%}")
    name_rows(axis, list(rows), LINE)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("accuracy on validation nodes")
    alt = f"A row of marks per method, a mark per trial, one ringed; crosses spent too much. {'; '.join(told)}."
    return Figure(drawing, caption, alt)


@page_style
def show_tasks_apart(tasks: Sequence[Mapping], caption: str = "") -> Figure:
    """Draw tasks that two methods answer differently well: what they had to learn from, and how many were right.

    tasks: records with `support` and `query`, (ways, height, width) each, and `scores`, a method's name to its share;
        the first method's bars are blue, the other's orange.
    """
    drawing, axes = new_drawing(5.4, 1.12 * len(tasks) + 0.35, nrows=len(tasks), ncols=2, width_ratios=[5, 4.2])
    told = []
    for row, ((left, right), task) in enumerate(zip(np.atleast_2d(axes), tasks, strict=True)):
        ways = len(task["support"])
        for top, (images, role) in enumerate(((task["support"], "ink"), (task["query"], "open"))):
            for place, image in enumerate(np.asarray(images)):
                extent = (place + 0.05, place + 0.95, top + 0.95, top + 0.05)
                stencil(left, image, role, extent=extent, aspect="auto")
        bare(left).set(xlim=(0, ways), ylim=(2, 0), aspect="equal")
        for y, (name, share) in enumerate(task["scores"].items()):
            right.barh(y + 0.12, share, height=0.3, color=ACCENT if y else OPEN)
            right.text(0, y - 0.1, f"{name}: {share:.0%}", va="bottom", fontsize=10)
        bare(right).set(xlim=(0, 1.05), ylim=(len(task["scores"]) - 0.55, -0.65))
        right.axvline(0.2, color=FAINT, linestyle=":", linewidth=1.3)
        if row == 0:
            left.set_title("one example each, a query each", fontsize=10, loc="left")
        told.append(", ".join(f"{name} {share:.0%}" for name, share in task["scores"].items()))
    alt = (
        f"{len(tasks)} tasks, each with five characters to learn from, another drawing of each beneath in blue, two "
        f"bars of the share answered rightly; chance is dotted. From above: {'; '.join(told)}."
    )
    return Figure(drawing, caption, alt)


@page_style
def draw_duels(
    name: str, differences: Sequence[int], mean: float, ci95: float | None, reach: int, widest: float
) -> Figure:
    """Draw task against task: on how many a rival had how many right answers more or fewer, and the mean of it.

    name: the rival's; differences: a task's right answers, ours less the rival's; mean, ci95: of a task, in answers.
    reach, widest: where the axes of tasks and of the mean end, on both sides; the same for all rivals.
    """
    differences = np.clip(np.asarray(differences), -reach, reach)
    drawing, (axis, below) = new_drawing(4.8, 3.1, nrows=2, height_ratios=[3.2, 1])
    places, counts = np.unique(differences, return_counts=True)
    colours = [OPEN if place > 0 else ACCENT if place < 0 else INK for place in places]
    axis.bar(places, counts, width=0.85, color=colours)
    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    tied = len(differences) - won - lost
    axis.text(0.02, 0.97, f"lost {lost:,}", color=ACCENT, ha="left", va="top", transform=axis.transAxes)
    axis.text(0.98, 0.97, f"won {won:,}", color=OPEN, ha="right", va="top", transform=axis.transAxes)
    axis.text(0.98, 0.8, f"tied {tied:,}", ha="right", va="top", transform=axis.transAxes)
    axis.set_title(f"against {name}", fontsize=10.5)
    axis.set(xlim=(-reach - 1, reach + 1), ylabel="tasks")
    axis.set_xlabel("more right answers on a task", fontsize=10)
    below.axvline(0, color=FAINT, linewidth=1.4)
    below.errorbar(mean, 0, xerr=ci95, color=INK, marker="o", markersize=7, capsize=4)
    below.set(xlim=(-widest, widest), yticks=[], xlabel="their mean, with its interval")
    below.spines["left"].set_visible(False)
    spread = "" if ci95 is None else f" plus or minus {ci95:.1f}"
    caption = f"Against {name}: {won:,} tasks won, {tied:,} tied, {lost:,} lost."
    return Figure(drawing, caption, f"{caption} A pile of tasks over the difference; the mean is {mean:.1f}{spread}.")


@page_style
def show_resamples(panels: Mapping[str, Mapping], caption: str = "") -> Figure:
    """Draw what a mean is after drawing its data anew many times, a panel each, with the interval of the middle 95 %.

    panels: a title, with `means`, what was resampled, and `dots`, the means of the single seeds, or none.
    """
    drawing, axes = new_drawing(5.4, 1.75 * len(panels) + 0.4, nrows=len(panels), sharex=True, squeeze=False)
    told, edges = (
        [],
        np.histogram_bin_edges(np.concatenate([100 * np.asarray(p["means"]) for p in panels.values()]), 60),
    )
    for axis, (title, panel) in zip(axes[:, 0], panels.items(), strict=True):
        means = 100 * np.asarray(panel["means"])
        counts, *_ = axis.hist(means, edges, color=FAINT, alpha=0.55)
        low, high = np.quantile(means, (0.025, 0.975))
        axis.plot((low, high), (0, 0), color=OPEN, linewidth=6, solid_capstyle="butt", clip_on=False, zorder=3)
        for dot in panel["dots"]:
            axis.plot(100 * dot, 0.12 * counts.max(), "D", color=ACCENT, markersize=6)
        axis.set_title(f"{title}: {low:.2f} to {high:.2f}", loc="left", fontsize=10)
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        told.append(f"{title}, 95 % from {low:.2f} to {high:.2f}")
    axes[-1, 0].set_xlabel("percentage points")
    return Figure(drawing, caption, f"Heaps of resampled means with a bar beneath. {'; '.join(told)}.")
