"""The methods that the tables compare, on what data, and between which settings each of them may choose."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from typing import Any

from mglib.nets import dense_macs, make_net
from mglib.training.algorithms import Algorithm
from mglib.training.updates import MetaUpdate
from studies.baselines import ALGORITHMS, NamedMetaUpdate
from studies.recipes import Recipe

ROUNDS = 600
REFERENCE_WIDTH = 32  # filters a layer of the dense network whose MACs are the measure
WIDE = 48  # filters a layer of the networks that choose among them, half more than the measure has
BASE = {"rounds": ROUNDS, "queries": 5}
Changes = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A data set of the tables: what its recipes say of it."""

    recipe: Changes
    in_folder: Changes = field(default_factory=dict)  # what they say of a folder alone
    tuned_on: str | None = None  # the data set whose settings it takes; None: it is tuned itself
    folder: str | None = None  # the option that names its folder; None: it needs none
    published: str | None = None  # its name where no folder is given
    filters: int = REFERENCE_WIDTH  # a layer of the dense network whose MACs are the measure


_CIFAR = {"image_size": 32, "channels": 3}
_ALPHABETS = {"held_out": ("Latin",), "validation": ("Korean",)}
SOURCES = {
    "glyphs": Source({"data": "glyphs"}),
    "omniglot": Source({"rotate": True}, _ALPHABETS, folder="omniglot", published="omniglot"),
    "cifar10": Source({**_CIFAR, "new_nodes": "unseen-sets"}, folder="cifar10", published="cifar10"),
    "questions": Source({"data": "questions", "image_size": 20, "channels": 3}),
    "cifar10-small": Source(
        {**_CIFAR, "new_nodes": "unseen-sets"}, tuned_on="cifar10", folder="cifar10", published="cifar10", filters=20
    ),
    "cifar10-unseen": Source({**_CIFAR, "nodes": (8, 0, 4)}, tuned_on="cifar10", folder="cifar10", published="cifar10"),
}


@dataclass(frozen=True)
class Method:
    """A method of the tables.

    label: as readers know it; changes: what its recipe changes; search: the settings among which its validation
    nodes choose, as many for each method; like: the method whose choice it takes instead of a search of its own.
    """

    label: str
    changes: Changes
    search: tuple[Changes, ...] = ()
    like: str | None = None
    budget: float = 0.5  # that it is tuned at

    @property
    def algorithm(self) -> Algorithm:
        """What makes the method."""
        return ALGORITHMS[self.changes.get("method", "metagater")]

    @property
    def gated(self) -> bool:
        """Whether the budget is kept by gates, and not by having fewer filters."""
        return self.algorithm.gates != "none"


def _grid(**choices: tuple) -> tuple[Changes, ...]:
    return tuple(dict(zip(choices, values, strict=True)) for values in product(*choices.values()))


_RATES = _grid(backbone_learning_rate=(0.1, 0.4), server_learning_rate=(2e-3, 6e-3))
_HEAD_RATES = _grid(backbone_learning_rate=(0.4, 1.2), server_learning_rate=(2e-3, 6e-3))
_DESCENT = {"steps": 5, "client_learning_rate": 1.0}
_NAMED = {"local_steps": 2, "batch": 50}
_NAMED_RATES = _grid(client_learning_rate=(0.1, 0.4), server_learning_rate=(2e-3, 6e-3))
_TEN = _grid(backbone_learning_rate=(0.03, 0.1), server_learning_rate=(2e-3, 6e-3))
_WITH_NAMES = {"batch": 50, "backbone_learning_rate": 0.4, "server_learning_rate": 6e-3}
_WEIGHTS = _grid(classifier_weight=(1.0, 3.0), local_steps=(1, 2))
_PROXIMAL = _grid(backbone_learning_rate=(0.05, 0.2), proximal_weight=(0.1, 1.0))


def _gated(label: str, search: tuple[Changes, ...] = _RATES, like: str | None = None, **changes: Any) -> Method:
    return Method(label, {"width": WIDE, **changes}, () if like else search, like)


