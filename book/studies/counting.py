"""Counting right answers: how test tasks go, the same ones for every method."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from mglib.fast import has_closed_form
from mglib.fast.gradients import fast_steps
from mglib.meta import Stage, adapt
from mglib.nets import Objective, dense_macs
from mglib.params import Params, detach, of_network
from mglib.tasks import Batch, Node, Task
from mglib.training.evaluation import ci95, evaluate
from mglib.training.experiment import Experiment
from studies.baselines import own_params

QUERIES = 15  # scored examples a class


class Counted(NamedTuple):
    """How one task went."""

    correct: int  # queries answered rightly
    queries: int
    macs_ratio: float


def count(objective: Objective, params: Params, task: Task, stages: Sequence[Stage]) -> Counted:
    """Adapt to one task and count the queries that are answered rightly."""
    adapted = fast_adapt(objective, params, task.support, stages)
    with torch.no_grad():
        _, metrics = objective(adapted, task.query)
    queries = len(task.query.labels)
    return Counted(round(float(metrics["accuracy"]) * queries), queries, float(metrics["macs_ratio"]))


def fast_adapt(objective: Objective, params: Params, support: Batch, stages: Sequence[Stage]) -> Params:
    """Return what `adapt` returns, to rounding, sooner."""
    if not has_closed_form(objective):
        return adapt(objective, params, support, stages)
    for _, _, stepped in fast_steps(objective, params, support, stages):
        params = stepped
    return detach(of_network(params))


def counted(
    experiment: Experiment,
    params: Params,
    nodes: Sequence[Node],
    tasks: int,
    *,
    steps: int | None = None,
    stages: Sequence[Stage] | None = None,
) -> list[Counted]:
    """Return how test tasks went; task t is drawn by the recipe's seed and t, whatever the method.

    steps: gradient steps of each stage; None: the recipe's.
    stages: in which a new node adapts; None: the experiment's.
    """
    recipe, stages = experiment.recipe, experiment.stages if stages is None else stages
    if steps is not None:
        stages = tuple(dataclasses.replace(stage, steps=steps) for stage in stages)
    setting = {"ways": recipe.ways, "shots": recipe.shots, "queries": QUERIES, "seed": recipe.seed}
    return list(
        evaluate(experiment.objective, own_params(params), nodes, stages, tasks=tasks, scored_by=count, **setting)
    )


def right_share(scores: Sequence[Counted]) -> float:
    """Return the share of queries answered rightly."""
    return sum(score.correct for score in scores) / sum(score.queries for score in scores)


def ci95_of(scores: Sequence[Counted]) -> float:
    """Return the half width of that share's 95 % interval over tasks (normal)."""
    return ci95([score.correct / score.queries for score in scores])


def macs_share(scores: Sequence[Counted]) -> float:
    """Return the mean share of the network's own dense MACs that the gates let through."""
    return sum(score.macs_ratio for score in scores) / len(scores)


def told(scores: Sequence[Counted]) -> dict[str, Any]:
    """Return what a study's record says of its test tasks: right answers task by task, and the means over them."""
    return {
        "correct": [score.correct for score in scores],
        "queries": scores[0].queries,
        "accuracy": right_share(scores),
        "macs_ratio": macs_share(scores),
    }


def macs_of(experiment: Experiment, scores: Sequence[Counted]) -> float:
    """Return the MACs of an image on average, gate heads included; what was pruned away costs nothing."""
    if experiment.net.gate_names():
        return macs_share(scores) * dense_macs(experiment.net.costs)
    return float(sum(cost.taps * cost.in_channels * cost.out_channels for cost in experiment.net.costs))
