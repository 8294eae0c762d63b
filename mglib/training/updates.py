"""Client updates: what a node does with the parameters it is sent. One loop; each method gives its direction."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mglib.fast.gradients import fast_gradient, fast_meta_gradient, step
from mglib.federated import Round, Update
from mglib.meta import Stage
from mglib.meta.adapt import Metrics
from mglib.nets import Objective, annealed_budget
from mglib.params import Params
from mglib.tasks import Batch, Node
from mglib.training.recipes import Recipe

CLASSIFIER = "classifier."  # a last layer over the classes of all nodes, by the names of the network's own head


@dataclass(frozen=True)
class LocalUpdate:
    """A node's part of a round: `local_steps` steps of `node_learning_rate` against a direction of its own.

    stages: how a node adapts to a task.
    held: names of parameters that training leaves as they are.
    classes: names of the classes of all training nodes; only `ClassifierUpdate` reads them.
    """

    net: nn.Module
    stages: tuple[Stage, ...]
    recipe: Recipe
    device: str = "cpu"
    held: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()

    def __call__(self, params: Params, node: Node, position: int, round: Round) -> Update:
        """Return the node's parameters after its local steps, and the mean of its metrics."""
        recipe, generator = self.recipe, round.generator(1 + position)
        objective = self.objective(round.progress, generator)
        params = {name: value.to(self.device) for name, value in params.items()}
        rate, history = recipe.node_learning_rate / recipe.tasks_per_step, []
        for _ in range(recipe.local_steps):
            start = params
            for _ in range(recipe.tasks_per_step):
                direction, metrics = self.direction(objective, start, node, generator)
                free = {name: slope for name, slope in direction.items() if name not in self.held}
                params = step(params, free, rate)
                history.append(metrics)
        means = {name: float(np.mean([float(metrics[name]) for metrics in history])) for name in history[0]}
        means["budget"] = objective.budget
        after = {name: value.cpu() for name, value in params.items()}
        return Update(node.name, after, node.weight, means, round.index)

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return what to step against at `params`, by name, and what to watch."""
        raise NotImplementedError

    def objective(self, progress: float, generator: np.random.Generator) -> Objective:
        """Return the objective in force after `progress` of the training, with its noise if there is any."""
        recipe, noise = self.recipe, None
        if recipe.estimator == "gumbel":
            noise = torch.Generator(self.device).manual_seed(int(generator.integers(2**63)))
        budget = annealed_budget(recipe.budget, progress, recipe.anneal_share)
        return Objective(self.net, budget, recipe.penalty, noise)

    def _batches(self, node: Node, generator: np.random.Generator) -> list[Batch]:
        """Draw a task and return `recipe.steps` batches of its images, support and query together."""
        recipe = self.recipe
        task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, generator).to(self.device)
        images = torch.cat([task.support.images, task.query.images])
        labels = torch.cat([task.support.labels, task.query.labels])
        drawn = [generator.permutation(len(labels))[: recipe.batch] for _ in range(recipe.steps)]
        return [Batch(images[chosen], labels[chosen]) for chosen in map(torch.from_numpy, drawn)]


class MetaUpdate(LocalUpdate):
    """Down the meta-gradient of the node's own tasks: the loss after adaptation, by the parameters before it."""

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return the meta-gradient of one task."""
        recipe = self.recipe
        task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, generator).to(self.device)
        return fast_meta_gradient(objective, params, task, self.stages, second_order=recipe.second_order)


class ReptileUpdate(LocalUpdate):
    """Towards where plain gradient descent on one task leads (Nichol et al., arXiv 1803.02999)."""

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return `p − p_k` after `recipe.steps` gradient steps of rate α, each on a batch of the task's images."""
        inner = params
        for batch in self._batches(node, generator):
            gradient, metrics = fast_gradient(objective, inner, batch)
            inner = step(inner, gradient, self.recipe.backbone_learning_rate)
        return {name: params[name] - inner[name] for name in params}, metrics


class ProximalUpdate(LocalUpdate):
    """Down the gradient of a Moreau envelope: pFedMe (Dinh et al., arXiv 2006.08848)."""

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return `λ (p − p̃)`; p̃ is where gradient steps on `loss + λ/2 ‖p̃ − p‖²` end."""
        pull, personal = self.recipe.proximity, params
        for batch in self._batches(node, generator):
            gradient, metrics = fast_gradient(objective, personal, batch)
            held_back = {name: gradient[name] + pull * (personal[name] - params[name]) for name in gradient}
            personal = step(personal, held_back, self.recipe.backbone_learning_rate)
        return {name: pull * (params[name] - personal[name]) for name in params}, metrics


class ClassifierUpdate(LocalUpdate):
    """Down the gradient of an ordinary classifier of all nodes' classes: FedAvg (McMahan et al., arXiv 1602.05629).

    The classifier is a last layer of its own among the parameters; the network's head is left for new nodes.
    """

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return the gradient on a batch of the node's images, labelled by the names of their classes."""
        chosen = torch.from_numpy(generator.permutation(len(node.labels))[: self.recipe.batch])
        known = torch.tensor([self.classes.index(name) for name in node.classes])
        images = node.images[chosen].float() / 255
        batch = Batch(images, known[node.labels[chosen]]).to(self.device)
        own = {name for name in params if name.startswith(CLASSIFIER)}
        heads = {name.replace(CLASSIFIER, "head."): name for name in own}
        seen = {name: params[heads.get(name, name)] for name in params if name not in own}
        gradient, metrics = fast_gradient(objective, seen, batch)
        return {heads.get(name, name): slope for name, slope in gradient.items()}, metrics


class NamedMetaUpdate(ClassifierUpdate):
    """Down the meta-gradient and the classifier's gradient together: what the classes are called teaches as well."""

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return the meta-gradient of one task plus `recipe.naming` times the gradient of the classifier's loss."""
        own = {name: value for name, value in params.items() if not name.startswith(CLASSIFIER)}
        meta, metrics = MetaUpdate.direction(self, objective, own, node, generator)
        named, _ = super().direction(objective, params, node, generator)
        weighted = {name: self.recipe.naming * slope for name, slope in named.items()}
        return {name: meta.get(name, 0) + weighted.get(name, 0) for name in params}, metrics
