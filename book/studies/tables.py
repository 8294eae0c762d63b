"""What the cells' files say of a table's rows: accuracy, differences to the reference, cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from studies.cells import Cell
from studies.rows import DATA, MOST_SEEDS, SEEDS, Row, Table
from studies.statistics import Estimate, correct_within, estimate_means, holm


def table_rows(table: Table, folder: Path, seeds: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Return a table's rows from the cells' files alone; what no file says yet is None.

    seeds: the trainings that count; None: SEEDS, and whichever of MOST_SEEDS there are.

    `accuracy` and `difference` (to the reference, positive where the row is better) are shares, `ci95` and
    `difference_ci95` half widths of 95 % intervals, `p` is Holm's for the rows of the same data and shots. `seeds`
    counts the files, `missing` lists the seeds without one; a difference is over the seeds and tasks that both have.
    `off_budget`: more than a point of MACs beside the budget.

    Raises:
        ValueError: if a file is not its cell's record, or quick cells stand among others.
    """
    seeds, counted = (SEEDS, MOST_SEEDS) if seeds is None else (seeds, seeds)
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


def head_to_head(
    row: Row, reference: Row, folder: Path, *, data: tuple[str, ...] = DATA, seeds: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Return what the files say of one method beside another, a row for each data set on which both were trained.

    `p` is each row's own; for all else see `table_rows`.
    """
    rows = table_rows(Table("", "", (row,), reference, data), folder, seeds)
    return [line for line in rows if line["difference"] is not None]


def slim_by_budget(folder: Path) -> list[dict[str, Any]]:
    """Return the slim network's rows, each compared with MetaGater at the same budget and trained as long.

    `p` is Holm's for the budgets of one data set; for all else see `table_rows`.
    """
    found = []
    for budget in (0.25, 0.5, 0.75):
        found += head_to_head(Row("slim", budget=budget), Row("metagater", budget=budget), folder, seeds=SEEDS)
    correct_within(found, "data")
    return found


def starts_compared(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of FedAvg with one step, trained short and at length, each compared with the slim network.

    It is one network with two starts: trained to name all classes, and, as long, by a meta-gradient.
    """
    return [row for end in ("", "-long") for row in head_to_head(Row(f"fedavg{end}"), Row(f"slim{end}"), folder)]


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
