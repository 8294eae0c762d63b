"""The tables: which rows they have, what each row is compared with, and what the cells' files say of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from studies.cells import Cell
from studies.methods import ABLATIONS
from studies.statistics import Estimate, estimate_means, holm

SEEDS = range(5)
MORE_SEEDS = range(5, 10)  # trained where five decide nothing
DATA = ("glyphs", "omniglot", "cifar10")
UNSEEN = "cifar10-unseen"  # the new nodes' classes are in no training node


@dataclass(frozen=True)
class Row:
    """A line of a table: a method's cells over all seeds, or what the same cells say after other numbers of steps."""

    method: str
    data: str = ""
    shots: int = 1
    budget: float = 0.5
    steps: int | None = None  # gradient steps on a new node; None: as many as the method takes

    @property
    def label(self) -> str:
        """The row's name within its data set and shots."""
        steps = "" if self.steps is None else f", {self.steps} step{'' if self.steps == 1 else 's'}"
        return f"{self.method} at {100 * self.budget:g} %{steps}"

    def cell(self, seed: int) -> Cell:
        """Return the cell that holds the row's answers for one seed."""
        return Cell(self.data, self.method, self.shots, self.budget, seed)

    def answers(self, record: Mapping[str, Any]) -> list[int] | None:
        """Return how many answers were right in each test task, None if the record does not say it of these steps."""
        if self.steps is None:
            return record["correct"]
        return record.get("steps", {}).get(str(self.steps), record["correct"] if self.steps == 1 else None)

    def macs_ratio(self, record: Mapping[str, Any]) -> float | None:
        """Return the share of the dense MACs after so many steps, None if the record does not say it of these."""
        own = record["macs_ratio"] if self.steps in (None, 1) else None
        return record.get("steps_macs_ratio", {}).get(str(self.steps), own)


@dataclass(frozen=True)
class Table:
    """Rows, given once for all their data sets and shots, and the row with which each of them is compared."""

    name: str
    title: str
    compared: tuple[Row, ...]  # data and shots left open
    reference: Row
    data: tuple[str, ...] = DATA
    shots: tuple[int, ...] = (1,)

    def families(self) -> list[list[Row]]:
        """Return the rows of each data set and number of shots, the reference first."""
        rows = [self.reference, *(row for row in self.compared if row != self.reference)]
        return [
            [Row(row.method, data, shots, row.budget, row.steps) for row in rows]
            for data in self.data
            for shots in self.shots
        ]

    def cells(self, seeds: Sequence[int]) -> list[Cell]:
        """Return the cells behind the table, each once: all methods with the first seed, then with the next."""
        rows = [row for family in self.families() for row in family]
        return list(dict.fromkeys(row.cell(seed) for seed in seeds for row in rows))


METAGATER, DENSE, SLIM = Row("metagater"), Row("dense", budget=1.0), Row("slim")
SAME_MACS = (
    "metagater-named",
    "joint",
    "gates-fixed",
    "first-order",
    "slim",
    "fomaml",
    "anil",
    "reptile",
    "fedavg",
    "fedavg-10",
    "per-fedavg",
    "pfedme",
    "static-mask",
    "gated-fedavg",
    "pruned",
    "random-gates",
)

TABLES = {
    table.name: table
    for table in (
        Table(
            "baselines",
            "MetaGater and its relatives, half of the dense MACs, one example a class",
            (DENSE, *map(Row, SAME_MACS)),
            METAGATER,
        ),
        Table(
            "unseen",
            "New nodes whose classes no training node has",
            (DENSE, SLIM, Row("metagater-named"), Row("anil"), Row("static-mask")),
            METAGATER,
            data=(UNSEEN,),
        ),
        Table(
            "shots",
            "One example a class and five",
            (DENSE, SLIM, Row("anil"), Row("static-mask")),
            METAGATER,
            shots=(1, 5),
        ),
        Table(
            "steps",
            "How many gradient steps a new node needs",
            tuple(Row(row.method, budget=row.budget, steps=n) for row in (METAGATER, DENSE) for n in (0, 1, 10)),
            Row("metagater", steps=1),
        ),
        Table(
            "budgets",
            "A quarter, a half and three quarters of the dense MACs",
            tuple(Row(method, budget=budget) for method in ("metagater", "slim") for budget in (0.25, 0.5, 0.75)),
            DENSE,
        ),
        Table(
            "long",
            "1,500 rounds and learnt rates, half of the dense MACs, one example a class",
            (Row("dense-long", budget=1.0), Row("slim-long"), Row("gates-fixed-long"), Row("static-mask-long")),
            Row("metagater-long"),
        ),
        Table(
            "ablations",
            "What each change to the method brings",
            tuple(map(Row, ABLATIONS)),
            METAGATER,
            data=("glyphs",),
        ),
    )
}


