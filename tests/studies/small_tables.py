"""A small table, records drawn by chance, and instruments that measure nothing."""

import dataclasses
import os
import signal
import time
from pathlib import Path

import numpy as np

from studies import STUDIES, Cell, Instruments, Row, Table, measure_missing, reproduce_tables
from studies.methods import Method, Source

QUERIES = 10
COMPARED = (Row("slim"), Row("anil"), Row("metagater", steps=10))
SMALL = Table("small", "A small table", COMPARED, Row("metagater"), data=("glyphs",))
NAMES = ("metagater", "slim", "anil", "dense")
SEARCH = tuple({"rate": rate} for rate in (1, 2, 3, 4))
METHODS = {name: Method(name, {}, SEARCH) for name in NAMES} | {"wider": Method("wider", {}, like="metagater")}
SOURCES = {"glyphs": Source({}), "cifar10": Source({}), "cifar10-unseen": Source({}, tuned_on="cifar10")}


def note(folder, what):
    with open(folder / "calls.txt", "a") as file:
        file.write(f"{what}\n")


def calls(folder):
    return (folder / "calls.txt").read_text().split()


@dataclasses.dataclass(frozen=True)
class Fake:
    """Measures nothing: notes in a file that it was asked, and answers by method and seed."""

    log: Path
    fails: str = ""
    dies: str = ""
    seconds: float = 0.0

    def measure(self, cell, *, quick, settings, sources):
        note(self.log, cell.name)
        if self.fails and self.fails in cell.name:
            raise RuntimeError("the loss is not finite")
        if self.dies and self.dies in cell.name:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return record(drawn(cell.method, cell.seed, tasks=5), chosen=settings["rate"], sources=sources)

    def trial(self, data, method, settings, *, quick, sources):
        note(self.log, f"{data}/{method}/{settings['rate']}")
        rate = settings["rate"]
        return {"accuracy": rate / 10, "ci95": 0.01, "macs_ratio": 0.6 if rate == 4 else 0.5, "tasks": 5, "seed": 0}

    def instruments(self):
        return Instruments(self.measure, self.trial, METHODS, SOURCES)


def record(correct, **more):
    base = {
        "date": "2026-01-01",
        "queries": QUERIES,
        "macs_ratio": 0.5,
        "bytes_sent": 1000,
        "rounds_to_target": 7,
        "curve": [[1, 0.5]],
    }
    return {"correct": [int(count) for count in correct], **base, "seconds": 1.0, **more}


def drawn(method, seed, tasks=40, shift=0):
    """Right answers: what a task allows is the same for all methods, a method adds its shift and a little chance."""
    easy = np.random.default_rng([seed, 1]).integers(2, 8, tasks)
    own = np.random.default_rng([seed, sum(map(ord, method))]).integers(0, 2, tasks)
    return easy + own + shift


def write_small(folder, seeds=range(5), shuffle=False):
    for seed in seeds:
        steps = {"10": [int(n) for n in drawn("ten", seed)]}
        Cell("glyphs", "metagater", seed=seed).write(folder, record(drawn("metagater", seed), steps=steps))
        anil = drawn("anil", seed, shift=1)
        for method, correct in (("slim", drawn("slim", seed)), ("anil", anil)):
            mixed = np.random.default_rng(seed).permutation(correct) if shuffle else correct
            Cell("glyphs", method, seed=seed).write(folder, record(mixed))


def made(tmp_path, fake=None, table=SMALL, **options):
    fake = fake or Fake(tmp_path)
    return list(reproduce_tables([table], tmp_path / "out", fake.instruments(), **{"seeds": range(2)} | options))


def measured_quickly(part, folder):
    """Measure a part of a study, "study/part", and return its rows from the file."""
    study = STUDIES[part.partition("/")[0]]
    assert list(measure_missing(study, folder, quick=True, only=part, workers=1)) == [(part, None)]
    return [line for line in study.lines(folder) if not line.get("missing")]
