"""Tuning: every method the same number of trials on the same validation nodes, kept in a file a method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mglib.evidence.cells import read_record, write_record

TRIALS = 4  # of every method, on every data set
TOLERANCE = 0.02  # of the dense MACs: gates keep to a budget on the average of training tasks, not of others

Settings = Mapping[str, Any]


def trials_file(folder: Path, data: str, method: str) -> Path:
    """Return where the trials of a method on a data set are kept."""
    return folder / "tuning" / data / f"{method}.json"


def check_search(method: str, trials: Sequence[Settings]) -> None:
    """Raise ValueError unless the method has exactly as many different trials as every other."""
    if len(trials) != TRIALS or any(one in trials[:place] for place, one in enumerate(trials)):
        raise ValueError(f"`search` has {len(trials)} trials of {method}: every method gets {TRIALS} different ones")


def missing_trials(path: Path, trials: Sequence[Settings], *, quick: bool = False) -> list[Settings]:
    """Return the trials that have no record yet.

    Raises:
        ValueError: if the file holds a trial of another search: that effort is not to be hidden.
    """
    kept = _kept(path)
    for trial in kept:
        if trial["settings"] not in trials or bool(trial.get("quick")) != quick:
            raise ValueError(f"{path} holds a trial of another search, {trial['settings']}; move it away to begin anew")
    done = [trial["settings"] for trial in kept]
    return [trial for trial in trials if trial not in done]


def check_trial(trial: Mapping[str, Any]) -> None:
    """Raise ValueError unless a trial's record says what it found, and what at."""
    names = ("settings", "accuracy", "ci95", "macs_ratio", "tasks", "seed")
    if lacking := [name for name in names if name not in trial]:
        raise ValueError(f"the record of the trial lacks {', '.join(lacking)}")


def keep_trial(path: Path, trial: Mapping[str, Any]) -> None:
    """Add a trial's record to its method's file."""
    write_record(path, {"trials": [*_kept(path), trial]})


def chosen(path: Path, trials: Sequence[Settings], budget: float) -> Settings:
    """Return the settings of the best trial by validation accuracy among those within the budget.

    Where none is within it, those of the cheapest: a method is not helped by spending more than it may.

    Raises:
        ValueError: if a trial is still missing.
    """
    if missing := missing_trials(path, trials, quick=any(trial.get("quick") for trial in _kept(path))):
        raise ValueError(f"{path} lacks {len(missing)} of {len(trials)} trials")
    kept = _kept(path)
    within = [trial for trial in kept if trial["macs_ratio"] <= budget + TOLERANCE]
    if within:
        return max(within, key=lambda trial: trial["accuracy"])["settings"]
    return min(kept, key=lambda trial: trial["macs_ratio"])["settings"]


def _kept(path: Path) -> list[dict[str, Any]]:
    return (read_record(path) or {}).get("trials", [])
