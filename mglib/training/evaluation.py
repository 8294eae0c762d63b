"""Evaluation: adaptation on nodes that training never saw, and the record of it that goes to a file."""

import datetime
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Literal, TypeVar

import numpy as np
import torch

from mglib.config import LARGEST_SEED, as_declared
from mglib.federated.process import one_thread
from mglib.meta import Stage, adapt
from mglib.nets import Objective, dense_macs, macs_ratio
from mglib.params import Params, whole_number
from mglib.tasks import Batch, Federation, Node, Task, load_federation, load_nodes, resolve_data
from mglib.tasks.datasets import of_files
from mglib.tasks.federations import SPLITS, check_names
from mglib.tasks.images import warn_if_bright
from mglib.training.algorithms import final_objective, stages_of
from mglib.training.experiment import data_of
from mglib.training.recipes import Recipe
from mglib.training.runs import Run, nodes_of
from mglib.training.trainer import check_device

Score = TypeVar("Score")


@dataclass(frozen=True)
class TaskScore:
    """How one task went; accuracies and MACs are shares, 0 to 1, over the task's queries."""

    node: str
    accuracy: float  # after adaptation
    accuracy_zero_step: float  # before it
    accuracy_transductive: float  # after it, normalised by all queries together, as the literature often does
    macs_ratio: float  # MACs of the adapted network over the dense one, gate heads included


def evaluate(
    objective: Objective,
    params: Params,
    nodes: Sequence[Node],
    stages: Sequence[Stage],
    *,
    tasks: int,
    ways: int = 5,
    shots: int = 1,
    queries: int = 15,
    seed: int = 0,
    device: str = "cpu",
    scored_by: Callable[[Objective, Params, Task, Sequence[Stage]], Score] | None = None,
) -> Iterator[Score]:
    """Yield the score of each of `tasks` tasks, task t drawn by (seed, t) from node t modulo their number.

    A prediction sees the support set and its own image, never another query.

    scored_by: adapts to a task and says how it went; None: `score`.

    Raises ValueError if there are no nodes, or one is too small for such tasks.
    """
    if not nodes:
        raise ValueError("there are no nodes to evaluate on")
    whole_number("tasks", tasks, 1)
    params = {name: value.to(device) for name, value in params.items()}
    like = next(iter(params.values()))
    for index in range(tasks):
        node = nodes[index % len(nodes)]
        task = node.sample_task(ways, shots, queries, np.random.default_rng([seed, index])).to(like)
        with one_thread():
            scored = (scored_by or score)(objective, params, task, stages)
        yield scored  # outside: what the caller does between tasks keeps its threads


def score(objective: Objective, params: Params, task: Task, stages: Sequence[Stage]) -> TaskScore:
    """Adapt to one task and return how its queries went."""
    adapted = adapt(objective, params, task.support, stages)
    labels, ways = task.query.labels, len(task.classes)
    asked = ((adapted, task.query), (params, task.query), (adapted, Batch(task.query.images, labels)))
    with torch.no_grad():
        answers = [objective.predict(own, batch) for own, batch in asked]
    accuracies = [float((answer.logits[:, :ways].argmax(1) == labels).float().mean()) for answer in answers]
    return TaskScore(task.node, *accuracies, float(macs_ratio(objective.net.costs, answers[0].gates).mean()))


def summarise(scores: Sequence[TaskScore]) -> dict[str, float]:
    """Return the means over tasks, and the half width of the accuracy's 95 % interval (normal, over tasks).

    Raises ValueError if there are fewer than two tasks.
    """
    if len(scores) < 2:
        raise ValueError(f"{len(scores)} tasks have no spread: an interval needs at least 2")
    names = ("accuracy", "macs_ratio", "accuracy_zero_step", "accuracy_transductive")
    means = {name: float(np.mean([getattr(score, name) for score in scores])) for name in names}
    return {"accuracy": means["accuracy"], "ci95": ci95([score.accuracy for score in scores]), **means}


def ci95(accuracies: Sequence[float]) -> float:
    """Return the half width of the 95 % interval of a mean over tasks (normal)."""
    return float(1.96 * np.std(accuracies, ddof=1) / len(accuracies) ** 0.5)


