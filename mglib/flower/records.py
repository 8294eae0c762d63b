"""Records: what travels between the link and a node, and nothing else does."""

from collections import OrderedDict
from dataclasses import dataclass

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

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
        config = {
            "recipe": self.recipe.dumps(),
            "round": self.round.index,
            "rounds": self.round.rounds,
            "seed": self.round.seed,
            "position": self.position,
        }
        return RecordDict({"params": _arrays(self.params), "order": ConfigRecord(config)})

    @classmethod
    def unpack(cls, content: RecordDict) -> "Order":
        """Return the order that records hold."""
        config = content["order"]
        round = Round(config["round"], config["rounds"], config["seed"])
        return cls(_params(content["params"]), Recipe.loads(config["recipe"]), round, config["position"])


def pack_update(update: Update) -> RecordDict:
    """Return a node's answer as records: parameters, a mean of each metric, its weight, the round."""
    numbers = MetricRecord({name: float(value) for name, value in update.metrics.items()})
    config = ConfigRecord({"weight": float(update.weight), "round": int(update.round)})
    return RecordDict({"params": _arrays(update.params), "metrics": numbers, "answer": config})


def unpack_update(content: RecordDict, node: str) -> Update:
    """Return the update that records hold, as they say it; its node is who sent it.

    What it says is looked at on admission. Records that are not those of an answer raise what they will.
    """
    config = content["answer"]
    return Update(node, _params(content["params"]), config["weight"], dict(content["metrics"]), config["round"])


def unpack_introduction(content: RecordDict) -> tuple[str, int, int, int]:
    """Return what a node says of itself: its name; its files' channels, pixels, and how many of these are bright.

    Raises:
        ValueError: if the name is no text of one line or too long, the channels are not 1 or 3, or the pixels are no
            counts. Records that are not those of an introduction raise what they will.
    """
    fields = ("name", "channels", "pixels", "bright")
    name, channels, pixels, bright = (content["introduction"][field] for field in fields)
    if not (isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        raise ValueError(f"its name must be text on one line, of 1 to {LONGEST_NAME} characters")
    if isinstance(channels, bool) or channels not in (1, 3):
        raise ValueError(f"node {name!r}: channels must be 1 or 3, not {channels!r:.20}")
    if not all(type(count) is int for count in (pixels, bright)) or not 0 <= bright <= pixels:
        raise ValueError(f"node {name!r}: {bright!r:.20} bright pixels of {pixels!r:.20}")
    return name, int(channels), pixels, bright


def _arrays(params: Params) -> ArrayRecord:
    return ArrayRecord(OrderedDict(params))


def _params(arrays: ArrayRecord) -> Params:
    return dict(arrays.to_torch_state_dict())
