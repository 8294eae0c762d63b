"""Messages: what a node is sent beside the parameters, what it answers, and which answers may reach the average."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from mglib.params import Params

LARGEST_NUMBER = torch.finfo(torch.float32).max  # of a weight or a metric: no sum over a round's nodes overflows
LONGEST_NAMES, LONGEST_REASON = 1000, 500  # characters: of all metrics' names together, of a reason
HUGE = 1e18  # the size of parameters beyond which the server's squares overflow
NOT_FINITE = "holds numbers that are not finite"
SMALLER_RATES = "learning rates that are too large do this: try smaller ones"


@dataclass(frozen=True)
class Round:
    """Round index, number of rounds and seed: what a node's draws and schedules depend on."""

    index: int  # from 0
    rounds: int  # planned in all
    seed: int

    @property
    def progress(self) -> float:
        """Share of the training that lies behind, from 0 towards 1."""
        return self.index / self.rounds

    def generator(self, stream: int) -> np.random.Generator:
        """Return a generator that depends on seed, round and `stream` alone, never on who drew before.

        Stream 0 is the server's; stream 1 + p belongs to the node at position p.
        """
        return np.random.default_rng([self.seed, self.index, stream])


class Update(NamedTuple):
    """What a node sends back."""

    node: str
    params: Params
    weight: float  # the node's share in the average, before normalisation
    metrics: dict[str, float]
    round: int | None = None  # that it answers; None: computed within the very call, so there is no doubt


class Refusal(NamedTuple):
    """A node that has no part in a round, and why."""

    node: str
    reason: str


Answer = Update | Refusal  # an engine refuses where there is nothing to look at: an error, or no reply in time


class RoundFailed(RuntimeError):
    """Too few nodes answered as they should, or the server's step overflowed; the message says which, and why."""


def admit(sent: Params, answers: Sequence[Answer], round: Round, quorum: int = 1) -> tuple[list[Update], list[Refusal]]:
    """Part the updates that may reach the average from the refusals, each in the order given.

    Whatever an answer is or holds, it ends in one of the two. Of several answers of a node the first counts.

    Raises RoundFailed if fewer than `quorum` updates are left.
    """
    updates, refused, names = [], [], set()
    for place, answer in enumerate(answers):
        found = examined(answer, sent, round, f"answer {place}")
        if isinstance(found, Update) and found.node in names:
            found = Refusal(found.node, "a second answer under this name")
        if isinstance(found, Update):
            updates.append(found)
            names.add(found.node)
        else:
            refused.append(found)
    if len(updates) < quorum:
        reasons = "; ".join(f"{refusal.node}: {refusal.reason}" for refusal in refused) or "no node answered"
        overflown = refused and all(NOT_FINITE in refusal.reason for refusal in refused)
        hint = f"; after {round.index} rounds, {SMALLER_RATES}" if overflown else ""
        raise RoundFailed(f"round {round.index}: {len(updates)} of {quorum} needed nodes answered ({reasons}){hint}")
    return updates, refused


def examined(answer: Answer, sent: Params, round: Round, name: str) -> Answer:
    """Return an update that may reach the average, in plain numbers and text, and the refusal of any other answer.

    name: what a node goes by that gives none.
    """
    if isinstance(answer, Update | Refusal) and isinstance(answer.node, str):
        name = answer.node
    if isinstance(answer, Refusal):
        return Refusal(name, plain_text(answer.reason))
    if reason := reason_against(answer, sent, round):
        return Refusal(name, plain_text(reason))
    metrics = {name: float(value) for name, value in answer.metrics.items()}
    return answer._replace(weight=float(answer.weight), metrics=metrics)


def reason_against(update: Update, sent: Params, round: Round) -> str | None:
    """Return why an update must not reach the average, None if it may.

    It has to answer this round, in plain tensors under the names and in the shapes and types of `sent`, with numbers
    that are finite, squared too, a positive finite weight and finite metrics. Numbers are looked at last. What
    is well formed and wrong passes: against nodes that lie there are robust means.
    """
    if not isinstance(update, Update):
        return f"it answered with {_kind(update)} of {type(update).__module__}, not with an mglib.Update"
    if not isinstance(update.node, str):
        return f"its node is named by {_kind(update.node)}"
    if not (update.round is None or (isinstance(update.round, numbers.Integral) and update.round == round.index)):
        return f"answers round {_number(update.round)} in round {round.index}"
    if not (_is_number(update.weight) and update.weight > 0):
        return f"its weight is {_number(update.weight)}"
    for what, named in (("parameter", update.params), ("metric", update.metrics)):
        if not isinstance(named, dict):
            return f"its {what}s are {_kind(named)}, not a dict"
        if odd := [name for name in named if not isinstance(name, str)]:
            return f"a {what} is named by {_kind(odd[0])}"
    if sum(map(len, update.metrics)) > LONGEST_NAMES:
        return f"the names of its {len(update.metrics)} metrics are longer than {LONGEST_NAMES} characters"
    if reason := _reason_against_params(update.params, sent):
        return reason
    odd = [name for name, value in update.metrics.items() if not _is_number(value)]
    return f"its {plain_text(odd[0])} is {_number(update.metrics[odd[0]])}" if odd else None


def _reason_against_params(params: Params, sent: Params) -> str | None:
    for name, value in params.items():
        if type(value) is not torch.Tensor or value.layout != torch.strided or value.is_nested or value.requires_grad:
            return f"{plain_text(name)} is {_kind(value)} where a plain tensor was sent"
    if params.keys() != sent.keys():
        odd = sorted(params.keys() ^ sent.keys())[0]
        return f"parameters of another network: {plain_text(odd)} is {'missing' if odd in sent else 'unknown'}"
    for name, value in params.items():
        if (value.shape, value.dtype) != (sent[name].shape, sent[name].dtype):
            return f"{name} is {_form(value)} where {_form(sent[name])} was sent"
        if value.device != sent[name].device:
            return f"{name} is on {value.device} where it was sent on {sent[name].device}"
    if bad := _not_finite(params):
        return f"{bad[0]} {NOT_FINITE}"
    huge = (name for name, value in params.items() if value.is_floating_point() and bool((value.abs() > HUGE).any()))
    return next((f"{name} {NOT_FINITE} when they are squared" for name in huge), None)


def check_step(after: Params, round: Round) -> None:
    """Raise RoundFailed if numbers of the server's parameters or state are not finite after its step."""
    if bad := _not_finite(after):
        raise RoundFailed(f"round {round.index}: after the server's step {bad[0]} {NOT_FINITE}; {SMALLER_RATES}")


def _not_finite(params: Params) -> list[str]:
    return [name for name, value in params.items() if not bool(torch.isfinite(value).all())]


def plain_text(text: object) -> str:
    """Return what a node wrote as text of a bounded length that is safe to print: no line breaks, no control codes."""
    shortened = str(text)[:LONGEST_REASON]
    return "".join(character if character.isprintable() else " " for character in shortened)


def _is_number(value: object) -> bool:
    """Whether a value is one real number, of a size that can be added up; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return bool(-LARGEST_NUMBER <= value <= LARGEST_NUMBER)  # not so for nan


def _number(value: object) -> str:
    """Return a number as text, of anything else and of endless integers what they are."""
    if isinstance(value, float) or _is_number(value):
        return str(value)
    return _kind(value)


def _kind(value: object) -> str:
    name = type(value).__name__
    if isinstance(value, torch.Tensor):
        layout = ", nested" if value.is_nested else f" {value.layout}".replace(" torch.strided", "")
        name += f"{layout}{' that requires a gradient' if value.requires_grad else ''}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _form(value: torch.Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
