"""Admission: what a node sends back is looked at before it may reach the average."""

import numbers
from collections.abc import Iterator, Sequence

import torch

from mglib.federated.messages import Answer, Refusal, Round, Update
from mglib.params import Params

LARGEST = 2.0  # times the bytes that were sent: what is larger is not even read
LARGEST_NUMBER = torch.finfo(torch.float32).max  # of a weight or a metric: no sum over a round's nodes overflows
LONGEST_NAMES, LONGEST_REASON = 1000, 500  # characters: of all metrics' names together, of a reason
HUGE = 1e18  # the size of parameters beyond which the server's squares overflow
NOT_FINITE = "holds numbers that are not finite"
SMALLER_RATES = "learning rates that are too large do this: try smaller ones"


class RoundFailed(RuntimeError):
    """Too few nodes answered as they should, or the server's step overflowed; the message says which, and why."""


def admit(sent: Params, answers: Sequence[Answer], round: Round, quorum: int = 1) -> tuple[list[Update], list[Refusal]]:
    """Part the updates that may reach the average from the refusals, each in the order given.

    Whatever an answer is or holds, it ends in one of the two. Of several answers of a node the first counts.

    Raises:
        RoundFailed: if fewer than `quorum` updates are left.
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
    that are finite, squared too, a positive finite weight and finite metrics. Sizes are looked at before numbers. What
    is well formed and wrong passes: against nodes that lie there are robust means.
    """
    if not isinstance(update, Update):
        return no_update(update)
    if not isinstance(update.node, str):
        return f"its node is named by {_kind(update.node)}"
    if not (update.round is None or (isinstance(update.round, numbers.Integral) and update.round == round.index)):
        return f"answers round {_told(update.round)} in round {round.index}"
    if not (_is_number(update.weight) and update.weight > 0):
        return f"its weight is {_told(update.weight)}"
    return _reason_against_params(update.params, sent) or _reason_against_metrics(update.metrics)


def _reason_against_params(params: object, sent: Params) -> str | None:
    if not isinstance(params, dict):
        return f"its parameters are {_kind(params)}, not a dict"
    if odd := [name for name in params if not isinstance(name, str)]:
        return f"a parameter is named by {_kind(odd[0])}"
    for name, value in params.items():
        if type(value) is not torch.Tensor or value.layout != torch.strided or value.is_nested or value.requires_grad:
            return f"{plain_text(name)} is {_kind(value)} where a plain tensor was sent"
    size, expected = (sum(value.nbytes for value in several.values()) for several in (params, sent))
    if size > LARGEST * expected:
        return f"a payload of {size} bytes where {expected} were sent"
    if params.keys() != sent.keys():
        odd = sorted(params.keys() ^ sent.keys())[0]
        return f"parameters of another network: {plain_text(odd)} is {'missing' if odd in sent else 'unknown'}"
    for name, value in params.items():
        if (value.shape, value.dtype) != (sent[name].shape, sent[name].dtype):
            return f"{name} is {_form(value)} where {_form(sent[name])} was sent"
        if value.device != sent[name].device:
            return f"{name} is on {value.device} where it was sent on {sent[name].device}"
    if bad := next(not_finite(params), None):
        return f"{bad} {NOT_FINITE}"
    huge = (name for name, value in params.items() if value.is_floating_point() and bool((value.abs() > HUGE).any()))
    return next((f"{name} {NOT_FINITE} when they are squared" for name in huge), None)


def _reason_against_metrics(metrics: object) -> str | None:
    if not isinstance(metrics, dict):
        return f"its metrics are {_kind(metrics)}, not a dict"
    if odd := [name for name in metrics if not isinstance(name, str)]:
        return f"a metric is named by {_kind(odd[0])}"
    if sum(map(len, metrics)) > LONGEST_NAMES:
        return f"the names of its {len(metrics)} metrics are longer than {LONGEST_NAMES} characters"
    if odd := [name for name, value in metrics.items() if not _is_number(value)]:
        return f"its {plain_text(odd[0])} is {_told(metrics[odd[0]])}"
    return None


def not_finite(params: Params) -> Iterator[str]:
    """Yield the names of the parameters among whose numbers is one that is not finite."""
    return (name for name, value in params.items() if not bool(torch.isfinite(value).all()))


def plain_text(text: object) -> str:
    """Return what a node wrote as text of a bounded length that is safe to print: no line breaks, no control codes."""
    shortened = str(text)[:LONGEST_REASON]
    return "".join(character if character.isprintable() else " " for character in shortened)


def no_update(answer: object) -> str:
    """Return what is wrong with an answer that is no `Update`."""
    kind = _kind(answer)
    if type(answer).__name__ == Update.__name__:
        kind = f"an {Update.__name__} of {type(answer).__module__}"
    return f"it answered with {kind}, not with an mglib.{Update.__name__}"


def _is_number(value: object) -> bool:
    """Whether a value is one real number, of a size that can be added up; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    return bool(-LARGEST_NUMBER <= value <= LARGEST_NUMBER)  # not so for nan


def _told(value: object) -> str:
    """Return a number as text, of anything else and of endless integers what they are."""
    if isinstance(value, float) or _is_number(value):
        return str(value)
    return _kind(value)


def _kind(value: object) -> str:
    if isinstance(value, torch.Tensor):
        layout = ", nested" if value.is_nested else f" {value.layout}".replace(" torch.strided", "")
        return f"a {type(value).__name__}{layout}{' that requires a gradient' if value.requires_grad else ''}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _form(value: torch.Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
