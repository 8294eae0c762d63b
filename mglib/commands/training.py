"""train and evaluate: from a recipe to a run, from a run to a record."""

import importlib
import json
import math
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from mglib.federated import RoundFailed
from mglib.params import cache_folder
from mglib.tasks import resolve_data
from mglib.training import Recipe, Run, evaluate_run, train, with_provenance

Positional = tyro.conf.Positional


def train_command(
    recipe: Annotated[Recipe, tyro.conf.arg(name="")],
    out: Path | None = None,
    resume: bool = False,
    workers: int = 2,
    device: str = "cpu",
    engine: Literal["local", "flower"] = "local",
    superlink: str | None = None,
    root_certificates: Path | None = None,
    deadline: float = 300.0,
    patience: float = 120.0,
) -> int:
    """Meta-train on a federation and leave the run in a folder.

    Args:
        recipe: what to train, on what, and how.
        out: the run's folder; by default runs/ and the data's and method's names, budget and seed.
        resume: go on with the run in the folder, to the same bits as if it had never stopped.
        workers: processes that compute the nodes' updates, one thread each; the result does not depend on it.
        device: cpu, or cuda where there is one.
        engine: local, on this machine; flower, on nodes elsewhere that wait at a superlink (`python -m mglib node`).
        superlink: the superlink, HOST:PORT.
        root_certificates: the certificate that the superlink's is signed with; without one it must be this machine.
        deadline: seconds that a node elsewhere may take to answer in a round.
        patience: seconds to wait until as many nodes elsewhere are there as a round asks for.
    """
    if (engine == "flower") != (superlink is not None):
        raise ValueError("--engine flower and --superlink HOST:PORT go together: the superlink is where the nodes wait")
    far = {"root_certificates": root_certificates, "deadline": deadline != 300, "patience": patience != 120}
    unused = far if superlink is None else {"workers": workers != 2, "device": device != "cpu"}
    if idle := [name for name, given in unused.items() if given]:
        raise ValueError(f"`{idle[0]}` is of no use with --engine {engine}")
    for name, seconds in (("deadline", deadline), ("patience", patience)):
        if not 0 <= seconds < math.inf:
            raise ValueError(f"`{name}` (={seconds}) must be a number of seconds")
    run = Run(out or default_folder(recipe))
    started = time.monotonic()
    with tqdm(total=recipe.rounds, unit="round", disable=not sys.stderr.isatty()) as bar:

        def show(metrics: dict) -> None:
            bar.update(metrics["round"] + 1 - bar.n)
            bar.set_postfix(
                {name: f"{metrics[name]:.2f}" for name in ("loss", "accuracy", "macs_ratio") if name in metrics}
            )

        try:
            if superlink is None:
                train(recipe, run.folder, resume=resume, workers=workers, device=device, on_round=show)
            else:
                flower = importlib.import_module("mglib.flower")
                connection = flower.Connection(superlink, root_certificates)
                times = {"deadline": deadline, "patience": patience}
                flower.train_on_flower(recipe, run.folder, connection, resume=resume, on_round=show, **times)
        except RoundFailed as error:
            print(f"stopped: {error}{_how_to_go_on(run)}", file=sys.stderr)
            return 1
        except (OSError, KeyboardInterrupt) as error:
            error.add_note(_how_to_go_on(run))
            raise
    print(f"{run.folder}: {recipe.rounds} rounds, {time.monotonic() - started:.0f} s in this session")
    return 0


def _how_to_go_on(run: Run) -> str:
    """Return what to do about a training that ended early, as the end of a sentence; nothing if nothing was begun."""
    if run.checkpoint_file.exists():
        return f"; the same command with --resume goes on from the last checkpoint in {run.folder}"
    return f"; no checkpoint yet: remove {run.folder} to begin again" if run.recipe_file.exists() else ""


def node_command(
    data: str,
    superlink: str,
    node: str = "",
    root_certificates: Path | None = None,
    key: Path | None = None,
    port: int = 9094,
) -> None:
    """Wait at a superlink for work on this machine's own images, which stay here, until stopped.

    Args:
        data: folder:PATH, whose classes are this node's; or any other data set, one of whose nodes this is.
        superlink: the superlink, HOST:PORT.
        node: which of the data's nodes this is; not needed where there is only one.
        root_certificates: the certificate that the superlink's is signed with; without one it must be this machine.
        key: the private key that the superlink knows this node by.
        port: on this machine alone, by which the waiting program and the one that computes talk.
    """
    flower = importlib.import_module("mglib.flower")
    flower.own_node({"data": data, "node": node}, Recipe())  # says now what is wrong with the data
    command = flower.node_command_line(flower.Connection(superlink, root_certificates), data, node, key=key, port=port)
    home = cache_folder() / "flower" / f"node-{port}"
    home.mkdir(parents=True, exist_ok=True)
    os.execve(command[0], command, flower.environment(home))  # from here on this process is Flower's node


def default_folder(recipe: Recipe) -> Path:
    """Return where a run goes that names no folder: one for each data set, method, budget and seed."""
    name, _, path = resolve_data(recipe.data).partition(":")
    data = (path or name).rpartition("/")[2]
    return Path("runs") / f"{data}-{recipe.method}-budget{recipe.budget:g}-seed{recipe.seed}"


def evaluate_command(
    run: Positional[Path],
    data: str | None = None,
    nodes: tuple[str, ...] = (),
    split: Literal["test", "validation"] = "test",
    tasks: int = 400,
    ways: int | None = None,
    shots: int | None = None,
    queries: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Adapt to tasks from nodes that training never saw, and report how the queries went.

    Args:
        run: folder of a finished training.
        data: another data set, every node of which is new; by default the run's own and its held-out nodes.
        nodes: draw tasks from these of the nodes alone.
        split: the run's test nodes, or its validation nodes, to choose settings by.
        tasks: number of tasks.
        ways: classes in a task; by default as trained.
        shots: labelled examples a class; by default as trained.
        queries: scored examples a class; by default as trained.
        seed: of the tasks drawn.
        device: cpu, or cuda where there is one.
        json_: print one JSON object.
    """
    source = {"data": data, "nodes": nodes, "split": split, "device": device}
    setting = {"tasks": tasks, "ways": ways, "shots": shots, "queries": queries, "seed": seed}
    shown = partial(tqdm, total=tasks, unit="task", disable=not sys.stderr.isatty())
    evaluation = evaluate_run(Run(run), **source, **setting, progress=shown)
    if json_:
        print(json.dumps(with_provenance(evaluation, Recipe.load(Run(run).recipe_file)), indent=2))
        return
    print(
        f"{tasks} tasks of {evaluation['ways']} classes, {evaluation['shots']} example(s) each, from nodes never seen:"
    )
    print(f"  {', '.join(evaluation['nodes'])}")
    print(f"accuracy after adaptation  {evaluation['accuracy']:.1%} ± {evaluation['ci95']:.1%} (95 %, over tasks)")
    print(f"accuracy before it         {evaluation['accuracy_zero_step']:.1%}")
    print(f"MACs, gates included       {evaluation['macs_ratio']:.1%} of the dense network's")
