"""Making the records that a table lacks, on all cores: first every method's trials on validation nodes, then cells."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studies.cells import Cell, read_record, write_record
from studies.measure import measure_cell, measure_trial
from studies.methods import METHODS, SOURCES, Method, Source
from studies.rows import SEEDS, Table
from studies.workers import Failure, run_jobs

TRIALS = 4  # of every method, on every data set
TOLERANCE = 0.02  # of the dense MACs: gates keep to a budget on the average of training tasks, not of others

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Instruments:
    """What makes records; `measure` and `measure_trial` must be picklable."""

    measure: Callable[..., dict]  # (cell, settings=, sources=, quick=) → the cell's record
    measure_trial: Callable[..., dict]  # (data, method, settings, sources=, quick=) → the trial's record
    methods: Mapping[str, Method]
    data: Mapping[str, Source]

    def tuned_as(self, cell: Cell) -> tuple[str, str]:
        """Return the data set and the method whose trials choose the cell's settings."""
        return self.data[cell.data].tuned_on or cell.data, self.methods[cell.method].like or cell.method


INSTRUMENTS = Instruments(measure_cell, measure_trial, METHODS, SOURCES)


@dataclass(frozen=True)
class Progress:
    """What was just finished, or failed, and how far the work is."""

    what: str
    error: str | None  # None: it has its record now
    done: int  # failures among them
    total: int
    seconds_left: float


@dataclass(frozen=True)
class Trial:
    """One point of a method's search on one data set."""

    data: str
    method: str
    settings: Settings = field(hash=False)

    @property
    def name(self) -> str:
        """The trial in one line."""
        said = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return f"tuning {self.data}/{self.method} ({said or 'as it is'})"


@dataclass(frozen=True)
class _Task:
    """What workers need to know beside the cell or the trial itself."""

    instruments: Instruments
    folder: Path
    quick: bool
    sources: Mapping[str, str]

    def trial(self, trial: Trial) -> dict:
        """Measure a trial; the parent writes it, for a file holds several."""
        record = self.instruments.measure_trial(
            trial.data, trial.method, dict(trial.settings), quick=self.quick, sources=dict(self.sources)
        )
        return {**record, "settings": dict(trial.settings), "quick": self.quick}

    def cell(self, job: tuple[Cell, Settings]) -> None:
        """Measure a cell and write its file here and now: whatever happens to the parent, it is kept."""
        cell, settings = job
        sources = dict(self.sources)
        record = self.instruments.measure(cell, quick=self.quick, settings=dict(settings), sources=sources)
        cell.write(self.folder, {**record, "settings": dict(settings), "quick": self.quick})


def reproduce_tables(
    tables: Sequence[Table],
    folder: Path,
    instruments: Instruments,
    *,
    seeds: Sequence[int] = SEEDS,
    quick: bool = False,
    only: str = "",
    workers: int = 2,
    sources: Mapping[str, str] | None = None,
    tuned: Path | None = None,
) -> Iterator[Progress]:
    """Make the records that tables lack, and yield after each: all methods with the first seed, then with the next.

    What has a file is not made again, so work that was stopped at any moment, or killed, goes on where it was and
    has lost at most what was being measured. A failure is yielded and stops nothing else; what was not made is
    tried again by the next call. Closing the iterator ends the workers.

    only: cells with this in their name, data/shots/method-budget/seed; empty: all.
    sources: where data lie, by name.
    tuned: another folder of records, whose trials choose the settings where they are all there; None: `folder`'s own.

    Raises:
        ValueError: if a method has not its number of trials, or a file is in the way; nothing is run.
    """
    cells = sorted({cell: None for table in tables for cell in table.cells(seeds)}, key=lambda cell: cell.seed)
    cells = [cell for cell in cells if only in cell.name and cell.read(folder) is None]
    trials = _missing_trials(cells, (folder, tuned), instruments, quick)
    task, clock = _Task(instruments, folder, quick, sources or {}), _Clock(len(trials) + len(cells))
    clock.begin(trials=len(trials), cells=len(cells))
    for trial, outcome in run_jobs(task.trial, trials, workers):
        if not isinstance(outcome, Failure):
            keep_trial(trials_file(folder, trial.data, trial.method), outcome)
        yield clock.tick("trials", trial.name, outcome)
    jobs = []
    for cell in cells:
        try:
            jobs.append((cell, _settings(cell, (folder, tuned), instruments)))
        except ValueError as error:
            yield clock.tick("cells", cell.name, Failure(str(error)), measured=False)
    clock.begin(trials=0, cells=len(jobs))
    for (cell, _), outcome in run_jobs(task.cell, jobs, workers):
        yield clock.tick("cells", cell.name, outcome)


Folders = tuple[Path, Path | None]  # of these records, and of others whose trials may choose the settings


def _missing_trials(cells: Sequence[Cell], folders: Folders, instruments: Instruments, quick: bool) -> list[Trial]:
    found = []
    for data, method in dict.fromkeys(instruments.tuned_as(cell) for cell in cells):
        search = instruments.methods[method].search
        check_search(method, search)
        if _finished(folders[1], data, method, search) is None:
            path = trials_file(folders[0], data, method)
            found += [Trial(data, method, one) for one in missing_trials(path, search, quick=quick)]
    return found


def _settings(cell: Cell, folders: Folders, instruments: Instruments) -> Settings:
    data, name = instruments.tuned_as(cell)
    method = instruments.methods[name]
    path = _finished(folders[1], data, name, method.search) or trials_file(folders[0], data, name)
    return chosen(path, method.search, method.budget)


def _finished(folder: Path | None, data: str, method: str, search: Sequence[Settings]) -> Path | None:
    """Return the file of a method's trials in a folder if all of them are there."""
    path = folder and trials_file(folder, data, method)
    return path if path and path.exists() and not missing_trials(path, search) else None


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
        return max(within, key=lambda trial: (trial["accuracy"], sorted(trial["settings"].items())))["settings"]
    return min(kept, key=lambda trial: trial["macs_ratio"])["settings"]


def _kept(path: Path) -> list[dict[str, Any]]:
    return (read_record(path) or {}).get("trials", [])


class _Clock:
    """Counts what is done, and reckons what is left from how long each kind took so far."""

    def __init__(self, total: int):
        self._total, self._done = total, 0
        self._left: dict[str, int] = {}
        self._taken: dict[str, float] = {}  # seconds a record, all workers together
        self._started, self._finished = time.monotonic(), 0

    def begin(self, **left: int) -> None:
        """Start to time a kind of work; `left`: how many records of each kind are to come."""
        self._left, self._started, self._finished = left, time.monotonic(), 0

    def tick(self, kind: str, what: str, outcome: object, *, measured: bool = True) -> Progress:
        """Return the progress once one more is finished."""
        self._done += 1
        if measured:
            self._finished += 1
            self._left[kind] -= 1
            self._taken[kind] = (time.monotonic() - self._started) / self._finished
        known = sum(self._taken.values()) / len(self._taken) if self._taken else 0.0
        left = sum(count * self._taken.get(name, known) for name, count in self._left.items())
        error = outcome.reason if isinstance(outcome, Failure) else None
        return Progress(what, error, self._done, self._total, left)
