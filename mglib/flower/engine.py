"""FlowerEngine: the nodes are processes elsewhere; what comes back, in whatever order, is put in theirs."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from mglib.federated import Answer, Refusal, Round
from mglib.flower.records import Order, unpack_update
from mglib.params import Params
from mglib.training.recipes import Recipe

POLL = 0.5  # seconds between two looks for replies


class Member(NamedTuple):
    """A node that has introduced itself."""

    node_id: int  # Flower's
    name: str
    channels: int  # of its files, as the numbers of pixels that follow
    pixels: int = 0
    bright: int = 0


class FlowerEngine:
    """Sends orders to nodes through Flower's grid and collects the answers until a deadline."""

    def __init__(self, grid: Grid, members: Sequence[Member], recipe: Recipe, deadline: float):
        """Make an engine on members, whose order gives their positions; deadline: seconds a round.

        Who joins the sequence later, or takes a place in it, takes part from then on.
        """
        self._grid, self._members, self._recipe, self._deadline = grid, members, recipe, deadline

    def __len__(self) -> int:
        """Return the number of nodes that have introduced themselves."""
        return len(self._members)

    def run(self, params: Params, positions: Sequence[int], round: Round) -> list[Answer]:
        """Return the answers of the nodes at `positions` in that order; a refusal where none came in time."""
        asked = {self._members[position]: position for position in positions}
        orders = {node.node_id: Order(params, self._recipe, round, place).pack() for node, place in asked.items()}
        waiting, end = send(self._grid, orders, MessageType.TRAIN, self._deadline), time.monotonic() + self._deadline
        reasons = dict.fromkeys(orders, "the link took no order for it")
        reasons |= dict.fromkeys(waiting.values(), f"no answer within {self._deadline:g} s")
        replies = receive(self._grid, waiting)
        while waiting and time.monotonic() < end:
            time.sleep(POLL)
            replies |= receive(self._grid, waiting)
        return [
            _answer(node.name, replies[node.node_id])
            if node.node_id in replies
            else Refusal(node.name, reasons[node.node_id])
            for node in asked
        ]


def _answer(name: str, reply: Message) -> Answer:
    try:
        return unpack_update(records_of(reply), name)
    except Exception as error:  # whatever its records hold, it is the node's own
        return Refusal(name, said_of(error))


class Failed(RuntimeError):
    """A node's program, or the way to it, failed; the message says how."""


def said_of(error: Exception) -> str:
    """Return what a reply that failed, or could not be read, says of it."""
    return str(error) if isinstance(error, Failed) else f"its records cannot be read: {type(error).__name__}: {error}"


def records_of(reply: Message) -> RecordDict:
    """Return what a reply holds.

    Raises:
        Failed: if it is the report of an error, the node's own or the link's for one that is gone.
    """
    if reply.has_error():
        raise Failed(f"{reply.error.reason or 'its program failed'} (Flower's {reply.error.code})")
    return reply.content


def send(grid: Grid, contents: dict[int, RecordDict], message_type: str, seconds: float) -> dict[str, int]:
    """Send records to nodes, by Flower's id, to be answered within so many seconds; return the messages' nodes."""
    messages = [
        Message(content=content, message_type=message_type, dst_node_id=node_id, ttl=seconds + 1)
        for node_id, content in contents.items()
    ]
    sent = zip(grid.push_messages(messages), contents, strict=False)  # the link may take none
    return {message_id: node_id for message_id, node_id in sent if message_id}


def receive(grid: Grid, waiting: dict[str, int]) -> dict[int, Message]:
    """Return the replies that have come, by the node that was asked: who sent it may be the link, for one that died.

    Their messages are taken out of `waiting`.
    """
    replies = {}
    for reply in grid.pull_messages(list(waiting)) if waiting else ():
        node_id = waiting.pop(reply.metadata.reply_to_message_id, None)
        if node_id is not None:
            replies[node_id] = reply
    return replies
