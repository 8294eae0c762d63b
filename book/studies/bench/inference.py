"""What closed filters save in time: dense, masked, skipping, and the slim dense net that computes as many filters.

All have the same favours: normalisation folded into the weights, maps and weights channels last, inference mode. The
gates are random, but for a bias that lets each filter open for the stated share of the inputs; the inputs change from
call to call, and their patterns with them, so that nothing can be remembered. Only the pattern called `shared` is the
same for all inputs: there the bias alone decides, as it may after a node's adaptation.

`skipping` is the fast path, `skipping.c`, where it can be compiled; `slicing` is the clear one, in torch. `slim` is
in torch, as a reader would have it, and so is `dense`; `slim, compiled` and `dense, compiled` are the same nets by the
C: beside them one sees what the gates save, and beside the others what a reader gains.

Why slicing does not reach the slim net, and what was tried. A layer of a few filters is a dozen operations of one or
two microseconds each before its convolution starts, whatever it saves. From width 128 up, copying the open weights is
a good part: a row for each filter, then `gather` for its channels, was the fastest way found there (against nine values
at a time by index, in torch or numpy; numpy's `take`; advanced indexing; taps apart), and writing the rows into
memory that is kept halved what they took. Unfolding and multiplying matrices took 1.4 to 5 times as long as the
library's convolution with channels last. The first input of a new shape waits for the library to compile its
convolutions; they are warm when timed. In batches of many patterns the alternative to masking is one
input at a time, and that pays from where `mglib.fast.slicing.GROUP_COST` says.

Hence the C, which copies no weights and is one call. A first version of it, in numba, was two to three times as slow as
the library's convolution. In C, packing pixels one by one took as long as multiplying; whole vectors, shuffled, made
that a quarter. It takes its images one by one: in a batch the library's calls are shared by all images, and the slim
net gains what the C does not.
"""

import itertools
import operator
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from mglib.fast import SkippingNet
from mglib.fast.compiled import library
from mglib.nets import dense_macs, macs_per_layer, make_net
from studies.bench.gated import Case, MaskedNet, check_equal, gated_net, images_for
from studies.bench.report import Goal, Progress, Report, Row, interleaved, using

PAIRS = (
    *((what, against) for against in ("slim", "dense") for what in ("skipping", "slicing", "masked")),
    ("dense", "slim"),
    ("skipping", "slim, compiled"),
    ("skipping", "dense, compiled"),
    ("slim, compiled", "slim"),
    ("dense, compiled", "dense"),
)


@dataclass(frozen=True)
class Timing:
    """The median seconds of a batch in each network, and what it computes."""

    case: Case
    seconds: dict[str, float]  # of each network
    macs: dict[str, float]  # of an input in each network, over the dense network's, gates included
    parts: dict[str, float]  # share of slicing's time: gates, slices, convolutions, the rest

    def ratio(self, what: str, against: str) -> float:
        """Return how long one takes for each second of the other."""
        return self.seconds[what] / self.seconds[against]

    @property
    def saved(self) -> float:
        """Share of the saved multiply-accumulates that is saved time."""
        return (1 - self.ratio("skipping", "dense")) / (1 - self.macs["skipping"])

    def rows(self) -> list[Row]:
        """Return every network against the slim one and against the dense one."""
        return [
            Row(what, self.seconds[what], against, self.seconds[against], asdict(self.case) | {"macs": self.macs[what]})
            for what, against in PAIRS
        ]


def all_cases() -> list[Case]:
    """Return the cases of the goals, then shared patterns, the frontier from few to all filters, and two threads."""
    half = [Case(w, size, batch) for w in (32, 64, 128, 256) for size in (28, 56, 84) for batch in (1, 16)]
    shared = [Case(w, size, batch, patterns="shared") for w in (64, 256) for size in (28, 84) for batch in (1, 16)]
    frontier = [Case(w, 84, 1, open=share) for w in (64, 128) for share in (0.125, 0.25, 0.75, 1.0)]
    two_threads = [Case(w, 84, batch, threads=2) for w in (64, 256) for batch in (1, 16)]
    return half + shared + frontier + two_threads


def measure(quick: bool = False, progress: Progress = iter) -> Report:
    """Return what skipping takes beside the slim net, its limit, and beside the dense and the masked one.

    quick: two small cases and few rounds.
    """
    cases = [Case(64, 28, 1), Case(64, 28, 16)] if quick else all_cases()
    timings = [timed(case, rounds=5 if quick else 20) for case in progress(cases)]
    return Report([row for timing in timings for row in timing.rows()], goals(timings), notes(timings))


