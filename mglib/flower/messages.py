"""Messages: what travels between the superlink and a node, and nothing else does."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid

from mglib.federated import Round, Update
from mglib.params import Params
from mglib.training.recipes import Recipe

LONGEST_NAME = 200  # characters


@dataclass(frozen=True)
class Order:
    """What a node is sent in a round."""

    params: Params
    recipe: Recipe
    round: Round
    position: int  # of the node, by which it draws

    def pack(self) -> RecordDict:
        """Return the records: arrays, and numbers and text beside them."""
        round = {"round": self.round.index, "rounds": self.round.rounds, "seed": self.round.seed}
        config = {"recipe": self.recipe.dumps(), **round, "position": self.position}
        return RecordDict({"params": ArrayRecord(OrderedDict(self.params)), "order": ConfigRecord(config)})

    @classmethod
    def unpack(cls, content: RecordDict) -> "Order":
        """Return the order that records hold."""
        config = content["order"]
        round = Round(config["round"], config["rounds"], config["seed"])
        params, recipe = content["params"].to_torch_state_dict(), Recipe.loads(config["recipe"])
        return cls(params, recipe, round, config["position"])


def pack_update(update: Update) -> RecordDict:
    """Return a node's answer as records: parameters, the mean of each metric, its weight, the round."""
    numbers = MetricRecord({name: float(value) for name, value in update.metrics.items()})
    config = ConfigRecord({"weight": float(update.weight), "round": int(update.round)})
    return RecordDict({"params": ArrayRecord(OrderedDict(update.params)), "metrics": numbers, "answer": config})


def unpack_update(node: str, content: RecordDict) -> Update:
    """Return the update that records hold, under the name of the node that was asked.

    Its values are checked on admission. Records that are not those of an answer raise whatever error they cause.
    """
    config = content["answer"]
    params = content["params"].to_torch_state_dict()
    return Update(node, params, config["weight"], dict(content["metrics"]), config["round"])


class Member(NamedTuple):
    """A node that has introduced itself."""

    node_id: int  # Flower's
    name: str
    channels: int  # of its files, as the numbers of pixels that follow
    pixels: int = 0
    bright: int = 0

    @classmethod
    def unpack(cls, node_id: int, content: RecordDict) -> "Member":
        """Return the member that introduces itself in records.

        Raises ValueError if the name is no text of one line or too long, the channels are not 1 or 3, or the pixels are
        no counts. Records that are not those of an introduction raise whatever error they cause.
        """
        name, channels, pixels, bright = (content["introduction"][field] for field in cls._fields[1:])
        if not (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
            raise ValueError(f"its name must be text on one line, of 1 to {LONGEST_NAME} characters")
        if type(channels) is not int or channels not in (1, 3):
            raise ValueError(f"node {name!r}: channels must be 1 or 3, not {channels!r:.20}")
        if not all(type(count) is int for count in (pixels, bright)) or not 0 <= bright <= pixels:
            raise ValueError(f"node {name!r}: {bright!r:.20} bright pixels of {pixels!r:.20}")
        return cls(node_id, name, channels, pixels, bright)


def send(grid: Grid, contents: dict[int, RecordDict], message_type: str, seconds: float) -> dict[str, int]:
    """Send records to nodes, by Flower's id, to be answered within so many seconds; return the messages' nodes."""
    messages = [
        Message(content=content, message_type=message_type, dst_node_id=node_id, ttl=seconds + 1)
        for node_id, content in contents.items()
    ]
    sent = zip(grid.push_messages(messages), contents, strict=False)  # the superlink may take none
    return {message_id: node_id for message_id, node_id in sent if message_id}


def receive(grid: Grid, waiting: dict[str, int], unpack: Callable[[int, RecordDict], Any]) -> dict[int, Any]:
    """Return what `unpack` makes of the replies that have come, by the node that was asked; the reason where it fails.

    Their messages are taken out of `waiting`. A reply may be the superlink's own, for a node that died.
    """
    received = {}
    for reply in grid.pull_messages(list(waiting)) if waiting else ():
        node_id = waiting.pop(reply.metadata.reply_to_message_id, None)
        if node_id is None:
            continue
        if reply.has_error():
            received[node_id] = f"{reply.error.reason or 'its program failed'} (Flower's {reply.error.code})"
            continue
        try:
            received[node_id] = unpack(node_id, reply.content)
        except Exception as error:  # whatever the records hold, they are the node's own
            received[node_id] = f"its records cannot be read: {type(error).__name__}: {error}"
    return received