def table_rows(table: Table, folder: Path, seeds: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Return a table's rows from the cells' files alone; what no file says yet is None.

    seeds: the trainings that count; None: SEEDS, and those of MORE_SEEDS that there are.

    `accuracy` and `difference` (to the reference, positive where the row is better) are shares, `ci95` and
    `difference_ci95` half widths of 95 % intervals, `p` is Holm's for the rows of the same data and shots. `seeds`
    counts the files, `missing` lists the seeds without one; a difference is over the seeds and tasks that both have.
    `off_budget`: more than a point of MACs beside the budget.

    Raises:
        ValueError: if a file is not its cell's record, or quick cells stand among others.
    """
    seeds, counted = (SEEDS, (*SEEDS, *MORE_SEEDS)) if seeds is None else (seeds, seeds)
    kept: dict[Cell, dict[str, Any] | None] = {cell: cell.read(folder) for cell in table.cells(counted)}
    if len({bool(record.get("quick")) for record in kept.values() if record}) > 1:
        raise ValueError(f"{folder} holds quick cells among others: the two are not to be compared")
    families = [_Family(rows, [_records(row, kept, counted) for row in rows]) for rows in table.families()]
    own = _estimated([_matrix(shares) for family in families for shares in family.shares])
    paired = _estimated([_paired(shares, family.shares[0]) for family in families for shares in family.shares[1:]])
    found = []
    for family in families:
        accuracies = islice(own, len(family.rows))
        against = [None, *islice(paired, len(family.rows) - 1)]
        corrected = holm([None if estimate is None else estimate.p for estimate in against])
        for row, records, shares, *estimates in zip(
            family.rows, family.records, family.shares, accuracies, against, corrected, strict=True
        ):
            line = _line(row, *estimates) | {"table": table.name, "reference": family.rows[0].label}
            found.append(line | _counts(shares, family.shares[0], seeds) | _costs(row, list(records.values())))
    return found


@dataclass(frozen=True)
class _Family:
    """Rows that are compared with their first, and for each of them the records by seed."""

    rows: list[Row]
    records: list[dict[int, Mapping[str, Any]]]

    @cached_property
    def shares(self) -> list[dict[int, np.ndarray]]:
        """The share of right answers in each task, by row and seed."""
        return [
            {seed: np.array(row.answers(record)) / record["queries"] for seed, record in own.items()}
            for row, own in zip(self.rows, self.records, strict=True)
        ]


def _records(row: Row, kept: Mapping[Cell, dict[str, Any] | None], seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    return {seed: record for seed in seeds if (record := kept[row.cell(seed)]) and row.answers(record)}


def _matrix(shares: Mapping[int, np.ndarray]) -> np.ndarray | None:
    """Stack the seeds' tasks, as many as each seed has: task t is drawn by (seed, t), however many follow."""
    tasks = min(map(len, shares.values()), default=0)
    return np.stack([values[:tasks] for values in shares.values()]) if shares else None


def _paired(shares: Mapping[int, np.ndarray], reference: Mapping[int, np.ndarray]) -> np.ndarray | None:
    tasks = {seed: min(len(own), len(reference[seed])) for seed, own in shares.items() if seed in reference}
    return _matrix({seed: shares[seed][:n] - reference[seed][:n] for seed, n in tasks.items()})


def _estimated(several: Sequence[np.ndarray | None]) -> Iterator[Estimate | None]:
    """Yield the estimates of all that is there; those of one shape share their resamples, so it is asked for once."""
    found = iter(estimate_means([values for values in several if values is not None]))
    return iter([None if values is None else next(found) for values in several])


def _line(row: Row, own: Estimate | None, against: Estimate | None, p: float | None) -> dict[str, Any]:
    of_row = {name: getattr(row, name) for name in ("data", "shots", "method", "label", "budget", "steps")}
    return of_row | {
        "accuracy": own and own.mean,
        "ci95": own and own.ci95,
        "difference": against and against.mean,
        "difference_ci95": against and against.ci95,
        "p": p,
    }


def _counts(shares: Mapping[int, Any], reference: Mapping[int, Any], seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "seeds": len(shares),
        "paired_seeds": len(shares.keys() & reference.keys()),
        "missing": [seed for seed in seeds if seed not in shares],
        "tasks": min(map(len, shares.values())) if shares else None,  # a seed
    }


def _costs(row: Row, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the means over seeds; of the rounds to the target the median, for a seed may never reach it."""
    if not records:
        return dict.fromkeys(("macs_ratio", "off_budget", "bytes_sent", "rounds_to_target"))
    rounds = float(np.median([np.inf if r["rounds_to_target"] is None else r["rounds_to_target"] for r in records]))
    ratios = [row.macs_ratio(record) for record in records]
    spent = None if None in ratios else float(np.mean(ratios))
    return {
        "macs_ratio": spent,
        "off_budget": spent is not None and abs(spent - row.budget) > 0.01,
        "bytes_sent": round(float(np.mean([r["bytes_sent"] for r in records]))),
        "rounds_to_target": rounds if np.isfinite(rounds) else None,
    }
