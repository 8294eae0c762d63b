"""Algorithms: what makes a method, a few lines each: its gates, its stages, and what a node does in a round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import torch
from torch import nn

from mglib.federated import (
    ClippedMean,
    Compressed,
    FedAdam,
    FedAvg,
    Half,
    Krum,
    PrivateNode,
    PrivateServer,
    Round,
    Rows,
    ServerUpdate,
    TopK,
    TrimmedMean,
    Update,
    mean,
    median,
)
from mglib.federated.engines import ClientUpdate
from mglib.federated.rounds import ServerState
from mglib.meta import Stage
from mglib.nets import Objective, macs_ratio, make_net
from mglib.params import Params, merge
from mglib.tasks import Federation, at_hand
from mglib.training.opened import OpenedOnly
from mglib.training.recipes import Recipe
from mglib.training.updates import (
    CLASSIFIER,
    ClassifierUpdate,
    LocalUpdate,
    MetaUpdate,
    NamedMetaUpdate,
    ProximalUpdate,
    ReptileUpdate,
)

MASK_BIAS = 0.1  # with which a mask starts open: a bias alone moves by the server's small steps, and 1 is far
StagesOf = Callable[[nn.Module, Recipe], tuple[Stage, ...]]
Names = Callable[[nn.Module], frozenset[str]]


def all_names(net: nn.Module) -> frozenset[str]:
    """Return the names of all parameters."""
    return frozenset(name for name, _ in net.named_parameters())


def backbone(net: nn.Module) -> frozenset[str]:
    """Return the names of all parameters but the gates'."""
    return all_names(net) - net.gate_names()


def gates(net: nn.Module) -> frozenset[str]:
    """Return the names of the gate heads' parameters."""
    return net.gate_names()


def head(net: nn.Module) -> frozenset[str]:
    """Return the names of the last layer's parameters."""
    return frozenset(name for name in all_names(net) if name.startswith("head."))


def gate_weights(net: nn.Module) -> frozenset[str]:
    """Return the names of what makes the gates look at their input."""
    return frozenset(name for name in net.gate_names() if name.endswith(".weight"))


def two_stages(net: nn.Module, recipe: Recipe) -> tuple[Stage, ...]:
    """Backbone first, then the gates of the adapted backbone."""
    return (
        Stage("backbone", backbone(net), recipe.backbone_learning_rate, recipe.steps),
        Stage("gates", gates(net), recipe.gate_learning_rate, recipe.steps),
    )


def gates_first(net: nn.Module, recipe: Recipe) -> tuple[Stage, ...]:
    """Return the two stages in the other order."""
    return two_stages(net, recipe)[::-1]


def one_stage(name: str, names: Names) -> StagesOf:
    """Return the stages of a method that moves some parameters, at the backbone's rate, all at once."""
    return lambda net, recipe: (Stage(name, names(net), recipe.backbone_learning_rate, recipe.steps),)


@dataclass(frozen=True)
class Algorithm:
    """How a method differs from the others.

    gates: learnt; constant, a mask that no input changes; random, drawn once and for all; none, a dense network.
    held: names of what training leaves as it starts.
    """

    stages: StagesOf
    gates: Literal["learnt", "constant", "random", "none"] = "learnt"
    update: type[LocalUpdate] = MetaUpdate
    held: Names = lambda net: frozenset()


ALGORITHMS = {
    "metagater": Algorithm(two_stages),
    "metagater-named": Algorithm(two_stages, update=NamedMetaUpdate),
    "joint": Algorithm(one_stage("everything", all_names)),
    "gates-first": Algorithm(gates_first),
    "gates-fixed": Algorithm(one_stage("backbone", backbone)),
    "static-mask": Algorithm(one_stage("backbone", backbone), "constant", held=gate_weights),
    "random-gates": Algorithm(one_stage("backbone", backbone), "random", held=gates),
    "maml": Algorithm(one_stage("everything", all_names), "none"),
    "anil": Algorithm(one_stage("head", head), "none"),
    "reptile": Algorithm(one_stage("everything", all_names), "none", ReptileUpdate),
    "pfedme": Algorithm(one_stage("everything", all_names), "none", ProximalUpdate),
    "fedavg": Algorithm(one_stage("everything", all_names), "none", ClassifierUpdate),
    "gated-fedavg": Algorithm(one_stage("everything", all_names), update=ClassifierUpdate),
}


def network_of(recipe: Recipe, kept: Sequence[int] | None = None) -> tuple[nn.Module, Params]:
    """Return a recipe's network and its initial parameters; `recipe.channels` must be known.

    kept: filters that freezing left in each layer; None: all.

    Raises:
        ValueError: if the recipe's network never had so many filters.
    """
    sizes = {name: getattr(recipe, name) for name in ("ways", "width", "depth", "image_size", "channels")}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    kind = ALGORITHMS[recipe.method].gates
    net, params = make_net(
        recipe.architecture, recipe.seed, gated=kind != "none", constant=kind == "constant", kept=kept, **sizes
    )
    if kind == "random":
        params |= random_gates(net, params, recipe.budget, recipe.seed)
    bias = MASK_BIAS if recipe.gate_bias is None and kind == "constant" else recipe.gate_bias
    if bias is not None and kind != "random":
        params |= {name: torch.full_like(params[name], bias) for name in net.gate_names() - gate_weights(net)}
    return net, params


