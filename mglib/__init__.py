"""mglib: federated meta-learning of networks that choose their filters, as the MetaGater book builds it.

The folders are the parts of the book: `nets` (a network that chooses), `tasks` (what is learnt), `meta` (learning to
learn), `federated` (many nodes), `training` (where the parts meet) and `show` (pictures). `fast` computes the same
sooner.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mglib.fast import SkippingNet, fast_meta_gradient
    from mglib.federated import FedAdam, LocalEngine, Round, Update, average, run_rounds
    from mglib.meta import Stage, adapt, meta_gradient
    from mglib.nets import (
        GatedConvNet,
        Objective,
        annealed_budget,
        dense_macs,
        freeze,
        gumbel,
        macs_per_layer,
        macs_ratio,
        make_net,
        straight_through,
    )
    from mglib.params import Params
    from mglib.tasks import Batch, Federation, Node, Task, load_federation
    from mglib.training import (
        Experiment,
        NodeNetwork,
        Recipe,
        Run,
        adapt_to_folder,
        evaluate,
        evaluate_run,
        export_network,
        set_up,
        summarise,
        train,
    )

__all__ = [
    "Batch",
    "Experiment",
    "FedAdam",
    "Federation",
    "GatedConvNet",
    "LocalEngine",
    "Node",
    "NodeNetwork",
    "Objective",
    "Params",
    "Recipe",
    "Round",
    "Run",
    "SkippingNet",
    "Stage",
    "Task",
    "Update",
    "adapt",
    "adapt_to_folder",
    "annealed_budget",
    "average",
    "dense_macs",
    "evaluate",
    "evaluate_run",
    "export_network",
    "fast_meta_gradient",
    "freeze",
    "gumbel",
    "load_federation",
    "macs_per_layer",
    "macs_ratio",
    "make_net",
    "meta_gradient",
    "run_rounds",
    "set_up",
    "straight_through",
    "summarise",
    "train",
]


_PARTS = ("training", "federated", "fast", "nets", "params", "tasks", "meta")  # the first that has a name gives it


def __getattr__(name: str) -> Any:
    """Return a part of the library, or a name that one of them offers; torch, which takes seconds, is imported now."""
    if name in _PARTS:
        return importlib.import_module(f"mglib.{name}")
    if name in __all__:
        parts = (importlib.import_module(f"mglib.{part}") for part in _PARTS)
        return next(getattr(part, name) for part in parts if hasattr(part, name))
    raise AttributeError(f"module 'mglib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PARTS})
