"""Which network suits photographs: dense ones of other depths and widths, and gates of whole groups of filters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from mglib.nets import dense_macs
from mglib.nets.gates import GateHead
from mglib.nets.models import GatedConvNet
from mglib.params import merge
from studies.counting import ci95_of, counted, right_share, told
from studies.measure import TRIAL, as_record, federation_of
from studies.methods import LONG, recipe_of, reference_macs
from studies.recipes import Experiment, set_up

DATA = "cifar10"
TASKS, QUICK = 400, {"rounds": 6, "tasks": 6}
COST = 1.0  # share of the tables' dense MACs at which depths are compared
GROUPS = (1, 4, 12)  # filters behind one gate
DENSE = {"group": None, "depth": 4, "backbone_learning_rate": 0.4}  # what a part's changes leave out
PARTS: dict[str, dict[str, Any]] = {
    f"{depth}-layers-{100 * cost:g}-rate-{rate:g}": {"depth": depth, "cost": cost, "backbone_learning_rate": rate}
    for depth, cost, rate in (
        *((depth, COST, rate) for depth in (4, 3, 5, 2) for rate in (0.4, 0.1)),
        *((4, cost, 0.4) for cost in (0.5, 0.25, 0.125, 4.0)),
    )
}
PARTS |= {
    f"gates-of-{group}-seed{seed}": {"group": group, "cost": 0.5, "seed": TRIAL["seed"] + seed}
    for seed in range(3)
    for group in GROUPS
}


class GroupHead(GateHead):
    """A gate head with one logit for each `group` filters that lie next to each other."""

    def __init__(self, in_channels: int, out_channels: int, grid: int, group: int):
        """Make a head whose linear map gives `out_channels / group` logits."""
        super().__init__(in_channels, out_channels // group, grid)
        self.group = group

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (batch, filter), the same for all filters of a group."""
        return super().forward(inputs).repeat_interleave(self.group, 1)


class GroupGatedNet(GatedConvNet):
    """A `GatedConvNet` that opens its filters in groups; its heads are smaller, and cost so much less."""

    def __init__(self, group: int, **sizes: int):
        """Make the network.

        Raises:
            ValueError: if the filters of a layer are no whole number of groups.
        """
        super().__init__(**sizes)
        if sizes["width"] % group:
            raise ValueError(f"{sizes['width']} filters are no whole number of groups of {group}")
        for layer in self.layers:
            layer.gate = GroupHead(layer.conv.in_channels, layer.conv.out_channels, layer.gate.grid, group)
        self.costs = tuple(replace(cost, gate_macs=cost.gate_macs // group) for cost in self.costs)


def grouped(experiment: Experiment, group: int) -> Experiment:
    """Return an experiment whose gates, all open at first, decide for `group` filters each; 1: as it is."""
    if group == 1:
        return experiment
    sizes = {name: getattr(experiment.recipe, name) for name in ("ways", "width", "depth", "image_size", "channels")}
    net = GroupGatedNet(group, **sizes)
    gates = {name: value.detach() for name, value in net.named_parameters() if name in net.gate_names()}
    return replace(experiment, net=net, initial=merge(experiment.initial, gates))


def subject_of(changes: Mapping[str, Any], rounds: int) -> Experiment:
    """Return a dense network as wide as its cost allows, or one whose gates, of so many filters each, keep to it."""
    group, depth, rate = (changes.get(name, default) for name, default in DENSE.items())
    settings = {"backbone_learning_rate": rate, "server_learning_rate": 6e-3, "learn_rates": True}
    settings |= {"depth": depth, "rounds": rounds, **({"price": "signed"} if group else {})}
    asked = {"budget": changes["cost"], "seed": changes.get("seed", TRIAL["seed"]), "settings": settings}
    sources = {DATA: changes[DATA]} if changes[DATA] else {}
    recipe = recipe_of(DATA, "metagater" if group else "dense", **asked, sources=sources)
    return grouped(set_up(recipe, federation_of(recipe)), group or 1)


def measure_network(changes: Mapping[str, Any], quick: bool = False) -> dict[str, Any]:
    """Train a network with learnt rates and return what validation nodes say of it."""
    experiment = subject_of(changes, QUICK["rounds"] if quick else LONG)
    recipe, curve, tasks = experiment.recipe, [], QUICK["tasks"] if quick else TASKS
    for result in experiment.rounds():
        done = result.round.index + 1
        if done % max(1, recipe.rounds // 10) == 0:
            scores = counted(experiment, result.params, experiment.federation.validation, tasks)
            curve.append([done, round(right_share(scores), 4)])
    record = {
        "depth": recipe.depth,
        "width": recipe.width,
        "group": changes.get("group"),
        "cost": changes["cost"],
        "macs": dense_macs(experiment.net.costs),
        **told(scores),
        "ci95": ci95_of(scores),
        "curve": curve,
    }
    return as_record(record, recipe, quick)


def network_rows(part: str, record: dict) -> list[dict]:
    """Return a network's row; `spent`: its MACs over those of the tables' dense network."""
    own = {name: record[name] for name in ("depth", "width", "macs", "accuracy", "ci95")}
    group, rate = record.get("group"), record["recipe"]["backbone_learning_rate"]
    return [
        {**own, "rate": rate, "group": group, "spent": record["macs_ratio"] * record["macs"] / reference_macs(DATA)}
    ]
