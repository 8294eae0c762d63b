"""What runs on the link: the federated loop of `run_rounds`, with nodes that are elsewhere."""

import dataclasses
import time
from collections.abc import Iterable

from flwr.app import ConfigRecord, Context, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

from mglib.federated import RoundFailed, run_rounds
from mglib.federated.admission import plain_text
from mglib.flower import telling
from mglib.flower.engine import FlowerEngine, Member, receive, records_of, said_of, send
from mglib.flower.records import unpack_introduction
from mglib.training.algorithms import ALGORITHMS, network_of, server_update
from mglib.training.recipes import Recipe
from mglib.training.trainer import ROUNDS_PER_CHECKPOINT, round_metrics

app = ServerApp()
PAUSE = 1.0  # seconds between two looks for nodes


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Wait for the nodes, run the rounds, and tell home of each: its metrics, and now and then the state."""
    config = context.run_config
    recipe, deadline = Recipe.loads(config["recipe"]), float(config["deadline"])
    try:
        registry = Registry(grid, deadline)
        gather(registry, recipe, int(config["nodes"]), float(config["patience"]))
        members = registry.members
        recipe = decided(recipe, members)
        telling.tell({"recipe": recipe.dumps(), "nodes": [member.name for member in members]})
        net, initial = network_of(recipe)
        done, params, server_state = telling.unpack_state(config["state"])
        for result in run_rounds(
            FlowerEngine(grid, members, recipe, deadline), params or initial,
            server_update(recipe, ALGORITHMS[recipe.method].held(net)), rounds=recipe.rounds,
            nodes_per_round=recipe.nodes_per_round, seed=recipe.seed, start=done, server_state=server_state,
            quorum=recipe.quorum,
        ):  # fmt: skip
            rounds_done = result.round.index + 1
            telling.tell({"metrics": round_metrics(result)})
            if rounds_done % ROUNDS_PER_CHECKPOINT == 0 or rounds_done == recipe.rounds:
                telling.tell_state(rounds_done, result.params, result.server_state)
            registry.look(recipe)
    except Exception as error:  # home hears of nothing else, and the run fails all the same
        known = isinstance(error, RoundFailed | ValueError)
        telling.tell({"failed": str(error) if known else f"{type(error).__name__}: {error}"})
        raise
    telling.tell({"done": True})


class Registry:
    """Who takes part. Each node has a place; one that was restarted follows, under its name, the one that is gone.

    members: the nodes, whose order gives their positions.
    notes: why others take no part.
    """

    def __init__(self, grid: Grid, deadline: float):
        """Make a registry of nobody; deadline: seconds in which a node may introduce itself."""
        self.members: list[Member] = []
        self.notes: list[str] = []
        self._grid, self._deadline = grid, deadline
        self._asked: dict[str, int] = {}  # whose introduction a message waits for
        self._twins: dict[int, Member] = {}  # whose names others bear, by Flower's id, the newest last
        self._strange: set[int] = set()  # who introduced themselves badly: until they start anew

    @property
    def waits(self) -> bool:
        """Whether somebody was asked who has not answered yet."""
        return bool(self._asked)

    def look(self, recipe: Recipe) -> None:
        """Ask who has come, and take in who has answered; who is not taken in is noted, and told home.

        It waits for nobody: an answer that is still to come is found the next time.
        """
        there = set(self._grid.get_node_ids())
        self._strange &= there
        known = {member.node_id for member in self.members} | {*self._asked.values(), *self._twins, *self._strange}
        question = RecordDict({"order": ConfigRecord({"recipe": recipe.dumps()})})
        if strangers := dict.fromkeys(sorted(there - known), question):
            self._asked |= send(self._grid, strangers, MessageType.QUERY, self._deadline)
        introduced: list[Member] = []
        for node_id, reply in sorted(receive(self._grid, self._asked).items()):
            try:
                introduced.append(Member(node_id, *unpack_introduction(records_of(reply))))
            except Exception as error:  # whatever it says, it is the node's own
                if node_id in there:
                    self._strange.add(node_id)
                    self._note(f"a node that introduced itself badly takes no part: {said_of(error)}")
        twins = [twin for node_id, twin in self._twins.items() if node_id in there]
        left = self._seat([*introduced, *reversed(twins)], there)
        for member in left:
            if member in introduced:
                self._note(
                    f"a second node is called {member.name} and takes no part while the first is there: --node or the "
                    f"folder's name tells them apart"
                )
        self._twins = {member.node_id: member for member in reversed(left)}

    def _seat(self, newcomers: Iterable[Member], there: set[int]) -> list[Member]:
        """Give newcomers their places, and return those whose place is taken; of one name the first is first."""
        places, left = {member.name: place for place, member in enumerate(self.members)}, []
        for newcomer in sorted(newcomers, key=lambda member: member.name):
            place = places.setdefault(newcomer.name, len(self.members))
            if place == len(self.members):
                self.members.append(newcomer)
            elif self.members[place].node_id not in there:
                self.members[place] = newcomer
            else:
                left.append(newcomer)
        return left

    def _note(self, note: str) -> None:
        self.notes.append(plain_text(note))
        telling.tell({"note": self.notes[-1]})


def gather(registry: Registry, recipe: Recipe, nodes: int, patience: float) -> None:
    """Wait until so many nodes have introduced themselves, and put them in the order of their names.

    Raises:
        RoundFailed: if they are fewer after `patience` seconds.
    """
    end = time.monotonic() + patience
    registry.look(recipe)
    while (len(registry.members) < nodes or registry.waits) and time.monotonic() < end:
        time.sleep(PAUSE)
        registry.look(recipe)
    registry.members.sort(key=lambda member: member.name)
    if len(registry.members) < nodes:
        there = ", ".join(member.name for member in registry.members) or "none"
        found = f"{len(registry.members)} of {nodes} nodes were there after {patience:g} s: {there}"
        raise RoundFailed("; ".join([found, *registry.notes]))


def decided(recipe: Recipe, members: Iterable[Member]) -> Recipe:
    """Return the recipe with what it leaves open of the data, told from all nodes as from the folders of one machine.

    Colour is kept if any node has it; grey images are inverted if most of their pixels are bright.
    """
    channels = max(member.channels for member in members)
    bright = sum(member.bright for member in members) * 2 > sum(member.pixels for member in members)
    invert = bright and channels == 1 if recipe.invert is None else recipe.invert
    return dataclasses.replace(recipe, channels=recipe.channels or channels, invert=invert)
