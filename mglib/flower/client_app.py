"""What runs on a node when work comes: the client update, made anew from the recipe that was sent."""

from dataclasses import replace
from functools import lru_cache

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from mglib.federated.process import keep_freed_memory, one_thread
from mglib.flower.node import own_node
from mglib.flower.records import Order, pack_update
from mglib.tasks import Node
from mglib.tasks.images import bright_pixels
from mglib.training.algorithms import client_update, network_of
from mglib.training.recipes import Recipe

app = ClientApp()


@app.query()
def introduce(message: Message, context: Context) -> Message:
    """Say who this is and what it has: a name, a weight, what the files are like. No image, no class name.

    By the channels of the files, and how many of their pixels are bright, the link decides for all nodes alike.
    """
    recipe = Recipe.loads(message.content["order"]["recipe"])
    node = _node(context, replace(recipe, channels=None, invert=False))
    said = {
        "name": node.name, "weight": node.weight, "channels": int(node.images.shape[1]),
        "pixels": node.images.numel(), "bright": bright_pixels(node.images),
    }  # fmt: skip
    return Message(RecordDict({"introduction": ConfigRecord(said)}), reply_to=message)


@app.train()
def compute(message: Message, context: Context) -> Message:
    """Take the steps that the recipe asks of a node, on its own images, and answer with what came of the parameters."""
    order = Order.unpack(message.content)
    net, _ = network_of(order.recipe)
    update = client_update(order.recipe, net)
    keep_freed_memory()
    with one_thread():
        answer = update(order.params, _node(context, order.recipe), order.position, order.round)
    return Message(pack_update(answer), reply_to=message)


def _node(context: Context, recipe: Recipe) -> Node:
    config = context.node_config
    return _load(config["data"], config.get("node", ""), recipe)


@lru_cache(maxsize=1)
def _load(data: str, node: str, recipe: Recipe) -> Node:
    return own_node({"data": data, "node": node}, recipe)
