"""Adaptation: what a node does with its support set, a few gradient steps in stages."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from mglib.params import Params, detach, merge, split

Metrics = dict[str, Tensor]
LossFn = Callable[[Params, Any], tuple[Tensor, Metrics]]  # (parameters, batch) → scalar loss, what to watch


class Task(Protocol):
    """What meta-learning asks of a task: examples to adapt on and others to be scored on."""

    support: Any
    query: Any


@dataclass(frozen=True)
class Stage:
    """Gradient steps on some of the parameters, the others held still.

    MetaGater is `backbone` then `gates`; MAML is one stage over everything.
    """

    name: str
    parameters: frozenset[str]
    learning_rate: float
    steps: int = 1

    def __post_init__(self):
        """Check the numbers."""
        if not self.parameters:
            raise ValueError(f"stage {self.name!r} has no parameters to adapt")
        if not self.learning_rate >= 0:
            raise ValueError(f"`learning_rate` (={self.learning_rate}) of stage {self.name!r} must not be negative")
        if self.steps < 0:
            raise ValueError(f"`steps` (={self.steps}) of stage {self.name!r} must not be negative")


class Step(NamedTuple):
    """One gradient step as it was taken: enough to differentiate through it later."""

    stage: Stage
    point: Params  # where the gradient was taken, leaves of autograd
    gradient: Params  # ∂L_S/∂p of the stage's parameters at `point`, with its graph if one was asked for
    after: Params  # where the step led, detached


def take_steps(
    loss_fn: LossFn, params: Params, support: Any, stages: Sequence[Stage], *, create_graph: bool
) -> Iterator[Step]:
    """Yield every step of every stage in order, each from a detached point: no step's graph holds another's."""
    for stage in stages:
        for _ in range(stage.steps):
            point = detach(params, requires_grad=True)
            moved, _ = split(point, stage.parameters)
            loss, _ = loss_fn(point, support)
            gradient = gradient_of(loss, moved, create_graph=create_graph)
            stepped = {name: moved[name] - stage.learning_rate * gradient[name] for name in moved}
            params = detach(merge(point, stepped))
            yield Step(stage, point, gradient, after=params)


def adapt(loss_fn: LossFn, params: Params, support: Any, stages: Sequence[Stage]) -> Params:
    """Return the parameters that a node owns after adapting on its support set.

    Each step is `p[A] ← p[A] − learning_rate · ∂L_S(p)/∂p[A]` for the stage's parameters A, taken at the
    point reached so far. For MetaGater: `θ' = θ − α ∇_θ L_S(θ, φ)`, then `φ' = φ − β ∇_φ L_S(θ', φ)`.
    Nothing but `support` comes in, so no query label can leak.
    """
    for step in take_steps(loss_fn, params, support, stages, create_graph=False):
        params = step.after
    return detach(params)


def gradient_of(loss: Tensor, params: Params, **options: Any) -> Params:
    """Return `∂loss/∂params` by name, zeros where the loss does not depend on a parameter."""
    gradients = torch.autograd.grad(loss, list(params.values()), materialize_grads=True, **options)
    return dict(zip(params, gradients, strict=True))
