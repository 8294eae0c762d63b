"""Baselines: the methods that MetaGater stands beside, each as an algorithm for `mglib.set_up`."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import nn

from mglib.fast import Derivatives, has_closed_form
from mglib.fast.gradients import step
from mglib.meta.adapt import Metrics, differentiate
from mglib.nets import GatedConvNet, Objective, macs_ratio
from mglib.params import Params
from mglib.tasks import Batch, Node
from mglib.training import algorithms
from mglib.training.algorithms import Algorithm, all_names, backbone, gate_weights, one_stage, with_gate_bias
from mglib.training.recipes import Recipe
from mglib.training.updates import LocalUpdate, MetaUpdate

CLASSIFIER = "classifier."  # a last layer over the classes of all nodes, by the names of the network's own head
MASK_BIAS = 0.1  # with which a mask starts open: a bias alone moves by the server's small steps, and 1 is far


def fast_gradient(objective: Objective, params: Params, batch: Batch) -> tuple[Params, Metrics]:
    """Return `∂L/∂p` of all parameters, and what the loss reports; equal to autograd's."""
    if has_closed_form(objective):
        there = Derivatives(objective, params, batch)
        return there.gradient, there.metrics
    return differentiate(objective, params, batch)[1:]


class DescentUpdate(LocalUpdate):
    """What Reptile and pFedMe share: plain gradient steps on batches of a task's images."""

    def _batches(self, params: Params, node: Node, generator: np.random.Generator) -> list[Batch]:
        """Draw a task and return `recipe.steps` batches of its images, support and query together."""
        recipe = self.recipe
        task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, generator)
        task = task.to(next(iter(params.values())))
        images = torch.cat([task.support.images, task.query.images])
        labels = torch.cat([task.support.labels, task.query.labels])
        drawn = [generator.permutation(len(labels))[: recipe.batch] for _ in range(recipe.steps)]
        return [Batch(images[chosen], labels[chosen]) for chosen in map(torch.from_numpy, drawn)]


class ReptileUpdate(DescentUpdate):
    """Towards where plain gradient descent on one task leads (Nichol et al., arXiv 1803.02999)."""

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return `p − p_k` after `recipe.steps` gradient steps of rate α, each on a batch of the task's images."""
        inner = params
        for batch in self._batches(params, node, generator):
            gradient, metrics = fast_gradient(objective, inner, batch)
            inner = step(inner, gradient, self.recipe.backbone_learning_rate)
        return {name: params[name] - inner[name] for name in params}, metrics


class ProximalUpdate(DescentUpdate):
    """Down the gradient of a Moreau envelope: pFedMe (Dinh et al., arXiv 2006.08848)."""

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return `λ (p − p̃)`; p̃ is where gradient steps on `loss + λ/2 ‖p̃ − p‖²` end."""
        pull, personal = self.recipe.proximal_weight, params
        for batch in self._batches(params, node, generator):
            gradient, metrics = fast_gradient(objective, personal, batch)
            held_back = {name: gradient[name] + pull * (personal[name] - params[name]) for name in gradient}
            personal = step(personal, held_back, self.recipe.backbone_learning_rate)
        return {name: pull * (params[name] - personal[name]) for name in params}, metrics


@dataclass(frozen=True)
class HeldUpdate(MetaUpdate):
    """Down the meta-gradient, but for the parameters that stay as they start."""

    held: frozenset[str] = frozenset()

    def direction(self, *given) -> tuple[Params, Metrics]:
        """Return the meta-gradient of one task for the others."""
        direction, metrics = super().direction(*given)
        return {name: slope for name, slope in direction.items() if name not in self.held}, metrics


@dataclass(frozen=True)
class ClassifierUpdate(LocalUpdate):
    """Down the gradient of an ordinary classifier of all nodes' classes: FedAvg (McMahan et al., arXiv 1602.05629).

    The classifier is a last layer of its own among the parameters; the network's head is left for new nodes.
    """

    classes: tuple[str, ...] = ()  # names of those of all training nodes

    def direction(
        self, objective: Objective, params: Params, node: Node, generator: np.random.Generator
    ) -> tuple[Params, Metrics]:
        """Return the gradient on a batch of the node's images, labelled by the names of their classes."""
        chosen = torch.from_numpy(generator.permutation(len(node.labels))[: self.recipe.batch])
        known = torch.tensor([self.classes.index(name) for name in node.classes])
        images = node.images[chosen].float() / 255
        batch = Batch(images, known[node.labels[chosen]]).to(next(iter(params.values())))
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
        """Return the meta-gradient of one task and, weighted, the gradient of the classifier's loss."""
        meta, metrics = MetaUpdate.direction(self, objective, own_params(params), node, generator)
        named, _ = super().direction(objective, params, node, generator)
        weighted = {name: self.recipe.classifier_weight * slope for name, slope in named.items()}
        return {name: meta.get(name, 0) + weighted.get(name, 0) for name in params}, metrics


