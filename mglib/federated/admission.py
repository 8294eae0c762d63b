"""Admission: what a node sends back is looked at before it may reach the average."""

import math
from collections.abc import Sequence

import torch

from mglib.federated.messages import Answer, Refusal, Round, Update
from mglib.params import Params

LARGEST = 2.0  # times the bytes that were sent: what is larger is not even read


class RoundFailed(RuntimeError):
    """Too few nodes answered as they should; the message says which, and why not."""


def admit(sent: Params, answers: Sequence[Answer], round: Round, quorum: int = 1) -> tuple[list[Update], list[Refusal]]:
    """Part the updates that may reach the average from the refusals, each in the order given.

    Raises:
        RoundFailed: if fewer than `quorum` updates are left.
    """
    updates, refused = [], []
    for answer in answers:
        reason = answer.reason if isinstance(answer, Refusal) else reason_against(answer, sent, round)
        if reason is None:
            updates.append(answer)
        else:
            refused.append(Refusal(answer.node, reason))
    if len(updates) < quorum:
        reasons = "; ".join(f"{refusal.node}: {refusal.reason}" for refusal in refused) or "no node answered"
        raise RoundFailed(f"round {round.index}: {len(updates)} of {quorum} needed nodes answered ({reasons})")
    return updates, refused


def reason_against(update: Update, sent: Params, round: Round) -> str | None:
    """Return why an update must not reach the average, None if it may.

    It has to answer this round, with finite numbers under the names and in the shapes and types of `sent`, a positive
    finite weight and finite metrics. Sizes are looked at before numbers. What is well formed and wrong passes:
    against nodes that lie there are robust means.
    """
    if update.round not in (None, round.index):
        return f"answers round {update.round} in round {round.index}"
    if not (math.isfinite(update.weight) and update.weight > 0):
        return f"its weight is {update.weight}"
    size, expected = (sum(value.nbytes for value in params.values()) for params in (update.params, sent))
    if size > LARGEST * expected:
        return f"a payload of {size} bytes where {expected} were sent"
    if update.params.keys() != sent.keys():
        odd = sorted(update.params.keys() ^ sent.keys())[0]
        return f"parameters of another network: {odd} is {'missing' if odd in sent else 'unknown'}"
    for name, value in update.params.items():
        if (value.shape, value.dtype) != (sent[name].shape, sent[name].dtype):
            return f"{name} is {_form(value)} where {_form(sent[name])} was sent"
        if not bool(torch.isfinite(value).all()):
            return f"{name} holds numbers that are not finite"
    if odd := [name for name, value in update.metrics.items() if not math.isfinite(value)]:
        return f"its {odd[0]} is {update.metrics[odd[0]]}"
    return None


def _form(value: torch.Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