def evaluate_run(
    run: Run | str | os.PathLike,
    *,
    data: str | None = None,
    nodes: Sequence[str] = (),
    split: Literal["test", "validation"] = "test",
    tasks: int = 400,
    ways: int | None = None,
    shots: int | None = None,
    queries: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    federation: Federation | None = None,
    progress: Callable[[Iterator[TaskScore]], Iterable[TaskScore]] = iter,
) -> dict:
    """Evaluate a finished run on nodes that it never trained on; return the record that the book's tables read.

    run: or its folder.
    data: another data set, every node of which is new; None: the run's own, and its held-out nodes.
    nodes: names of the nodes to draw tasks from, of those; none: all.
    split: which of the run's own held-out nodes; validation ones choose settings, test ones are reported.
    ways, shots, queries: None: as trained.
    federation: whose held-out nodes are meant; None: that of the data that the run's recipe names.

    Raises ValueError if the run is not finished, or the nodes are not named, were trained on or cannot give such tasks.
    """
    tasks, run = whole_number("tasks", tasks, 2), Run(run)  # one task has no spread and gives no interval
    as_declared("split", Literal["test", "validation"], split)
    recipe, net, params = run.load()
    check_device(device)
    elsewhere = "" in (run.nodes or {"train": {}})["train"].values()
    own = not elsewhere and (federation is not None or run.nodes is None or of_files(recipe.data))  # at hand
    if data is None and not own:
        where = "elsewhere: name data, such as folder:PATH" if elsewhere else "passed to it: pass them as `federation`"
        raise ValueError(f"the nodes of the run in {run.folder} were {where}")
    if data is None or (own and resolve_data(data) == resolve_data(recipe.data)):
        chosen = _held_out(run, federation or load_federation(**data_of(recipe)), split, nodes)
    elif federation is not None:
        raise ValueError(f"`data` (={data!r}) is not the run's own, and `federation` is in the place of that: give one")
    else:
        chosen = _new_nodes(run, recipe, data, nodes)
    asked = {"ways": ways, "shots": shots, "queries": queries}
    asked = {name: getattr(recipe, name) if value is None else value for name, value in asked.items()}
    setting = {"tasks": tasks, **asked, "seed": seed}
    setting = {name: whole_number(name, value, 0, LARGEST_SEED) for name, value in setting.items()}
    if (ways := setting["ways"]) > recipe.ways:
        raise ValueError(f"`ways` (={ways}) is more than the {recipe.ways} classes that the network can name")
    objective, stages = final_objective(recipe, net), stages_of(recipe, net)
    scores = evaluate(objective, params, chosen, stages, device=device, **setting)
    record, dense = summarise(list(progress(scores))), dense_macs(net.costs)
    macs = {"macs": record["macs_ratio"] * dense, "dense_macs": dense}
    facts = {"budget": recipe.budget, "method": recipe.method, "data": data or recipe.data}
    return {**record, **setting, **macs, **facts, "nodes": [node.name for node in chosen[:tasks]]}


def _held_out(run: Run, federation: Federation, split: str, names: Sequence[str]) -> list[Node]:
    """The nodes that the run held out in training, whatever else the data hold today."""
    if not (held_out := (run.nodes or nodes_of(federation))[split]):
        raise ValueError(f"the run in {run.folder} held out no {split} nodes")
    check_names("nodes", names, held_out)
    chosen = list(dict.fromkeys(names or held_out))
    changed = run.changes(federation)
    if wrong := [f"{name} {changed[name]}" for name in chosen if name in changed]:
        raise ValueError(
            f"{federation.name} does not have what the run in {run.folder} held out: {', '.join(wrong)}; undo that"
        )
    if changed:
        told = ", ".join(f"{name} {what}" for name, what in changed.items())
        warnings.warn(f"since the run in {run.folder} was trained: {told}; none of them is evaluated on", stacklevel=3)
    here = {node.name: node for each in SPLITS for node in getattr(federation, each)}
    return [here[name] for name in chosen]


def _new_nodes(run: Run, recipe: Recipe, data: str, names: Sequence[str]) -> list[Node]:
    """The nodes of other data than the run's; their polarity is the run's, or their own where its images were drawn."""
    invert = run.inverted(recipe) if of_files(data) else None
    nodes = load_nodes(data, image_size=recipe.image_size, channels=recipe.channels, invert=invert)
    if of_files(data) and recipe.channels == 1:
        warn_if_bright(torch.cat([node.images for node in nodes]), data, invert, "turn them to light on dark")
    here = {node.name: node for node in nodes}
    trained = {mark or name: name for name, mark in (run.nodes or {"train": {}})["train"].items()}
    check_names("nodes", names, here)
    chosen = [here[name] for name in dict.fromkeys(names or here)]
    if seen := [f"{n.name} ({trained[mark]})" for n in chosen for mark in (n.fingerprint, n.name) if mark in trained]:
        raise ValueError(
            f"{data} holds nodes that the run in {run.folder} was trained on: {', '.join(seen)}; name others"
        )
    return chosen


def with_provenance(record: dict, recipe: Recipe) -> dict:
    """Return a record with the recipe behind it, the versions that computed it, and today's date."""
    return {
        **record,
        "recipe": asdict(recipe),
        "versions": {name: version(name) for name in ("mglib", "torch", "numpy", "matplotlib", "pillow")},
        "date": datetime.date.today().isoformat(),
    }
