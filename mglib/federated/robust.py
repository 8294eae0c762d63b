"""Robust means: where many nodes' parameters lie, if some of the nodes lie.

Each takes what was sent and the updates, and returns parameters. All but the clipped mean count every node alike: a
weight that a node states itself is one more thing to lie about.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mglib.federated.messages import Update
from mglib.params import Params, weighted_mean

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


def median(sent: Params, updates: Sequence[Update]) -> Params:
    """Return the median of every number by itself (Yin et al., arXiv 1803.01498).

    Of an even number of nodes it is the mean of the middle two.
    """
    count = len(updates)
    return _by_number(updates, lambda values: values[(count - 1) // 2 : count // 2 + 1].mean(0))


@dataclass(frozen=True)
class TrimmedMean:
    """The mean of every number without its largest and its smallest values (Yin et al., arXiv 1803.01498)."""

    share: float  # of the nodes that are cut at each end, in [0, 0.5)

    def __call__(self, sent: Params, updates: Sequence[Update]) -> Params:
        """Return the mean of what is left in the middle."""
        cut = min(round(self.share * len(updates)), (len(updates) - 1) // 2)
        return _by_number(updates, lambda values: values[cut : len(updates) - cut].mean(0))


@dataclass(frozen=True)
class Krum:
    """The mean of the nodes that lie closest to their neighbours (Blanchard et al., 2017).

    A node's score is the sum of its squared distances to the `n − f − 2` nearest others, f of n nodes being suspected
    of lying; of the n − f best scores the mean is taken (multi-Krum).
    """

    share: float  # of the nodes that are suspected, in [0, 0.5)

    def __call__(self, sent: Params, updates: Sequence[Update]) -> Params:
        """Return the mean of the chosen nodes, each counted alike."""
        return _by_number([updates[place] for place in self.chosen(updates)], lambda values: values.mean(0))

    def chosen(self, updates: Sequence[Update]) -> list[int]:
        """Return the positions of the nodes that are kept, in the order given."""
        count = len(updates)
        suspected = min(round(self.share * count), (count - 1) // 2)
        flat = torch.stack(
            [torch.cat([update.params[name].flatten() for name in sorted(update.params)]) for update in updates]
        )
        squares = torch.cdist(flat.double(), flat.double()).square().sort(dim=1).values[:, 1:]
        scores = squares[:, : max(1, count - suspected - 2)].sum(1)
        return sorted(scores.argsort(stable=True)[: count - suspected].tolist())


def _by_number(updates: Sequence[Update], middle: Callable[[Tensor], Tensor]) -> Params:
    """Return `middle` of the nodes' sorted values, (node, …), parameter by parameter."""
    return {
        name: middle(torch.stack([update.params[name] for update in updates]).sort(dim=0).values)
        for name in updates[0].params
    }
