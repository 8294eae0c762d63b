"""Many nodes: the round, the engines that run it, and what the server makes of the answers."""

from mglib.federated.aggregation import FedAdam, average
from mglib.federated.engines import LocalEngine
from mglib.federated.rounds import Engine, Round, RoundResult, ServerUpdate, Update, run_rounds

__all__ = [
    "Engine",
    "FedAdam",
    "LocalEngine",
    "Round",
    "RoundResult",
    "ServerUpdate",
    "Update",
    "average",
    "run_rounds",
]
