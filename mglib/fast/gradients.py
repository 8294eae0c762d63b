"""Gradients on their fast path: closed forms for the networks and losses that they support, autograd elsewhere."""

from collections.abc import Sequence

from mglib.fast.derivatives import Derivatives, has_closed_form
from mglib.meta import Stage, meta_gradient
from mglib.meta.adapt import LossFn, Metrics, Task
from mglib.params import Params, merge


def fast_meta_gradient(
    loss_fn: LossFn, params: Params, task: Task, stages: Sequence[Stage], *, second_order: bool = True
) -> tuple[Params, Metrics]:
    """Return what `meta_gradient` returns, to rounding, sooner.

    Gradients and Hessian-vector products come from `Derivatives` in place of autograd, where the loss has closed forms.
    """
    closed = has_closed_form(loss_fn) and task.support.support_images is None
    derivatives = Derivatives if closed else None
    return meta_gradient(loss_fn, params, task, stages, second_order=second_order, derivatives=derivatives)


def step(params: Params, direction: Params, rate: float) -> Params:
    """Return the parameters after a step of `rate` against `direction`, which may lack some of them."""
    return merge(params, {name: params[name] - rate * slope for name, slope in direction.items()})
