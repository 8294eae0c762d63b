"""What runs on the superlink: the federated loop of `run_rounds`, with nodes that are elsewhere."""

import dataclasses
import time
from collections.abc import Iterable, Sequence

from flwr.app import ConfigRecord, Context, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

from mglib.federated import Answer, Refusal, Round, RoundFailed, Update, run_rounds
from mglib.federated.messages import plain_text
from mglib.flower.driver import send_line, send_state, unpack_state
from mglib.flower.messages import Member, Order, receive, send, unpack_update
from mglib.params import Params
from mglib.training.algorithms import network_of, server_update
from mglib.training.recipes import Recipe
from mglib.training.trainer import round_metrics

app = ServerApp()
POLL = 0.5  # seconds between two looks for replies or nodes


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Wait for the nodes, run the rounds, and tell the driver of each: its metrics, and now and then the state."""
    try:
        config = context.run_config
        recipe, deadline = Recipe.loads(config["recipe"]), float(config["deadline"])
        registry = Registry(grid, deadline)
        registry.gather(recipe, recipe.nodes_per_round, float(config["patience"]))
        recipe = decided(recipe, registry.members)
        send_line({"recipe": recipe.dumps()})
        _, initial = network_of(recipe)
        done, params, server_state = unpack_state(config["state"])
        for result in run_rounds(
            FlowerEngine(grid, registry.members, recipe, deadline), params or initial,
            server_update(recipe), rounds=recipe.rounds,
            nodes_per_round=recipe.nodes_per_round, seed=recipe.seed, start=done, server_state=server_state,
            quorum=recipe.quorum,
        ):  # fmt: skip
            done = result.round.index + 1
            send_line({"metrics": round_metrics(result)})
            if done % config["rounds_per_checkpoint"] == 0 or done == recipe.rounds:
                send_state(done, result.params, result.server_state)
            registry.look(recipe)
    except Exception as error:  # the driver hears of nothing else, and the run fails all the same
        known = isinstance(error, RoundFailed | ValueError)
        send_line({"failed": str(error) if known else f"{type(error).__name__}: {error}"})
        raise
    send_line({"done": True})


def decided(recipe: Recipe, members: Iterable[Member]) -> Recipe:
    """Return the recipe with what it leaves open of the data, decided from all nodes as from folders on one machine.

    Colour is kept if any node has it; grey images are inverted if most of their pixels are bright.
    """
    channels = max(member.channels for member in members)
    bright = sum(member.bright for member in members) * 2 > sum(member.pixels for member in members)
    invert = bright and channels == 1 if recipe.invert is None else recipe.invert
    return dataclasses.replace(recipe, channels=recipe.channels or channels, invert=invert)


class FlowerEngine:
    """Sends orders to nodes through Flower's grid and collects the answers until a deadline."""

    def __init__(self, grid: Grid, members: Sequence[Member], recipe: Recipe, deadline: float):
        """Make an engine on members, whose order gives their positions; deadline: seconds a round.

        Members that join the sequence later, or take a place in it, take part from then on.
        """
        self._grid, self._members, self._recipe, self._deadline = grid, members, recipe, deadline

    def __len__(self) -> int:
        """Return the number of nodes that have introduced themselves."""
        return len(self._members)

    def run(self, params: Params, positions: Sequence[int], round: Round) -> list[Answer]:
        """Return the answers of the nodes at `positions` in that order; a refusal where none came in time."""
        asked = {self._members[position].node_id: self._members[position].name for position in positions}
        orders = {
            node_id: Order(params, self._recipe, round, position).pack()
            for node_id, position in zip(asked, positions, strict=True)
        }
        waiting, end = send(self._grid, orders, MessageType.TRAIN, self._deadline), time.monotonic() + self._deadline
        answers = dict.fromkeys(asked, "the superlink took no order for it")
        answers |= dict.fromkeys(waiting.values(), f"no answer within {self._deadline:g} s")
        while True:
            answers |= receive(self._grid, waiting, lambda node_id, content: unpack_update(asked[node_id], content))
            if not waiting or time.monotonic() >= end:
                break
            time.sleep(POLL)
        return [
            answer if isinstance(answer, Update) else Refusal(asked[node_id], answer)
            for node_id, answer in answers.items()
        ]


class Registry:
    """Who takes part. Each name has a place; a node that was restarted follows the one that is gone.

    members: the nodes, whose order gives their positions.
    notes: why others take no part.
    """

    def __init__(self, grid: Grid, deadline: float):
        """Make a registry of nobody; deadline: seconds in which a node may introduce itself."""
        self.members: list[Member] = []
        self.notes: list[str] = []
        self._grid, self._deadline = grid, deadline
        self._asked: dict[str, int] = {}  # whose introduction a message waits for
        self._known: dict[int, Member | None] = {}  # who has answered, the newest last; None: not as they should

    def gather(self, recipe: Recipe, nodes: int, patience: float) -> None:
        """Wait until so many nodes have introduced themselves, and put them in the order of their names.

        Raises RoundFailed if they are fewer after `patience` seconds.
        """
        end = time.monotonic() + patience
        self.look(recipe)
        while (len(self.members) < nodes or self._asked) and time.monotonic() < end:
            time.sleep(POLL)
            self.look(recipe)
        self.members.sort(key=lambda member: member.name)
        if len(self.members) < nodes:
            there = ", ".join(member.name for member in self.members) or "none"
            found = f"{len(self.members)} of {nodes} nodes were there after {patience:g} s: {there}"
            raise RoundFailed("; ".join([found, *self.notes]))

    def look(self, recipe: Recipe) -> None:
        """Ask who has come, and take in who has answered; who is not taken in is noted, and the driver told.

        It waits for nobody: an answer that is still to come is found the next time.
        """
        there = set(self._grid.get_node_ids())
        question = RecordDict({"order": ConfigRecord({"recipe": recipe.dumps()})})
        if strangers := dict.fromkeys(sorted(there - {*self._known, *self._asked.values()}), question):
            self._asked |= send(self._grid, strangers, MessageType.QUERY, self._deadline)
        received = receive(self._grid, self._asked, Member.unpack)
        for node_id, member in sorted(received.items(), reverse=True):
            if isinstance(member, Member) and member.name in (*recipe.held_out, *recipe.validation):
                self._known[node_id] = None
                self._note(f"{member.name} is held out and takes no part")
            elif isinstance(member, Member):
                self._known[node_id] = member
            elif node_id in there:
                self._known[node_id] = None
                self._note(f"a node that introduced itself badly takes no part: {member}")
        newest_first = [member for node_id, member in reversed(self._known.items()) if member and node_id in there]
        for member in sorted(newest_first, key=lambda member: member.name):
            places = {seated.name: place for place, seated in enumerate(self.members)}
            place = places.get(member.name, len(self.members))
            if place == len(self.members) or self.members[place].node_id not in there:
                self.members[place : place + 1] = [member]
            elif member.node_id in received and member != self.members[place]:
                self._note(
                    f"a second node is called {member.name} and takes no part while the first is there: --node or the "
                    f"folder's name tells them apart"
                )

    def _note(self, note: str) -> None:
        self.notes.append(plain_text(note))
        send_line({"note": self.notes[-1]})
