"""The networks behind the README's table and the book's frontier, one result file each; its tables and picture.

The runs that chapters start from are kept as well, recipe and parameters, in results/runs.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mglib import Run, adapt, set_up
from mglib.params import write_atomically
from studies import TABLES, days_line, table_rows
from studies.cells import RESULTS, ROOT
from studies.lines import days_of
from studies.methods import LONG, METHODS
from studies.scoreboard import scoreboard
from studies.statistics import LEVEL

README = ROOT / "README.md"
OMNIGLOT = "runs/omniglot-small1"

# Result file, and the options of `train`; everything else is the default recipe.
RUNS = {
    "glyphs/dense": "--data glyphs --method maml",
    "glyphs/gated-75": "--data glyphs --budget 0.75",
    "glyphs/gated-50": "--data glyphs",
    "glyphs/gated-25": "--data glyphs --budget 0.25",
    "glyphs/slim-dense": "--data glyphs --method maml --width 22",
    "omniglot/dense": f"--data folder:{OMNIGLOT} --held-out Latin --rotate --method maml",
    "omniglot/gated-50": f"--data folder:{OMNIGLOT} --held-out Latin --rotate --budget 0.5",
    "drawings/gated-50": "--rounds 4000",
}
KEPT = ("glyphs/gated-50", "glyphs/dense", "drawings/gated-50")  # chapters load their parameters from results/runs


def run_module(module: str, *arguments: str) -> str:
    """Run a command of mglib or of the pad and return what it prints; notes and progress stay on the terminal."""
    print("python -m", module, shlex.join(arguments), flush=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "book"), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def reproduce(name: str, options: str) -> None:
    """Train and evaluate one row, and write its result file."""
    result = RESULTS / f"{name}.json"
    if result.exists():
        return
    run = ROOT / "runs" / name
    module, evaluate = ("pad", "--tasks 400") if name.startswith("drawings/") else ("mglib", "--tasks 400 --json")
    folder, resume = str(run.relative_to(ROOT)), ["--resume"] if run.exists() else []
    started = time.monotonic()
    run_module(module, "train", "--out", folder, *shlex.split(options), *resume)
    seconds = time.monotonic() - started
    record = json.loads(run_module(module, "evaluate", folder, *evaluate.split()))
    record["training_seconds"] = None if resume else round(seconds)  # of a part they say nothing
    record["commands"] = [f"python -m {module} train {options}", f"python -m {module} evaluate RUN {evaluate}"]
    if name in KEPT:
        kept = RESULTS / "runs" / name
        kept.mkdir(parents=True, exist_ok=True)
        for file in ("recipe.json", "params.safetensors"):
            shutil.copy(run / file, kept / file)
    write_atomically(result, (json.dumps(record, indent=2) + "\n").encode())  # last: it says that all is done


def draw_picture() -> None:
    """Draw the README's gate map: what the glyph network opens for a script that it never saw."""
    from mglib.show import show_gate_map  # the other commands draw nothing and wait for no matplotlib

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


