"""Chapter 2: how a choice gets a gradient: the cliff and the slope, what the estimators say, which gates they open."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from torch import Tensor

from figures.style import arrow
from mglib.figure import ACCENT, INK, OPEN, Figure, new_drawing, page_style, stencil

_DOTS = 12  # single estimates drawn at each logit


@page_style
def show_missing_gradient(
    logits: Tensor, hard: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor], caption: str = ""
) -> Figure:
    """Draw a loss above and its derivative below against a gate's logit, for a hard gate and for one that is drawn.

    logits: (logit,), ascending; hard, expected: loss and derivative of each, (logit,), of the gate that is open
        wherever its logit is positive, and of the one that opens with probability sigmoid(logit).
    """
    x = np.asarray(logits)
    (cliff, flat), (slope, bump) = ([np.asarray(values) for values in pair] for pair in (hard, expected))
    drawing, (above, below) = new_drawing(5.4, 4.3, nrows=2, sharex=True, height_ratios=[1.5, 1])
    for left_or_right in (x <= 0, x > 0):  # two plateaus: the cliff between them is no place to stand
        above.plot(x[left_or_right], cliff[left_or_right], color=INK)
    above.plot([0, 0], [cliff[0], cliff[-1]], color=INK, linewidth=1, linestyle=":")
    above.plot(x, slope, color=OPEN)
    low, high = min(cliff[0], cliff[-1]), max(cliff[0], cliff[-1])
    lift = 0.07 * (high - low)
    stands, rolls, falls = np.searchsorted(x, [0.7 * x[-1], 0.36 * x[-1], -0.08 * x[-1]])
    above.plot(x[stands], cliff[stands] + lift, "o", color=INK, markersize=11)
    above.plot(x[rolls], slope[rolls] + lift, "o", color=OPEN, markersize=11)
    ends = [(x[index] - side, slope[index] + lift) for index, side in ((rolls, 0.35), (falls, 0.45))]
    arrow(above, *ends, OPEN, width=1.3, gap=2)
    above.text(x[-1], high + 2.5 * lift, "hard gate: flat ground", ha="right", va="bottom")
    above.text(0.2 * x[-1], low + 3 * lift, "gate that opens at random,\non average: a slope", color=OPEN)
    above.set(ylim=(low - lift, high + 6 * lift), ylabel="loss", yticks=[])
    below.plot(x, flat, color=INK)
    below.plot(x, bump, color=OPEN)
    below.fill_between(x, 0, bump, color=OPEN, alpha=0.15, linewidth=0)
    below.text(x[-1], -0.09 * max(bump), "hard gate: 0, everywhere", va="top", ha="right")
    below.text(0.45 * x[-1], 0.6 * max(bump), "what we would\nlike to follow", color=OPEN)
    below.set(xlabel="logit z", ylabel="derivative", yticks=[0], ylim=(-0.4 * max(bump), 1.08 * max(bump)))
    alt = (
        "Above, the loss against a gate's logit z. For a hard gate it is two plateaus with a cliff at z = 0, "
        f"{cliff[0]:.2f} where the gate is closed and {cliff[-1]:.2f} where it is open; a ball on the plateau has no "
        "reason to roll. Averaged over a gate that opens at random it is a smooth slope. Below, their derivatives: "
        f"zero everywhere for the hard gate, a bump of height {max(bump):.2f} at z = 0 for the average."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_estimates(
    logits: Tensor, estimates: Mapping[str, Tensor], exact: Tensor, limit: float, caption: str = ""
) -> Figure:
    """Draw each estimator's single estimates of a gradient as dots, their mean as a line, beside the exact gradient.

    logits: (logit,); estimates: an estimator's name and its draws, (draw, logit); exact: (logit,).
    limit: the largest gradient that the axes show, so that frames compare; dots beyond it are cut off.
    """
    x, exact = np.asarray(logits), np.asarray(exact)
    drawing, axes = new_drawing(5.4, 3.4, ncols=len(estimates), sharex=True, sharey=True)
    told = []
    for axis, (name, values) in zip(np.atleast_1d(axes), estimates.items(), strict=True):
        values = np.asarray(values)
        bias, spread = values.mean(0) - exact, values.std(0)
        _draw_dots(axis, x, values[:_DOTS])
        for part in (x <= 0, x > 0) if _is_quiet(values) else (x == x,):  # without noise, it jumps at zero
            axis.plot(x[part], values.mean(0)[part], color=OPEN, linewidth=2.4)
        axis.plot(x, exact, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
        off, wide = np.sqrt((bias**2).mean()), np.sqrt((spread**2).mean())
        axis.set_title(f"{name}\nbias {off:.2f}\nspread {wide:.2f}", fontsize=10)
        axis.set(xlabel="logit z", ylim=(-limit, limit), xticks=[x[0], 0, x[-1]])
        told.append(f"{name}, bias {off:.2f} and spread {wide:.2f}")
    first = np.atleast_1d(axes)[0]
    first.set_ylabel("estimate of the gradient")
    first.annotate("exact", (x[-1], exact[-1]), (x[-1], -0.55 * limit), ha="right", fontsize=10)
    first.annotate("mean", (x[-1], exact[-1]), (x[-1], -0.73 * limit), ha="right", fontsize=10, color=OPEN)
    first.annotate("one estimate", (x[-1], exact[-1]), (x[-1], -0.91 * limit), ha="right", fontsize=10, color=ACCENT)
    alt = (
        f"{len(estimates)} plots side by side of estimated gradients against the logit, with the same axes: single "
        "estimates as dots, their mean as a line and the exact gradient dashed. Root mean square over the logits: "
        f"{'; '.join(told)}. The exact gradient is {_course(exact)}."
    )
    return Figure(drawing, caption, alt)


@page_style
def show_choices(histories: Mapping[str, Tensor], needed: Tensor, caption: str = "") -> Figure:
    """Draw which gates were open at each step of a training, one block an estimator, one row a gate.

    histories: an estimator's name and its gates, (step, gate) of zeros and ones; needed: (gate,), whether it should
        be open; the needed gates are drawn first.
    """
    needed = np.asarray(needed) > 0
    order, count = np.argsort(~needed, kind="stable"), int(needed.sum())
    drawing, axes = new_drawing(5.4, 1.55 * len(histories) + 0.3, nrows=len(histories), sharex=True)
    told = []
    for axis, (name, history) in zip(np.atleast_1d(axes), histories.items(), strict=True):
        history = np.asarray(history).astype(float)[:, order]
        steps, gates = history.shape
        each = max(1, steps // 200)  # columns that a screen can tell apart, each the mean of a few steps
        means = history[: steps // each * each].reshape(-1, each, gates).mean(1).T
        stencil(axis, 0.07 + 0.88 * means, "open", extent=(0, steps, gates, 0), aspect="auto")
        axis.axhline(count, color=INK, linewidth=1.2)
        axis.set_title(name, loc="left")
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.set_yticks([count / 2, (gates + count) / 2], ["needed", "useless"])
        axis.tick_params(length=0)
        last = history[-steps // 6 :]
        told.append(
            f"{name}, {last[:, :count].mean():.0%} of the needed and {last[:, count:].mean():.0%} of the others"
        )
    np.atleast_1d(axes)[-1].set_xlabel("step")
    alt = (
        f"{len(histories)} strips, one row for each of {len(needed)} gates, of which {count} are needed, one column "
        f"per step; filled where the gate is open. All start open. In the last sixth of the steps: {'; '.join(told)}."
    )
    return Figure(drawing, caption, alt)


def _draw_dots(axes: Axes, x: np.ndarray, values: np.ndarray) -> None:
    """Draw all points as one path of strokes without length: a hundredth of the bytes of as many marks."""
    if _is_quiet(values):
        values = values[:1]
    aside = np.linspace(-0.25, 0.25, len(values) + 2)[1:-1, None] * (x[1] - x[0])  # draws of a logit stand side by side
    points = np.stack([x + aside, values], -1).reshape(-1, 2)
    path = Path(np.repeat(points, 2, 0), [Path.MOVETO, Path.LINETO] * len(points))
    path.should_simplify = False
    axes.add_patch(
        PathPatch(path, fill=False, edgecolor=ACCENT, linewidth=2, capstyle="round", alpha=0.8, joinstyle="round")
    )


def _is_quiet(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())


def _course(exact: np.ndarray) -> str:
    largest = exact[np.abs(exact).argmax()]
    if abs(largest) < 1e-3:
        return "zero"
    return f"{'positive' if largest > 0 else 'negative'}, at most {abs(largest):.2f} in size"
