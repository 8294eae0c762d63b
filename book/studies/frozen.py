"""What freezing costs and saves: the same tasks before and after a node drops the filters it never opened."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from mglib.meta import Stage, adapt
from mglib.nets import Objective, freeze, macs_ratio
from mglib.params import Params
from mglib.tasks import Task


@dataclass(frozen=True)
class FrozenScore:
    """How a task's queries went with the whole adapted network and with the frozen one; all are shares."""

    node: str
    accuracy: float  # of the whole network
    accuracy_frozen: float
    agreement: float  # of the queries: both name the same class
    missed: float  # of the queries: the whole network opens a filter that is gone
    removed: float  # of the filters that have a gate
    bytes_saved: float  # of the whole network's parameters
    macs_ratio: float  # on the queries, of the dense network, gate heads included
    macs_ratio_frozen: float
    macs_ratio_unskipped: float  # of the frozen network if every filter that is left is computed


def score_frozen(objective: Objective, params: Params, task: Task, stages: Sequence[Stage]) -> FrozenScore:
    """Adapt to one task, freeze the network by its support set, and compare the two on the queries.

    `evaluate(…, scored_by=score_frozen)` does it for many tasks.

    Raises:
        ValueError: if the network is dense, and has nothing to freeze.
    """
    if not objective.net.gate_names():
        raise ValueError("a dense network has no gates, and nothing to freeze")
    net, own, query = objective.net, adapt(objective, params, task.support, stages), task.query
    with torch.no_grad():
        support = functional_call(net, own, (task.support.images,))
        small = freeze(net, own, support)
        before = functional_call(net, own, (query.images, support.statistics))
        after = functional_call(small.net, small.params, (query.images, small.statistics))
    answers = [prediction.logits.argmax(1) for prediction in (before, after)]
    gone = [torch.zeros_like(gate[0], dtype=torch.bool) for gate in before.gates]
    for position, kept in small.kept.items():
        gone[position] = ~torch.isin(torch.arange(len(gone[position]), device=kept.device), kept)
    gone = torch.cat(gone)
    bytes_left, bytes_whole = (sum(value.nbytes for value in each.values()) for each in (small.params, own))
    return FrozenScore(
        task.node,
        accuracy=share(answers[0] == query.labels),
        accuracy_frozen=share(answers[1] == query.labels),
        agreement=share(answers[0] == answers[1]),
        missed=share((torch.cat(before.gates, 1)[:, gone] > 0).any(1)),
        removed=share(gone),
        bytes_saved=1 - bytes_left / bytes_whole,
        macs_ratio=share(macs_ratio(net.costs, before.gates)),
        macs_ratio_frozen=share(macs_ratio(small.net.costs, after.gates)),
        macs_ratio_unskipped=share(macs_ratio(small.net.costs, [torch.ones_like(gate) for gate in after.gates])),
    )


def share(values: Tensor) -> float:
    """Return the mean of truth values or numbers."""
    return float(values.float().mean())
