"""Training: from a recipe to parameters, in memory or in a run's folder that survives being stopped."""

import dataclasses
import json
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mglib.experiments.algorithms import (
    class_names,
    client_update,
    final_objective,
    network_of,
    server_update,
    stages_of,
    start_of,
)
from mglib.experiments.attacks import attacked
from mglib.experiments.recipes import Recipe
from mglib.experiments.runs import Run, check_fit
from mglib.federated import LocalEngine, RoundResult, run_rounds
from mglib.federated.engines import check_workers
from mglib.meta import Stage
from mglib.nets import Objective
from mglib.params import Params
from mglib.tasks import Federation, at_hand, load_federation

ROUNDS_PER_CHECKPOINT = 10


@dataclass(frozen=True)
class Experiment:
    """A recipe with everything it stands for: the data, the network, where it starts, how a node adapts."""

    recipe: Recipe
    federation: Federation
    net: nn.Module
    initial: Params
    stages: tuple[Stage, ...]

    @property
    def objective(self) -> Objective:
        """The objective at the end of training and ever after."""
        return final_objective(self.recipe, self.net)

    def rounds(
        self,
        *,
        workers: int = 1,
        device: str = "cpu",
        start: int = 0,
        params: Params | None = None,
        server_state: Params | None = None,
    ) -> Iterator[RoundResult]:
        """Yield the federation's state after each round, from round `start` and its state to the last."""
        update = client_update(self.recipe, self.net, self.stages, class_names(self.federation), device)
        update = attacked(update, self.recipe, self.federation.train)
        with LocalEngine(update, self.federation.train, workers) as engine:
            yield from run_rounds(
                engine,
                params or self.initial,
                server_update(self.recipe),
                rounds=self.recipe.rounds,
                nodes_per_round=self.recipe.nodes_per_round,
                seed=self.recipe.seed,
                start=start,
                server_state=server_state,
                quorum=self.recipe.quorum,
            )


def set_up(recipe: Recipe, federation: Federation | None = None) -> Experiment:
    """Load what a recipe names (or take `federation` in its place), make the network, check the two against each other.

    Raises:
        ValueError: if the data cannot be had, or is too small for the recipe's tasks.
    """
    if federation is None:
        federation = load_data(recipe)
    if recipe.nodes_per_round > len(federation.train):
        raise ValueError(
            f"`nodes_per_round` (={recipe.nodes_per_round}) is more than the {len(federation.train)} training nodes; "
            f"`nodes` deals a flat set of classes to more"
        )
    for node in (*at_hand(federation.train), federation.train[0]):
        node.sample_task(recipe.ways, recipe.shots, recipe.queries, np.random.default_rng(0))  # raises if too small
    recipe = dataclasses.replace(recipe, channels=federation.channels)
    net, initial = network_of(recipe)
    start = start_of(recipe, initial, class_names(federation))
    return Experiment(recipe, federation, net, start, stages_of(recipe, net))


def load_data(recipe: Recipe) -> Federation:
    """Return the federation that a recipe names."""
    return load_federation(**data_of(recipe))


def data_of(recipe: Recipe) -> dict[str, Hashable]:
    """Return what of a recipe its data depend on, as `load_federation` asks for it."""
    names = ("data", "image_size", "channels", "held_out", "validation", "rotate", "dealing")
    return {name: getattr(recipe, name) for name in names}


def train(
    recipe: Recipe,
    out: str | os.PathLike,
    *,
    resume: bool = False,
    workers: int = 1,
    device: str = "cpu",
    on_round: Callable[[dict], None] | None = None,
) -> Params:
    """Train and leave `recipe.json`, `metrics.jsonl` (a line a round) and `params.safetensors` in `out`.

    While it runs, `checkpoint.safetensors` holds all that `resume` needs; a run stopped at any moment and
    resumed ends in the same bits as one that was left alone. `params.safetensors` appears at the end.

    Raises:
        ValueError: if `out` holds another run, or one to resume that had another recipe; nothing is written. If another
            training is at work there.
        OSError: if the disk refuses; what `out` held stays whole.
    """
    run = Run(out)
    run.check_free(recipe, resume)
    if run.finished:
        run.drop_checkpoint()
        return run.load()[2]
    check_device(device)
    check_workers(workers)
    experiment = set_up(recipe)
    with (
        run.begin(experiment.recipe, resume) as (done, params, server_state),
        open(run.metrics_file, "a") as metrics_file,
    ):
        if params is not None:
            check_fit(params, experiment.initial, run.checkpoint_file)
        state = {"start": done, "params": params, "server_state": server_state}
        for result in experiment.rounds(workers=workers, device=device, **state):
            metrics = round_metrics(result)
            metrics_file.write(json.dumps(metrics) + "\n")
            if (result.round.index + 1) % ROUNDS_PER_CHECKPOINT == 0 or result.round.index + 1 == recipe.rounds:
                metrics_file.flush()
                os.fsync(metrics_file.fileno())
                run.checkpoint(result)
            if on_round is not None:
                on_round(metrics)
            params = result.params
        params = own_params(experiment.net, params)
        run.finish(params)
    return params


def own_params(net: nn.Module, params: Params) -> Params:
    """Return those of the trained parameters that the network itself has."""
    return {name: params[name] for name, _ in net.named_parameters()}


def round_metrics(result: RoundResult) -> dict:
    """Return what a round's line in `metrics.jsonl` says: the means over the admitted nodes, and who was refused."""
    names = result.updates[0].metrics
    means = {name: sum(update.metrics[name] for update in result.updates) / len(result.updates) for name in names}
    nodes = {"nodes": [update.node for update in result.updates]}
    if result.refused:
        nodes["refused"] = {refusal.node: refusal.reason for refusal in result.refused}
    return {"round": result.round.index, **means, **nodes}


def check_device(device: str) -> None:
    """Raise ValueError unless tensors can live on `device`."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"`device` (={device!r}) is not to be had here: {str(error).splitlines()[0]}") from None
