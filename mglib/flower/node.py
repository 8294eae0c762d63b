"""The node's own side: its images, which stay here, and the program that waits for work."""

import json
from collections.abc import Mapping
from pathlib import Path

from mglib.flower.connection import Connection, program
from mglib.tasks import Node, load_nodes
from mglib.training.recipes import Recipe


def own_node(config: Mapping[str, str], recipe: Recipe) -> Node:
    """Return the node that this machine is, from its own images, read as a recipe says.

    config: `data`, as `Recipe.data` names it, and `node`, which of its nodes; empty: there is only one.
    recipe: its image size, channels, polarity and data seed; where it leaves one open, this node alone decides.

    Raises ValueError if the data cannot be had, or it does not say which of several nodes.
    """
    name = config.get("node", "")
    options = {"image_size": recipe.image_size, "channels": recipe.channels, "invert": recipe.invert}
    nodes = load_nodes(config["data"], seed=recipe.data_seed, **options)
    chosen = [node for node in nodes if name in ("", node.name)]
    if len(chosen) != 1:
        there = ", ".join(node.name for node in nodes[:20])
        raise ValueError(f"`node` (={name!r}) must name one of the {len(nodes)} nodes of {config['data']}: {there}")
    return chosen[0]


def node_command_line(
    connection: Connection, data: str, node: str = "", *, key: Path | None = None, port: int = 9094
) -> list[str]:
    """Return the command that waits for work at the superlink, on these images.

    key: the private key that the superlink knows this node by.
    port: on loopback, by which the waiting program and the one that computes talk.
    """
    config = " ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in {"data": data, "node": node}.items()
    )
    command = [program("flower-supernode"), *connection.options, "--node-config", config, "--port", str(port)]
    return command if key is None else [*command, "--auth-supernode-private-key", str(key)]
