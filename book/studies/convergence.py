"""Does it converge: the size of the meta-gradient round by round, over local steps, heterogeneity and sampling."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mglib.config import Config
from mglib.fast import fast_meta_gradient
from mglib.federated import LocalEngine, Round, Update, average, run_rounds
from mglib.federated.process import one_thread
from mglib.meta import Stage
from mglib.meta.adapt import LossFn
from mglib.params import Params
from mglib.tasks import Federation, Node, Task, load_federation
from mglib.tasks.episodes import make_node
from mglib.training import Recipe, set_up, with_provenance
from mglib.training.algorithms import MetaUpdate, final_objective

Dealing = Literal["mixed", "scripts", "five"]
PARTS = {
    "baseline": {},
    "steps-2": {"local_steps": 2},
    "steps-5": {"local_steps": 5},
    "nodes-1": {"nodes_per_round": 1},
    "nodes-9": {"nodes_per_round": 9},
    "mixed": {"dealing": "mixed"},
    "five": {"dealing": "five"},
}
_SHORT = {"rounds": 30, "probe_every": 10, "probe_tasks": 2, "seeds": (0,)}  # for a quick look


@dataclass(frozen=True)
class ConvergenceSetting(Config):
    """One training of the gated network with the plain mean as its server, and when its gradient is measured."""

    local_steps: int = 1
    nodes_per_round: int = 3
    dealing: Dealing = "scripts"
    """mixed: each node has some of every character; scripts: one script each; five: five characters each."""
    rounds: int = 300
    node_learning_rate: float = 0.1
    queries: int = 5
    """Of each class in a task."""
    probe_every: int = 30
    """Rounds between two measurements."""
    probe_tasks: int = 6
    """Tasks of each node that the gradient is measured on, the same ones all along; even."""
    seeds: tuple[int, ...] = (0, 1, 2)

    def check(self) -> None:
        """Raise ValueError for what cannot be measured."""
        self.check_counts("probe_every")
        even = self.probe_tasks > 0 and self.probe_tasks % 2 == 0
        self.refuse_unless(even, "probe_tasks", "must be even: each half is held against the other")
        self.refuse_unless(bool(self.seeds), "seeds", "must hold at least one")

    def recipe(self, seed: int) -> Recipe:
        """Return the recipe of one of the trainings; the server's rate in it is not used."""
        return Recipe(
            rounds=self.rounds,
            nodes_per_round=self.nodes_per_round,
            local_steps=self.local_steps,
            client_learning_rate=self.node_learning_rate,
            queries=self.queries,
            seed=seed,
        )


def dealt(nodes: Sequence[Node], dealing: Dealing) -> list[Node]:
    """Return as many nodes as there are scripts, from the writers' images dealt more or less alike.

    All dealings but "five" deal out all images; that one takes five characters of each script, by one writer.
    """
    generator = np.random.default_rng([0, 13])
    scripts: dict[str, dict[str, list[Tensor]]] = {}
    for node in nodes:
        held = scripts.setdefault(node.name.partition("/")[0], {})
        for label, name in enumerate(node.classes):
            held.setdefault(name, []).append(node.images[torch.from_numpy(node.examples_by_class[label])])
    if dealing == "scripts":
        whole = {script: {c: torch.cat(several) for c, several in held.items()} for script, held in scripts.items()}
        return [make_node(script, classes) for script, classes in whole.items()]
    if dealing == "five":
        chosen = {name: sorted(generator.choice(sorted(held), 5, replace=False)) for name, held in scripts.items()}
        return [make_node(name, {c: scripts[name][c][0] for c in classes}) for name, classes in chosen.items()]
    hands: list[dict[str, Tensor]] = [{} for _ in scripts]
    for held in scripts.values():
        for name, several in held.items():
            whole = torch.cat(several)
            shuffled = torch.from_numpy(generator.permutation(len(whole)))
            for hand, share in zip(hands, shuffled.tensor_split(len(hands)), strict=True):
                hand[name] = whole[share]
    return [make_node(f"mixed {index + 1}", hand) for index, hand in enumerate(hands)]


@dataclass(frozen=True)
class SteadyUpdate(MetaUpdate):
    """A node's local steps on an objective that does not change from round to round; every node counts alike."""

    def __call__(self, params: Params, node: Node, position: int, round: Round) -> Update:
        """Return what `MetaUpdate` returns, with weight one."""
        return super().__call__(params, node, position, round)._replace(weight=1.0)

    def objective(self, progress: float, generator: np.random.Generator):
        """Return the final objective, whatever the round."""
        return final_objective(self.recipe, self.net)


