"""Home: a recipe goes to the link as a Flower app, and the run's folder fills as the link tells of its rounds."""

import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mglib.federated import RoundFailed
from mglib.flower import telling
from mglib.flower.connection import Connection, environment, program
from mglib.params import Params
from mglib.training.algorithms import network_of
from mglib.training.experiment import own_params
from mglib.training.recipes import Recipe
from mglib.training.runs import Run

APP = '''"""What Flower loads: the link's part and the node's, both from mglib."""

from mglib.flower.client_app import app as client
from mglib.flower.server_app import app as server

__all__ = ["client", "server"]
'''
PROJECT = """[project]
name = "mglib-training"
version = "1.0.0"
license = "MIT"

[tool.flwr.app]
publisher = "mglib"

[tool.flwr.app.components]
serverapp = "training:server"
clientapp = "training:client"

[tool.flwr.app.config]
"""


def train_on_flower(
    recipe: Recipe,
    out: Path,
    connection: Connection,
    *,
    nodes: int | None = None,
    deadline: float = 300.0,
    patience: float = 120.0,
    resume: bool = False,
    on_round: Callable[[dict], None] | None = None,
) -> Params:
    """Train on the nodes at a link and leave in `out` what `train` leaves: recipe, metrics, parameters.

    nodes: that must be there before the first round; None: as many as a round asks for.
    deadline: seconds that a node may take to answer; patience: seconds to wait for the nodes at first.

    A node that takes no part, as its name is taken or its introduction is no good, is told as a warning.

    Raises:
        ValueError: if `out` holds another run, the recipe cannot run on nodes elsewhere, or Flower is not installed.
        RoundFailed: if too few nodes answered, or the link was lost; `resume` goes on from the last checkpoint.
    """
    if recipe.rotate:
        raise ValueError("`rotate` (=True) makes further nodes of each one, which nodes elsewhere do not know of")
    run = Run(out)
    run.check_free(recipe, resume)
    if run.finished:
        return run.load()[2]
    with (
        run.begin(recipe, resume) as (done, params, server_state),
        tempfile.TemporaryDirectory(prefix="mglib-") as folder,
        open(run.metrics_file, "a", buffering=1) as kept,
    ):
        recipe = Recipe.load(run.recipe_file)  # one to resume says what was found out about the data
        state = "" if params is None else telling.pack_state(done, params, server_state)
        config = {
            "recipe": recipe.dumps(), "state": state, "nodes": nodes or recipe.nodes_per_round,
            "deadline": float(deadline), "patience": float(patience),
        }  # fmt: skip
        for what in _submitted(Path(folder), config, connection):
            if "recipe" in what:
                recipe = Recipe.loads(what["recipe"])
                recipe.save(run.recipe_file)
            elif "metrics" in what:
                kept.write(json.dumps(what["metrics"]) + "\n")
                if on_round is not None:
                    on_round(what["metrics"])
            elif "note" in what:
                warnings.warn(what["note"], stacklevel=2)
            elif "state" in what:
                done, params, server_state = telling.unpack_state(what["state"])
                run.keep(done, params, server_state)
        params = own_params(network_of(recipe)[0], params)
        run.finish(params)
    return params


def _submitted(folder: Path, config: dict[str, Any], connection: Connection) -> Iterator[dict[str, Any]]:
    """Hand the app to the link and yield what it tells, until it is done."""
    app, home = folder / "app", folder / "home"
    app.mkdir()
    home.mkdir()
    (app / "training.py").write_text(APP)
    (app / "pyproject.toml").write_text(PROJECT + "".join(f"{k} = {json.dumps(v)}\n" for k, v in config.items()))
    (home / "config.toml").write_text(connection.settings)
    flwr, settings = program("flwr"), {"env": environment(home), "text": True}
    submitted = subprocess.run(
        [flwr, "run", str(app), "link", "--format", "json"], capture_output=True, check=False, **settings
    )
    run_id = _answer(submitted).get("run-id")
    if submitted.returncode or run_id is None:
        raise RoundFailed(f"the link at {connection.address} took no run: {_reason(submitted)}")
    follow = [flwr, "log", str(run_id), "link", "--stream"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(follow, **pipes, **settings) as log:
        try:
            for what in telling.heard(log.stdout):
                if "failed" in what:
                    raise RoundFailed(what["failed"])
                if "done" in what:
                    return
                yield what
        finally:
            log.terminate()
    status = subprocess.run(
        [flwr, "list", "link", "--run-id", str(run_id), "--format", "json"],
        capture_output=True,
        check=False,
        **settings,
    )
    raise RoundFailed(f"the link at {connection.address} was lost, or the run on it: {_reason(status)}")


def _answer(finished: subprocess.CompletedProcess) -> dict[str, Any]:
    """Return the JSON object that a program printed, empty if it printed none."""
    start = finished.stdout.find("{")
    try:
        return json.loads(finished.stdout[start:]) if start >= 0 else {}
    except json.JSONDecodeError:
        return {}


def _reason(finished: subprocess.CompletedProcess) -> str:
    """Return what a program said, in one line."""
    said = _answer(finished)
    if runs := said.get("runs"):
        return str(runs[0].get("status"))
    return str(said.get("error-message") or finished.stderr or finished.stdout).strip().replace("\n", " ")[-300:]
