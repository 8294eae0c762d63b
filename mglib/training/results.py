"""Results: a measured record together with all that is needed to measure it again."""

import dataclasses
import datetime
import json
import os
from importlib.metadata import version
from pathlib import Path

from mglib.training.recipes import Recipe


def with_provenance(record: dict, recipe: Recipe) -> dict:
    """Return a record with the recipe behind it, the versions that computed it, and today's date."""
    return {
        **record,
        "recipe": dataclasses.asdict(recipe),
        "versions": {name: version(name) for name in ("mglib", "torch", "numpy", "matplotlib", "pillow")},
        "date": datetime.date.today().isoformat(),
    }


def read_results(folder: str | os.PathLike) -> dict[str, dict]:
    """Return the records in a folder of JSON files by file name, in alphabetical order.

    Raises ValueError if the folder holds none.
    """
    records = {path.stem: json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))}
    if not records:
        raise ValueError(f"{folder} holds no results")
    return records
