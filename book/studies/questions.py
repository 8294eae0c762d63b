"""When the labels decide: what the gates' own step is worth where nodes are asked different things of alike images.

A part is a training: a method, a budget, a seed, and how much the nodes differ in what they are asked. Rates are learnt
and the price of the budget follows what is spent, for all methods alike; a slim network has as many filters as the
budget pays for.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mglib.meta.adapt import factors_of
from mglib.nets import dense_macs
from mglib.params import PRICE, Params
from mglib.training.experiment import Experiment
from studies.cells import read_record
from studies.counting import counted, macs_of, told
from studies.measure import as_record, federation_of
from studies.methods import METHODS, recipe_of, reference_macs
from studies.question_data import QUESTIONS, question_of
from studies.recipes import set_up
from studies.statistics import accuracy_of, correct_within, estimate_means

SETTINGS = {
    "rounds": 1000,
    "learn_rates": True,
    "backbone_learning_rate": 0.4,
    "gate_learning_rate": 0.5,
    "server_learning_rate": 6e-3,  # of 2e-3 and 6e-3, chosen for the dense network on validation nodes
}
SHOTS, TASKS = 5, 600
QUICK = {"rounds": 6, "tasks": 12}


def question_parts(seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return the parts in order of importance: what decides first, a seed of all before the next of any."""
    decisive = [("metagater", 0.12), ("gates-fixed", 0.12), ("slim", 0.12), ("dense", 1.0)]
    decisive_later = [("metagater", 0.25), ("gates-fixed", 0.25), ("slim", 0.25)]
    dial = [(method, 0.25, asked) for asked in (0.0, 0.5) for method in ("metagater", "gates-fixed")]
    halves = [("metagater", 0.5), ("gates-fixed", 0.5), ("slim", 0.5)]
    rows = [(*row, 1.0) for row in decisive], [(*row, 1.0) for row in decisive_later], dial
    rows = *rows, [(*row, 1.0) for row in halves]
    return {
        f"{method}-{100 * budget:g}-asked-{asked:g}-seed{seed}": {
            "method": method, "budget": budget, "asked": asked, "seed": seed
        }
        for group in rows
        for seed in seeds
        for method, budget, asked in group
    }  # fmt: skip


def measure_questions(changes: Mapping[str, Any], quick: bool = False) -> dict[str, Any]:
    """Train and test a part; the record counts right answers task by task, after all stages and after the first."""
    method, budget, asked, seed = (changes[name] for name in ("method", "budget", "asked", "seed"))
    settings = {**SETTINGS, "data": f"questions:{asked:g}"}
    if METHODS[method].gated:
        settings["price"] = "dual"
    if quick:
        settings["rounds"] = QUICK["rounds"]
    recipe = recipe_of("questions", method, shots=SHOTS, budget=budget, seed=seed, settings=settings, sources={})
    experiment = set_up(recipe, federation_of(recipe))
    spent, course = [], []
    for result in experiment.rounds():
        if result.round.index % max(1, recipe.rounds // 50) == 0:
            course.append(rates_of(experiment, result.params))
        spent.append(float(np.mean([update.metrics["macs_ratio"] for update in result.updates])))
    params, nodes, tasks = result.params, experiment.federation.test, QUICK["tasks"] if quick else TASKS
    scores = counted(experiment, params, nodes, tasks)
    first = counted(experiment, params, nodes, tasks, stages=experiment.stages[:1])
    every, share = max(1, len(spent) // 50), dense_macs(experiment.net.costs) / reference_macs("questions")
    record = {
        "method": method,
        "budget": budget,
        "asked": asked,
        **told(scores),
        "macs_ratio": macs_of(experiment, scores) / reference_macs("questions"),
        "questions": [question_of(nodes[task % len(nodes)].name) for task in range(tasks)],
        "without_gate_step": [score.correct for score in first],
        "without_gate_step_macs_ratio": macs_of(experiment, first) / reference_macs("questions"),
        "spent": [round(float(np.mean(spent[at : at + every])) * share, 4) for at in range(0, len(spent), every)],
        "rates": rates_of(experiment, params),
        "course_of_rates": {name: [rates[name] for rates in course] for name in course[0]},
        "price": float(params[PRICE]) if PRICE in params else None,
    }
    return as_record(record, experiment.recipe, quick)


def rates_of(experiment: Experiment, params: Params) -> dict[str, float]:
    """Return the rate of every tensor that a stage moves."""
    return {
        name: round(stage.learning_rate * float(factor), 4)
        for stage in experiment.stages
        for name, factor in factors_of(stage, params).items()
    }


def question_rows(part: str, record: dict) -> list[dict]:
    """Return a training's row."""
    said = {name: record[name] for name in ("method", "budget", "asked", "macs_ratio", "price")}
    without = sum(record["without_gate_step"]) / (record["queries"] * len(record["correct"]))
    return [
        {
            **said,
            "seed": record["recipe"]["seed"],
            **accuracy_of(record),
            **_by_question([record]),
            "without_gate_step": without,
        }
    ]


def compared(folder: Path, seeds: Sequence[int] = range(5)) -> list[dict[str, Any]]:
    """Return a row for each method, budget and share of nodes asked otherwise, from the files alone.

    `accuracy` and `ci95` over seeds and tasks; `lead` is MetaGater's over the row, paired by seed and task, with `p`
    after Holm's correction within the budget; `step` is what leaving out the last stage costs on the same networks;
    `by_question` holds the accuracy for each question. What has no file yet has no `accuracy`, and `missing` seeds.
    """
    kept: dict[tuple, dict[int, dict]] = defaultdict(dict)
    for part, changes in question_parts(seeds).items():
        kind = kept[changes["asked"], changes["budget"], changes["method"]]
        if record := read_record(folder / f"{part}.json"):
            kind[changes["seed"]] = record
    rows = []
    for (asked, budget, method), records in kept.items():
        ours = kept[asked, budget if method != "dense" else 0.25, "metagater"]
        both = [seed for seed in records if seed in ours]
        own, lead, step = (
            estimate_means([np.stack(several)])[0] if several else None
            for several in (
                [_shares(record) for record in records.values()],
                [_shares(ours[seed]) - _shares(records[seed]) for seed in both] if method != "metagater" else [],
                [step_worth(record) for record in records.values()],
            )
        )
        rows.append(
            {
                "asked": asked,
                "budget": budget,
                "method": method,
                "label": METHODS[method].label,
                "seeds": len(records),
                "paired_seeds": len(both),
                "accuracy": own and own.mean,
                "ci95": own and own.ci95,
                "lead": lead and lead.mean,
                "lead_ci95": lead and lead.ci95,
                "p": lead and lead.p,
                "step": step and step.mean,
                "step_ci95": step and step.ci95,
                "macs_ratio": float(np.mean([r["macs_ratio"] for r in records.values()])) if records else None,
                "by_question": _by_question(list(records.values())),
            }
        )
    correct_within(rows, "budget")
    return rows


def step_worth(record: Mapping[str, Any]) -> np.ndarray:
    """Return what the gates' own step adds in each task, as a share of the queries."""
    return _shares(record) - _shares(record, "without_gate_step")


def _shares(record: Mapping[str, Any], name: str = "correct") -> np.ndarray:
    return np.array(record[name]) / record["queries"]


def _by_question(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean accuracy for each question, over all seeds' tasks."""
    found = defaultdict(list)
    for record in records:
        for question, share in zip(record["questions"], _shares(record), strict=True):
            found[question].append(float(share))
    return {question: float(np.mean(found[question])) for question in QUESTIONS if question in found}
