"""Training in a run's folder, which survives being stopped at any moment."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import torch

from mglib.federated import RoundResult
from mglib.params import Params, whole_number
from mglib.tasks import Federation, resolve_data
from mglib.tasks.datasets import of_files
from mglib.training.experiment import filled_in, set_up
from mglib.training.recipes import Recipe
from mglib.training.runs import Run, check_fit, nodes_of

ROUNDS_PER_CHECKPOINT = 10


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
    While it runs, `checkpoint.safetensors` holds everything that `resume` needs; a run stopped at any moment and
    resumed ends in the same bits as one that was left alone. `params.safetensors` appears at the end.

    Raises ValueError if `out` holds another run or lies in the data, if the run to resume had another recipe or other
    data, or if another training is at work there; nothing is written. Raises OSError if the disk refuses; what `out`
    held stays whole.
    """
    run = Run(out)
    check_apart(recipe.data, run.folder)
    recipe = filled_in(recipe, federation) if federation else recipe
    run.check_free(recipe, resume)
    if run.finished:
        run.drop_checkpoint()
        return run.load()[2]
    check_device(device)
    workers = whole_number("workers", workers, 1)
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
            run.keep_nodes(nodes_of(experiment.federation))
        if params is not None:
            check_fit(params, experiment.initial, run.checkpoint_file)
        state = {"start": done, "params": params, "server_state": server_state}
        for result in experiment.rounds(workers=workers, device=device, **state):
            metrics = round_metrics(result)
            metrics_file.write(json.dumps(metrics) + "\n")
            if (result.round.index + 1) % ROUNDS_PER_CHECKPOINT == 0 or result.round.index + 1 == recipe.rounds:
                metrics_file.flush()
                os.fsync(metrics_file.fileno())
                run.keep(result.round.index + 1, result.params, result.server_state)
            if on_round is not None:
                on_round(metrics)
            params = result.params
        run.finish(params)
    return params


def check_apart(data: str, out: Path) -> None:
    """Raise ValueError if a folder to write lies in the data, where it would count as a node or class next time."""
    _, _, folder = resolve_data(data).partition(":")
    if folder and out.resolve().is_relative_to(folder):
        raise ValueError(f"`out` ({out.resolve()}) lies in the data ({folder}); choose a folder elsewhere")


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
    """Raise ValueError unless tensors can live on `device`, and be read."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"`device` (={device!r}) is not available here: {str(error).splitlines()[0]}") from None