def timed(case: Case, *, rounds: int) -> Timing:
    """Return the times of the four networks, after a check that masked and skipping answer the same."""
    with using(case.threads):
        net, params, statistics = gated_net(case)
        images = images_for(case, 64, seed=1)
        gates = check_equal(net, params, statistics, images)
        backbone = {name: value for name, value in params.items() if name not in net.gate_names()}
        whole, _ = make_net(0, **case.sizes(), gated=False)
        thin, thin_params = make_net(0, **case.sizes(max(1, round(case.width * case.open))), gated=False)
        thin_statistics = functional_call(thin, thin_params, (images,)).statistics
        skipping = SkippingNet(net, params, statistics)
        slicing = SkippingNet(net, params, statistics, compiled=False)
        networks = {
            "dense": SkippingNet(whole, backbone, statistics, compiled=False),
            "masked": MaskedNet(case, params, statistics),
            "skipping": skipping,
            "slicing": slicing,
            "slim": SkippingNet(thin, thin_params, thin_statistics, compiled=False),
            "slim, compiled": SkippingNet(thin, thin_params, thin_statistics),
            "dense, compiled": SkippingNet(whole, backbone, statistics),
        }
        batches = images.split(case.batch)
        for network in networks.values():  # the library compiles a convolution for each shape that it has not met
            for batch in batches:
                network(batch)
        seconds = interleaved(
            {name: _in_turn(network, batches) for name, network in networks.items()},
            rounds=rounds,
            repeats=max(1, 8 // case.batch),
        )
        dense = dense_macs(net.costs)
        return Timing(
            case,
            seconds,
            macs={
                **dict.fromkeys(("dense", "dense, compiled"), 1.0),
                "masked": 1.0 + sum(cost.gate_macs for cost in net.costs) / dense,
                **dict.fromkeys(("skipping", "slicing"), float(macs_per_layer(net.costs, gates).sum(1).mean()) / dense),
                **dict.fromkeys(("slim", "slim, compiled"), dense_macs(thin.costs) / dense),
            },
            parts=parts_of(slicing, batches),
        )


def parts_of(slicing: SkippingNet, batches: Iterable[Tensor]) -> dict[str, float]:
    """Return the shares of the network's time that its gates, slices and convolutions take, and the rest."""
    spent = dict.fromkeys(("gates", "sliced", "convolve"), 0.0)

    def watched(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments)
            spent[part] += time.perf_counter() - started
            return result

        return call

    for layer in slicing._layers:
        for part in spent:
            setattr(layer, part, watched(part, getattr(layer, part)))
    total = sum(_seconds(slicing, batch) for batch in batches)
    for layer in slicing._layers:
        for part in spent:
            delattr(layer, part)
    shares = {
        name: seconds / total for name, seconds in zip(("gates", "slices", "convolutions"), spent.values(), strict=True)
    }
    return shares | {"rest": 1 - sum(shares.values())}


def goals(timings: list[Timing]) -> list[Goal]:
    """Return the goals at half the filters open, by the worst case from width 64 up, patterns per input, one thread."""
    counted = [timing for timing in timings if _counts(timing.case)]
    over_slim, over_dense = (lambda timing, net=net: timing.ratio("skipping", net) for net in ("slim", "dense"))
    saved = operator.attrgetter("saved")
    return [
        Goal.at_most("skipping over slim, worst case", 1.2, *_worst(max, over_slim, counted)),
        Goal.at_most("skipping over dense, worst case", 0.5, *_worst(max, over_dense, counted)),
        Goal.at_least("share of the saved MACs that is saved time, worst case", 0.8, *_worst(min, saved, counted)),
    ]


def notes(timings: list[Timing]) -> dict[str, Any]:
    """Return the frontier at 84×84, and all that was measured besides the rows."""
    frontier = [
        {"width": t.case.width, "open": t.case.open, "macs": t.macs, "seconds": t.seconds}
        for t in sorted(timings, key=lambda t: (t.case.width, t.case.open))
        if t.case in {Case(w, 84, 1, open=share) for w in (64, 128) for share in (0.125, 0.25, 0.5, 0.75, 1.0)}
    ]
    return {
        "compiled": library(torch.float32) is not None,
        "frontier": frontier,
        "cases": [asdict(timing) for timing in timings],
    }


def _counts(case: Case) -> bool:
    return case.width >= 64 and case.open == 0.5 and case.patterns == "per input" and case.threads == 1


def _worst(most: Callable[..., Any], figure: Callable[[Timing], float], timings: list[Timing]) -> tuple[float, str]:
    """Return the worst figure, and where it is, what it is made of, and what is the worst for one image at a time."""
    worst, alone = most(timings, key=figure), [timing for timing in timings if timing.case.batch == 1]
    case = worst.case
    return figure(worst), (
        f"width {case.width}, {case.image_size}×{case.image_size}, batch {case.batch}; the same code takes "
        f"{worst.ratio('slim, compiled', 'slim'):.2f} of the slim net's time for the slim net, and "
        f"{worst.ratio('skipping', 'slim, compiled'):.2f} times that with gates; "
        f"one image at a time, the worst is {most(map(figure, alone)):.2f}"
    )


def _in_turn(network: Callable[[Tensor], Any], batches: Iterable[Tensor]) -> Callable[[], Any]:
    turns = itertools.cycle(batches)
    return lambda: network(next(turns))


def _seconds(network: Callable[[Tensor], Any], images: Tensor) -> float:
    started = time.perf_counter()
    network(images)
    return time.perf_counter() - started