def random_gates(net: nn.Module, params: Params, budget: float, seed: int) -> Params:
    """Return gate heads drawn by chance, under which an input opens about as many filters as the budget allows.

    A head sees normalised values, so weights of variance one over their number give logits that are standard normal
    over filters, for every input; the bias shifts them until the expected MACs are the budget's. Inputs that differ
    open different filters, and nothing has been learnt of which.
    """
    generator = torch.Generator().manual_seed(seed)
    filters = [layer.conv.out_channels for layer in net.convolutions().values() if layer.gate is not None]

    def ratio(share: float) -> float:
        return float(macs_ratio(net.costs, [torch.full((1, count), share) for count in filters]))

    shares = np.linspace(0.01, 0.99, 99)
    share = float(np.interp(budget, [ratio(share) for share in shares], shares))
    drawn = {}
    for name in sorted(net.gate_names()):
        if name.endswith(".weight"):
            drawn[name] = torch.randn(params[name].shape, generator=generator) / params[name].shape[1] ** 0.5
        else:
            drawn[name] = torch.full_like(params[name], NormalDist().inv_cdf(share))
    return drawn


def start_of(recipe: Recipe, initial: Params, classes: Sequence[str]) -> Params:
    """Return where training starts: the network's parameters, and what the method trains beside them.

    A classifier of all nodes' classes stands beside a head of zeros, which a new node's first step turns into the
    centred means of its classes (chapter 5).
    """
    if not issubclass(ALGORITHMS[recipe.method].update, ClassifierUpdate):
        return initial
    heads = {name: value for name, value in initial.items() if name.startswith("head.")}
    rows = {
        name.replace("head.", CLASSIFIER): torch.zeros(len(classes), *value.shape[1:]) for name, value in heads.items()
    }
    return initial | {name: torch.zeros_like(value) for name, value in heads.items()} | rows


def class_names(federation: Federation) -> tuple[str, ...]:
    """Return the names of the classes on the training nodes, in alphabetical order."""
    return tuple(sorted({name for node in at_hand(federation.train) for name in node.classes}))


def client_update(
    recipe: Recipe, net: nn.Module, stages: tuple[Stage, ...], classes: tuple[str, ...], device: str = "cpu"
) -> ClientUpdate:
    """Return what a node of this recipe does in a round."""
    update = ALGORITHMS[recipe.method].update(net, stages, recipe, device, held_names(recipe, net), classes)
    if recipe.compression == "opened":
        update = OpenedOnly(update, net)
    if recipe.privacy == "node":
        update = PrivateNode(update, recipe.clip_norm, recipe.noise)
    codecs = {"half": Half(), "top-k": TopK(recipe.kept), "opened": Rows()}
    return Compressed(update, codecs[recipe.compression]) if recipe.compression in codecs else update


@dataclass(frozen=True)
class Held:
    """A server update that leaves some parameters as they are, whatever the nodes say, or rounding."""

    server_update: ServerUpdate
    names: frozenset[str]

    def __call__(
        self, params: Params, state: ServerState, updates: Sequence[Update], round: Round
    ) -> tuple[Params, ServerState]:
        """Return what the server update makes of the others."""
        after, state = self.server_update(params, state, updates, round)
        return merge(after, {name: params[name] for name in self.names}), state


def held_names(recipe: Recipe, net: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that the recipe's method leaves as they start."""
    return ALGORITHMS[recipe.method].held(net)


def server_update(recipe: Recipe, held: frozenset[str] = frozenset()) -> ServerUpdate:
    """Return what the server makes of the nodes' parameters; those in `held` it leaves as they are."""
    aggregates = {
        "mean": mean,
        "clipped": ClippedMean(recipe.clip_norm),
        "median": median,
        "trimmed": TrimmedMean(recipe.suspected),
        "krum": Krum(recipe.suspected),
    }
    aggregate = aggregates[recipe.aggregation]
    adam = recipe.server == "adam"
    update = FedAdam(recipe.server_learning_rate, aggregate=aggregate) if adam else FedAvg(aggregate)
    if recipe.privacy == "server":
        update = PrivateServer(update, recipe.clip_norm, recipe.noise)
    return Held(update, held) if held else update


def stages_of(recipe: Recipe, net: nn.Module) -> tuple[Stage, ...]:
    """Return the stages in which a node of this recipe adapts."""
    return ALGORITHMS[recipe.method].stages(net, recipe)


def final_objective(recipe: Recipe, net: nn.Module) -> Objective:
    """Return the objective in force once training is over: the final budget, no noise."""
    return Objective(net, recipe.budget, recipe.penalty)