def own_params(params: Params) -> Params:
    """Return the parameters that a new node starts from: without the classifier of the training nodes' classes."""
    return {name: value for name, value in params.items() if not name.startswith(CLASSIFIER)}


def head(net: nn.Module) -> frozenset[str]:
    """Return the names of the last layer's parameters."""
    return frozenset(name for name in all_names(net) if name.startswith("head."))


def random_gates(recipe: Recipe, net: nn.Module, params: Params, classes: Sequence[str]) -> Params:
    """Return `params` with gate heads drawn by chance, that open about as many filters as the budget allows.

    A head sees normalised values, so weights of variance one over their number give logits that are standard normal
    over filters, for every input; the bias shifts them until the expected MACs are the budget's. Inputs that differ
    open different filters, and nothing has been learnt of which.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    filters = [layer.conv.out_channels for layer in net.convolutions().values() if layer.gate is not None]

    def ratio(share: float) -> float:
        return float(macs_ratio(net.costs, [torch.full((1, count), share) for count in filters]))

    shares = np.linspace(0.01, 0.99, 99)
    share = float(np.interp(recipe.budget, [ratio(share) for share in shares], shares))
    drawn = dict(params)
    for name in sorted(net.gate_names()):
        if name.endswith(".weight"):
            drawn[name] = torch.randn(params[name].shape, generator=generator) / params[name].shape[1] ** 0.5
        else:
            drawn[name] = torch.full_like(params[name], NormalDist().inv_cdf(share))
    return drawn


def low_mask(recipe: Recipe, net: nn.Module, params: Params, classes: Sequence[str]) -> Params:
    """Return `params` with a mask that starts as the recipe says, near closing if it says nothing."""
    return params if recipe.gate_bias is not None else with_gate_bias(net, params, MASK_BIAS)


def with_classifier(recipe: Recipe, net: nn.Module, params: Params, classes: Sequence[str]) -> Params:
    """Return `params` and a classifier of all nodes' classes.

    It stands beside a head of zeros, which a new node's first step turns into the centred means of its classes
    (chapter 5).
    """
    heads = {name: value for name, value in params.items() if name.startswith("head.")}
    rows = {
        name.replace("head.", CLASSIFIER): torch.zeros(len(classes), *value.shape[1:]) for name, value in heads.items()
    }
    return params | {name: torch.zeros_like(value) for name, value in heads.items()} | rows


EVERYTHING = one_stage("everything", all_names)
ALGORITHMS = algorithms.ALGORITHMS | {
    "static-mask": Algorithm(one_stage("backbone", backbone), "constant"),
    "random-gates": Algorithm(one_stage("backbone", backbone), "random"),
    "anil": Algorithm(one_stage("head", head), "none"),
    "reptile": Algorithm(EVERYTHING, "none", ReptileUpdate),
    "pfedme": Algorithm(EVERYTHING, "none", ProximalUpdate),
    "fedavg": Algorithm(EVERYTHING, "none", ClassifierUpdate),
    "gated-fedavg": Algorithm(EVERYTHING, update=ClassifierUpdate),
    "metagater-named": Algorithm(algorithms.two_stages, update=NamedMetaUpdate),
    "maml-named": Algorithm(EVERYTHING, "none", NamedMetaUpdate),
}
STARTS = {"static-mask": low_mask, "random-gates": random_gates}  # where training starts, from the network's parameters
STARTS |= dict.fromkeys(("fedavg", "gated-fedavg", "metagater-named", "maml-named"), with_classifier)
HELD = {"static-mask": gate_weights, "random-gates": GatedConvNet.gate_names}  # what training leaves as it starts
