"""Many nodes: the round, the engines that run it, and what the server makes of the answers."""

from mglib.federated.admission import RoundFailed, admit, reason_against
from mglib.federated.aggregation import FedAdam, Replace, average
from mglib.federated.engines import LocalEngine
from mglib.federated.messages import Answer, Refusal, Round, Update
from mglib.federated.privacy import PrivateNode, PrivateServer, privacy_spent, with_noise
from mglib.federated.robust import ClippedMean, Krum, TrimmedMean, clip, mean, median, move_length
from mglib.federated.rounds import Engine, RoundResult, ServerUpdate, run_rounds

__all__ = [
    "Answer",
    "ClippedMean",
    "Engine",
    "FedAdam",
    "Krum",
    "LocalEngine",
    "PrivateNode",
    "PrivateServer",
    "Refusal",
    "Replace",
    "Round",
    "RoundFailed",
    "RoundResult",
    "ServerUpdate",
    "TrimmedMean",
    "Update",
    "admit",
    "average",
    "clip",
    "mean",
    "median",
    "move_length",
    "privacy_spent",
    "reason_against",
    "run_rounds",
    "with_noise",
]
