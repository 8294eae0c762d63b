"""Gradients on their fast path: closed forms for the networks and losses that they support, autograd elsewhere."""

from collections.abc import Iterator, Sequence

from mglib.fast.derivatives import Derivatives, has_closed_form
from mglib.meta import Stage, meta_gradient
from mglib.meta.adapt import LossFn, Metrics, Task, check_stages, factors_of, rate_slopes
from mglib.meta.gradient import in_order
from mglib.params import Params, detach, merge


def fast_meta_gradient(
    loss_fn: LossFn, params: Params, task: Task, stages: Sequence[Stage], *, second_order: bool = True
) -> tuple[Params, Metrics]:
    """Return what `meta_gradient` returns, to rounding, sooner.

    The walk is the same: forward from point to point, then back with one Hessian-vector product a step. Gradients and
    products come from `Derivatives` in place of autograd; for a loss without a closed form, `meta_gradient` is called.
    """
    if not has_closed_form(loss_fn) or task.support.support_images is not None:
        return meta_gradient(loss_fn, params, task, stages, second_order=second_order)
    params = detach(params)
    path = list(fast_steps(loss_fn, params, task.support, stages))
    there = Derivatives(loss_fn, path[-1][2] if path else params, task.query)
    adjoint, metrics = there.gradient, there.metrics
    del there
    rates: Params = {}
    while path:
        stage, here, _ = path.pop()  # and with it all that the step left behind
        for name, slope in rate_slopes(stage, params, here.gradient, adjoint).items():
            rates[name] = rates.get(name, 0) + slope
        if second_order:
            factors = factors_of(stage, params)
            product = here.hessian_vector({name: factor * adjoint[name] for name, factor in factors.items()})
            adjoint = {name: adjoint[name] - stage.learning_rate * product[name] for name in adjoint}
    return in_order(params, adjoint | rates), metrics


def step(params: Params, direction: Params, rate: float) -> Params:
    """Return the parameters after a step of `rate` against `direction`, which may lack some of them."""
    return merge(params, {name: params[name] - rate * slope for name, slope in direction.items()})


def fast_steps(
    loss_fn: LossFn, params: Params, support, stages: Sequence[Stage]
) -> Iterator[tuple[Stage, Derivatives, Params]]:
    """Yield the stage of every step, the derivatives that it takes, and where it leads."""
    params, stages = detach(params), tuple(stages)
    check_stages(stages, params)
    for stage in stages:
        rates = {name: stage.learning_rate * factor for name, factor in factors_of(stage, params).items()}
        for _ in range(stage.steps):
            here = Derivatives(loss_fn, params, support, stage.parameters)
            params = merge(params, {name: params[name] - rates[name] * slope for name, slope in here.gradient.items()})
            yield stage, here, params
