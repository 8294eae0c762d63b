"""Train and evaluate the networks behind the README's table and the book's frontier; one result file each.

What has a result file is not run again; a training that was stopped goes on where it was. The runs that chapters start
from are kept as well, recipe and parameters, in results/runs. The omniglot rows need the five alphabets of the small
background set as a folder, named by --omniglot.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from mglib import Run, adapt, set_up
from mglib.show import show_gate_map

ROOT = Path(__file__).resolve().parent.parent

README = ROOT / "README.md"
MARKS = ("<!-- results -->", "<!-- /results -->")
OMNIGLOT = "runs/omniglot-small1"

# Result file, and the options of `train`; everything else is the default recipe.
RUNS = {
    "glyphs/gated-50": "--data glyphs",
    "glyphs/dense": "--data glyphs --method maml",
    "glyphs/gated-25": "--data glyphs --budget 0.25",
    "glyphs/gated-75": "--data glyphs --budget 0.75",
    "glyphs/slim-dense": "--data glyphs --method maml --width 22",
    "omniglot/gated-50": f"--data folder:{OMNIGLOT} --held-out Latin --rotate --budget 0.5",
    "omniglot/dense": f"--data folder:{OMNIGLOT} --held-out Latin --rotate --method maml",
}
EVALUATE = "--tasks 400 --json"
KEPT = ("glyphs/gated-50", "glyphs/dense")  # chapters load their parameters from results/runs


def mglib(*arguments: str) -> str:
    """Run a command of the library and return what it prints; its notes and progress stay on the terminal."""
    command = [sys.executable, "-m", "mglib", *arguments]
    print("python -m mglib", shlex.join(arguments), flush=True)
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def reproduce(name: str, options: str) -> None:
    """Train and evaluate one row, and write its result file."""
    result = ROOT / "results" / f"{name}.json"
    if result.exists():
        return
    run = ROOT / "runs" / name
    started = time.monotonic()
    mglib("train", "--out", str(run.relative_to(ROOT)), *shlex.split(options), *(["--resume"] if run.exists() else []))
    seconds = time.monotonic() - started
    record = json.loads(mglib("evaluate", str(run.relative_to(ROOT)), *EVALUATE.split()))
    record["training_seconds"] = round(seconds)
    record["commands"] = [f"python -m mglib train {options}", f"python -m mglib evaluate RUN {EVALUATE}"]
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(record, indent=2) + "\n")
    if name in KEPT:
        kept = ROOT / "results" / "runs" / name
        kept.mkdir(parents=True, exist_ok=True)
        for file in ("recipe.json", "params.safetensors"):
            shutil.copy(run / file, kept / file)


def draw_picture() -> None:
    """Draw the README's gate map: what the glyph network opens for a script that it never saw."""
    run = Run(ROOT / "runs" / "glyphs" / "gated-50")
    if not run.finished:
        return
    recipe, _, params = run.load()
    experiment = set_up(recipe)
    task = experiment.federation.test[0].sample_task(5, 1, 15, np.random.default_rng(7))
    adapted = adapt(experiment.objective, params, task.support, experiment.stages)
    gates = experiment.objective.predict(adapted, task.query).gates
    rows = [15 * label + example for label in range(5) for example in range(2)]
    images = task.query.images[rows, 0]
    show_gate_map(images, [gate[rows].detach() for gate in gates], groups=5).save(ROOT / "assets" / "gate-map.svg")


def table() -> str:
    """Return the README's table, made of the result files alone."""
    lines = [
        "| data, held out | network | accuracy | before | MACs | training | date |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in RUNS:
        record = json.loads((ROOT / "results" / f"{name}.json").read_text())
        dense = json.loads((ROOT / "results" / f"{name.split('/')[0]}/dense.json").read_text())["dense_macs"]
        held_out = ", ".join(dict.fromkeys(node.split("/")[0] for node in record["nodes"]))
        cells = [
            f"{name.split('/')[0]}: {held_out}",
            f"[{name.split('/')[1].replace('-', ' ')}](results/{name}.json)",
            f"{100 * record['accuracy']:.1f} ± {100 * record['ci95']:.1f} %",
            f"{100 * record['accuracy_zero_step']:.1f} %",
            f"{100 * record['macs'] / dense:.1f} %",
            f"{record['training_seconds'] / 60:.1f} min",
            record["date"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_table() -> None:
    """Put the table between its marks in the README."""
    before, rest = README.read_text().split(MARKS[0])
    README.write_text(f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{rest.split(MARKS[1])[1]}")


def main() -> None:
    """Make every result file that is missing, or those whose name starts with a given word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only rows whose name starts so")
    parser.add_argument("--omniglot", type=Path, help="folder with the five alphabets")
    options = parser.parse_args()
    for name, train in RUNS.items():
        if not name.startswith(options.only):
            continue
        if OMNIGLOT in train and not link_to(options.omniglot):
            print(f"{name}: left out, --omniglot names no folder")
            continue
        reproduce(name, train)
    if all((ROOT / "results" / f"{name}.json").exists() for name in RUNS):
        write_table()
    draw_picture()


def link_to(omniglot: Path | None) -> bool:
    """Give the folder the name that the recipes know it by, wherever it lies; return whether there is one."""
    link = ROOT / OMNIGLOT
    if omniglot is not None and not link.exists():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(omniglot.resolve())
    return link.exists()


if __name__ == "__main__":
    main()
