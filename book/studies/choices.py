"""Other choices of filters: what to open instead of what an adapted network's own gates open.

A choice opens, wherever it can, exactly as many filters of each layer for each input as the network itself does, and
the support set's statistics are taken anew under it: what is left to differ is *which* filters are open.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from mglib.federated.process import one_thread
from mglib.meta import Stage, adapt
from mglib.nets import Objective, macs_ratio
from mglib.params import Params, merge, split
from mglib.tasks import Task
from mglib.training import Experiment
from studies.forcing import forced_gates, gate_logits

Gates = tuple[Tensor, ...]  # a gated layer, (batch, filter) of zeros and ones
Rule = Callable[["View", str], Gates]  # what a network says, and "support" or "query": what to open instead

PARTS = ("support", "query")


@dataclass(frozen=True, eq=False)
class View:
    """A task seen through one set of parameters: what the network's own gates say to it."""

    objective: Objective
    params: Params
    task: Task

    @cached_property
    def logits(self) -> dict[str, Gates]:
        """The gate heads' logits on the support images and on the queries, normalised as in any prediction."""
        net, images = self.objective.net, self.task.support.images
        with torch.no_grad():
            statistics = functional_call(net, self.params, (images,)).statistics
        return {
            "support": gate_logits(net, self.params, images),
            "query": gate_logits(net, self.params, self.task.query.images, statistics),
        }

    def gates(self, part: str) -> Gates:
        """Return the network's own gates on "support" or "query"."""
        return tuple((logits > 0).float() for logits in self.logits[part])

    def answers(self, rule: Rule) -> tuple[Tensor, Gates]:
        """Return the logits of the queries when `rule` chooses the filters, and the gates it chose."""
        net, chosen = self.objective.net, {part: rule(self, part) for part in PARTS}
        with torch.no_grad():
            with forced_gates(net, chosen["support"]):
                statistics = functional_call(net, self.params, (self.task.support.images,)).statistics
            with forced_gates(net, chosen["query"]):
                prediction = functional_call(net, self.params, (self.task.query.images, statistics))
        return prediction.logits, prediction.gates


def own(view: View, part: str) -> Gates:
    """Open what the network opens."""
    return view.gates(part)


def open_top(scores: Sequence[Tensor], counts: Sequence[Tensor]) -> Gates:
    """Return gates that open the filters of highest score, as many as `counts` says.

    scores: a layer, (batch or 1, filter); counts: a layer, (batch, 1).
    """
    ranks = (score.argsort(1, descending=True).argsort(1) for score in scores)
    return tuple((rank < count).float() for rank, count in zip(ranks, counts, strict=True))


def as_many(view: View, part: str) -> list[Tensor]:
    """Return how many filters the network opens itself: a layer, (batch, 1)."""
    return [gate.sum(1, keepdim=True) for gate in view.gates(part)]


def by_magnitude(view: View, part: str) -> Gates:
    """Open the filters with the largest weights."""
    return open_top(magnitudes(view), as_many(view, part))


def magnitudes(view: View) -> list[Tensor]:
    """Return the `magnitude` of the filters: a gated layer, (1, filter)."""
    layers = view.objective.net.convolutions().items()
    return [magnitude(view.params, name)[None] for name, layer in layers if layer.gate is not None]


def magnitude(params: Params, layer: str) -> Tensor:
    """Return the norm of each filter's weights (Li et al., arXiv 1608.08710) times its scale, (filter,).

    A filter's maps are normalised before they are scaled.
    """
    return params[f"{layer}.conv.weight"].flatten(1).norm(dim=1) * params[f"{layer}.scale"].abs()


def at_random(seed: Sequence[int], *, each: bool) -> Rule:
    """Return a rule that opens filters by chance: by one order for the whole task, or anew for `each` input."""

    def rule(view: View, part: str) -> Gates:
        generator = np.random.default_rng([*seed, PARTS.index(part) if each else 0])
        counts = as_many(view, part)
        sizes = [
            (len(count) if each else 1, gate.shape[1]) for count, gate in zip(counts, view.gates(part), strict=True)
        ]
        return open_top([torch.from_numpy(generator.random(size)).to(counts[0].device) for size in sizes], counts)

    return rule


