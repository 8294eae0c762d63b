"""Many nodes: the round, the engines that run it, and what the server makes of the answers."""

from mglib.federated.aggregation import (
    ClippedMean,
    FedAdam,
    FedAvg,
    Krum,
    PrivateNode,
    PrivateServer,
    TrimmedMean,
    average,
    clip,
    mean,
    median,
    move_length,
)
from mglib.federated.engines import ClientUpdate, LocalEngine
from mglib.federated.messages import Answer, Refusal, Round, RoundFailed, Update, admit, reason_against
from mglib.federated.rounds import Engine, RoundResult, ServerState, ServerUpdate, run_rounds