def gradients_at(
    loss_fn: LossFn, params: Params, tasks: Sequence[Sequence[Task]], stages: Sequence[Stage]
) -> tuple[Tensor, dict[str, float]]:
    """Return the meta-gradient of every task as one long vector, and the means of what the loss reports.

    tasks: of each node, as many; returns the gradients as (node, task, parameter).
    """
    rows, reports = [], []
    with one_thread():
        for task in (task for several in tasks for task in several):
            gradient, metrics = fast_meta_gradient(loss_fn, params, task, stages)
            rows.append(torch.cat([value.flatten() for value in gradient.values()]))
            reports.append({name: float(value) for name, value in metrics.items()})
    means = {name: float(np.mean([report[name] for report in reports])) for name in reports[0]}
    return torch.stack(rows).unflatten(0, (len(tasks), -1)), means


def gradient_sizes(gradients: Tensor) -> dict[str, float]:
    """Return estimates of `‖∇F‖²` and of what the nodes disagree by, from gradients (node, task, parameter).

    A mean over few tasks is longer than the gradient it estimates: chance adds length. So each node's tasks are
    halved, and the halves' means a_i, b_i multiplied, whose chances are independent: `⟨a, b⟩` of their means over nodes
    is an estimate of `‖∇F‖²` that is right on average (and may be negative), as is `mean_i ⟨a_i, b_i⟩ − ⟨a, b⟩` of
    `mean_i ‖∇F_i − ∇F‖²`.

    Returns:
        squared_norm, dissimilarity: those two; squared_norm_of_mean: the plain square, chance included.
    """
    gradients = gradients.double()
    first, second = gradients[:, 0::2].mean(1), gradients[:, 1::2].mean(1)  # (node, parameter)
    squared_norm = float(first.mean(0) @ second.mean(0))
    return {
        "squared_norm": squared_norm,
        "dissimilarity": float((first * second).sum(1).mean()) - squared_norm,
        "squared_norm_of_mean": float(gradients.mean((0, 1)).square().sum()),
    }


def train_and_probe(setting: ConvergenceSetting, seed: int, federation: Federation | None = None) -> list[dict]:
    """Return what was measured before the first round and after every `probe_every` of them, for one seed.

    Each entry has `round`, what `gradient_sizes` says, and the means of what the objective reports after adaptation.
    """
    federation = federation or load_federation("glyphs")
    federation = dataclasses.replace(federation, train=dealt(federation.train, setting.dealing))
    experiment = set_up(setting.recipe(seed), federation)
    tasks = [
        [_task(node, experiment.recipe, [seed, 1, position, index]) for index in range(setting.probe_tasks)]
        for position, node in enumerate(federation.train)
    ]
    objective, stages = experiment.objective, experiment.stages

    def probe(done: int, params: Params) -> dict:
        gradients, means = gradients_at(objective, params, tasks, stages)
        return {"round": done, **gradient_sizes(gradients), **means}

    records = [probe(0, experiment.initial)]
    engine = LocalEngine(SteadyUpdate(experiment.net, stages, experiment.recipe), federation.train)
    plan = {"rounds": setting.rounds, "nodes_per_round": setting.nodes_per_round, "seed": seed}
    for result in run_rounds(engine, experiment.initial, average, **plan):
        done = result.round.index + 1
        if done % setting.probe_every == 0:
            records.append(probe(done, result.params))
    return records


def measure_part(changes: Mapping[str, Any], quick: bool = False) -> dict:
    """Return the record of the setting with `changes`; quick: of a short training with one seed."""
    return measure_convergence(ConvergenceSetting(**changes, **(_SHORT if quick else {})))


def measure_convergence(setting: ConvergenceSetting, federation: Federation | None = None) -> dict:
    """Return a setting's record: what was measured for each seed, with its recipe, the versions and the date."""
    seeds = {str(seed): train_and_probe(setting, seed, federation) for seed in setting.seeds}
    record = {"setting": dataclasses.asdict(setting), "server": "plain mean, every node of weight one", "seeds": seeds}
    return with_provenance(record, setting.recipe(setting.seeds[0]))


def convergence_rows(part: str, record: dict) -> list[dict]:
    """Return what a table says of a setting: early is the first half of what was measured, late the second."""
    probes = np.array(
        [[[probe["squared_norm"], probe["loss"]] for probe in seed] for seed in record["seeds"].values()]
    ).mean(0)
    half = len(probes) // 2
    return [
        {
            **{name: record["setting"][name] for name in ("local_steps", "nodes_per_round", "dealing")},
            "seeds": len(record["seeds"]),
            "squared_gradient_early": float(probes[:half, 0].mean()),
            "squared_gradient_late": float(probes[half:, 0].mean()),
            "loss_first": float(probes[0, 1]),
            "loss_last": float(probes[-1, 1]),
        }
    ]


def _task(node: Node, recipe: Recipe, seed: Sequence[int]) -> Task:
    return node.sample_task(recipe.ways, recipe.shots, recipe.queries, np.random.default_rng(seed))