def of_another_class(view: View, part: str) -> Gates:
    """Give every input the gates of one of the next class of its task."""
    ways = len(view.task.classes)
    return tuple(gate.roll(len(gate) // ways, 0) for gate in view.gates(part))


def of_the_same_class(view: View, part: str) -> Gates:
    """Give every query the gates of the next one of its class; support images keep their own."""
    if part == "support":
        return view.gates(part)
    ways = len(view.task.classes)
    return tuple(gate.unflatten(0, (ways, -1)).roll(1, 1).flatten(0, 1) for gate in view.gates(part))


def seen_by(other: View) -> Rule:
    """Return a rule that gives the inputs, one by one, the gates that another view opens for its own."""
    return lambda _, part: other.gates(part)


def always(gates: Gates) -> Rule:
    """Return a rule that opens the same filters, a layer (filter,), for all inputs."""
    return lambda _, __: gates


def all_open(view: View, part: str) -> Gates:
    """Open every filter."""
    return tuple(torch.ones_like(gate) for gate in view.gates(part))


def closing(share: float, order: str, seed: Sequence[int] = (0,), layers: Sequence[int] | None = None) -> Rule:
    """Return a rule that closes a share of each layer's open filters, those first that `order` names.

    order: "highest" or "lowest" logit; "another's" highest, as the input of `of_another_class` has them; "largest"
        weights (see `magnitudes`); "random", one order for the whole task; or "random, each", one for each input.
    share: below zero, so many closed filters are opened instead, in the same orders.
    layers: positions of the layers it is done to; None: all.
    """

    def rule(view: View, part: str) -> Gates:
        generator, changed = np.random.default_rng(seed), []
        for position, (logits, gate) in enumerate(zip(view.logits[part], view.gates(part), strict=True)):
            drawn = generator.random(tuple(logits.shape if order == "random, each" else logits.shape[1:]))
            chance = torch.from_numpy(drawn).to(logits).expand_as(logits)
            score = {
                "highest": logits,
                "another's": logits.roll(len(logits) // len(view.task.classes), 0),
                "lowest": -logits,
                "largest": magnitudes(view)[position].expand_as(logits),
                "random": chance,
                "random, each": chance,
            }[order]
            number = (abs(share) * gate.sum(1, keepdim=True)).round()
            among = gate if share > 0 else 1 - gate
            hit = open_top([score.masked_fill(among == 0, -torch.inf)], [number])[0] * among
            touched = layers is None or position in layers
            changed.append((gate - hit if share > 0 else gate + hit) if touched else gate)
        return tuple(changed)

    return rule


def without(layer: int, position: int) -> Rule:
    """Return a rule that closes one filter of one layer, for whoever opens it."""

    def rule(view: View, part: str) -> Gates:
        gates = [gate.clone() for gate in view.gates(part)]
        gates[layer][:, position] = 0
        return tuple(gates)

    return rule


def opened_after_adaptation(experiment: Experiment, params: Params, task: Task) -> Tensor:
    """Return which filters a task's queries open once the network has adapted: (query, filter), all layers in a row."""
    with one_thread():
        moved = adapt(experiment.objective, params, task.support, experiment.stages)
        return torch.cat(View(experiment.objective, moved, task).gates("query"), 1)


def adapted_with(view: View, rule: Rule, stages: Sequence[Stage]) -> View:
    """Return the view after adapting its parameters to the task while `rule` chooses the filters.

    Gates that are forced have no gradient: only the backbone moves, to make up for what is open.
    """
    with forced_gates(view.objective.net, rule(view, "support")):
        moved = adapt(view.objective, view.params, view.task.support, stages)
    return View(view.objective, moved, view.task)


def with_gates_of(view: View, other: View) -> View:
    """Return the view with the gate heads' parameters of another node's."""
    names = view.objective.net.gate_names()
    return View(view.objective, merge(view.params, split(other.params, names)[0]), view.task)


def tally(view: View, rule: Rule) -> tuple[int, float]:
    """Return how many queries are answered right under `rule`, and the share of the dense MACs that it opens."""
    logits, gates = view.answers(rule)
    right = int((logits.argmax(1) == view.task.query.labels).sum())
    return right, float(macs_ratio(view.objective.net.costs, gates).mean())
