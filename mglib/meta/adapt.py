"""Adaptation: what a node does with its support set, a few gradient steps in stages."""

import copy
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from mglib.config import Config
from mglib.params import RATE, Params, detach, merge, of_network, split

Metrics = dict[str, Tensor]
LossFn = Callable[[Params, Any], tuple[Tensor, Metrics]]  # (parameters, batch) → scalar loss, what to watch
Factors = dict[str, float | Tensor]  # what was learnt of the rate of each tensor that a stage moves

RATE_SPAN = 10.0  # a learnt rate stays within this factor of the stage's


class Task(Protocol):
    """What meta-learning asks of a task: examples to adapt on and others to be scored on."""

    support: Any
    query: Any


@dataclass(frozen=True)
class Stage(Config):
    """Gradient steps on some of the parameters, the others held still.

    MetaGater is `backbone` then `gates`; MAML is one stage over everything.

    learning_rate: η of every tensor, times what was learnt of its rate; see `factors_of`.
    """

    name: str
    parameters: frozenset[str]
    learning_rate: float
    steps: int = 1

    def check(self) -> None:
        """Raise ValueError for a stage that cannot be."""
        self.refuse_unless(bool(self.parameters), "parameters", f"of stage {self.name!r} must not be empty")
        self.refuse_unless(self.learning_rate >= 0, "learning_rate", f"of stage {self.name!r} must not be negative")
        self.refuse_unless(self.steps >= 0, "steps", f"of stage {self.name!r} must not be negative")


def factors_of(stage: Stage, params: Params) -> Factors:
    """Return by what the rate of each tensor is multiplied: `exp(ρ)` where `params` hold a ρ for it, or 1.

    ρ is a number a tensor under `meta.rate.NAME`, learnt with the other parameters as in Meta-SGD (Li et al.,
    arXiv 1707.09835). `B tanh(ρ/B)` in place of ρ, with B = ln RATE_SPAN, keeps the factor within that span.
    """
    bound = math.log(RATE_SPAN)
    return {
        name: (bound * (params[RATE + name] / bound).tanh()).exp() if RATE + name in params else 1.0
        for name in sorted(stage.parameters)
    }


def rate_slopes(stage: Stage, params: Params, gradient: Params, adjoint: Params) -> Params:
    """Return what a step adds to `∂L_Q/∂ρ`: `−∂η/∂ρ ⟨v_A, ∂_A L_S⟩`, v being the adjoint behind the step."""
    bound, factors, slopes = math.log(RATE_SPAN), factors_of(stage, params), {}
    for name in sorted(stage.parameters):
        if RATE + name in params:
            bend = 1 - (params[RATE + name] / bound).tanh().square()
            rate = stage.learning_rate * factors[name]
            slopes[RATE + name] = -rate * bend * (adjoint[name] * gradient[name]).sum()
    return slopes


def start_of_rates(stages: Sequence[Stage]) -> Params:
    """Return ρ = 0 for every tensor that a stage moves: parameters whose rates are learnt from the stages' own on."""
    return {RATE + name: torch.zeros(()) for stage in stages for name in sorted(stage.parameters)}


class Step(NamedTuple):
    """One gradient step as it was taken: enough to differentiate through it later."""

    stage: Stage
    point: Params  # where the gradient was taken, leaves of autograd
    gradient: Params  # ∂L_S/∂p of the stage's parameters at `point`, with its graph if one was asked for
    factors: Factors
    after: Params  # where the step led, detached


def take_steps(
    loss_fn: LossFn, params: Params, support: Any, stages: Iterable[Stage], *, create_graph: bool
) -> Iterator[Step]:
    """Yield every step of every stage in order, each from a detached point: no step's graph holds another's."""
    params, stages = detach(params), tuple(stages)
    check_stages(stages, params)
    for stage in stages:
        factors = factors_of(stage, params)
        for _ in range(stage.steps):
            point, gradient, _ = differentiate(loss_fn, params, support, stage.parameters, create_graph=create_graph)
            stepped = {name: point[name] - stage.learning_rate * factors[name] * gradient[name] for name in gradient}
            params = detach(merge(point, stepped))
            yield Step(stage, point, gradient, factors, after=params)


def adapt(loss_fn: LossFn, params: Params, support: Any, stages: Iterable[Stage]) -> Params:
    """Return the parameters that a node owns after adapting on its support set.

    Each step is `p[A] ← p[A] − η · ∂L_S(p)/∂p[A]` for the stage's parameters A, taken at the
    point reached so far. For MetaGater: `θ' = θ − α ∇_θ L_S(θ, φ)`, then `φ' = φ − β ∇_φ L_S(θ', φ)`.
    Nothing but `support` comes in, so no query label can leak. It works under `torch.no_grad()` and in inference mode.

    Raises TypeError or ValueError, naming the stage, the parameter or the loss function that does not fit; see
    `differentiate`.
    """
    for step in take_steps(loss_fn, params, support, stages, create_graph=False):
        params = step.after
    return detach(of_network(params))


def differentiate(
    loss_fn: LossFn, params: Params, batch: Any, names: Collection[str] | None = None, *, create_graph: bool = False
) -> tuple[Params, Params, Metrics]:
    """Return a detached point at `params`, the gradient there of those in `names`, and the metrics.

    names: None: all that the network computes with.

    Gradients are taken wherever it is called: under `torch.no_grad()`, and in inference mode, of a copy of the batch.

    Raises TypeError if a parameter is no tensor, or the loss function returns no pair of a tensor and metrics;
    ValueError if a parameter holds whole numbers, is unknown or has a kept name, or the loss is no scalar of them.
    """
    inference = torch.is_inference_mode_enabled()
    with torch.inference_mode(False):  # which turns gradients on
        point = detach(params, requires_grad=True)
        moved = of_network(point)
        moved = moved if names is None else split(moved, names)[0]
        answer = loss_fn(point, copy.deepcopy(batch) if inference else batch)
        name = getattr(loss_fn, "__name__", type(loss_fn).__name__)
        if not (isinstance(answer, tuple | list) and len(answer) == 2 and isinstance(answer[0], Tensor)):
            raise TypeError(
                f"the loss function {name} returned a {type(answer).__name__}: need (loss, metrics), a scalar tensor "
                "and a dict, which may be empty"
            )
        loss, metrics = answer
        if loss.numel() != 1:
            raise ValueError(f"the loss of {name} is of shape {tuple(loss.shape)}: need a scalar, such as its mean")
        if not loss.requires_grad:
            raise ValueError(f"the loss of {name} does not depend on the parameters that it was given")
        return point, gradient_of(loss, moved, create_graph=create_graph), metrics


def check_stages(stages: Sequence[Stage], params: Params) -> None:
    """Raise ValueError unless every parameter that a stage moves is there, and the network's own."""
    params = of_network(params)
    for stage in stages:
        if unknown := sorted(set(stage.parameters) - params.keys()):
            raise ValueError(f"stage {stage.name!r} moves unknown parameters {unknown}; there are {sorted(params)}")


def gradient_of(loss: Tensor, params: Params, **options: Any) -> Params:
    """Return `∂loss/∂params` by name, zeros where the loss does not depend on a parameter."""
    gradients = torch.autograd.grad(loss, list(params.values()), materialize_grads=True, **options)
    return dict(zip(params, gradients, strict=True))
