"""Which network suits photographs: dense ones of other depths and widths, told apart on validation nodes."""

from collections.abc import Mapping
from typing import Any

from mglib.nets import dense_macs
from studies.counting import ci95_of, counted, right_share, told
from studies.measure import TRIAL, as_record, federation_of
from studies.methods import LONG, recipe_of
from studies.recipes import set_up

DATA = "cifar10"
TASKS, QUICK = 400, {"rounds": 6, "tasks": 6}
COST = 1.0  # share of the tables' dense MACs at which depths are compared
PARTS = {
    f"{depth}-layers-{100 * cost:g}-rate-{rate:g}": {"depth": depth, "cost": cost, "backbone_learning_rate": rate}
    for depth, cost, rate in (
        *((depth, COST, rate) for depth in (4, 3, 5, 2) for rate in (0.4, 0.1)),
        *((4, cost, 0.4) for cost in (0.5, 0.25, 0.125, 4.0)),
    )
}


def measure_network(changes: Mapping[str, Any], quick: bool = False) -> dict[str, Any]:
    """Train a dense network, as wide as its cost allows, with learnt rates; return what validation nodes say of it."""
    depth, cost, rate, folder = (changes[name] for name in ("depth", "cost", "backbone_learning_rate", DATA))
    settings = {"backbone_learning_rate": rate, "server_learning_rate": 6e-3, "learn_rates": True}
    shape = {"depth": depth, "rounds": QUICK["rounds"] if quick else LONG}
    sources = {DATA: folder} if folder else {}
    recipe = recipe_of(DATA, "dense", budget=cost, seed=TRIAL["seed"], settings=settings | shape, sources=sources)
    experiment = set_up(recipe, federation_of(recipe))
    curve, tasks = [], QUICK["tasks"] if quick else TASKS
    for result in experiment.rounds():
        done = result.round.index + 1
        if done % max(1, recipe.rounds // 10) == 0:
            scores = counted(experiment, result.params, experiment.federation.validation, tasks)
            curve.append([done, round(right_share(scores), 4)])
    record = {
        "depth": depth,
        "width": recipe.width,
        "cost": cost,
        "macs": dense_macs(experiment.net.costs),
        **told(scores),
        "ci95": ci95_of(scores),
        "curve": curve,
    }
    return as_record(record, recipe, quick)


def network_rows(part: str, record: dict) -> list[dict]:
    """Return a network's row."""
    names = ("depth", "width", "macs", "accuracy", "ci95")
    return [{name: record[name] for name in names} | {"rate": record["recipe"]["backbone_learning_rate"]}]
