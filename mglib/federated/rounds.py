"""The federated round: send, compute on the nodes, average. The whole loop stands in `run_rounds`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from mglib.federated.process import one_thread
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


class Engine(Protocol):
    """The nodes, wherever they live, and what they do in a round."""

    def __len__(self) -> int:
        """Return the number of nodes."""

    def run(self, params: Params, positions: Sequence[int], round: Round) -> list[Update]:
        """Send `params` to the nodes at `positions` and return their updates in that order."""


ServerState = Params  # what the server remembers from round to round, by name; empty at the start
ServerUpdate = Callable[[Params, ServerState, Sequence[Update], Round], tuple[Params, ServerState]]


class RoundResult(NamedTuple):
    """The state after a round: enough to go on from, and what to watch."""

    round: Round
    params: Params
    server_state: ServerState
    updates: list[Update]


def run_rounds(
    engine: Engine,
    params: Params,
    server_update: ServerUpdate,
    *,
    rounds: int,
    nodes_per_round: int,
    seed: int,
    start: int = 0,
    server_state: ServerState | None = None,
) -> Iterator[RoundResult]:
    """Yield the state after each federated round, from round `start` to the last.

    Every random draw is seeded by (seed, round, node), so the same call gives the same bits with any
    engine, and a call that starts from the state of an earlier round goes on as if it had never stopped.

    Raises:
        ValueError: if a round asks for more nodes than there are, or for none.
    """
    if not 1 <= nodes_per_round <= len(engine):
        raise ValueError(f"`nodes_per_round` (={nodes_per_round}) must be between 1 and the {len(engine)} nodes")
    state = server_state or {}
    for index in range(start, rounds):
        round = Round(index, rounds, seed)
        sampled = round.generator(0).choice(len(engine), nodes_per_round, replace=False)
        updates = engine.run(params, sorted(sampled.tolist()), round)
        with one_thread():  # a millisecond's work, which several threads only wait for each other in
            params, state = server_update(params, state, updates, round)
        yield RoundResult(round, params, state, updates)
