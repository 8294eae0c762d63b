"""What a table's files say, in lines for a chapter's output."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from studies.rows import MOST_SEEDS, TABLES, Table
from studies.tables import table_rows


def compared_lines(name: str, folder: Path, *methods: str, data: Sequence[str] = ()) -> Iterator[str]:
    """Yield, for reading, what a table's files say of some of its methods beside the reference, and of which days.

    data: the data sets to look at; the table's if none are given.
    """
    whole = TABLES[name]
    compared = tuple(row for row in whole.compared if row.method in methods)
    table = replace(whole, compared=compared, data=tuple(data) or whole.data)
    rows = [row for row in table_rows(table, folder) if row["difference"] is not None]
    for row in rows:
        off = " (off its budget)" if row["off_budget"] else ""
        macs = "" if row["macs_ratio"] is None else f", MACs {row['macs_ratio']:.0%}{off}"
        yield f"{row['data']}, {row['method']}: {100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f} %{macs},"
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
    days = sorted(record["date"] for cell in cells if (record := cell.read(folder)))
    return f"measured {days[0]} to {days[-1]}" if days else ""
