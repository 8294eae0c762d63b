"""What the tests of Flower's real processes share: a federation apart from the network, its options, and waiting."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from local_federation import LocalFederation
from network_namespace import network_namespace
from small_data import options_of as options_of


@contextmanager
def federation_in(place: Path) -> Iterator[LocalFederation]:
    """Yield a federation that keeps its files in a folder; in its network there is nobody else."""
    settings = {"MGLIB_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    settings |= {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.25"}  # seconds
    with network_namespace() as apart, LocalFederation(place, prefix=apart, settings=settings) as federation:
        yield federation


def metrics_of(out: Path) -> list[dict]:
    """Return the rounds that a run's folder tells of so far."""
    path = out / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be on its way


def wait_until(met: Callable[[], bool], training: Popen, seconds: float = 900) -> None:
    """Wait for what a training comes to; fail if it ends before, or after far more time than that takes."""
    end = time.monotonic() + seconds
    while not met():
        assert training.poll() is None, training.stdout.read()
        assert time.monotonic() < end, f"not met within {seconds:g} s"
        time.sleep(0.1)
