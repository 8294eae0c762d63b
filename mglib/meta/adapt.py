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


class Derivatives(NamedTuple):
    """The gradient of a loss at one point, and the products of its Hessian with vectors there, by autograd."""

    point: Params  # leaves of autograd
    gradient: Params  # of some of the parameters, by name, with its graph if one was asked for
    metrics: Metrics  # what the loss function reports

    def hessian_vector(self, vector: Params) -> Params:
        """Return `∂_p ⟨∂L/∂p, vector⟩` by name, for a vector of the parameters that the gradient is of; once."""
        of = of_network(self.point)
        curved = [name for name, slope in self.gradient.items() if slope.requires_grad]
        if not curved:  # the loss is linear in what is moved
            return {name: torch.zeros_like(value) for name, value in of.items()}
        products = torch.autograd.grad(
            [self.gradient[name] for name in curved],
            list(of.values()),
            grad_outputs=[vector[name] for name in curved],
            materialize_grads=True,
        )
        return dict(zip(of, products, strict=True))


DerivativesOf = Callable[..., Derivatives]  # of a loss function: (itself, parameters, batch, names) → derivatives


class Step(NamedTuple):
    """One gradient step as it was taken: enough to differentiate through it later."""

    stage: Stage
    factors: Factors
    here: Derivatives  # where the step began
    after: Params  # where it led, detached


def take_steps(
    derivatives: DerivativesOf, loss_fn: LossFn, params: Params, support: Any, stages: Iterable[Stage]
) -> Iterator[Step]:
    """Yield every step of every stage in order, each from a detached point: no step's graph holds another's."""
    params, stages = detach(params), tuple(stages)
    own = of_network(params)
    for stage in stages:
        if unknown := sorted(stage.parameters - own.keys()):
            raise ValueError(f"stage {stage.name!r} moves unknown parameters {unknown}; there are {sorted(own)}")
    for stage in stages:
        factors = factors_of(stage, params)
        for _ in range(stage.steps):
            here = derivatives(loss_fn, params, support, stage.parameters)
            moves = {name: stage.learning_rate * factors[name] * slope for name, slope in here.gradient.items()}
            params = detach(merge(params, {name: params[name] - move for name, move in moves.items()}))
            yield Step(stage, factors, here, params)


def adapt(loss_fn: LossFn, params: Params, support: Any, stages: Iterable[Stage]) -> Params:
    """Return the parameters that a node owns after adapting on its support set.

    Each step is `p[A] ← p[A] − η · ∂L_S(p)/∂p[A]` for the stage's parameters A, taken at the
    point reached so far. For MetaGater: `θ' = θ − α ∇_θ L_S(θ, φ)`, then `φ' = φ − β ∇_φ L_S(θ', φ)`.
    Nothing but `support` comes in, so no query label can leak. It works under `torch.no_grad()` and in inference mode.

    Raises TypeError or ValueError, naming the stage, the parameter or the loss function that does not fit; see
    `differentiate`.
    """
    for step in take_steps(differentiate, loss_fn, params, support, stages):
        params = step.after
    return detach(of_network(params))


def differentiate(
    loss_fn: LossFn, params: Params, batch: Any, names: Collection[str] | None = None, *, create_graph: bool = False
) -> Derivatives:
    """Return the gradient of those in `names` at a detached point, and the metrics.

    names: None: all that the network computes with.
    create_graph: whether products of the Hessian are to be had too.

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
        return Derivatives(point, gradient_of(loss, moved, create_graph=create_graph), metrics)


def gradient_of(loss: Tensor, params: Params, **options: Any) -> Params:
    """Return `∂loss/∂params` by name, zeros where the loss does not depend on a parameter."""
    gradients = torch.autograd.grad(loss, list(params.values()), materialize_grads=True, **options)
    return dict(zip(params, gradients, strict=True))
