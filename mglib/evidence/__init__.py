"""The evidence: methods side by side on the same tasks, from one file a cell to a table's rows with intervals."""

from mglib.evidence.cells import Cell
from mglib.evidence.reproduce import Instruments, Progress, own_instruments, reproduce_tables
from mglib.evidence.statistics import Estimate, estimate_means, holm
from mglib.evidence.tables import TABLES, Row, Table, table_rows

__all__ = [
    "TABLES",
    "Cell",
    "Estimate",
    "Instruments",
    "Progress",
    "Row",
    "Table",
    "estimate_means",
    "holm",
    "own_instruments",
    "reproduce_tables",
    "table_rows",
]
