"""The driver: a recipe goes to the superlink as a Flower app, and the run's folder fills as its log reports rounds.

The log is the one way back from the superlink, so what the driver needs travels in its lines, marked and in JSON.
"""

import base64
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch

from mglib.federated import RoundFailed
from mglib.federated.process import interrupts_held
from mglib.flower.connection import Connection, environment, program
from mglib.params import Params, under_prefix, with_prefix
from mglib.tasks import resolve_data
from mglib.training.recipes import Recipe
from mglib.training.runs import Run
from mglib.training.trainer import ROUNDS_PER_CHECKPOINT, check_apart

PROJECT = """[project]
name = "mglib-training"
version = "1.0.0"
license = "MIT"

[tool.flwr.app]
publisher = "mglib"

[tool.flwr.app.components]
serverapp = "mglib.flower.server_app:app"
clientapp = "mglib.flower.client_app:app"

[tool.flwr.app.config]
"""
MARK = "mglib:"  # how a line begins that is meant for the driver
LONGEST = 16_000  # characters of a state in a line


def train_on_flower(
    recipe: Recipe,
    out: Path,
    connection: Connection,
    *,
    deadline: float = 300.0,
    patience: float = 120.0,
    resume: bool = False,
    on_round: Callable[[dict], None] | None = None,
) -> Params:
    """Train on the nodes at a superlink and leave in `out` what `train` leaves: recipe, metrics, parameters.

    deadline: seconds that a node may take to answer.
    patience: seconds to wait at first for as many nodes as a round asks for.

    A node that takes no part, as its name is taken or its introduction is no good, is told as a warning.

    Raises ValueError if `out` holds another run or lies in the data, the recipe asks of nodes elsewhere what only data
    at hand can give, or Flower is not installed.
    Raises RoundFailed if too few nodes answered, or the superlink was lost; `resume` goes on from the last checkpoint.
    """
    for name in ("rotate", "new_nodes", "nodes", "classes_per_node"):
        recipe.refuse_unless(
            not recipe.changed(name), name, "makes nodes of data at hand; those elsewhere are who they are"
        )
    run, recipe = Run(out), replace(recipe, data=resolve_data(recipe.data))
    check_apart(recipe.data, run.folder)
    run.check_free(recipe, resume)
    if run.finished:
        run.drop_checkpoint()
        return run.load()[2]
    program("flwr")  # before a folder is made
    with (
        run.begin(recipe, resume) as (done, params, server_state),
        tempfile.TemporaryDirectory(prefix="mglib-") as folder,
        open(run.metrics_file, "a", buffering=1) as kept,
    ):
        config = {
            "recipe": Recipe.load(run.recipe_file).dumps(),  # one to resume says what was found out about the data
            "state": "" if params is None else pack_state(done, params, server_state),
            "rounds_per_checkpoint": ROUNDS_PER_CHECKPOINT, "deadline": float(deadline), "patience": float(patience),
        }  # fmt: skip
        with closing(_submitted(Path(folder), config, connection)) as lines:
            for line in lines:
                if "recipe" in line:
                    Recipe.loads(line["recipe"]).save(run.recipe_file)
                elif "metrics" in line:
                    kept.write(json.dumps(line["metrics"]) + "\n")
                    if on_round is not None:
                        on_round(line["metrics"])
                elif "note" in line:
                    warnings.warn(line["note"], stacklevel=2)
                elif "state" in line:
                    done, params, server_state = unpack_state(line["state"])
                    run.keep(done, params, server_state)
        trained = (
            name for line in run.metrics_file.read_text().splitlines() for name in json.loads(line).get("nodes", ())
        )
        run.keep_nodes({"train": dict.fromkeys(trained, ""), "validation": {}, "test": {}})
        run.finish(params)
    return params


def _submitted(folder: Path, config: dict[str, Any], connection: Connection) -> Iterator[dict[str, Any]]:
    """Hand the app to the superlink and yield what its lines say, until it is done."""
    app, home = folder / "app", folder / "home"
    app.mkdir()
    home.mkdir()
    (app / "pyproject.toml").write_text(PROJECT + "".join(f"{k} = {json.dumps(v)}\n" for k, v in config.items()))
    (home / "config.toml").write_text(connection.settings)
    run_id = ""
    try:
        with interrupts_held():  # the superlink would take the run all the same, and nobody know its number
            submitted = _flwr(home, "run", str(app), "mglib")
            run_id = str(submitted.get("run-id", ""))
        if not run_id:
            raise RoundFailed(f"the superlink at {connection.address} took no run: {submitted['error-message']}")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        follow = [program("flwr"), "log", run_id, "mglib", "--stream"]
        with subprocess.Popen(follow, env=environment(home), **pipes) as log:
            try:
                for line in received_lines(log.stdout):
                    if "failed" in line:
                        raise RoundFailed(line["failed"])
                    if "done" in line:
                        return
                    yield line
            finally:
                log.terminate()
    except BaseException:  # the caller's too, which closes this generator
        if run_id:
            _flwr(home, "stop", run_id, "mglib")
        raise
    listed = _flwr(home, "list", "mglib", "--run-id", run_id)
    reason = listed["runs"][0]["status"] if listed.get("runs") else listed["error-message"]
    raise RoundFailed(f"the superlink at {connection.address} was lost, or the run on it: {reason}")


def _flwr(home: Path, *arguments: str) -> dict[str, Any]:
    """Return the JSON object that `flwr` prints; `error-message` is in it, in one line, if it prints none."""
    command = [program("flwr"), *arguments, "--format", "json"]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False)
    try:
        said = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        said = {}
    error = str(said.get("error-message") or done.stderr or done.stdout).strip().replace("\n", " ")
    return said | {"error-message": error[-300:]}


def send_line(what: dict[str, Any]) -> None:
    """Write a line for the driver."""
    sys.stdout.write(f"{MARK} {json.dumps(what)}\n")
    sys.stdout.flush()


def send_state(rounds_done: int, params: Params, server_state: Params) -> None:
    """Write a training's state, in as many lines as it takes."""
    packed = pack_state(rounds_done, params, server_state)
    for start in range(0, len(packed), LONGEST):
        send_line({"state": packed[start : start + LONGEST], "last": start + LONGEST >= len(packed)})


def received_lines(log: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield what the log's lines for the driver say, a state whole; the others are passed over.

    Raises RoundFailed if a line for the driver did not arrive whole.
    """
    state = ""
    for line in log:
        if not line.startswith(MARK):
            continue
        try:
            what = json.loads(line.removeprefix(MARK))
        except json.JSONDecodeError:
            raise RoundFailed(f"a line that the superlink wrote for the driver cannot be read: {line[:80]!r}") from None
        if "state" in what:
            state += what["state"]
            if not what["last"]:
                continue
            what, state = {"state": state}, ""
        yield what


def pack_state(rounds_done: int, params: Params, server_state: Params) -> str:
    """Return a training's state as text."""
    tensors = with_prefix("params/", params) | with_prefix("server/", server_state)
    return f"{rounds_done}:{base64.b64encode(safetensors.torch.save(tensors)).decode()}"


def unpack_state(text: str) -> tuple[int, Params | None, Params | None]:
    """Return the rounds done, the parameters and the server's state that a text holds; empty: the beginning."""
    if not text:
        return 0, None, None
    rounds_done, _, packed = text.partition(":")
    tensors = safetensors.torch.load(base64.b64decode(packed))
    return int(rounds_done), under_prefix("params/", tensors), under_prefix("server/", tensors)
