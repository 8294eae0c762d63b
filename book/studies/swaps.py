"""What the gates know: measured by putting other gates in their place, and by closing what they call important.

Every function takes an experiment, trained parameters, a number of tasks and a seed, and returns plain records. Tasks
are those that `evaluate` draws by the same seed, so that whatever is measured on them can be compared task by task.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.nn import functional as F

from mglib.federated.process import one_thread
from mglib.meta import adapt
from mglib.nets import macs_ratio
from mglib.params import Params
from mglib.tasks import Node, Task
from mglib.training import Experiment, Recipe, set_up
from studies import choices
from studies.choices import Gates, Rule, View
from studies.frozen import share
from studies.measure import as_record
from studies.patterns import LAYOUT, mask_of, measure_patterns, rounded, script_of
from studies.statistics import estimate_means

SHARES = (0.1, 0.25, 0.5, 0.75)  # of the open filters, closed
ORDERS = ("highest", "another's", "random, each", "largest", "random", "lowest")  # see `choices.closing`
NOT_IN_ADAPTATION = ("of the same character", "as before adaptation")  # one shot has no other; before is before


@dataclass(frozen=True, eq=False)
class Setting:
    """One task of a node and one of another script, both adapted to."""

    index: int
    view: View  # of the task, through the adapted parameters
    before: View  # through the start
    halfway: View  # after the backbone's stage
    other: View  # of another script's task, through the parameters adapted to that


def settings(experiment: Experiment, params: Params, nodes: Sequence[Node], tasks: int, seed: int) -> Iterator[Setting]:
    """Yield a setting for each task that `evaluate` draws."""
    recipe, objective, stages = experiment.recipe, experiment.objective, experiment.stages
    size = (recipe.ways, recipe.shots, recipe.queries)

    def through(task: Task, some) -> View:
        return View(objective, adapt(objective, params, task.support, some), task)

    for index in range(tasks):
        node, generator = nodes[index % len(nodes)], np.random.default_rng([seed, index])
        task = node.sample_task(*size, generator)
        strangers = [other for other in nodes if script_of(other.name) != script_of(node.name)]
        stranger = strangers[generator.integers(len(strangers))].sample_task(*size, generator)
        with one_thread():
            halfway = through(task, stages[:1])
            view = View(objective, adapt(objective, halfway.params, task.support, stages[1:]), task)
            other = through(stranger, stages)
            yield Setting(index, view, View(objective, params, task), halfway, other)


def rules(setting: Setting, mask: Gates, seed: int) -> dict[str, Rule]:
    """Return the choices of gates to compare, by name."""
    draw = (seed, setting.index)
    return {
        "its own": choices.own,
        "of the same character": choices.of_the_same_class,
        "of another character": choices.of_another_class,
        "of another script": choices.seen_by(setting.other),
        "as before adaptation": choices.seen_by(setting.before),
        "one mask for all": choices.always(mask),
        "largest weights": choices.by_magnitude,
        "random, one order": choices.at_random(draw, each=False),
        "random, each input": choices.at_random(draw, each=True),
        "all open": choices.all_open,
    }


def measure_swaps(experiment: Experiment, params: Params, *, tasks: int, seed: int, mask: Gates) -> list[dict]:
    """Return for each test task how many answers are right under each choice of gates, and what the stages flip.

    A record has `node`; `prediction` and `adaptation`, right answers by choice: made when the network is adapted, and
    before the backbone's step, which can then make up for it; `macs`, shares of the dense ones, by choice at
    prediction; `flips`, the share of each layer's gates that the backbone's and the gates' stage change on the queries.
    """
    records = []
    for setting in settings(experiment, params, experiment.federation.test, tasks, seed):
        record = {"node": setting.view.task.node, "prediction": {}, "adaptation": {}, "macs": {}}
        for name, rule in rules(setting, mask, seed).items():
            record["prediction"][name], record["macs"][name] = choices.tally(setting.view, rule)
            if name == "its own":
                record["adaptation"][name] = record["prediction"][name]
            elif name not in NOT_IN_ADAPTATION:
                moved = choices.adapted_with(setting.before, rule, experiment.stages[:1])
                record["adaptation"][name], _ = choices.tally(moved, rule)
        borrowed, name = choices.with_gates_of(setting.view, setting.other), "another node's heads"
        record["prediction"][name], record["macs"][name] = choices.tally(borrowed, choices.own)
        start = choices.with_gates_of(setting.before, setting.other)
        moved = adapt(experiment.objective, start.params, start.task.support, experiment.stages[:1])
        record["adaptation"][name], _ = choices.tally(View(start.objective, moved, start.task), choices.own)
        steps = (setting.before.gates("query"), setting.halfway.gates("query"), setting.view.gates("query"))
        record["flips"] = {
            stage: [share(old != new) for old, new in zip(*pair, strict=True)]
            for stage, pair in (("backbone", steps[:2]), ("gates", steps[1:]))
        }
        records.append(record)
    return records


def measure_closings(experiment: Experiment, params: Params, *, tasks: int, seed: int) -> list[dict]:
    """Return for each test task how many answers are right after closing some of the open filters, or opening others.

    A record has `node`; `closed`, by order a list over `SHARES` of the open filters; `layers`, by order a list over
    layers, half of the open filters of that one closed; `opened`, by order, half as many more opened.
    """
    records = []
    for setting in settings(experiment, params, experiment.federation.test, tasks, seed):
        view, draw, depth = setting.view, (seed, setting.index), len(setting.view.gates("query"))

        def right(*what, view=view, **where) -> int:
            return choices.tally(view, choices.closing(*what, **where))[0]

        records.append(
            {
                "node": view.task.node,
                "own": choices.tally(view, choices.own)[0],
                "closed": {order: [right(share, order, draw) for share in SHARES] for order in ORDERS},
                "layers": {
                    order: [right(0.5, order, draw, layers=(layer,)) for layer in range(depth)] for order in ORDERS
                },
                "opened": {order: right(-0.5, order, draw) for order in ORDERS},
            }
        )
    return records


def measure_worths(experiment: Experiment, params: Params, *, tasks: int, seed: int) -> list[dict]:
    """Return for each test task what every filter is worth: how the queries that open it fare when it alone closes.

    A record has `node` and, for each filter, all layers in a row: `opened`, the share of the queries that open it;
    `logit`, the gate's mean over these; `worth`, by how many nats their mean cross-entropy grows (None: nobody opens).
    """
    records = []
    for setting in settings(experiment, params, experiment.federation.test, tasks, seed):
        view, record = setting.view, {"node": setting.view.task.node, "opened": [], "logit": [], "worth": []}
        labels = view.task.query.labels
        whole = F.cross_entropy(view.answers(choices.own)[0], labels, reduction="none")
        for layer, (gate, logits) in enumerate(zip(view.gates("query"), view.logits["query"], strict=True)):
            for position in range(gate.shape[1]):
                users = gate[:, position] > 0
                record["opened"].append(share(users))
                if not users.any():
                    record["logit"].append(None)
                    record["worth"].append(None)
                    continue
                without, _ = view.answers(choices.without(layer, position))
                dearer = F.cross_entropy(without, labels, reduction="none") - whole
                record["logit"].append(float(logits[users, position].mean()))
                record["worth"].append(float(dearer[users].mean()))
        records.append(record)
    return records


def measure_gates(experiment: Experiment, params: Params, *, tasks: int, few: int, each: int) -> dict:
    """Return all of the above for one set of parameters, ready for a file: `columns` of records, numbers rounded.

    few: tasks for the worths; each: tasks of each node for the patterns.
    """
    seed = experiment.recipe.seed
    patterns = measure_patterns(experiment, params, tasks=each, seed=seed)
    sizes = [layer.scale.numel() for layer in experiment.net.convolutions().values() if layer.gate is not None]
    mask = mask_of(patterns, sizes)
    return {
        "tasks": tasks,
        "task_seed": seed,
        "queries": experiment.recipe.ways * experiment.recipe.queries,
        "layers": sizes,
        "shares": list(SHARES),
        "layout_cells": LAYOUT,
        "mask": [gate.int().tolist() for gate in mask],
        "mask_macs": float(macs_ratio(experiment.net.costs, [gate[None] for gate in mask])[0]),
        "swaps": columns(measure_swaps(experiment, params, tasks=tasks, seed=seed, mask=mask)),
        "closings": columns(measure_closings(experiment, params, tasks=tasks, seed=seed)),
        "worths": columns(measure_worths(experiment, params, tasks=few, seed=seed)),
        "patterns": patterns,
    }


def measure_seed(changes: Mapping[str, Any], quick: bool = False) -> dict:
    """Train by the default recipe with `changes` and return the record of what its gates know."""
    experiment = set_up(Recipe(**changes, **({"rounds": 30, "queries": 5} if quick else {})))
    *_, last = experiment.rounds()
    sizes = {"tasks": 10, "few": 2, "each": 1} if quick else {"tasks": 1000, "few": 40, "each": 8}
    return as_record(measure_gates(experiment, last.params, **sizes), experiment.recipe, quick)


def swap_rows(part: str, record: dict) -> list[dict]:
    """Return what every other choice of gates loses, made at prediction or before adaptation."""
    rows = []
    for when in ("prediction", "adaptation"):
        right = {rule: np.array(counts) / record["queries"] for rule, counts in record["swaps"][when].items()}
        own = right.pop("its own")
        for rule, shares in right.items():
            (lost,) = estimate_means([(own - shares)[None]])
            rows.append({"gates": rule, "swapped_at": when, "lost": lost.mean, "lost_ci95": lost.ci95})
    return rows


def columns(records: Sequence) -> dict | list:
    """Return records of one form as one record of lists, a list's entry a task; fractions to four digits."""
    if isinstance(records[0], dict):
        return {name: columns([record[name] for record in records]) for name in records[0]}
    return [rounded(value) for value in records]
