"""What a recipe's settings may be, by name and by number."""

import math
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from mglib.nets.gates import Estimator
from mglib.nets.objective import check_budget
from mglib.params import whole_number

if TYPE_CHECKING:
    from mglib.training.recipes import Recipe

Method = Literal[
    "metagater",
    "metagater-named",
    "joint",
    "gates-first",
    "gates-fixed",
    "static-mask",
    "random-gates",
    "maml",
    "anil",
    "reptile",
    "pfedme",
    "fedavg",
    "gated-fedavg",
]
Server = Literal["adam", "average"]
Aggregation = Literal["mean", "clipped", "median", "trimmed", "krum"]
Privacy = Literal["none", "server", "node"]
Compression = Literal["none", "half", "top-k", "opened"]
Attack = Literal["none", "sign-flip", "noise", "label-flip", "drift"]
Architecture = Literal["conv", "residual"]
LARGEST_SEED = 2**63 - 1  # of those that NumPy, torch and Flower all take
_COUNTS = (
    "image_size",
    "width",
    "ways",
    "shots",
    "queries",
    "rounds",
    "nodes_per_round",
    "local_steps",
    "steps",
    "batch",
    "tasks_per_step",
    "quorum",
)
_DENSE = ("maml", "anil", "reptile", "pfedme", "fedavg")  # methods without gates
_NAMED = ("metagater-named", "fedavg", "gated-fedavg")  # that train a classifier of all nodes' classes
_DESCENDING = ("reptile", "pfedme", "fedavg", "gated-fedavg")  # without meta-gradient
_CHOICES = {
    "method": Method,
    "architecture": Architecture,
    "estimator": Estimator,
    "server": Server,
    "aggregation": Aggregation,
    "attack": Attack,
    "privacy": Privacy,
    "compression": Compression,
}


def check_settings(recipe: "Recipe") -> None:
    """Check every number and name that can be checked without the data.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """
    check_budget(recipe.budget)
    for name, allowed in _CHOICES.items():
        _check_choice(name, getattr(recipe, name), allowed)
    for name in _COUNTS:
        whole_number(name, getattr(recipe, name), 1)
    for name in ("seed", "data_seed"):
        whole_number(name, getattr(recipe, name), 0, LARGEST_SEED)
    if recipe.quorum > recipe.nodes_per_round:
        raise ValueError(f"`quorum` (={recipe.quorum}) must be at most the {recipe.nodes_per_round} nodes of a round")
    for name in ("suspected", "attackers"):
        if not 0 <= getattr(recipe, name) < 0.5:
            raise ValueError(f"`{name}` (={getattr(recipe, name)}) must be in [0, 0.5): half of the nodes decide")
    if recipe.depth is not None:
        whole_number("depth", recipe.depth, 1)
    _ = recipe.partition  # checks its own fields
    if recipe.channels not in (None, 1, 3):
        raise ValueError(f"`channels` (={recipe.channels}) must be 1 (grey) or 3 (colour)")
    if not 0 < recipe.anneal_share <= 1:
        raise ValueError(f"`anneal_share` (={recipe.anneal_share}) must be in (0, 1]")
    for name in ("penalty", "backbone_learning_rate", "gate_learning_rate", "proximity", "naming", "noise"):
        if getattr(recipe, name) < 0:
            raise ValueError(f"`{name}` (={getattr(recipe, name)}) must not be negative")
    if recipe.gate_bias is not None and not recipe.gate_bias > 0:
        raise ValueError(f"`gate_bias` (={recipe.gate_bias}) must be positive: gates start open")
    if not 0 < recipe.kept <= 1:
        raise ValueError(f"`kept` (={recipe.kept}) must be in (0, 1]: a share of the numbers")
    for name in ("node_learning_rate", "server_learning_rate", "clip_norm"):
        if not getattr(recipe, name) > 0:
            raise ValueError(f"`{name}` (={getattr(recipe, name)}) must be positive")
    if conflict := next(_conflicts(recipe), None):
        name, reason = conflict
        raise ValueError(f"`{name}` (={getattr(recipe, name)!r}): {reason}")


def _conflicts(recipe: "Recipe") -> Iterator[tuple[str, str]]:
    """Yield settings that others leave without effect, or that break what others promise, each with the reason."""
    method, aggregation, nodes = recipe.method, recipe.aggregation, recipe.nodes_per_round
    if method in _DENSE or method == "random-gates":
        for name in ("estimator", "gate_bias"):
            if getattr(recipe, name) != getattr(type(recipe), name):
                yield name, f"{method!r} learns no gates"
    if method in _DESCENDING and not recipe.second_order:
        yield "second_order", f"{method!r} has no meta-gradient"
    if method in _DENSE and recipe.compression == "opened":
        yield "compression", f"{method!r} has no gates: every filter is open"
    if recipe.privacy == "node" and recipe.compression == "opened":
        yield "compression", "it tells which filters a node's images open, noise or not"
    if recipe.privacy != "none" and method in _NAMED:
        yield "privacy", f"{method!r} has a row for each class of each node, which tells of them, noise or not"
    if recipe.privacy == "none" and recipe.noise:
        yield "noise", "it is for privacy, at the server or at the node"
    if recipe.privacy == "server" and aggregation != "mean":
        yield "aggregation", "a private server sees no update by itself"
    lying = round(recipe.suspected * nodes)
    if aggregation in ("trimmed", "krum") and not lying:
        yield "suspected", f"of {nodes} nodes a round that is none, and {aggregation!r} leaves none out"
    least = {"median": 3, "trimmed": 2 * lying + 1, "krum": 2 * lying + 3}.get(aggregation, 1)
    if nodes < least:
        yield "nodes_per_round", f"{aggregation!r} needs at least {least} to bear {max(1, lying)} that lie"
    if recipe.attack != "none" and not recipe.attackers:
        yield "attackers", f"nobody plays {recipe.attack!r}"
    for name, used, where in (
        ("kept", recipe.compression == "top-k", "compression 'top-k'"),
        ("attackers", recipe.attack != "none", "an attack"),
        ("proximity", method == "pfedme", "method 'pfedme'"),
        ("naming", method == "metagater-named", "method 'metagater-named'"),
    ):
        if not used and getattr(recipe, name) != getattr(type(recipe), name):
            yield name, f"it is for {where}"


def _check_choice(name: str, value: str, allowed: object) -> None:
    if value not in get_args(allowed):
        raise ValueError(f"`{name}` (={value!r}) must be one of {', '.join(get_args(allowed))}")


def as_declared(name: str, declared: Any, value: Any) -> Any:
    """Return a field's value as it is annotated and as JSON gives it back: Python's own numbers, tuples for lists.

    Raises:
        ValueError: naming the field, if a number is none or not finite, or one text stands where several may.
    """
    kind, *more = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    if value is None and NoneType in more:
        return None
    if get_origin(kind) is tuple:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(f"`{name}` (={value!r}) must be a tuple, such as {(value,)!r}")
        return tuple(as_declared(name, get_args(kind)[0], each) for each in value)
    if kind is int:
        return whole_number(name, value)
    convert = {float: _finite, bool: _yes_or_no}.get(kind)
    return convert(name, value) if convert else value


def _finite(name: str, value: Any) -> float:
    try:
        if not isinstance(value, bool | str) and math.isfinite(value):
            return float(value)
    except (TypeError, OverflowError):
        pass
    raise ValueError(f"`{name}` (={value!r}) must be a finite number")


def _yes_or_no(name: str, value: Any) -> bool:
    if value not in (True, False):
        raise ValueError(f"`{name}` (={value!r}) must be True or False")
    return bool(value)
