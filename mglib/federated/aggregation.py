"""Aggregation: what the server makes of the updates, also if some nodes lie, or if none may be given away.

An aggregate takes what was sent and the updates, and returns parameters. All but `mean` and `ClippedMean` count every
node alike: a weight that a node states itself is one more thing to lie about. Node-level differential privacy bounds
how far one node can move the model, and hides the rest in noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mglib.federated.engines import ClientUpdate
from mglib.federated.messages import Round, Update
from mglib.federated.rounds import ServerState, ServerUpdate
from mglib.params import Params, weighted_mean

_NOISE = 2**32  # streams of chance from here on are the noise's, beyond the server's and any node's own
Aggregate = Callable[[Params, Sequence[Update]], Params]  # (parameters sent, updates) → where the nodes are


def mean(sent: Params, updates: Sequence[Update]) -> Params:
    """Return the mean by weight: one node that lies moves it as far as it likes."""
    return weighted_mean([update.params for update in updates], [update.weight for update in updates])


@dataclass(frozen=True)
class ClippedMean:
    """The mean by weight of moves that are shortened to a norm (Sun et al., arXiv 1911.07963)."""

    norm: float  # Euclidean, over all parameters together

    def __call__(self, sent: Params, updates: Sequence[Update]) -> Params:
        """Return `sent` plus the mean of `d · min(1, norm / ‖d‖)` over the nodes' moves d."""
        clipped = [update._replace(params=clip(sent, update.params, self.norm)) for update in updates]
        return mean(sent, clipped)


def clip(sent: Params, params: Params, norm: float) -> Params:
    """Return parameters no farther from `sent` than `norm`, in the direction of `params`."""
    length = move_length(sent, params)
    if length <= norm:
        return params
    return {name: value + (params[name] - value) * (norm / length) for name, value in sent.items()}


def move_length(sent: Params, params: Params) -> float:
    """Return the Euclidean norm of the difference, over all parameters together."""
    return float(sum((params[name] - sent[name]).double().square().sum() for name in sorted(sent)) ** 0.5)


