"""Records: what travels between the link and a node, and nothing else does."""

from collections import OrderedDict
from dataclasses import dataclass

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from mglib.experiments.recipes import Recipe
from mglib.federated import Round, Update
from mglib.params import Params


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
    """Return the update that records hold; its node is who sent it, whatever they say.

    Raises:
        KeyError, TypeError, ValueError: if the records are not those of an answer.
    """
    config = content["answer"]
    metrics = {name: float(value) for name, value in content["metrics"].items()}
    return Update(node, _params(content["params"]), float(config["weight"]), metrics, int(config["round"]))


def _arrays(params: Params) -> ArrayRecord:
    return ArrayRecord(OrderedDict(params))


def _params(arrays: ArrayRecord) -> Params:
    return dict(arrays.to_torch_state_dict())
