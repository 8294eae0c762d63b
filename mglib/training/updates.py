"""Client updates: what a node does with the parameters it is sent. One loop; each method gives its direction."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mglib.fast.gradients import fast_meta_gradient, step
from mglib.federated import Round, Update
from mglib.meta import Stage
from mglib.meta.adapt import Metrics
from mglib.nets import Objective, annealed_budget
from mglib.params import Params
from mglib.tasks import Node
from mglib.training.recipes import Recipe


@dataclass(frozen=True)
class LocalUpdate:
    """A node's part of a round: `local_steps` steps of `client_learning_rate` against a direction of its own.

    stages: how a node adapts to a task.
    """

    net: nn.Module
    stages: tuple[Stage, ...]
    recipe: Recipe
    device: str = "cpu"

    def __call__(self, params: Params, node: Node, position: int, round: Round) -> Update:
        """Return the node's parameters after its local steps, and the mean of its metrics."""
        recipe, generator = self.recipe, round.generator(1 + position)
        objective = self.objective(round.progress, generator)
        params = {name: value.to(self.device) for name, value in params.items()}
        rate, history = recipe.client_learning_rate / recipe.tasks_per_step, []
        for _ in range(recipe.local_steps):
            start = params
            for _ in range(recipe.tasks_per_step):
                direction, metrics = self.direction(objective, start, node, generator)
                params = step(params, direction, rate)
                history.append(metrics)
        means = {name: float(np.mean([float(metrics[name]) for metrics in history])) for name in history[0]}
        means["budget"] = objective.budget
        after = {name: value.cpu() for name, value in params.items()}
        return Update(node.name, after, node.weight, means, round.index)

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return what to step against at `params`, by the names of those that move, and what to watch."""
        raise NotImplementedError

    def objective(self, progress: float, generator: np.random.Generator) -> Objective:
        """Return the objective in force after `progress` of the training, with its noise if there is any."""
        recipe, noise = self.recipe, None
        if recipe.estimator == "gumbel":
            noise = torch.Generator(self.device).manual_seed(int(generator.integers(2**63)))
        budget = annealed_budget(recipe.budget, progress, recipe.anneal_share)
        return Objective(self.net, budget, recipe.penalty, noise)


class MetaUpdate(LocalUpdate):
    """Down the meta-gradient of the node's own tasks: the loss after adaptation, by the parameters before it."""

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return the meta-gradient of one task."""
        recipe = self.recipe
        task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, generator)
        task = task.to(next(iter(params.values())))
        return fast_meta_gradient(objective, params, task, self.stages, second_order=recipe.second_order)
