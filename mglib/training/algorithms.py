"""Algorithms: what makes a method, a few lines each: its gates, its stages, and what a node does in a round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from mglib.federated import Round, ServerUpdate, Update, aggregation
from mglib.federated.engines import ClientUpdate
from mglib.federated.rounds import ServerState
from mglib.meta import Stage
from mglib.meta.adapt import start_of_rates
from mglib.nets import Objective, annealed_budget, make_net
from mglib.params import PRICE, Params
from mglib.training.recipes import Recipe
from mglib.training.updates import LocalUpdate, MetaUpdate

StagesOf = Callable[[nn.Module, Recipe], tuple[Stage, ...]]
Names = Callable[[nn.Module], frozenset[str]]


def all_names(net: nn.Module) -> frozenset[str]:
    """Return the names of all parameters."""
    return frozenset(name for name, _ in net.named_parameters())


def backbone(net: nn.Module) -> frozenset[str]:
    """Return the names of all parameters but the gates'."""
    return all_names(net) - net.gate_names()


def gate_weights(net: nn.Module) -> frozenset[str]:
    """Return the names of what makes the gates look at their input."""
    return frozenset(name for name in net.gate_names() if name.endswith(".weight"))


def two_stages(net: nn.Module, recipe: Recipe) -> tuple[Stage, ...]:
    """Backbone first, then the gates of the adapted backbone."""
    return (
        Stage("backbone", backbone(net), recipe.backbone_learning_rate, recipe.steps),
        Stage("gates", net.gate_names(), recipe.gate_learning_rate, recipe.steps),
    )


def one_stage(name: str, names: Names) -> StagesOf:
    """Return the stages of a method that moves some parameters, at the backbone's rate, all at once."""
    return lambda net, recipe: (Stage(name, names(net), recipe.backbone_learning_rate, recipe.steps),)


@dataclass(frozen=True)
class Algorithm:
    """How a method differs from the others.

    stages: in which a node adapts.
    gates: what they are, in a word; none: a dense network.
    update: what a node does in a round.
    """

    stages: StagesOf
    gates: str = "learnt"
    update: type[LocalUpdate] = MetaUpdate


ALGORITHMS = {
    "metagater": Algorithm(two_stages),
    "joint": Algorithm(one_stage("everything", all_names)),
    "gates-first": Algorithm(lambda net, recipe: two_stages(net, recipe)[::-1]),
    "gates-fixed": Algorithm(one_stage("backbone", backbone)),
    "maml": Algorithm(one_stage("everything", all_names), "none"),
}


def network_of(recipe: Recipe, algorithm: Algorithm | None = None) -> tuple[nn.Module, Params]:
    """Return a recipe's network and its initial parameters; grey where it does not say its channels.

    algorithm: in place of the recipe's method.

    The parameters hold what is learnt beside the network too: rates of adaptation and the price of the budget.
    """
    algorithm = algorithm or ALGORITHMS[recipe.method]
    sizes = {name: getattr(recipe, name) for name in ("ways", "width", "depth", "image_size")}
    net, params = make_net(recipe.seed, channels=recipe.channels or 1, gated=algorithm.gates != "none", **sizes)
    if recipe.gate_bias is not None:
        params = with_gate_bias(net, params, recipe.gate_bias)
    if recipe.learn_rates:
        params |= start_of_rates(algorithm.stages(net, recipe))
    if recipe.price != "fixed":
        params |= {PRICE: torch.zeros(())}
    return net, params


def with_gate_bias(net: nn.Module, params: Params, bias: float) -> Params:
    """Return `params` with gates whose logits start at `bias`, open if it is positive."""
    return params | {name: torch.full_like(params[name], bias) for name in net.gate_names() - gate_weights(net)}


def client_update(
    recipe: Recipe, net: nn.Module, device: str = "cpu", *, algorithm: Algorithm | None = None
) -> ClientUpdate:
    """Return what a node of this recipe does in a round; algorithm: in place of the recipe's method."""
    algorithm = algorithm or ALGORITHMS[recipe.method]
    update = algorithm.update(net, algorithm.stages(net, recipe), recipe, device)
    return aggregation.PrivateNode(update, recipe.clip_norm, recipe.noise) if recipe.privacy == "node" else update


@dataclass(frozen=True)
class DualAscent:
    """A server update that sets the price of the budget too, so that the nodes spend what they are allowed.

    With e what the round's nodes spent beyond the budget in force, as a share of it, the multiplier follows
    `μ ← max(0, μ + RATE · e)`, e held within ± MOST, and the price that nodes are sent is `λ = max(0, μ + GAIN · ē)`, ē
    being the running mean of e: the method of multipliers (Bertsekas, 1982), whose second term damps what the first
    would overshoot. The bound keeps μ from winding up while the budget falls faster than gates close. A `signed` price
    goes without both maxima: they stand for "at most the budget", and it asks for all of the budget.
    """

    server_update: ServerUpdate
    recipe: Recipe

    RATE: ClassVar[float] = 0.2  # nats for a dense network, a round
    MOST: ClassVar[float] = 0.1
    GAIN: ClassVar[float] = 5.0
    MEMORY: ClassVar[float] = 0.9  # of the running mean

    def __call__(
        self, params: Params, state: ServerState, updates: Sequence[Update], round: Round
    ) -> tuple[Params, ServerState]:
        """Return what the server update makes of the parameters, with the price of the next round."""
        after, rest = self.server_update(params, state, updates, round)
        budget = annealed_budget(self.recipe.budget, round.progress, self.recipe.anneal_share)
        told = [update.metrics["macs_ratio"] for update in updates if "macs_ratio" in update.metrics]
        told = torch.tensor(told or [budget]).clamp(0, 2)  # if no node tells: as it should; the median if some may lie
        spent = (told.mean() if self.recipe.aggregation == "mean" else told.median()) / budget - 1
        mean = state.get("price.spent", spent).lerp(spent, 1 - self.MEMORY)
        step = self.RATE * spent.clamp(-self.MOST, self.MOST)
        least = -torch.inf if self.recipe.price == "signed" else 0.0
        multiplier = (state.get("price.multiplier", torch.zeros(())) + step).clamp(min=least)
        price = (multiplier + self.GAIN * mean).clamp(min=least)
        return after | {PRICE: price}, rest | {"price.multiplier": multiplier, "price.spent": mean}


def server_update(recipe: Recipe) -> ServerUpdate:
    """Return what the server makes of the nodes' parameters."""
    aggregates = {
        "mean": aggregation.mean,
        "clipped": aggregation.ClippedMean(recipe.clip_norm),
        "median": aggregation.median,
        "trimmed": aggregation.TrimmedMean(recipe.trim_fraction),
        "krum": aggregation.Krum(recipe.trim_fraction),
    }
    aggregate = aggregates[recipe.aggregation]
    update = aggregation.FedAvg(aggregate)
    if recipe.server == "adam":
        update = aggregation.FedAdam(recipe.server_learning_rate, aggregate=aggregate)
    if recipe.privacy == "server":
        update = aggregation.PrivateServer(update, recipe.clip_norm, recipe.noise)
    return update if recipe.price == "fixed" else DualAscent(update, recipe)


def stages_of(recipe: Recipe, net: nn.Module) -> tuple[Stage, ...]:
    """Return the stages in which a node of this recipe adapts."""
    return ALGORITHMS[recipe.method].stages(net, recipe)


def final_objective(recipe: Recipe, net: nn.Module) -> Objective:
    """Return the objective in force once training is over: the final budget, no noise."""
    return Objective(net, recipe.budget, recipe.penalty)
