"""Intervals over seeds and tasks, paired differences, and the correction for asking many questions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import nctdtr, stdtr, stdtrit  # scipy.stats would take a second to import

RESAMPLES = 10_000
LEVEL = 0.05  # below which a p, corrected for the number of questions, tells two apart
POWER = 0.9  # the chance with which a true difference shall be shown
CHUNK = 500  # resamples drawn at a time: 500 × 1,000 tasks are 4 MB


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and tasks, the half width of its 95 % interval, and the p of its being zero in truth."""

    mean: float
    ci95: float | None  # None: one task of one seed has no spread
    p: float | None  # None: a single seed says nothing of others


def estimate_means(several: Sequence[np.ndarray]) -> list[Estimate]:
    """Return the estimate of each array (seeds, tasks): accuracies, or their differences to a reference, task by task.

    Two intervals are computed, and the wider one is reported, with the larger p:

    - the two-level bootstrap (percentiles of 10,000 resamples: seeds, then tasks within each) knows how the tasks
      vary, but from five seeds it learns too little of how seeds vary: their resampled spread is √(4/5) of the true
      one and the normal tails are too thin. Where seeds are what varies, it covers some 84 % instead of 95 %;
    - Student's t over the seeds' means knows no tasks, and covers 95 % with two seeds or two hundred if those means
      are about normal; with five the factor is 2.78 instead of 1.96.

    So five seeds support statements on differences of at least some two standard deviations between seeds, and no
    statement on rare bad seeds; the smallest p that the t-test gives is not bounded, but leans on the normal shape.
    A single seed gives the bootstrap's interval over its tasks, and no p. All arrays of one shape share their
    resamples, which are the same at every call.
    """
    found: list[Estimate | None] = [None] * len(several)
    for shape in {values.shape for values in several}:
        places = [place for place, values in enumerate(several) if values.shape == shape]
        stacked = np.stack([several[place] for place in places]).astype(np.float64)
        means = resampled_means(stacked)
        for place, values, resampled in zip(places, stacked, means, strict=True):
            found[place] = _estimate(values, resampled)
    return [estimate for estimate in found if estimate is not None]


def _estimate(values: np.ndarray, resampled: np.ndarray) -> Estimate:
    mean, seeds = float(values.mean()), len(values)
    by_tasks, p_by_tasks = bootstrap_interval(resampled)
    if seeds == 1:
        return Estimate(mean, by_tasks if values.size > 1 else None, None)
    by_seeds, p_by_seeds = seed_interval(values.mean(axis=1))
    return Estimate(mean, max(by_tasks, by_seeds), max(p_by_tasks, p_by_seeds))


def resampled_means(several: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Return the means of two-level resamples: (arrays, seeds, tasks) gives (arrays, resamples).

    A resample takes as many seeds as there are, with replacement, and of each as many tasks as there are, anew each
    time. How often each task was taken is one matrix for all arrays, so a whole table costs one product a chunk.
    """
    arrays, seeds, tasks = several.shape
    sums = np.zeros((arrays, resamples))
    for start, picked, times in _resamples(seeds, tasks, resamples):
        for own in range(seeds):
            there = np.flatnonzero(picked == own)
            sums[:, start + there] += several[:, own] @ times[there].T.astype(np.float64)
    return sums / (seeds * tasks)


@lru_cache(maxsize=1)
def _resamples(seeds: int, tasks: int, resamples: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return which seed a chunk of resamples picks, and how often it takes each task; the next table asks for the same.

    Each item holds the chunk's first resample, (size,) seeds and (size, tasks) counts, which a byte holds.
    """
    generator, found = np.random.default_rng(0), []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        rows = np.arange(size)
        for _ in range(seeds):
            picked = generator.integers(seeds, size=size)
            drawn = generator.integers(tasks, size=(size, tasks)) + tasks * rows[:, None]
            times = np.bincount(drawn.ravel(), minlength=size * tasks).reshape(size, tasks)
            found.append((start, picked, times.astype(np.uint8)))
    return found


def bootstrap_interval(resampled: np.ndarray) -> tuple[float, float]:
    """Return half the distance of the 2.5 and 97.5 percentiles, and the two-sided p of zero, from resampled means."""
    low, high = np.quantile(resampled, (0.025, 0.975))
    tail = min((resampled <= 0).sum(), (resampled >= 0).sum())
    return float(high - low) / 2, min(1.0, 2 * float(tail + 1) / (len(resampled) + 1))


def seed_interval(means: np.ndarray) -> tuple[float, float]:
    """Return the half width of Student's 95 % interval over the means of two seeds or more, and the p of zero."""
    error = float(means.std(ddof=1)) / len(means) ** 0.5
    if error == 0:
        return 0.0, float(means.mean() == 0)
    freedom = len(means) - 1
    return float(stdtrit(freedom, 0.975)) * error, float(2 * stdtr(freedom, -abs(means.mean()) / error))


def seeds_needed(means: Sequence[float], effect: float, *, level: float = LEVEL) -> int:
    """Return how many seeds show a true difference of `effect` at `level` nine times in ten, by Student's test.

    means: the paired differences of the seeds that there are; their spread is taken for the true one.
    """
    spread = float(np.std(means, ddof=1))
    if spread == 0:
        return 2

    def too_few(seeds: int) -> bool:
        """Return whether they show it too seldom: Student's t, moved by the true difference, must pass its bound."""
        bound, moved = stdtrit(seeds - 1, 1 - level / 2), abs(effect) / spread * seeds**0.5
        return 1 - float(nctdtr(seeds - 1, moved, bound)) < POWER

    low, high = 1, 2
    while too_few(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if too_few(middle) else (low, middle)
    return high


def accuracy_of(record: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the share of right answers of one training's record, and its interval over tasks, as a row holds them."""
    (estimate,) = estimate_means([np.array([record["correct"]]) / record["queries"]])
    return {"accuracy": estimate.mean, "ci95": estimate.ci95}


def correct_within(rows: Sequence[dict[str, Any]], *family: str) -> None:
    """Replace each row's `p` by Holm's for the rows that agree with it in the fields of its family."""
    families = defaultdict(list)
    for row in rows:
        families[tuple(row[name] for name in family)].append(row)
    for own in families.values():
        for row, p in zip(own, holm([row["p"] for row in own]), strict=True):
            row["p"] = p


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values after Holm's step-down correction for their number; None stays, and counts for none.

    The smallest of n is multiplied by n, the next by n - 1 and so on; none becomes smaller than one before it.
    """
    asked = np.array([value for value in values if value is not None], float)
    order = np.argsort(asked)
    corrected = np.empty_like(asked)
    corrected[order] = np.minimum(1, np.maximum.accumulate(asked[order] * np.arange(len(asked), 0, -1)))
    rest = iter(corrected)
    return [None if value is None else float(next(rest)) for value in values]
