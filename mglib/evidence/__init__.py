"""The evidence: methods side by side on the same tasks, from one file a cell to a table's rows with intervals."""

from mglib.evidence.cells import Cell
from mglib.evidence.reproduce import Instruments, Progress, own_instruments, reproduce_tables
from mglib.evidence.statistics import Estimate, estimate_means, holm
from mglib.evidence.studies import STUDIES, Study, measure_missing
from mglib.evidence.tables import TABLES, Row, Table, table_rows

__all__ = [
    "STUDIES",
    "TABLES",
    "Cell",
    "Estimate",
    "Instruments",
    "Progress",
    "Row",
    "Study",
    "Table",
    "estimate_means",
    "holm",
    "measure_missing",
    "own_instruments",
    "reproduce_tables",
    "table_rows",
]
