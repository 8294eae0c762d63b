"""Gradients on their fast path: derivatives that are written out for the networks and losses that they know."""

from collections.abc import Collection, Sequence

from mglib.meta import Stage, adapt, meta_gradient
from mglib.meta.adapt import LossFn, Metrics, Task, check_stages, differentiate
from mglib.nets.derivatives import Derivatives, written_out
from mglib.params import Params, detach, merge
from mglib.tasks import Batch


def fast_gradient(
    loss_fn: LossFn, params: Params, batch: Batch, names: Collection[str] | None = None
) -> tuple[Params, Metrics]:
    """Return `∂L/∂p` for the parameters in `names` (None: all), and what the loss reports.

    By `Derivatives` where they know the loss, by autograd elsewhere; equal to rounding.
    """
    if written_out(loss_fn):
        there = Derivatives(loss_fn, params, batch, names)
        return there.gradient, there.metrics
    _, gradient, metrics = differentiate(loss_fn, params, batch, names)
    return gradient, metrics


def fast_adapt(loss_fn: LossFn, params: Params, support: Batch, stages: Sequence[Stage]) -> Params:
    """Return what `adapt` returns, to rounding, sooner."""
    if not written_out(loss_fn):
        return adapt(loss_fn, params, support, stages)
    check_stages(stages, params)
    for stage in stages:
        for _ in range(stage.steps):
            gradient, _ = fast_gradient(loss_fn, params, support, stage.parameters)
            params = step(params, gradient, stage.learning_rate)
    return detach(params)


def fast_meta_gradient(
    loss_fn: LossFn, params: Params, task: Task, stages: Sequence[Stage], *, second_order: bool = True
) -> tuple[Params, Metrics]:
    """Return what `meta_gradient` returns, to rounding, sooner.

    The walk is the same: forward from point to point, then back with one Hessian-vector product a step. Gradients and
    products come from `Derivatives` in place of autograd; for a loss that they do not know, `meta_gradient` is called.
    """
    if not written_out(loss_fn) or task.support.support_images is not None:
        return meta_gradient(loss_fn, params, task, stages, second_order=second_order)
    check_stages(stages, params)
    walk = []
    params = detach(params)
    for stage in stages:
        for _ in range(stage.steps):
            here = Derivatives(loss_fn, params, task.support, stage.parameters)
            params = step(params, here.gradient, stage.learning_rate)
            walk.append((stage, here))
    there = Derivatives(loss_fn, params, task.query)
    adjoint, metrics = there.gradient, there.metrics
    del there
    while second_order and walk:
        stage, here = walk.pop()  # and with it all that the step left behind
        product = here.hessian_vector({name: adjoint[name] for name in stage.parameters})
        adjoint = {name: adjoint[name] - stage.learning_rate * product[name] for name in adjoint}
    return adjoint, metrics


def step(params: Params, direction: Params, rate: float) -> Params:
    """Return the parameters after a step of `rate` against `direction`, which may lack some of them."""
    return merge(params, {name: params[name] - rate * slope for name, slope in direction.items()})
