"""What networks spend that were trained at a fixed price of MACs, and at one that the server sets for their budget."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mglib.nets import dense_macs
from mglib.params import PRICE
from studies.counting import counted, told
from studies.measure import as_record, federation_of
from studies.methods import LONG, source_changes
from studies.recipes import Recipe, set_up

BASE = {"rounds": 300, "queries": 5, "width": 32}
SHOTS = {"questions": 5}
DATA = ("glyphs", "questions")
FOLDERS = ("omniglot", "cifar10")
BUDGETS = (0.12, 0.25, 0.5, 0.75)
METHODS = ("joint", "gates-fixed", "gates-first", "static-mask")
TASKS, QUICK = 200, {"rounds": 6, "tasks": 6}
CHANGES = [
    *[("glyphs", "metagater", price, budget) for budget in BUDGETS for price in ("fixed", "dual")],
    *[("glyphs", method, "dual", budget) for method in METHODS for budget in (0.25, 0.5)],
    *[("questions", "metagater", price, budget) for budget in BUDGETS for price in ("dual", "fixed")],
    *[(data, "metagater", "signed", budget) for budget in BUDGETS for data in DATA],
]
PARTS: dict[str, dict[str, Any]] = {
    f"{data}-{method}-{price}-{100 * budget:g}": {"data": data, "method": method, "price": price, "budget": budget}
    for data, method, price, budget in CHANGES
}
PARTS |= {
    f"{data}-metagater-signed-{100 * budget:g}-long": {**changes, "data": data, "rounds": LONG}
    for budget in BUDGETS
    for changes in [PARTS[f"glyphs-metagater-signed-{100 * budget:g}"]]
    for data in (*DATA, *FOLDERS)
}
# The same at the server rate that the tables took, three times the default.
FAST = PARTS["cifar10-metagater-signed-12-long"] | {"server_learning_rate": 6e-3}
PARTS["cifar10-metagater-signed-12-long-faster"] = FAST


def measure_price(changes: Mapping[str, Any], quick: bool = False) -> dict[str, Any]:
    """Train and count MACs on new nodes; the record says what the training nodes spent on the way, and the price."""
    sources = {name: changes[name] for name in FOLDERS}
    changes = {name: value for name, value in changes.items() if name not in FOLDERS}
    data, quickly = changes["data"], {"rounds": QUICK["rounds"]} if quick else {}
    recipe = Recipe(**{**BASE, **changes, **source_changes(data, sources), "shots": SHOTS.get(data, 1), **quickly})
    experiment = set_up(recipe, federation_of(recipe))
    spent, prices = [], []
    for result in experiment.rounds():
        spent.append(float(np.mean([update.metrics["macs_ratio"] for update in result.updates])))
        prices.append(float(result.params.get(PRICE, recipe.penalty)))
    scores = counted(experiment, result.params, experiment.federation.test, QUICK["tasks"] if quick else TASKS)
    every = max(1, recipe.rounds // 50)
    course = {
        "spent": [round(float(np.mean(spent[at : at + every])), 4) for at in range(0, len(spent), every)],
        "prices": [round(float(np.mean(prices[at : at + every])), 4) for at in range(0, len(prices), every)],
    }
    record = {**changes, **told(scores), "dense_macs": dense_macs(experiment.net.costs), **course}
    return as_record(record, experiment.recipe, quick)


def price_rows(part: str, record: dict) -> list[dict]:
    """Return what a training asked for and what its network spends."""
    names = ("data", "method", "price", "budget", "macs_ratio", "accuracy")
    own = {"rounds": record["recipe"]["rounds"], "off": record["macs_ratio"] - record["budget"]}
    return [{name: record[name] for name in names} | own]
