"""The tables: which rows each of them has, what each row is compared with, and the cells that are behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studies.cells import Cell
from studies.methods import ABLATIONS, METHODS

SEEDS = range(5)
MOST_SEEDS = range(10)  # where five decide nothing
DATA = ("glyphs", "omniglot", "cifar10")
SMALL = "cifar10-small"  # beside dense networks of fewer filters
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
AT_LENGTH = (Row("dense-long", budget=1.0), Row("slim-long"), Row("gates-fixed-long"), Row("static-mask-long"))
FURTHER = (Row("joint-long"), Row("fedavg-long"), Row("fedavg-10-long"))
SAME_MACS = tuple(  # what is tuned at half of the MACs, apart from the reference and what stands in a table of names
    name for name, own in METHODS.items() if own.search and own.budget < 1 and name not in ("metagater", "slim-named")
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
            (*AT_LENGTH, *FURTHER),
            Row("metagater-long"),
        ),
        Table(
            "rates",
            "1,500 rounds with rates as they are set, where they are not learnt",
            (Row("fixed-rates-long"),),
            Row("metagater-long"),
            data=("glyphs",),
        ),
        Table(
            "named",
            "1,500 rounds with learnt rates where everybody knows the classes' names",
            (Row("dense-named-long", budget=1.0), Row("slim-named-long"), Row("fedavg-10-long"), Row("metagater-long")),
            Row("metagater-named-long"),
        ),
        Table(
            "quarter",
            "1,500 rounds and learnt rates, a quarter of the dense MACs, one example a class",
            (Row("dense-long", budget=1.0), Row("slim-long", budget=0.25), Row("gates-fixed-long", budget=0.25)),
            Row("metagater-long", budget=0.25),
        ),
        Table(
            "small",
            "Photographs at length where fewer filters cost accuracy: the measure is a dense network of 20 a layer",
            AT_LENGTH,
            Row("metagater-long"),
            data=(SMALL,),
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
