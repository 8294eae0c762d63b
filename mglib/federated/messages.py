"""Messages: what a node is told beside the parameters, and what comes back from it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mglib.params import Params


@dataclass(frozen=True)
class Round:
    """Which round this is: all that a node needs to know of time and chance."""

    index: int  # from 0
    rounds: int  # planned in all
    seed: int

    @property
    def progress(self) -> float:
        """Share of the training that lies behind, from 0 towards 1."""
        return self.index / self.rounds

    def generator(self, stream: int) -> np.random.Generator:
        """Return a generator that depends on seed, round and `stream` alone, never on who drew before.

        Stream 0 is the server's; stream 1 + p belongs to the node at position p.
        """
        return np.random.default_rng([self.seed, self.index, stream])


class Update(NamedTuple):
    """What a node sends back."""

    node: str
    params: Params
    weight: float  # the node's share in the average, before normalisation
    metrics: dict[str, float]
    round: int | None = None  # that it answers; None: computed within the very call, so there is no doubt


class Refusal(NamedTuple):
    """A node that has no part in a round, and why."""

    node: str
    reason: str


Answer = Update | Refusal  # an engine refuses where there is nothing to look at: an error, or no reply in time
