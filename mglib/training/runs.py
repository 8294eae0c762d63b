"""Run: the folder of one training, and how it stays whole whatever happens to the process."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from torch import nn

from mglib.params import PART, Params, load, save, under_prefix, with_prefix, write_atomically
from mglib.tasks import Federation
from mglib.tasks.datasets import of_files
from mglib.tasks.federations import SPLITS, original_class
from mglib.training.algorithms import network_of
from mglib.training.recipes import Recipe

Nodes = dict[str, dict[str, str]]  # split: name: fingerprint

LOCK = ".lock"  # suffix of the file that says a training is under way
NETWORK = "network.safetensors"  # which `adapt` writes, into a folder of its own


class Run:
    """A folder with `recipe.json`, `metrics.jsonl`, and `checkpoint.safetensors` until `params.safetensors`.

    A training on images that were not drawn here leaves its nodes in `federation.json` too.
    """

    def __init__(self, folder: str | os.PathLike):
        """Name a run's folder; nothing is read or written yet."""
        self.folder = Path(folder)
        self.recipe_file = self.folder / "recipe.json"
        self.nodes_file = self.folder / "federation.json"
        self.metrics_file = self.folder / "metrics.jsonl"
        self.checkpoint_file = self.folder / "checkpoint.safetensors"
        self.params_file = self.folder / "params.safetensors"

    def __fspath__(self) -> str:
        """Return the folder, so that a run can be passed where a folder is expected."""
        return str(self.folder)

    @property
    def begun(self) -> bool:
        """Whether there is anything of a training."""
        return any(file.exists() for file in (self.metrics_file, self.checkpoint_file, self.params_file))

    @property
    def finished(self) -> bool:
        """Whether the training has ended."""
        return self.params_file.exists()

    @property
    def nodes(self) -> Nodes | None:
        """The nodes that the run was begun on; None if it does not say.

        Raises ValueError if the file is not whole.
        """
        try:
            return json.loads(self.nodes_file.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f"{self.nodes_file} is not whole ({error})") from None

    def keep_nodes(self, nodes: Nodes) -> None:
        """Write what `nodes` reads."""
        write_atomically(self.nodes_file, (json.dumps(nodes, indent=2) + "\n").encode())

    def inverted(self, recipe: Recipe) -> bool | None:
        """Return whether the images trained on were turned to light on dark; None if they were drawn here."""
        return recipe.invert if self.nodes or of_files(recipe.data) else None

    def changes(self, federation: Federation) -> dict[str, str]:
        """Return in words, by name, what became of the run's nodes in `federation`, and which there are beside them."""
        known = self.nodes or {}
        then, now = (
            {name: mark for marks in each.values() for name, mark in marks.items()}
            for each in (known, nodes_of(federation) if known else {})
        )
        words = {(True, True): "holds other images", (True, False): "is gone", (False, True): "is new"}
        differ = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        return {name: words[name in then, name in now] for name in differ}

    def check_free(self, recipe: Recipe, resume: bool) -> None:
        """Raise ValueError unless the recipe may train here: into nothing, or on with the same recipe."""
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is a file; `--out` names a folder")
        if not self.recipe_file.exists():
            if self.folder.exists() and any(file.suffix not in (PART, LOCK) for file in self.folder.iterdir()):
                raise ValueError(f"{self.folder} holds other files and no run; choose an empty or a new folder")
            return
        self._check_kind()
        if not resume:
            raise ValueError(f"{self.folder} already holds a run; choose another folder, or resume it (--resume)")
        if differences := recipe.differences(Recipe.load(self.recipe_file)):
            raise ValueError(f"{self.folder} holds a run of another recipe: {differences}")

    @contextmanager
    def begin(self, recipe: Recipe, resume: bool = False) -> Iterator[tuple[int, Params | None, Params | None]]:
        """Make the folder, or return to it: the rounds done, the parameters and the server's state then.

        Until the block is left no other training begins here. What a killed one left half-written is removed.

        Raises ValueError if another training is at work here or was in the meantime, the recipe may not train here (see
        `check_free`), or the checkpoint is not whole, or is something else.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / f".training{LOCK}", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(f"another training is at work in {self.folder}; choose another folder") from None
        try:
            self.check_free(recipe, resume)
            if self.finished:
                raise ValueError(f"another training has just finished {self.folder}")
            for left in self.folder.glob(f".*{PART}"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield self._state(recipe)
        finally:
            with suppress(OSError):  # while it is held: who waits for this file then looks for a new one
                os.unlink(lock.lock_file)
            lock.release()

    def _state(self, recipe: Recipe) -> tuple[int, Params | None, Params | None]:
        if not self.recipe_file.exists():
            recipe.save(self.recipe_file)
        if not self.checkpoint_file.exists():
            self._keep_metrics(0)
            return 0, None, None
        tensors, metadata = load(self.checkpoint_file)
        if "rounds_done" not in metadata:
            raise ValueError(f"{self.checkpoint_file} is not a checkpoint: it does not say how many rounds are done")
        done = int(metadata["rounds_done"])
        self._keep_metrics(done)
        return done, under_prefix("params/", tensors), under_prefix("server/", tensors)

    def keep(self, rounds_done: int, params: Params, server_state: Params) -> None:
        """Write everything that a resumed training needs."""
        tensors = with_prefix("params/", params) | with_prefix("server/", server_state)
        save(self.checkpoint_file, tensors, {"rounds_done": str(rounds_done)})

    def finish(self, params: Params) -> None:
        """Write the trained parameters and drop the checkpoint."""
        save(self.params_file, params)
        self.drop_checkpoint()

    def drop_checkpoint(self) -> None:
        """Remove the checkpoint of a finished run; a kill between the two lines of `finish` leaves it behind."""
        self.checkpoint_file.unlink(missing_ok=True)

    def load(self) -> tuple[Recipe, nn.Module, Params]:
        """Return the recipe, the network and the trained parameters of a finished run.

        Raises ValueError if there is no run, or what `adapt` wrote, if it is not finished, or if a file is not whole or
        is of another architecture.
        """
        recipe = Recipe.load(self.recipe_file)
        self._check_kind()
        if not self.finished:
            raise ValueError(f"the run in {self.folder} is not finished; go on with train --resume")
        params, _ = load(self.params_file)
        net, initial = network_of(recipe)
        check_fit(params, initial, self.params_file)
        return recipe, net, params

    def _check_kind(self) -> None:
        if (self.folder / NETWORK).exists() and not self.begun:
            raise ValueError(f"{self.folder} holds a network that adapt wrote, no run: predict and export use it")

    def _keep_metrics(self, rounds: int) -> None:
        """Cut the metrics to the rounds that the checkpoint knows of; the others will be trained again."""
        lines = self.metrics_file.read_bytes().splitlines(keepends=True) if self.metrics_file.exists() else []
        write_atomically(self.metrics_file, b"".join(lines[:rounds]))


def nodes_of(federation: Federation) -> Nodes:
    """Return the nodes of a federation without those that are others, turned."""
    own = {
        split: [node for node in getattr(federation, split) if original_class(node.name) == node.name]
        for split in SPLITS
    }
    return {split: {node.name: node.fingerprint for node in nodes} for split, nodes in own.items()}


def check_fit(params: Params, expected: Params, source: Path) -> None:
    """Raise ValueError unless `params`, read from `source`, have the names and shapes of `expected`."""
    shapes, needed = ({name: tuple(value.shape) for name, value in each.items()} for each in (params, expected))
    if wrong := sorted(name for name in {*shapes, *needed} if shapes.get(name) != needed.get(name)):
        name = wrong[0]
        raise ValueError(
            f"{source} is of another architecture: {name} is {shapes.get(name, 'missing')} there and "
            f"{needed.get(name, 'unknown')} in the recipe's network ({len(wrong)} such parameters)"
        )
