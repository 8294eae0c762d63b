"""What runs on a node when a message comes: the client update, made anew from the recipe that was sent."""

from dataclasses import replace

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from mglib.federated.process import keep_freed_memory, one_thread
from mglib.flower.messages import Order, pack_update
from mglib.flower.node import own_node
from mglib.tasks.images import bright_pixels
from mglib.training.algorithms import client_update, network_of
from mglib.training.recipes import Recipe

app = ClientApp()


@app.query()
def introduce(message: Message, context: Context) -> Message:
    """Answer with the node's name and the form of its files: no image, no class name.

    From the files' channels and the number of bright pixels the server decides for all nodes alike.
    """
    recipe = replace(Recipe.loads(message.content["order"]["recipe"]), channels=None, invert=False)
    node = own_node(context.node_config, recipe)
    form = {"channels": int(node.images.shape[1]), "pixels": node.images.numel(), "bright": bright_pixels(node.images)}
    return Message(RecordDict({"introduction": ConfigRecord({"name": node.name, **form})}), reply_to=message)


@app.train()
def compute(message: Message, context: Context) -> Message:
    """Compute the recipe's client update on the node's own images and answer with it."""
    order = Order.unpack(message.content)
    net, _ = network_of(order.recipe)
    update = client_update(order.recipe, net)
    keep_freed_memory()
    with one_thread():
        answer = update(order.params, own_node(context.node_config, order.recipe), order.position, order.round)
    return Message(pack_update(answer), reply_to=message)
