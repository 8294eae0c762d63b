"""Algorithms: what a node does with the parameters it is sent. A few lines each on the shared round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mglib.experiments.fast_gradient import fast_meta_gradient
from mglib.experiments.recipes import Recipe
from mglib.federated import Round, Update
from mglib.meta import Stage
from mglib.nets import Objective, annealed_budget, make_net
from mglib.params import Params
from mglib.tasks import Node

StagesOf = Callable[[nn.Module, float, float], tuple[Stage, ...]]  # network, α, β


def metagater(net: nn.Module, backbone_learning_rate: float, gate_learning_rate: float) -> tuple[Stage, ...]:
    """Backbone first, then the gates of the adapted backbone."""
    gates = net.gate_names()
    backbone = frozenset(name for name, _ in net.named_parameters()) - gates
    return (Stage("backbone", backbone, backbone_learning_rate), Stage("gates", gates, gate_learning_rate))


def maml(net: nn.Module, backbone_learning_rate: float, gate_learning_rate: float) -> tuple[Stage, ...]:
    """One stage over all of a dense network (Finn et al., arXiv 1703.03400); it has no gates to adapt."""
    everything = frozenset(name for name, _ in net.named_parameters())
    return (Stage("everything", everything, backbone_learning_rate),)


@dataclass(frozen=True)
class Algorithm:
    """How a method differs from the others: whether the network has gates, and the stages of adaptation."""

    gated: bool
    stages: StagesOf


ALGORITHMS = {"metagater": Algorithm(True, metagater), "maml": Algorithm(False, maml)}


def network_of(recipe: Recipe, kept: Sequence[int] | None = None) -> tuple[nn.Module, Params]:
    """Return a recipe's network and its initial parameters; `recipe.channels` must be known.

    kept: filters that freezing left in each layer; None: all.

    Raises:
        ValueError: if the recipe's network never had so many filters.
    """
    sizes = {name: getattr(recipe, name) for name in ("ways", "width", "depth", "image_size", "channels")}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    return make_net(recipe.architecture, recipe.seed, gated=ALGORITHMS[recipe.method].gated, kept=kept, **sizes)


def stages_of(recipe: Recipe, net: nn.Module) -> tuple[Stage, ...]:
    """Return the stages in which a node of this recipe adapts."""
    return ALGORITHMS[recipe.method].stages(net, recipe.backbone_learning_rate, recipe.gate_learning_rate)


def final_objective(recipe: Recipe, net: nn.Module) -> Objective:
    """Return the objective in force once training is over: the final budget, no noise."""
    return Objective(net, recipe.budget, recipe.penalty)


@dataclass(frozen=True)
class MetaUpdate:
    """A node's part of a round: `local_steps` steps down the meta-gradient of its own tasks."""

    net: nn.Module
    stages: tuple[Stage, ...]
    recipe: Recipe
    device: str = "cpu"

    def __call__(self, params: Params, node: Node, position: int, round: Round) -> Update:
        """Return the node's parameters after its local steps, and the mean of its metrics."""
        recipe, generator = self.recipe, round.generator(1 + position)
        objective = self.objective(round.progress, generator)
        params = {name: value.to(self.device) for name, value in params.items()}
        rate, history = recipe.node_learning_rate / recipe.tasks_per_step, []
        for _ in range(recipe.local_steps):
            start = params
            for _ in range(recipe.tasks_per_step):
                task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, generator).to(self.device)
                gradient, metrics = fast_meta_gradient(
                    objective, start, task, self.stages, second_order=recipe.second_order
                )
                params = {name: value - rate * gradient[name] for name, value in params.items()}
                history.append(metrics)
        means = {name: float(np.mean([float(metrics[name]) for metrics in history])) for name in history[0]}
        means["budget"] = objective.budget
        return Update(node.name, {name: value.cpu() for name, value in params.items()}, node.weight, means)

    def objective(self, progress: float, generator: np.random.Generator) -> Objective:
        """Return the objective in force after `progress` of the training, with its noise if there is any."""
        recipe, noise = self.recipe, None
        if recipe.estimator == "gumbel":
            noise = torch.Generator(self.device).manual_seed(int(generator.integers(2**63)))
        budget = annealed_budget(recipe.budget, progress, recipe.anneal_share)
        return Objective(self.net, budget, recipe.penalty, noise)
