"""bench and reproduce: what the library takes in time, and what the methods reach."""

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

Positional = tyro.conf.Positional


def bench_command(
    what: Positional[Literal["meta-step", "inference", "rounds"]],
    quick: bool = False,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Time the library side by side with what else could be used, in one run, and report ratios.

    Args:
        what: meta-step: the gradient of training; inference: gates that skip; rounds: many nodes.
        quick: a few small cases and few rounds, to see that it works; its figures mean little.
        json_: print one JSON object.
    """
    benchmark = importlib.import_module(f"mglib.bench.{what.replace('-', '_')}")
    report = benchmark.measure(quick=quick, progress=lambda done: tqdm(done, disable=not sys.stderr.isatty()))
    if json_:
        print(json.dumps(report.as_dict(), indent=2))
        return
    for row in report.rows:
        setting = ", ".join(f"{name} {value}" for name, value in row.setting.items())
        print(f"{1e3 * row.seconds:10.3f} ms {row.ratio:6.2f} × {row.against}: {row.what} ({setting})")
    for goal in report.goals:
        print(f"{'met   ' if goal.met else 'missed'} {goal.name}: {goal.measured:.3g}, aimed for {goal.target}")
