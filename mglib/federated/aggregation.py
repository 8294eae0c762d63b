"""Server updates: what the server makes of the parameters that come back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mglib.federated.messages import Round, Update
from mglib.federated.robust import Aggregate, mean
from mglib.federated.rounds import ServerState
from mglib.params import Params


@dataclass(frozen=True)
class Replace:
    """The nodes' parameters take the place of the server's; by their mean it is FedAvg (arXiv 1602.05629)."""

    aggregate: Aggregate = mean

    def __call__(
        self, params: Params, state: ServerState, updates: Sequence[Update], round: Round
    ) -> tuple[Params, ServerState]:
        """Return where the nodes are; there is nothing to remember."""
        return self.aggregate(params, updates), state


average = Replace()


@dataclass(frozen=True)
class FedAdam:
    """Adam on the server, with what the nodes moved on average as its gradient (arXiv 2003.00295).

    The rate falls to zero over the rounds along half a cosine. The moments and the number of steps that they hold are
    the state: from an empty one Adam starts anew in any round.

    aggregate: what is taken for the nodes' average; `robust.py` has those that some nodes may lie to.
    """

    learning_rate: float = 2e-3
    momentum: float = 0.9
    second_momentum: float = 0.999
    epsilon: float = 1e-8
    aggregate: Aggregate = mean

    def __call__(
        self, params: Params, state: ServerState, updates: Sequence[Update], round: Round
    ) -> tuple[Params, ServerState]:
        """Return the parameters after one step of Adam, and the state to go on with.

        Raises:
            ValueError: if the state has moments and does not say of how many steps.
        """
        if state and "steps" not in state:
            raise ValueError("the server's state does not count its steps, as older versions left it: train anew")
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
