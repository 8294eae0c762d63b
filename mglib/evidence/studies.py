"""Studies: what is measured beside the tables, by the same command; a part is one record in a file of its own."""

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mglib.evidence.cells import read_record, write_record
from mglib.evidence.compression import compression_parts, compression_rows
from mglib.evidence.inversion import inversion_parts, inversion_rows
from mglib.evidence.privacy import privacy_parts, privacy_rows
from mglib.evidence.statistics import estimate_means
from mglib.evidence.workers import Failure, run_jobs

Changes = Mapping[str, Any]
_SHORT = {"rounds": 30, "probe_every": 10, "probe_tasks": 2, "seeds": (0,)}  # for a quick look


@dataclass(frozen=True)
class Study:
    """A measurement in parts.

    parts: what each part changes, by name; measure: (changes, quick) → its record; rows: what a table says of it.
    """

    name: str
    title: str
    parts: Mapping[str, Changes]
    measure: Callable[[Changes, bool], dict]
    rows: Callable[[str, dict], list[dict]]

    def path(self, folder: Path, part: str) -> Path:
        """Return the file of a part under the folder of the results."""
        return folder / self.name / f"{part}.json"

    def lines(self, folder: Path) -> list[dict[str, Any]]:
        """Return the rows of all parts from their files alone; a part without a file says that it is missing."""
        lines = []
        for part in self.parts:
            record = read_record(self.path(folder, part))
            rows = [{"missing": True}] if record is None else self.rows(part, record)
            lines += [{"table": self.name, "part": part, **row} for row in rows]
        return lines


def measure_missing(
    study: Study, folder: Path, *, quick: bool = False, only: str = "", workers: int = 2
) -> Iterator[tuple[str, str | None]]:
    """Measure the parts that have no file; yield the name of each, and why it failed if it did."""
    parts = [part for part in study.parts if only in f"{study.name}/{part}" and not study.path(folder, part).exists()]
    jobs = [(study.name, part, folder, quick) for part in parts]
    for (name, part, *_), outcome in run_jobs(_measure_part, jobs, workers):
        yield f"{name}/{part}", outcome.reason if isinstance(outcome, Failure) else None


def _measure_part(job: tuple[str, str, Path, bool]) -> None:
    name, part, folder, quick = job
    study = STUDIES[name]
    write_record(study.path(folder, part), study.measure(study.parts[part], quick))


def _converge(changes: Changes, quick: bool) -> dict:
    convergence = importlib.import_module("mglib.evidence.convergence")  # what trains is imported where it is needed
    return convergence.measure_convergence(convergence.ConvergenceSetting(**changes, **(_SHORT if quick else {})))


def _convergence_rows(part: str, record: dict) -> list[dict]:
    probes = np.array(
        [[[probe["squared_norm"], probe["loss"]] for probe in seed] for seed in record["seeds"].values()]
    ).mean(0)
    half = len(probes) // 2
    return [
        {
            **{name: record["setting"][name] for name in ("local_steps", "nodes_per_round", "dealing")},
            "seeds": len(record["seeds"]),
            "squared_gradient_early": float(probes[:half, 0].mean()),
            "squared_gradient_late": float(probes[half:, 0].mean()),
            "loss_first": float(probes[0, 1]),
            "loss_last": float(probes[-1, 1]),
        }
    ]


def _swap(changes: Changes, quick: bool) -> dict:
    experiments = importlib.import_module("mglib.experiments")
    swaps = importlib.import_module("mglib.evidence.swaps")
    short = {"rounds": 30, "queries": 5} if quick else {}
    experiment = experiments.set_up(dataclasses.replace(experiments.Recipe(), **changes, **short))
    *_, last = experiment.rounds()
    record = swaps.measure_gates(experiment, last.params, tasks=10 if quick else 1000)
    return experiments.with_provenance(record, experiment.recipe)


def _swap_rows(part: str, record: dict) -> list[dict]:
    rows = []
    for when in ("prediction", "adaptation"):
        right = {rule: np.array(counts) / record["queries"] for rule, counts in record["swaps"][when].items()}
        own = right.pop("its own")
        for rule, shares in right.items():
            (lost,) = estimate_means([(own - shares)[None]])
            rows.append({"gates": rule, "swapped_at": when, "lost": lost.mean, "lost_ci95": lost.ci95})
    return rows


def _attack(changes: Changes, quick: bool) -> dict:
    return importlib.import_module("mglib.evidence.attacks").measure_attack(changes, quick)


def _attack_rows(part: str, record: dict) -> list[dict]:
    (estimate,) = estimate_means([np.array([record["correct"]]) / record["queries"]])
    told = {name: record[name] for name in ("attack", "macs_ratio", "finite")}
    defence = part.removeprefix(f"{record['attack']}-").rpartition("-")[0]
    return [
        {**told, "defence": defence, "seed": record["recipe"]["seed"], "accuracy": estimate.mean, "ci95": estimate.ci95}
    ]


ATTACKS = ("none", "sign-flip", "noise", "label-flip", "drift")
DEFENCES = {
    **{name: {"aggregation": name} for name in ("mean", "clipped", "median", "trimmed", "krum")},
    "bounded-krum": {"aggregation": "krum", "privacy": "node", "noise": 0.0},  # honest nodes shorten their own moves
}
_ATTACKED = {  # the first seed of all before the second of any
    f"{attack}-{defence}-seed{seed}": {"attack": attack, "seed": seed, **changes}
    for seed in range(5)
    for attack in ATTACKS
    for defence, changes in DEFENCES.items()
}


def _privacy(changes: Changes, quick: bool) -> dict:
    return importlib.import_module("mglib.evidence.privacy").measure_privacy(dict(changes), quick=quick)


def _compress(changes: Changes, quick: bool) -> dict:
    return importlib.import_module("mglib.evidence.compression").measure_compression(changes, quick=quick)


def _invert(changes: Changes, quick: bool) -> dict:
    return importlib.import_module("mglib.evidence.inversion").measure_inversion(**changes, quick=quick)


STUDIES = {
    study.name: study
    for study in (
        Study(
            "convergence",
            "The squared gradient against rounds, by local steps, nodes and dealing",
            {
                "baseline": {},
                "steps-2": {"local_steps": 2},
                "steps-5": {"local_steps": 5},
                "nodes-1": {"nodes_per_round": 1},
                "nodes-9": {"nodes_per_round": 9},
                "mixed": {"dealing": "mixed"},
                "five": {"dealing": "five"},
            },
            _converge,
            _convergence_rows,
        ),
        Study(
            "gates",
            "Accuracy lost under other gates than the network's own, of as many filters",
            {f"glyphs-gated-50-seed{seed}": {"seed": seed} for seed in range(5)},
            _swap,
            _swap_rows,
        ),
        Study(
            "attacks",
            "Accuracy on new nodes when three training nodes in ten lie, by what the server takes for the average",
            _ATTACKED,
            _attack,
            _attack_rows,
        ),
        Study(
            "privacy",
            "Accuracy and gates after training with clipped and noisy updates, and the ε of it",
            privacy_parts(range(5)),
            _privacy,
            privacy_rows,
        ),
        Study(
            "compression",
            "Bytes that a node sends in a round against accuracy on new nodes",
            compression_parts(range(5)),
            _compress,
            compression_rows,
        ),
        Study(
            "inversion",
            "Support sets sought from the gradients that would leave a node",
            inversion_parts(range(5)),
            _invert,
            inversion_rows,
        ),
    )
}
