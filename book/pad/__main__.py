"""The pad's command line, from the folder of the book: `python -m pad train | evaluate | export`."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

import mglib.__main__
from mglib.params import write_new
from mglib.training import Recipe, Run, evaluate_run, train, with_provenance
from pad.drawings import federation_of
from pad.export import SOURCE, export_live

Positional = tyro.conf.Positional


def train_command(
    recipe: Annotated[Recipe, tyro.conf.arg(name="")], out: Path, resume: bool = False, workers: int = 2
) -> None:
    """Train on the drawings and leave the run in a folder.

    Args:
        recipe: as `python -m mglib train` has it; its data are the drawings.
        out: the run's folder.
        resume: go on with the run in the folder.
        workers: processes that compute the nodes' updates.
    """
    federation = federation_of(recipe)
    train(dataclasses.replace(recipe, data="drawings"), out, resume=resume, workers=workers, federation=federation)


def evaluate_command(run: Positional[Path], tasks: int = 400) -> None:
    """Adapt to tasks from the scripts that a run held out, and print as JSON how the queries went.

    Args:
        run: folder that `train` wrote.
        tasks: number of tasks.
    """
    recipe = Recipe.load(Run(run).recipe_file)
    record = evaluate_run(Run(run), tasks=tasks, federation=federation_of(recipe))
    print(json.dumps(with_provenance(record, recipe), indent=2))


def export_command(run: Positional[Path], out: Path) -> None:
    """Write a run's start as JSON for `gated_net.js`, which adapts and predicts in a web page.

    Args:
        run: folder that `train` wrote.
        out: the file.
    """
    content = (json.dumps(export_live(Run(run))) + "\n").encode()
    write_new(out, content)
    print(f"{out}: {len(content):,} bytes, for {SOURCE.name}")


COMMANDS = {"train": train_command, "evaluate": evaluate_command, "export": export_command}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the codes are those of `python -m mglib`."""
    return mglib.__main__.main(arguments, COMMANDS, "python -m pad")


if __name__ == "__main__":
    sys.exit(main())
