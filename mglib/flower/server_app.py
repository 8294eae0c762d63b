"""What runs on the link: the federated loop of `run_rounds`, with nodes that are elsewhere."""

import dataclasses
import time
from collections.abc import Iterable

from flwr.app import ConfigRecord, Context, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

from mglib.experiments.algorithms import network_of, server_update
from mglib.experiments.recipes import Recipe
from mglib.experiments.training import ROUNDS_PER_CHECKPOINT, round_metrics
from mglib.federated import RoundFailed, run_rounds
from mglib.flower import telling
from mglib.flower.engine import FlowerEngine, Member, exchange

app = ServerApp()
PAUSE = 1.0  # seconds between two looks for nodes


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Wait for the nodes, run the rounds, and tell home of each: its metrics, and now and then the state."""
    config = context.run_config
    recipe, deadline = Recipe.loads(config["recipe"]), float(config["deadline"])
    try:
        members = gather(grid, recipe, int(config["nodes"]), float(config["patience"]), deadline)
        recipe = decided(recipe, members)
        telling.tell({"recipe": recipe.dumps(), "nodes": [member.name for member in members]})
        _, initial = network_of(recipe)
        done, params, server_state = telling.unpack_state(config["state"])
        engine = FlowerEngine(grid, members, recipe, deadline)
        for result in run_rounds(
            engine, params or initial, server_update(recipe), rounds=recipe.rounds,
            nodes_per_round=recipe.nodes_per_round, seed=recipe.seed, start=done, server_state=server_state,
            quorum=recipe.quorum,
        ):  # fmt: skip
            rounds_done = result.round.index + 1
            telling.tell({"metrics": round_metrics(result)})
            if rounds_done % ROUNDS_PER_CHECKPOINT == 0 or rounds_done == recipe.rounds:
                telling.tell_state(rounds_done, result.params, result.server_state)
            engine.members += newcomers(grid, recipe, engine.members, deadline)
    except (RoundFailed, ValueError) as error:
        telling.tell({"failed": str(error)})
        raise
    telling.tell({"done": True})


def gather(grid: Grid, recipe: Recipe, nodes: int, patience: float, deadline: float) -> list[Member]:
    """Wait until so many nodes have introduced themselves, and return them by name: the order is their positions.

    Raises:
        RoundFailed: if they are fewer after `patience` seconds.
        ValueError: if two have the same name.
    """
    members: list[Member] = []
    end = time.monotonic() + patience
    while len(members) < nodes:
        if time.monotonic() > end:
            there = ", ".join(member.name for member in members) or "none"
            raise RoundFailed(f"{len(members)} of {nodes} nodes were there after {patience:g} s: {there}")
        members += newcomers(grid, recipe, members, deadline)
        time.sleep(PAUSE)
    members.sort(key=lambda member: member.name)
    names = [member.name for member in members]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(
            f"two nodes are called {', '.join(sorted(twice))}: --node or the folder's name tells them apart"
        )
    return members


def decided(recipe: Recipe, members: Iterable[Member]) -> Recipe:
    """Return the recipe with what it leaves open of the data, told from all nodes as from the folders of one machine.

    Colour is kept if any node has it; grey images are inverted if most of their pixels are bright.
    """
    channels = max(member.channels for member in members)
    bright = sum(member.bright for member in members) * 2 > sum(member.pixels for member in members)
    invert = bright and channels == 1 if recipe.invert is None else recipe.invert
    return dataclasses.replace(recipe, channels=recipe.channels or channels, invert=invert)


def newcomers(grid: Grid, recipe: Recipe, known: Iterable[Member], deadline: float) -> list[Member]:
    """Return the nodes that are there now and were not before, each after it has introduced itself."""
    strangers = set(grid.get_node_ids()) - {member.node_id for member in known}
    if not strangers:
        return []
    question = RecordDict({"order": ConfigRecord({"recipe": recipe.dumps()})})
    replies = exchange(grid, dict.fromkeys(strangers, question), MessageType.QUERY, deadline)
    found = []
    for node_id, reply in replies.items():
        if not reply.has_error():
            said = reply.content["introduction"]
            numbers = (int(said[name]) for name in ("channels", "pixels", "bright"))
            found.append(Member(node_id, str(said["name"]), *numbers))
    return sorted(found, key=lambda member: member.name)
