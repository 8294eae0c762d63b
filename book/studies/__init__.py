"""What the book measures: methods side by side on the same tasks, from one file a cell to a table's rows, and studies.

The library knows nothing of it. `bench` times the library beside what else could be used.
"""

from studies.cells import Cell, read_results
from studies.lines import compared_lines, days_line
from studies.registry import STUDIES, Study, measure_missing
from studies.reproduce import Instruments, Progress, reproduce_tables
from studies.rows import TABLES, Row, Table
from studies.statistics import Estimate, estimate_means, holm
from studies.tables import table_rows

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
    "compared_lines",
    "days_line",
    "estimate_means",
    "holm",
    "measure_missing",
    "read_results",
    "reproduce_tables",
    "table_rows",
]
