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

_OFFERS = {  # what each room offers here
    "fast": "SkippingNet fast_meta_gradient",
    "federated": "FedAdam LocalEngine Round Update average run_rounds",
    "meta": "Stage adapt meta_gradient",
    "nets": "GatedConvNet Objective annealed_budget dense_macs freeze gumbel macs_per_layer macs_ratio make_net "
    "straight_through",
    "params": "Params",
    "show": "",
    "tasks": "Batch Federation Node Task load_federation",
    "training": "Experiment NodeNetwork Recipe Run adapt_to_folder evaluate evaluate_run export_network set_up "
    "summarise train",
}
_ROOMS = {name: room for room, names in _OFFERS.items() for name in names.split()}
__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> Any:
    """Return a room of the library, or a name that one of them offers; torch, which takes seconds, is imported now."""
    if name in _OFFERS:
        return importlib.import_module(f"mglib.{name}")
    if name in _ROOMS:
        return getattr(importlib.import_module(f"mglib.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'mglib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_OFFERS})