@dataclass(frozen=True)
class TrimmedMean:
    """The mean of every number without its largest and its smallest values (Yin et al., arXiv 1803.01498)."""

    trim_fraction: float  # of the nodes, cut at each end, in [0, 0.5]

    def __call__(self, sent: Params, updates: Sequence[Update]) -> Params:
        """Return the mean of what is left in the middle: of one node, or of two, if all others are cut."""
        count = len(updates)
        cut = min(round(self.trim_fraction * count), (count - 1) // 2)
        values = {name: torch.stack([update.params[name] for update in updates]) for name in updates[0].params}
        return {name: value.sort(dim=0).values[cut : count - cut].mean(0) for name, value in values.items()}


median = TrimmedMean(0.5)


@dataclass(frozen=True)
class Krum:
    """The mean of the nodes that lie closest to their neighbours (Blanchard et al., 2017).

    A node's score is the sum of its squared distances to the `n − f − 2` nearest others, f of n nodes being taken for
    Byzantine; of the n − f best scores the mean is taken (multi-Krum).
    """

    byzantine_fraction: float  # f / n, in [0, 0.5)

    def __call__(self, sent: Params, updates: Sequence[Update]) -> Params:
        """Return the mean of the chosen nodes, each counted alike."""
        return TrimmedMean(0.0)(sent, [updates[place] for place in self.chosen(updates)])

    def chosen(self, updates: Sequence[Update]) -> list[int]:
        """Return the positions of the nodes that are kept, in the order given."""
        count = len(updates)
        byzantine = min(round(self.byzantine_fraction * count), (count - 1) // 2)
        names = sorted(updates[0].params)
        flat = torch.stack([torch.cat([update.params[name].flatten() for name in names]) for update in updates])
        squares = torch.cdist(flat.double(), flat.double()).square().sort(dim=1).values[:, 1:]
        scores = squares[:, : max(1, count - byzantine - 2)].sum(1)
        return sorted(scores.argsort(stable=True)[: count - byzantine].tolist())


@dataclass(frozen=True)
class FedAvg:
    """The aggregate of the nodes' parameters takes the place of the server's (arXiv 1602.05629)."""

    aggregate: Aggregate = mean

    def __call__(
        self, params: Params, state: ServerState, updates: Sequence[Update], round: Round
    ) -> tuple[Params, ServerState]:
        """Return the aggregate; there is no state."""
        return self.aggregate(params, updates), state


average = FedAvg()


@dataclass(frozen=True)
class FedAdam:
    """Adam on the server, with what the nodes moved on average as its gradient (arXiv 2003.00295).

    The rate falls to zero over the rounds along half a cosine. The moments and the number of steps that they hold are
    the state: from an empty one Adam starts anew in any round.

    aggregate: what is taken for the nodes' average.
    """

    learning_rate: float = 2e-3
    momentum: float = 0.9
    second_momentum: float = 0.999
    epsilon: float = 1e-8
    aggregate: Aggregate = mean

    def __call__(
        self, params: Params, state: ServerState, updates: Sequence[Update], round: Round
    ) -> tuple[Params, ServerState]:
        """Return the parameters after one step of Adam, and the state to go on with."""
        steps = int(state.get("steps", 0)) + 1
        centre = self.aggregate(params, updates)
        rate = self.learning_rate * 0.5 * (1 + math.cos(math.pi * round.progress))
        bias_1 = 1 - self.momentum**steps
        bias_2 = 1 - self.second_momentum**steps
        after, moments = {}, {"steps": torch.tensor(steps)}
        for name, value in params.items():
            gradient = value - centre[name]
            first = state.get(f"first.{name}", torch.zeros_like(value)).lerp(gradient, 1 - self.momentum)
            second = state.get(f"second.{name}", torch.zeros_like(value))
            second = second.lerp(gradient.square(), 1 - self.second_momentum)
            after[name] = value - rate * (first / bias_1) / ((second / bias_2).sqrt() + self.epsilon)
            moments[f"first.{name}"], moments[f"second.{name}"] = first, second
        return after, moments


def with_noise(params: Params, deviation: float, generator: np.random.Generator) -> Params:
    """Return the parameters plus independent Gaussian noise of this standard deviation on every number."""
    if deviation == 0:
        return params
    drawn = {name: generator.standard_normal(params[name].shape, dtype=np.float32) for name in sorted(params)}
    return {name: value + deviation * torch.from_numpy(drawn[name]).to(value) for name, value in params.items()}


@dataclass(frozen=True)
class PrivateServer:
    """Shows a server update one thing only: the mean of bounded updates, all of one weight, with noise (DP-FedAvg).

    The noise on the mean of n updates has the standard deviation `noise · norm / n` (McMahan et al., arXiv 1710.06963).
    Whatever the server update makes of the noisy mean costs no further privacy. The nodes must trust the server: it
    sees their updates, and their metrics, as they are. The noise is drawn from the recipe's seed, so that a training
    repeats; it hides nothing from one who knows the seed, as every node does.

    norm: longest way from the parameters that an update may go, Euclidean, over all parameters together.
    noise: standard deviation of the noise on the sum of updates, in units of `norm`.
    """

    server_update: ServerUpdate
    norm: float
    noise: float = 0.0

    def __call__(
        self, params: Params, state: ServerState, updates: Sequence[Update], round: Round
    ) -> tuple[Params, ServerState]:
        """Return what the server update makes of the noisy mean."""
        mean = weighted_mean([clip(params, u.params, self.norm) for u in updates], [1.0] * len(updates))
        noisy = with_noise(mean, self.noise * self.norm / len(updates), round.generator(_NOISE))
        return self.server_update(params, state, [Update("all of them", noisy, 1.0, {})], round)


@dataclass(frozen=True)
class PrivateNode:
    """A client update whose answer is bounded and noisy before it leaves the node.

    The standard deviation of the noise on each update is `noise · norm`. Weight and metrics would give away what the
    noise hides, so every node weighs one and no metrics leave it. The noise is drawn from the recipe's seed, so that a
    training repeats; one who knows the seed, as the server does, can take it off again.

    norm, noise: as for `PrivateServer`, but each node adds noise of its own.
    """

    client_update: ClientUpdate
    norm: float
    noise: float = 0.0

    def __call__(self, params: Params, node: Any, position: int, round: Round) -> Update:
        """Return the node's update as it may be seen."""
        update = self.client_update(params, node, position, round)
        generator = round.generator(_NOISE + 1 + position)
        noisy = with_noise(clip(params, update.params, self.norm), self.noise * self.norm, generator)
        return update._replace(params=noisy, weight=1.0, metrics={})
