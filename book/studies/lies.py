"""Lies: nodes that send something else than what they were asked for, on purpose."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mglib.federated import Round, Update, move_length
from mglib.federated.engines import ClientUpdate
from mglib.params import Params
from mglib.tasks import Batch, Node, Task
from mglib.training.experiment import Experiment
from studies.codecs import Wrap

STRENGTH = 10.0  # times the length of an honest move
_ATTACKERS = 1_000_003  # the stream of the seed that chooses who lies: no round has it

Lie = Callable[[Params, Params, np.random.Generator], Params]  # (parameters sent, honest ones, chance) → sent back


def sign_flip(sent: Params, honest: Params, generator: np.random.Generator) -> Params:
    """Return `STRENGTH` times the move, the wrong way."""
    return {name: value - STRENGTH * (honest[name] - value) for name, value in sent.items()}


def scaled_noise(sent: Params, honest: Params, generator: np.random.Generator) -> Params:
    """Return Gaussian noise around what was sent, `STRENGTH` times as long as the move."""
    noise = {}
    for name in sorted(sent):  # in what order parameters arrive is the engine's affair
        noise[name] = torch.from_numpy(generator.standard_normal(tuple(sent[name].shape))).to(sent[name].dtype)
    return _moved(sent, noise, honest)


def constant_drift(sent: Params, honest: Params, generator: np.random.Generator) -> Params:
    """Return the same direction in every round from every node that lies, `STRENGTH` times as long as the move.

    All parameters grow by as much: together, those who lie pull where no single round looks suspicious.
    """
    return _moved(sent, {name: torch.ones_like(value) for name, value in sent.items()}, honest)


def _moved(sent: Params, direction: Params, honest: Params) -> Params:
    """Return `sent` moved along `direction`, `STRENGTH` times as far as the honest move."""
    zero = {name: torch.zeros_like(value) for name, value in direction.items()}
    factor = STRENGTH * move_length(sent, honest) / move_length(zero, direction)
    return {name: value + factor * direction[name] for name, value in sent.items()}


LIES: dict[str, Lie] = {"sign-flip": sign_flip, "noise": scaled_noise, "drift": constant_drift}


@dataclass(frozen=True)
class LabelFlip:
    """A node whose labels are wrong, each that of the next class; everything else it does honestly.

    Of a task it is the queries' labels: support sets stay as they are.
    """

    node: Node

    def __getattr__(self, name: str) -> Any:
        """Return the node's own attribute."""
        if name == "node":  # not there yet, while a copy is being unpickled
            raise AttributeError(name)
        return getattr(self.node, name)

    @property
    def labels(self) -> torch.Tensor:
        """The labels of the node's images, turned."""
        return (self.node.labels + 1) % len(self.node.classes)

    def sample_task(self, ways: int, shots: int, queries: int, generator: np.random.Generator) -> Task:
        """Draw the node's task and turn the labels of its queries."""
        task = self.node.sample_task(ways, shots, queries, generator)
        query = task.query
        return replace(task, query=Batch(query.images, (query.labels + 1) % ways, query.support_images))


@dataclass(frozen=True)
class Attacked:
    """A client update that some nodes replace by what their attack sends."""

    honest: ClientUpdate
    attack: str
    liars: frozenset[int]  # positions

    def __call__(self, params: Params, node: Node, position: int, round: Round) -> Update:
        """Return the honest update, or a liar's in its place."""
        if position not in self.liars:
            return self.honest(params, node, position, round)
        if self.attack == "label-flip":
            return self.honest(params, LabelFlip(node), position, round)
        update = self.honest(params, node, position, round)
        chance = np.random.default_rng([round.seed, _ATTACKERS, round.index, position])
        return update._replace(params=LIES[self.attack](params, update.params, chance))


def attacked(attack: str, share: float) -> Wrap:
    """Return what makes some of the training nodes lie.

    share: of the nodes that lie, chosen by the recipe's seed.
    """

    def wrap(update: ClientUpdate, experiment: Experiment) -> ClientUpdate:
        nodes = len(experiment.federation.train)
        lying = liars(experiment.recipe.seed, share, nodes)
        if not lying:
            raise ValueError(f"`byzantine_fraction` (={share}) of {nodes} nodes are none: nobody would lie")
        return Attacked(update, attack, lying)

    return wrap


def liars(seed: int, share: float, nodes: int) -> frozenset[int]:
    """Return the positions of the nodes that lie, chosen by the seed."""
    generator = np.random.default_rng([seed, _ATTACKERS])
    return frozenset(generator.choice(nodes, round(share * nodes), replace=False).tolist())
