"""Training a method whose MACs no penalty keeps to the budget: brought there before the end, and healed by the rest."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor, nn

from mglib.federated.rounds import ServerState
from mglib.nets.freezing import resized
from mglib.params import Params, merge, under_prefix, with_prefix
from studies.choices import magnitude
from studies.counting import counted, macs_share
from studies.methods import width_within
from studies.recipes import Experiment

BROUGHT_AFTER = 0.75  # of the rounds, the rest heals
TASKS, HALVINGS = 20, 12  # tasks of training nodes on which MACs are counted; of the interval of shifts
FARTHEST = 4.0  # shift of the gates' logits, which are of variance one over filters

State = tuple[Experiment, Params, ServerState]  # of a training between two rounds
Intervention = Callable[[Experiment, Params, ServerState], State]


def trained(
    experiment: Experiment, intervention: Intervention | None = None
) -> Iterator[tuple[int, Experiment, Params]]:
    """Yield the rounds done, the experiment as it stands, and its parameters, after every round.

    intervention: what is done to the training's state after BROUGHT_AFTER of the rounds; None: nothing.
    """
    rounds = experiment.recipe.rounds
    before = rounds if intervention is None else round(BROUGHT_AFTER * rounds)
    for result in islice(experiment.rounds(), before):
        yield result.round.index + 1, experiment, result.params
    if intervention is None:
        return
    experiment, params, server_state = intervention(experiment, result.params, result.server_state)
    for later in experiment.rounds(start=before, params=params, server_state=server_state):
        yield later.round.index + 1, experiment, later.params


def intervention_of(data: str, method: str, budget: float) -> Intervention | None:
    """Return what brings a method of the tables to its MACs; None: its penalty or its width does."""
    if method == "pruned":
        return lambda *state: pruned_to(width_within(data, budget), *state)
    return at_budget if method == "random-gates" else None


def pruned_to(filters: int, experiment: Experiment, params: Params, server_state: ServerState) -> State:
    """Return the state with so many filters left in each layer, those of greatest magnitude, moments included."""
    counts = [filters] * len(experiment.net.convolutions())
    positions = strongest_filters(experiment.net, params, counts)
    state = {name: value for name, value in server_state.items() if name == "steps"}
    for prefix in ("first.", "second."):
        if moments := under_prefix(prefix, server_state):
            state |= with_prefix(prefix, prune(experiment.net, moments, positions))
    params = prune(experiment.net, params, positions)
    return dataclasses.replace(experiment, net=resized(experiment.net, params), initial=params), params, state


def strongest_filters(net: nn.Module, params: Params, counts: Sequence[int]) -> list[Tensor]:
    """Return the positions of the `counts` filters of greatest `magnitude` in each layer of a dense `GatedConvNet`.

    Raises:
        ValueError: if the network has gates, or not as many layers as there are counts.
    """
    layers = net.convolutions()
    if net.gate_names() or len(layers) != len(counts):
        raise ValueError(f"a dense network of {len(counts)} layers is needed to keep {list(counts)} filters")
    pairs = zip(layers, counts, strict=True)
    return [magnitude(params, name).topk(count).indices.sort().values for name, count in pairs]


def prune(net: nn.Module, params: Params, positions: Sequence[Tensor]) -> Params:
    """Return parameters without the filters that are not at `positions`, and without what reads their maps.

    params: of a dense `GatedConvNet`, or anything in their shapes, such as an optimiser's moments.
    """
    pruned, below = dict(params), None
    for name, stay in zip(net.convolutions(), positions, strict=True):
        weight = params[f"{name}.conv.weight"]
        pruned[f"{name}.conv.weight"] = (weight if below is None else weight[:, below])[stay]
        pruned |= {f"{name}.{part}": params[f"{name}.{part}"][stay] for part in ("scale", "shift")}
        filters, below = len(weight), stay
    columns = params["head.weight"].unflatten(1, (filters, -1))
    pruned["head.weight"] = columns[:, below].flatten(1)
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in pruned.items()}


def at_budget(experiment: Experiment, params: Params, server_state: ServerState) -> State:
    """Return the state with all gates' logits shifted alike, so that training tasks cost what the budget allows.

    Gates that chance drew open more filters on one network than on another; halving finds the shift.
    """
    biases = {name: params[name] for name in experiment.held if name.endswith(".bias")}

    def shifted(shift: float) -> Params:
        return merge(params, {name: bias + shift for name, bias in biases.items()})

    low, high = -FARTHEST, FARTHEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        share = macs_share(counted(experiment, shifted(middle), experiment.federation.train, TASKS))
        low, high = (low, middle) if share > experiment.recipe.budget else (middle, high)
    return experiment, shifted((low + high) / 2), server_state
