"""Training: from a recipe to parameters, in memory or in a run's folder that survives being stopped."""

import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from mglib.federated import LocalEngine, RoundResult, run_rounds
from mglib.federated.engines import check_workers
from mglib.meta import Stage
from mglib.nets import Objective
from mglib.params import Params
from mglib.tasks import Federation, Node, at_hand, load_federation, resolve_data
from mglib.tasks.datasets import of_files
from mglib.tasks.federations import SPLITS, original_class
from mglib.training.algorithms import (
    class_names,
    client_update,
    final_objective,
    held_names,
    network_of,
    server_update,
    stages_of,
    start_of,
)
from mglib.training.attacks import attacked
from mglib.training.recipes import Recipe
from mglib.training.runs import Run, check_fit

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
                server_update(self.recipe, held_names(self.recipe, self.net)),
                rounds=self.recipe.rounds,
                nodes_per_round=self.recipe.nodes_per_round,
                seed=self.recipe.seed,
                start=start,
                server_state=server_state,
                quorum=self.recipe.quorum,
            )


def set_up(recipe: Recipe, federation: Federation | None = None) -> Experiment:
    """Load what a recipe names (or take `federation` in its place), make the network, check the two against each other.

    The experiment's recipe says what was found out about the data: channels, image size and polarity are the
    federation's, the path is absolute.

    Raises:
        ValueError: if the data cannot be had, or is too small for the recipe's tasks.
    """
    if federation is None:
        federation = load_data(recipe)
    if recipe.nodes_per_round > len(federation.train):
        found = (f"{name} {_counted(nodes)}" for name in SPLITS if (nodes := at_hand(getattr(federation, name))))
        raise ValueError(
            f"`nodes_per_round` (={recipe.nodes_per_round}) is more than the {len(federation.train)} training nodes; "
            f"{federation.name} gives {', '.join(found)}. Ask for fewer a round, or for more nodes: folders of class "
            f"folders are nodes, and `nodes` deals a flat set of classes (--new-nodes unseen-sets --nodes 20 5 8)"
        )
    _check_tasks(recipe, federation)
    found = {"channels": federation.channels, "image_size": federation.image_size, "invert": federation.inverted}
    recipe = dataclasses.replace(recipe, data=resolve_data(recipe.data), **found)
    net, initial = network_of(recipe)
    start = start_of(recipe, initial, class_names(federation))
    return Experiment(recipe, federation, net, start, stages_of(recipe, net))


def _counted(nodes: Sequence[Node]) -> str:
    """The first nodes, with their numbers of classes."""
    some = ", ".join(f"{node.name}: {len(node.classes)} classes" for node in nodes[:3])
    return f"{len(nodes)} ({some}{', ...' if len(nodes) > 3 else ''})"


def _check_tasks(recipe: Recipe, federation: Federation) -> None:
    """Raise ValueError if a node of any split is too small for the recipe's tasks; warn of classes that are."""
    needed, small = recipe.shots + recipe.queries, []
    for split in SPLITS:
        nodes = getattr(federation, split)
        for node in (*at_hand(nodes), *([nodes[0]] if len(nodes) else [])):
            try:
                node.large_classes(recipe.ways, recipe.shots, recipe.queries)
            except ValueError as error:
                raise ValueError(
                    f"{error}; it is a node of {split}: ask for fewer `ways`, `shots` or `queries`, give it more "
                    f"images, or leave it out"
                ) from None
        for node in at_hand(nodes):
            if original_class(node.name) == node.name:  # not turned
                counts = zip(node.classes, map(len, node.examples_by_class), strict=True)
                small += [f"{name} on {node.name} ({count})" for name, count in counts if count < needed]
    if small:
        warnings.warn(
            f"{len(small)} classes are in no task, which takes {needed} images of each of its classes: "
            f"{', '.join(small[:5])}{', ...' if len(small) > 5 else ''}",
            stacklevel=3,
        )


def check_apart(data: str, out: Path) -> None:
    """Raise ValueError if a run's folder lies in its data, where it would count as a node next time."""
    _, _, folder = resolve_data(data).partition(":")
    if folder and out.resolve().is_relative_to(folder):
        raise ValueError(f"`out` ({out.resolve()}) lies in the data ({folder}); choose a folder elsewhere")


def load_data(recipe: Recipe) -> Federation:
    """Return the federation that a recipe names."""
    return load_federation(**data_of(recipe))


def data_of(recipe: Recipe) -> dict[str, Hashable]:
    """Return what of a recipe its data depend on, as `load_federation` asks for it."""
    names = ("data", "image_size", "channels", "invert", "held_out", "validation", "rotate", "partition")
    return {name: getattr(recipe, name) for name in names} | {"seed": recipe.data_seed}


def train(
    recipe: Recipe,
    out: str | os.PathLike,
    *,
    resume: bool = False,
    workers: int = 1,
    device: str = "cpu",
    federation: Federation | None = None,
    on_round: Callable[[dict], None] | None = None,
) -> Params:
    """Train and leave `recipe.json`, `metrics.jsonl` (a line a round) and `params.safetensors` in `out`.

    federation: to train on in place of the data that the recipe names.

    Unless the images are drawn here, `federation.json` holds which nodes there were and a fingerprint of their images.
    While it runs, `checkpoint.safetensors` holds all that `resume` needs; a run stopped at any moment and
    resumed ends in the same bits as one that was left alone. `params.safetensors` appears at the end.

    Raises:
        ValueError: if `out` holds another run or lies in the data, if the run to resume had another recipe or other
            data, or if another training is at work there; nothing is written.
        OSError: if the disk refuses; what `out` held stays whole.
    """
    run = Run(out)
    check_apart(recipe.data, run.folder)
    run.check_free(recipe, resume)
    if run.finished:
        run.drop_checkpoint()
        return run.load()[2]
    check_device(device)
    check_workers(workers)
    if run.recipe_file.exists():
        recipe = Recipe.load(run.recipe_file)  # with what was found out about the data
    experiment = set_up(recipe, federation)
    if changed := run.changes(experiment.federation):
        what = ", ".join(f"{name} {what}" for name, what in changed.items())
        raise ValueError(f"{recipe.data} is not what the run in {out} was begun on: {what}; undo that, or train anew")
    with (
        run.begin(experiment.recipe, resume) as (done, params, server_state),
        open(run.metrics_file, "a") as metrics_file,
    ):
        if (federation or of_files(recipe.data)) and not done:
            run.keep_nodes(experiment.federation)
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
    """Return what a round's line in `metrics.jsonl` says: means over the admitted nodes, and who was refused.

    The mean of each metric is over the nodes that report it: no node decides for the others which there are.
    """
    told = {
        "nodes": [update.node for update in result.updates],
        "refused": {refusal.node: refusal.reason for refusal in result.refused},
    }
    line = {"round": result.round.index}
    for name in dict.fromkeys(name for update in result.updates for name in update.metrics):
        values = [update.metrics[name] for update in result.updates if name in update.metrics]
        if name not in {*told, "round"}:
            line[name] = sum(values) / len(values)
    return line | {name: value for name, value in told.items() if value}


def check_device(device: str) -> None:
    """Raise ValueError unless tensors can live on `device`."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"`device` (={device!r}) is not to be had here: {str(error).splitlines()[0]}") from None
