"""Sixteen images at once on one thread and on two: the compiled skipping shares them out among torch's threads.

Torch's own threads go on turning for a while after each call and take the core from whoever has the next turn, unless
OMP_WAIT_POLICY is `passive` before torch is loaded, as `make bench` sets it.
"""

import os

from studies.bench.gated import Case
from studies.bench.inference import timed
from studies.bench.report import Goal, Progress, Report


def cases(quick: bool = False) -> list[Case]:
    """Return small and large maps, narrow and wide layers, each on one thread and on two."""
    settings = [(64, 28)] if quick else [(width, size) for width in (64, 256) for size in (28, 56)]
    return [Case(width, size, 16, threads=threads) for width, size in settings for threads in (1, 2)]


def measure(quick: bool = False, progress: Progress = iter) -> Report:
    """Return what skipping takes beside the other networks, all of them on as many threads."""
    timings = [timed(case, rounds=3 if quick else 20) for case in progress(cases(quick))]
    gains = []
    for one, two in zip(timings[::2], timings[1::2], strict=True):
        faster = {name: one.seconds[name] / two.seconds[name] for name in ("skipping", "slim", "dense")}
        gains.append({"width": one.case.width, "image_size": one.case.image_size, **faster})
    over_slim = max(timing.ratio("skipping", "slim") for timing in timings[1::2])
    goals = [
        Goal.at_most("skipping over slim on two threads, worst case", 1.2, over_slim),
        Goal.at_least("skipping on one thread over two, worst case", 1.5, min(gain["skipping"] for gain in gains)),
    ]
    return Report(
        [row for timing in timings for row in timing.rows()],
        goals,
        {"one thread over two": gains, "waiting": os.environ.get("OMP_WAIT_POLICY", "active")},
    )
