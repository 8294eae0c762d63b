"""The meta-step: the exact gradient through adaptation, by `mglib`, by nested autograd and by the peers.

Every way is timed in a process as Python starts it. There glibc hands freed memory back and takes it again page by
page, which costs the ways that allocate most the most. `LocalEngine` has it keep what was freed
(`mglib.federated.process`); the cases named `kept` in the notes are all ways in such a process.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mglib.fast import fast_meta_gradient
from mglib.federated.process import keep_freed_memory
from mglib.meta import Stage, meta_gradient
from mglib.nets import Objective
from mglib.params import Params
from mglib.tasks import Batch, Task
from mglib.training import Recipe
from mglib.training.algorithms import network_of, stages_of
from studies.bench import peers
from studies.bench.report import Goal, Progress, Report, Row, interleaved, measured_gemm_rate, peak_bytes, using

NETS = (("28×28", 32, 28, 1), ("28×28", 64, 28, 1), ("84×84", 32, 84, 3), ("84×84", 64, 84, 3))
PLAIN, TWO_STAGE = "plain MAML", "two stages"
OURS, BY_AUTOGRAD, NESTED = "mglib", "mglib by autograd", "nested autograd"
WAYS, QUERIES = 5, 15
TOLERANCE = 1e-6  # of the largest part of a gradient, in double precision


@dataclass(frozen=True)
class Case:
    """One network and one kind of task; the images are noise, for time does not depend on what they show."""

    width: int
    image_size: int
    channels: int
    shots: int = 1
    threads: int = 1
    methods: dict[str, tuple[nn.Module, Params, tuple[Stage, ...]]] = field(init=False)
    task: Task = field(init=False)

    def __post_init__(self):
        """Make the networks, gated and not, and the task."""
        methods = {}
        for name, method in ((PLAIN, "maml"), (TWO_STAGE, "metagater")):
            sizes = dict(width=self.width, image_size=self.image_size, channels=self.channels)
            recipe = Recipe(method=method, **sizes)
            net, params = network_of(recipe)
            methods[name] = (net, params, stages_of(recipe, net))
        object.__setattr__(self, "methods", methods)
        object.__setattr__(self, "task", self._make_task())

    def _make_task(self) -> Task:
        generator = np.random.default_rng(0)

        def batch(examples: int, support_images: torch.Tensor | None = None) -> Batch:
            shape = (WAYS * examples, self.channels, self.image_size, self.image_size)
            images = torch.from_numpy(generator.random(shape, dtype=np.float32))
            return Batch(images, torch.arange(WAYS).repeat_interleave(examples), support_images)

        support = batch(self.shots)
        return Task("noise", tuple("abcde"), support, batch(QUERIES, support.images))

    @property
    def setting(self) -> dict[str, Any]:
        """What all rows of this case share."""
        return {"width": self.width, "pixels": self.image_size, "shots": self.shots, "threads": self.threads}

    def candidates(self, method: str, dtype: torch.dtype = torch.float32) -> dict[str, Callable[[], Params]]:
        """Return the ways to the gradient of a method, by name, as functions without arguments."""
        net, params, stages = self.methods[method]
        objective = Objective(net.to(dtype), 0.5, 1.0)
        params = {name: value.to(dtype) for name, value in params.items()}
        support = Batch(self.task.support.images.to(dtype), self.task.support.labels)
        query = Batch(self.task.query.images.to(dtype), self.task.query.labels, support.images)
        task = Task(self.task.node, self.task.classes, support, query)
        functions = {
            OURS: lambda *known: fast_meta_gradient(*known)[0],
            BY_AUTOGRAD: lambda *known: meta_gradient(*known)[0],
            NESTED: peers.nested,
            **(peers.installed() if method == PLAIN else {}),
        }
        return {name: partial(function, objective, params, task, stages) for name, function in functions.items()}


def check_equal(gradients: dict[str, Params]) -> float:
    """Return by how much the gradients differ at most, in parts of the largest entry of each parameter's.

    Raises:
        ArithmeticError: if it is more than `TOLERANCE`: what is not equal must not be compared in time.
    """
    reference = gradients[NESTED]
    worst = 0.0
    for name, gradient in gradients.items():
        for part, value in reference.items():
            difference = float((gradient[part] - value).abs().max() / value.abs().max().clamp_min(1e-12))
            if not difference <= TOLERANCE:
                raise ArithmeticError(f"{name} differs from {NESTED} by {difference:g} in {part}")
            worst = max(worst, difference)
    return worst


def arithmetic(function: Callable[[], Any]) -> int:
    """Return the multiply-accumulates that the convolutions and products of a function take."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() // 2


