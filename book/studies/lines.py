"""What a table's files say, in lines for a chapter's output."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from studies.methods import LONG, METHODS
from studies.rows import MOST_SEEDS, TABLES, Table
from studies.statistics import LEVEL
from studies.tables import table_rows

SHORTER = {
    f", {LONG:,} rounds": "",
    ", two stages": "",
    "one joint stage": "joint",
    " in adaptation": "",
    "slimmer network": "slimmer",
    "gated FedAvg, then one step": "gated FedAvg",
    "FedAvg, then": "FedAvg,",
    ", three local steps": "",
    " by magnitude": "",
}
OVERSPENT = 0.02  # share of the MACs above its budget from which a row is named


def compared_lines(name: str, folder: Path, *methods: str, data: Sequence[str] = ()) -> Iterator[str]:
    """Yield, for reading, what a table's files say of its reference and of some other methods, and of which days.

    data: the data sets to look at; the table's if none are given.
    """
    whole = TABLES[name]
    compared = tuple(row for row in whole.compared if row.method in methods)
    table = replace(whole, compared=compared, data=tuple(data) or whole.data)
    rows = [row for row in table_rows(table, folder) if row["accuracy"] is not None]
    for row in rows:
        off = " (off its budget)" if row["off_budget"] else ""
        macs = "" if row["macs_ratio"] is None else f", MACs {row['macs_ratio']:.1%}{off}"
        score = f"{row['data']}, {row['method']}: {100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f} %{macs}"
        if row["difference"] is None:
            yield score
            continue
        yield f"{score},"
        apart = f"{100 * row['difference']:+.1f} ± {100 * row['difference_ci95']:.1f} points"
        yield f"    {apart} from {table.reference.method} ({row['paired_seeds']} seeds)"
    if any(row["off_budget"] for row in rows):
        yield "off its budget: by more than one point of the MACs"
    if days := _days(folder, table):
        yield days


def days_line(folder: Path, *names: str) -> str:
    """Return between which days the files of some tables were made, as a line to print; empty if there are none."""
    return _days(folder, *(TABLES[name] for name in names))


def _days(folder: Path, *tables: Table) -> str:
    cells = {cell for table in tables for cell in table.cells(MOST_SEEDS)}
    return days_of(record["date"] for cell in cells if (record := cell.read(folder)))


def days_of(dates: Iterable[str]) -> str:
    """Return between which of some dates something was measured, in words; nothing if there are none."""
    days = sorted(dates)
    return f"measured {days[0]} to {days[-1]}" if days else ""


def label_of(method: str) -> str:
    """Return a method's label, short enough for a line of a table; how many rounds it trains is not in it."""
    label = METHODS[method].label
    for words, fewer in SHORTER.items():
        label = label.replace(words, fewer)
    return label


def verdict(row: Mapping[str, Any]) -> str:
    """Return in words how a row of `table_rows` compares with its table's reference."""
    if row["difference"] is None:
        return "not measured yet"
    if row["p"] is None:
        return "one seed, so no p"
    if row["p"] >= LEVEL:
        return "not told apart"
    return "better" if row["difference"] > 0 else "worse"


def in_points(row: Mapping[str, Any]) -> str:
    """Return a row's difference with its interval, in points; a star: p is below LEVEL."""
    if row["difference"] is None:
        return "not measured "
    gain, half = 100 * row["difference"], 100 * row["difference_ci95"]
    return f"{gain:+.1f} ± {half:.1f}{'*' if verdict(row) in ('better', 'worse') else ' '}"


def difference_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the differences to a table's reference, a line a row, a column a data set; `…` stands for MetaGater.

    Rows that spend over two points of the MACs more than their budget are named in lines of their own.
    """
    compared = [row for row in rows if row["label"] != row["reference"]]
    data = list(dict.fromkeys(row["data"] for row in compared))
    methods = {(row["method"], row["budget"]) for row in compared}
    several = len({method for method, _ in methods}) < len(methods)
    found: dict[str, list[str]] = {}
    for row in compared:
        found.setdefault(_line_name(row, several), []).append(f"{in_points(row):>13s}")
    wide = max(len(name) + len(first.strip()) for name, (first, *_) in found.items()) + 2
    yield f"{data[0]:>{wide - 1}s}" + "".join(f"{name:>13s}" for name in data[1:])
    for name, (first, *rest) in found.items():
        yield (name + first.lstrip().rjust(wide - len(name)) + "".join(rest)).rstrip()
    for row in rows:
        if (row["macs_ratio"] or 0) > row["budget"] + OVERSPENT:
            yield f"over its budget on {row['data']}: {_line_name(row, several)}, {row['macs_ratio']:.0%} of MACs"


def _line_name(row: Mapping[str, Any], several: bool) -> str:
    """Return a row's name; several: a method has several budgets."""
    label = label_of(row["method"])
    if several:
        return f"{label} {row['budget']:.0%}"
    return label.replace("MetaGater,", "…").replace("MetaGater", "…")


def pair_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield, by data set, the reference's accuracy and each row's difference to it, over how many pairs of trainings.

    Where a row is over a point of the MACs beside its budget, its share of the MACs follows.
    """
    wide = max(len(label_of(row["method"])) for row in rows)
    for row in rows:
        if row["accuracy"] is None:
            continue
        if row["label"] == row["reference"]:
            own = f"{100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f} %"
            yield f"{row['data']}, {label_of(row['method'])} at {row['budget']:.0%}: {own}, {row['seeds']} seeds"
            continue
        pairs = f"{row['paired_seeds']:2d} pair{'s' if row['paired_seeds'] > 1 else ''}"
        macs = f", {row['macs_ratio']:.1%}" if row["off_budget"] else ""
        yield f"  {label_of(row['method']):{wide}s} {in_points(row):>12s} {pairs}{macs}"
