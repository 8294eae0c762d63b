"""What a benchmark reports, and how everything in it is timed: interleaved, warmed up, by medians."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from studies.measure import commit

Progress = Callable[[Iterable], Iterable]  # wraps what is gone through, to show how far it is
PACKAGES = ("mglib", "torch", "numpy", "higher", "torchopt", "onnxruntime")
WARM_UP = 3  # calls that are not counted


@dataclass(frozen=True)
class Row:
    """One comparison: the median seconds of `what` and of `against`, taken in turns in one process."""

    what: str
    seconds: float
    against: str
    against_seconds: float
    setting: Mapping[str, Any] = field(default_factory=dict)  # what was the same for both: net, batch, threads, …

    @property
    def ratio(self) -> float:
        """How long `what` takes for each second of `against`."""
        return self.seconds / self.against_seconds

    def as_dict(self) -> dict[str, Any]:
        """Return the row as the JSON object holds it."""
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True)
class Goal:
    """What was aimed for and what was measured; a goal that is missed stays in the report, with its note."""

    name: str
    target: str  # in words and numbers, such as "at most 0.5"
    measured: float
    met: bool
    note: str = ""  # where it is missed: what the time is, and what was tried

    @classmethod
    def at_most(cls, name: str, limit: float, measured: float, note: str = "") -> "Goal":
        """Return a goal that is met by `limit` or less."""
        return cls(name, f"at most {limit:g}", measured, measured <= limit, note)

    @classmethod
    def at_least(cls, name: str, limit: float, measured: float, note: str = "") -> "Goal":
        """Return a goal that is met by `limit` or more."""
        return cls(name, f"at least {limit:g}", measured, measured >= limit, note)


@dataclass(frozen=True)
class Report:
    """A benchmark's rows and goals."""

    rows: Sequence[Row]
    goals: Sequence[Goal]
    notes: Mapping[str, Any] = field(default_factory=dict)  # whatever else was measured: profiles, memory, limits

    def as_dict(self) -> dict[str, Any]:
        """Return the report with the machine, the versions, the commit and the date it was measured with and on."""
        return {
            "machine": machine(),
            "versions": {name: version(name) for name in PACKAGES if find_spec(name)},
            "threads": torch.get_num_threads(),
            "commit": commit(),
            "date": datetime.date.today().isoformat(),
            "rows": [row.as_dict() for row in self.rows],
            "goals": [asdict(goal) for goal in self.goals],
            "notes": dict(self.notes),
        }


@contextmanager
def using(threads: int) -> Iterator[None]:
    """Compute on so many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def interleaved(functions: Mapping[str, Callable[[], Any]], *, rounds: int = 20, repeats: int = 1) -> dict[str, float]:
    """Return the median seconds of one call of each function over `rounds` rounds; a round calls each in turn.

    A machine that is slow for a while is so for all of them: what can be trusted are the ratios of one run.

    repeats: calls in a row that are timed together, for functions of microseconds.
    """
    for _ in range(WARM_UP):
        for function in functions.values():
            function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            started = time.perf_counter()
            for _ in range(repeats):
                function()
            seconds[name].append((time.perf_counter() - started) / repeats)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def measured_gemm_rate() -> float:
    """Return the multiply-accumulates a second of a square float32 matrix product on the threads now set: the limit."""
    size = 768
    left, right, out = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
    seconds = interleaved({"gemm": lambda: torch.mm(left, right, out=out)})["gemm"]
    return size**3 / seconds


class _Live(TorchDispatchMode):
    """Watches every operation, those of the backward pass too, and adds up the storages that are still held."""

    def __init__(self):
        super().__init__()
        self.peak = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        self._held = {pointer: entry for pointer, entry in self._held.items() if not entry[0].expired()}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                self._held[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._held.values()))
        return result


def peak_bytes(function: Callable[[], Any]) -> int:
    """Return the most bytes of tensors that were alive at once among those that `function` made.

    Exact and the same on every machine. What an operation uses inside itself is not seen.
    """
    live = _Live()
    with live:
        function()
    return live.peak


def machine() -> dict[str, Any]:
    """Return what kind of machine this is: processor, cores, system, accelerator if there is one."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