METHODS = {
    "metagater": _gated("MetaGater, two stages"),
    "metagater-named": _gated("MetaGater with names", _WEIGHTS, method="metagater-named", **_WITH_NAMES),
    "joint": _gated("MetaGater, one joint stage", method="joint"),
    "gates-fixed": _gated("MetaGater, gates fixed in adaptation", method="gates-fixed"),
    "first-order": _gated("MetaGater, first-order", second_order=False),
    "dense": Method("MAML, dense", {"method": "maml"}, _RATES, budget=1.0),
    "slim": Method("MAML, slimmer network", {"method": "maml"}, _RATES),
    "dense-named": Method("MAML with names, dense", {"method": "maml-named", **_WITH_NAMES}, _WEIGHTS, budget=1.0),
    "slim-named": Method("MAML with names, slimmer network", {"method": "maml-named", **_WITH_NAMES}, _WEIGHTS),
    "fomaml": Method("first-order MAML", {"method": "maml", "second_order": False}, _RATES),
    "anil": Method("ANIL", {"method": "anil"}, _HEAD_RATES),
    "reptile": Method(
        "Reptile",
        {"method": "reptile", **_DESCENT},
        _grid(**{"backbone_learning_rate": (0.05, 0.2), "server_learning_rate": (2e-3, 6e-3)}),
    ),
    "fedavg": Method("FedAvg, then one step", {"method": "fedavg", **_NAMED}, _NAMED_RATES),
    "fedavg-10": Method("FedAvg, then ten steps", {"method": "fedavg", **_NAMED, "steps": 10}, _TEN),
    "per-fedavg": Method(
        "Per-FedAvg, three local steps", {"method": "maml", "local_steps": 3, "rounds": ROUNDS // 2}, _RATES
    ),
    "pfedme": Method("pFedMe", {"method": "pfedme", **_DESCENT}, _PROXIMAL),
    "static-mask": _gated("a learnt mask", method="static-mask"),
    "gated-fedavg": _gated("gated FedAvg, then one step", _NAMED_RATES, method="gated-fedavg", **_NAMED),
    "pruned": Method("MAML, pruned by magnitude", {"method": "maml", "width": WIDE}, _RATES),
    "random-gates": _gated("random gates", method="random-gates"),
    "gates-first": _gated("gates first, then backbone", like="metagater", method="gates-first"),
    "narrow": _gated("32 filters a layer, as dense", like="metagater", width=REFERENCE_WIDTH),
    "wider": _gated("64 filters a layer", like="metagater", width=64),
    "budget-at-once": _gated("budget in force from the start", like="metagater", anneal_share=0.001),
    "budget-late": _gated("budget reached at the very end", like="metagater", anneal_share=1.0),
    "weak-penalty": _gated("penalty 0.3", like="metagater", penalty=0.3),
    "strong-penalty": _gated("penalty 3", like="metagater", penalty=3.0),
    "slow-gates": _gated("gate rate 0.05", like="metagater", gate_learning_rate=0.05),
    "fast-gates": _gated("gate rate 5", like="metagater", gate_learning_rate=5.0),
    "near-closing": _gated("gates start at logit 0.3", like="metagater", gate_bias=0.3),
    "far-from-closing": _gated("gates start at logit 3", like="metagater", gate_bias=3.0),
    "gumbel": _gated("Gumbel noise in training", like="metagater", estimator="gumbel"),
}
ABLATIONS = tuple(name for name, method in METHODS.items() if method.like == "metagater")

LONG = 1500  # rounds


def _at_length(name: str, *, learn_rates: bool = True, price: str = "dual") -> Method:
    """Return a method trained at length; its rates, if it has a meta-gradient, are learnt, and its price follows."""
    method = METHODS[name]
    changes = {**method.changes, "rounds": LONG} | ({"price": price} if method.gated else {})
    if learn_rates and issubclass(method.algorithm.update, MetaUpdate | NamedMetaUpdate):
        changes["learn_rates"] = True
    label = f"{method.label}, {LONG:,} rounds"
    return replace(method, label=label, changes=changes, search=(), like=name)


METHODS |= {
    f"{name}-long": _at_length(name)
    for name in (
        *("metagater", "dense", "slim", "gates-fixed", "joint", "fedavg", "fedavg-10"),
        *("metagater-named", "dense-named", "slim-named"),
    )
}
# A mask closes whole filters for all inputs, and stays below its budget unless it is paid to open some.
METHODS["static-mask-long"] = _at_length("static-mask", price="signed")
METHODS["fixed-rates-long"] = replace(
    _at_length("metagater", learn_rates=False), label=f"MetaGater, fixed rates, {LONG:,} rounds"
)


def recipe_of(
    data: str,
    method: str,
    *,
    shots: int = 1,
    budget: float = 0.5,
    seed: int = 0,
    settings: Mapping[str, Any],
    sources: Mapping[str, str],
    rounds_share: float = 1.0,
) -> Recipe:
    """Return the recipe of a cell.

    budget: share of the MACs of the dense network of REFERENCE_WIDTH; gates keep to it in training, a network without
        gates has as many filters a layer as fit.
    settings: what tuning chose; sources: where the images of a data set lie, by the name of its option.
    rounds_share: of the rounds in full, for trials and for a quick look.

    Raises:
        ValueError: for an unknown data set or method.
    """
    for option, value, known in (("data", data, SOURCES), ("method", method, METHODS)):
        if value not in known:
            raise ValueError(f"unknown {option} {value!r}; there are {', '.join(known)}")
    source, chosen = SOURCES[data], METHODS[method]
    changes = {**BASE, **chosen.changes, **settings, **source_changes(data, sources), "shots": shots, "seed": seed}
    changes["rounds"] = max(1, round(rounds_share * changes["rounds"]))
    if chosen.gated:
        changes["width"] = round(changes["width"] * source.filters / REFERENCE_WIDTH)
        own = reference_macs(data, changes["width"])
        changes["budget"] = min(1.0, budget * reference_macs(data) / own)
    elif method != "pruned":
        changes["width"] = width_within(data, budget, changes.get("depth", Recipe.depth))
    return Recipe(**changes)


def source_changes(data: str, sources: Mapping[str, str | None]) -> Changes:
    """Return what a recipe says of a data set's images, which may lie in a folder, by the name of its option."""
    source = SOURCES[data]
    if source.folder is None:
        return source.recipe
    folder = sources.get(source.folder)
    return source.recipe | ({"data": f"folder:{folder}", **source.in_folder} if folder else {"data": source.published})


@cache
def reference_macs(data: str, width: int | None = None, depth: int = Recipe.depth) -> int:
    """Return the MACs of the dense network of so many filters a layer; None: as many as the measure has."""
    sizes, width = SOURCES[data].recipe, width or SOURCES[data].filters
    shape = {name: sizes.get(name, default) for name, default in (("image_size", 28), ("channels", 1))}
    net, _ = make_net(0, width=width, depth=depth, gated=False, **shape)
    return dense_macs(net.costs)


@cache
def width_within(data: str, budget: float, depth: int = Recipe.depth) -> int:
    """Return the most filters a layer with which a dense network costs at most `budget` of the reference."""
    allowed, width = budget * reference_macs(data), 1
    while reference_macs(data, width + 1, depth) <= allowed:
        width += 1
    return width
