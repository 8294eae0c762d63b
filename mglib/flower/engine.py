"""FlowerEngine: the nodes are processes elsewhere; what comes back, in whatever order, is put in theirs."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from mglib.experiments.recipes import Recipe
from mglib.federated import Answer, Refusal, Round
from mglib.flower.records import Order, unpack_update
from mglib.params import Params

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
        """Make an engine on members, whose order gives their positions; deadline: seconds a round."""
        self.members = list(members)
        self._grid, self._recipe, self._deadline = grid, recipe, deadline

    def __len__(self) -> int:
        """Return the number of nodes that have introduced themselves."""
        return len(self.members)

    def run(self, params: Params, positions: Sequence[int], round: Round) -> list[Answer]:
        """Return the answers of the nodes at `positions` in that order; a refusal where none came in time."""
        orders = {
            self.members[position].node_id: Order(params, self._recipe, round, position).pack()
            for position in positions
        }
        replies = exchange(self._grid, orders, MessageType.TRAIN, self._deadline)
        return [self._answer(self.members[position], replies) for position in positions]

    def _answer(self, member: Member, replies: dict[int, Message]) -> Answer:
        reply = replies.get(member.node_id)
        if reply is None:
            return Refusal(member.name, f"no answer within {self._deadline:g} s")
        if reply.has_error():
            return Refusal(member.name, f"{reply.error.reason or 'its program failed'} (Flower's {reply.error.code})")
        try:
            return unpack_update(reply.content, member.name)
        except (KeyError, TypeError, ValueError) as error:
            return Refusal(member.name, f"no answer in its records ({type(error).__name__}: {error})")


def exchange(grid: Grid, contents: dict, message_type: str, seconds: float) -> dict[int, Message]:
    """Send records to nodes, by Flower's id, and return the replies that come within so many seconds."""
    messages = [
        Message(content=content, message_type=message_type, dst_node_id=node_id, ttl=seconds + 1)
        for node_id, content in contents.items()
    ]
    waiting, replies = set(grid.push_messages(messages)) - {""}, {}
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        for reply in grid.pull_messages(waiting):
            waiting.discard(reply.metadata.reply_to_message_id)
            replies[reply.metadata.src_node_id] = reply
        time.sleep(POLL if waiting else 0)
    return replies
