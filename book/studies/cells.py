"""Cell: one method on one data set with one seed, and the file that says how it went."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mglib.params import write_atomically
from studies.recipes import Recipe

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
FIELDS = ("correct", "queries", "macs_ratio", "bytes_sent", "rounds_to_target", "curve", "seconds")
"""What `measure` must say of a cell, beside whatever else it says: recipe, versions, commit, date, further `steps`."""


@dataclass(frozen=True)
class Cell:
    """What is trained and tested once, and kept in a file of its own."""

    data: str
    method: str
    shots: int = 1  # labelled examples a class
    budget: float = 0.5  # share of the reference dense network's MACs
    seed: int = 0

    @property
    def name(self) -> str:
        """The cell in one word: data/shots/method-budget/seed."""
        return f"{self.data}/{self.shots}-shot/{self.method}-{100 * self.budget:g}/seed{self.seed}"

    def path(self, folder: Path) -> Path:
        """Return where the cell's record is kept under `folder`."""
        return folder / f"{self.name}.json"

    def write(self, folder: Path, record: Mapping[str, Any]) -> None:
        """Write the record, the cell's own fields first, whole or not at all.

        Raises:
            ValueError: if the record lacks something that tables need, or counts more right answers than queries.
        """
        record = {**dataclasses.asdict(self), **record}
        if lacking := [name for name in FIELDS if name not in record]:
            raise ValueError(f"the record of {self.name} lacks {', '.join(lacking)}")
        for correct in (record["correct"], *record.get("steps", {}).values()):
            if not correct or not all(0 <= count <= record["queries"] for count in correct):
                raise ValueError(f"{self.name}: right answers must be 0 to {record['queries']} for one task at least")
        write_record(self.path(folder), record)

    def read(self, folder: Path) -> dict[str, Any] | None:
        """Return the record, or None if there is no file yet.

        Raises:
            ValueError: if the file is not this cell's record.
        """
        record = read_record(self.path(folder))
        if record is None:
            return None
        own = dataclasses.asdict(self)
        if wrong := [
            name for name in (*own, *FIELDS) if name not in record or own.get(name, record[name]) != record[name]
        ]:
            raise ValueError(f"{self.path(folder)} is not the record of {self.name}: see {', '.join(wrong)}")
        return record


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object with a line for each of its fields, whole or not at all; lists of a thousand stay short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in record.items()]
    write_atomically(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, None if there is no file; settings have today's names.

    Raises:
        ValueError: if the file holds something else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a record ({error})") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path} is not a record: it holds no JSON object")
    for place in (record, *record.get("trials", ())):
        place |= {name: Recipe.of_today(place[name]) for name in ("recipe", "settings") if name in place}
    return record


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the records in a folder of JSON files by file name, in alphabetical order."""
    return {path.stem: read_record(path) for path in sorted(folder.glob("*.json"))}