def runs_table() -> str:
    """Return the table of the networks that chapters start from, made of their result files alone."""
    lines = ["| network | after | before | MACs | min |", "|---|---|---|---|---|"]
    held_out: dict[str, str] = {}
    days = set()
    for name in RUNS:
        record = json.loads((RESULTS / f"{name}.json").read_text())
        data, network = name.split("/")
        held_out[data] = ", ".join(dict.fromkeys(node.split("/")[0] for node in record["nodes"]))
        days.add(record["date"])
        cells = [
            f"[{data}, {network.replace('-', ' ')}](../results/{name}.json)",
            f"{100 * record['accuracy']:.1f} ± {100 * record['ci95']:.1f}",
            f"{100 * record['accuracy_zero_step']:.1f}",
            f"{100 * record['macs'] / record['dense_macs']:.1f}",
            "" if record["training_seconds"] is None else f"{record['training_seconds'] / 60:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    out = "; ".join(f"of {data} {scripts}" for data, scripts in held_out.items())
    return "\n".join([*lines, "", f"Held out: {out}. {days_of(days).capitalize()}."])


@cache
def rows_of(table: str) -> list[dict[str, Any]]:
    """Return a table's rows, read once: several pages show them."""
    return table_rows(TABLES[table], RESULTS / "evidence")


def methods_table(table: str) -> str:
    """Return a table of methods side by side, made of the cells' files alone."""
    of = {(row["data"], row["method"]): row for row in rows_of(table)}
    data = list(dict.fromkeys(name for name, _ in of))
    lines = [f"| method | {' | '.join(data)} |", "|---" * (1 + len(data)) + "|"]
    trained: dict[int, list[str]] = {}
    for method in dict.fromkeys(name for _, name in of):
        cells = [_measured(of[name, method]) for name in data]
        label = METHODS[method].label.removesuffix(f", {LONG:,} rounds")
        lines.append(f"| {label} | {' | '.join(cells)} |")
        trained.setdefault(min(of[name, method]["seeds"] for name in data), []).append(label)
    most, *fewer = sorted(trained, reverse=True)
    but = "".join(f"; at least {count} of " + " and ".join(f"*{label}*" for label in trained[count]) for count in fewer)
    days = days_line(RESULTS / "evidence", table)
    return "\n".join([*lines, "", f"At least {most} trainings of a method on each data set{but}; {days}."])


def _measured(row: dict) -> str:
    if row["accuracy"] is None:
        return "not measured yet"
    sign = {True: "▲", False: "▼"}[row["difference"] > 0] if row["p"] is not None and row["p"] < LEVEL else ""
    said = (
        f"{100 * row['accuracy']:.1f} ± {100 * row['ci95']:.1f}" if row["seeds"] > 1 else f"{100 * row['accuracy']:.1f}"
    )
    return f"{said}{sign} ({100 * row['macs_ratio']:.1f}{'†' if row['off_budget'] else ''})"


TABLES_OF_PAGES = {  # by the page, and the marks that they stand between
    README: {"evidence": lambda: methods_table("long")},
    ROOT / "book" / "results.md": {
        "long": lambda: methods_table("long"),
        "quarter": lambda: methods_table("quarter"),
        "methods": lambda: methods_table("baselines"),
        "runs": runs_table,
    },
    ROOT / "book" / "claims.md": {"scoreboard": lambda: scoreboard(rows_of)},
}


def write_tables() -> None:
    """Put the tables between their marks in the README and on the pages of results and claims."""
    for page, tables in TABLES_OF_PAGES.items():
        text = page.read_text()
        for name, made in tables.items():
            before, rest = text.split(f"<!-- {name} -->")
            text = f"{before}<!-- {name} -->\n\n{made()}\n\n<!-- /{name} -->{rest.split(f'<!-- /{name} -->')[1]}"
        page.write_text(text)


def readme_command(only: str = "", omniglot: Path | None = None, tables: bool = False) -> None:
    """Train and test the networks that chapters start from, write the tables, draw the picture.

    What has a result file is not run again; a training that was stopped goes on where it was.

    Args:
        only: only networks whose name starts so, such as glyphs.
        omniglot: folder with the five alphabets of the small background set, for the rows of that name.
        tables: write the tables from the files and run nothing.
    """
    if tables:
        write_tables()
        return
    for name, train in RUNS.items():
        if not name.startswith(only):
            continue
        if OMNIGLOT in train and not link_to(omniglot):
            print(f"{name}: left out, --omniglot names no folder")
            continue
        reproduce(name, train)
    if all((RESULTS / f"{name}.json").exists() for name in RUNS):
        write_tables()
    draw_picture()


def link_to(omniglot: Path | None) -> bool:
    """Give the folder the name that the recipes know it by, wherever it lies; return whether there is one."""
    link = ROOT / OMNIGLOT
    if omniglot is not None and omniglot.resolve() != link.resolve():
        link.parent.mkdir(exist_ok=True)
        if link.is_symlink():
            link.unlink()
        link.symlink_to(omniglot.resolve())
    return link.exists()