def measure_case(case: Case, rounds: int = 20) -> tuple[list[Row], list[dict[str, Any]]]:
    """Return a case's rows, and for each of its two methods what else was found: memory, arithmetic, shares."""
    rows, found = [], []
    with using(case.threads):
        rate = measured_gemm_rate()
        for method in (PLAIN, TWO_STAGE):
            doubles = case.candidates(method, torch.float64)
            difference = check_equal({name: function() for name, function in doubles.items()})
            candidates = case.candidates(method)
            seconds = interleaved(candidates, rounds=rounds)
            macs = arithmetic(candidates[OURS])
            limit = macs / rate
            memory = {name: peak_bytes(candidates[name]) for name in (OURS, BY_AUTOGRAD, NESTED)}
            what = f"{method}, {OURS}"
            rows += [
                Row(what, seconds[OURS], f"{method}, {name}", taken, case.setting)
                for name, taken in seconds.items()
                if name != OURS
            ]
            rows.append(Row(what, seconds[OURS], "its arithmetic at the GEMM rate", limit, case.setting))
            found.append(
                {
                    "method": method,
                    **case.setting,
                    "seconds": seconds,
                    "macs": macs,
                    "gemm_macs_per_second": rate,
                    "share_of_limit": limit / seconds[OURS],
                    "peak_bytes": memory,
                    "largest_difference": difference,
                }
            )
    return rows, found


def goals_of(found: Sequence[dict[str, Any]]) -> list[Goal]:
    """Return the goals as the worst case meets or misses them; the notes say how the cases spread."""
    plain = [entry for entry in found if entry["method"] == PLAIN]
    staged = [entry for entry in found if entry["method"] == TWO_STAGE]
    faster = [min(entry["seconds"][peer] for peer in peers.PACKAGES) / entry["seconds"][OURS] for entry in plain]
    nested = [entry["seconds"][OURS] / entry["seconds"][NESTED] for entry in staged]
    shares = [entry["share_of_limit"] for entry in found if entry["width"] == 64]
    memory = [entry["peak_bytes"][OURS] / entry["peak_bytes"][NESTED] for entry in staged]
    return [
        Goal.at_least("plain MAML: the fastest peer's time over ours", 2, min(faster), _spread(faster)),
        Goal.at_most("two stages: our time over nested autograd's", 1 / 3, max(nested), _spread(nested)),
        Goal.at_least("share of the GEMM limit at width 64", 1 / 3, min(shares, default=0.0), _spread(shares)),
        Goal.at_most("two stages: our peak memory over nested autograd's", 0.5, max(memory), _spread(memory)),
    ]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    return f"{min(values):.2f} to {max(values):.2f} over {len(values)} cases, median {np.median(values):.2f}"


def profile(case: Case) -> dict[str, float]:
    """Return where the time of the two-stage gradient goes: the share of each kind of operation, largest first."""
    function = case.candidates(TWO_STAGE)[OURS]
    with using(case.threads):
        function()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            for _ in range(5):
                function()
    taken = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    total = sum(taken.values())
    return dict(sorted(((name, time / total) for name, time in taken.items()), key=lambda pair: -pair[1])[:12])


def cases(quick: bool) -> list[Case]:
    """Return what is measured: all networks, shots and threads, or one small network."""
    if quick:
        return [Case(64, 28, 1)]
    threads = sorted({1, torch.get_num_threads()})
    return [
        Case(width, size, channels, shots, count)
        for (_, width, size, channels), shots, count in itertools.product(NETS, (1, 5), threads)
    ]


def measure(quick: bool = False, progress: Progress = iter) -> Report:
    """Time every case and report.

    Raises:
        ValueError: if the peers are not installed.
        ArithmeticError: if two ways to the same gradient disagree.
    """
    rows, found = [], []
    for case in progress(cases(quick)):
        more_rows, more_found = measure_case(case, rounds=5 if quick else 20)
        rows += more_rows
        found += more_found
    goals = goals_of(found)
    keep_freed_memory()  # for the rest of the process
    kept = [entry for case in _profiled(quick) for entry in measure_case(case, rounds=5 if quick else 20)[1]]
    profiles = {f"width {case.width}, {case.image_size} pixels": profile(case) for case in _profiled(quick)}
    return Report(rows, goals, {"cases": found, "kept": kept, "profile": profiles, "tried": TRIED})


def _profiled(quick: bool) -> list[Case]:
    return [Case(64, 28, 1)] if quick else [Case(32, 28, 1), Case(64, 28, 1), Case(64, 84, 3)]


TRIED = (
    "Derivatives written out in place of autograd, with one tangent pass for each Hessian-vector product: kept.",
    "Maps laid out with channels last, the norm folded into the filters of the query pass, queries in pieces that "
    "fit the cache, fused norm kernels: kept.",
    "Keeping only the support set's normalised maps and making the others anew: kept; up to a third less memory.",
    "torch.compile of the written-out gradient: minutes to compile, and little faster, for most of the time goes into "
    "convolutions that it leaves as they are.",
    "unfold and a matrix product in place of the convolutions: the product alone takes longer than the convolution.",
)
