"""The federated round: send, compute on the nodes, average. The whole loop stands in `run_rounds`."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from mglib.federated.messages import Answer, Refusal, Round, Update, admit, check_step
from mglib.federated.process import one_thread
from mglib.params import Params, whole_number


class Engine(Protocol):
    """The nodes, wherever they live, and what they do in a round."""

    def __len__(self) -> int:
        """Return the number of nodes."""

    def run(self, params: Params, positions: Sequence[int], round: Round) -> list[Answer]:
        """Send `params` to the nodes at `positions` and return their answers in that order."""


ServerState = Params  # what the server remembers from round to round, by name; empty at the start
ServerUpdate = Callable[[Params, ServerState, Sequence[Update], Round], tuple[Params, ServerState]]


class RoundResult(NamedTuple):
    """The state after a round: enough to go on from, and what to watch."""

    round: Round
    params: Params
    server_state: ServerState
    updates: list[Update]  # of the nodes whose answers were admitted
    refused: list[Refusal]  # of the others


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
    quorum: int = 1,
) -> Iterator[RoundResult]:
    """Yield the state after each federated round, from round `start` to the last.

    Every random draw is seeded by (seed, round, node), so the same call gives the same bits with any
    engine, and a call that starts from the state of an earlier round goes on as if it had never stopped.

    quorum: answers that a round needs; those that are not as they should be never reach the server update.

    Raises ValueError if a round asks for more nodes than there are, or for none, if the quorum is more than that, or if
    a number is none to count or to seed with.
    Raises RoundFailed, saying why, if fewer nodes than the quorum answered as they should, or the server's step
    overflowed.
    """
    rounds, start = whole_number("rounds", rounds, 0), whole_number("start", start, 0)
    nodes_per_round = whole_number("nodes_per_round", nodes_per_round, 1, len(engine))
    seed, quorum = whole_number("seed", seed, 0), whole_number("quorum", quorum, 1, nodes_per_round)
    state = server_state or {}
    for index in range(start, rounds):
        round = Round(index, rounds, seed)
        sampled = round.generator(0).choice(len(engine), nodes_per_round, replace=False)
        answers = engine.run(params, sorted(sampled.tolist()), round)
        with one_thread():  # a millisecond's work, which several threads only wait for each other in
            updates, refused = admit(params, answers, round, quorum)
            params, state = server_update(params, state, updates, round)
            check_step({**state, **params}, round)
        yield RoundResult(round, params, state, updates, refused)
