"""The meta-gradient: how the loss after adaptation changes with the parameters before it."""

from collections.abc import Sequence
from functools import partial

import torch

from mglib.meta.adapt import DerivativesOf, LossFn, Metrics, Stage, Task, differentiate, rate_slopes, take_steps
from mglib.params import Params, detach


def meta_gradient(
    loss_fn: LossFn,
    params: Params,
    task: Task,
    stages: Sequence[Stage],
    *,
    second_order: bool = True,
    derivatives: DerivativesOf | None = None,
) -> tuple[Params, Metrics]:
    """Return `dL_Q(adapt(p)) / dp`, exact, and the metrics of the adapted parameters on the query set.

    The staged adjoint: forward, each step `p_t = p_{t-1} − η ∂_A L_S(p_{t-1})` is taken from a detached
    point; backward, the query gradient v walks through the steps in reverse,
    `v ← v − η ∂_p ⟨∂_A L_S(p_{t-1}), v_A⟩`, one Hessian-vector product a step. No derivative of third order
    appears, however many stages there are. MetaGater's two stages give the equations of the book.

    Rates that are learnt (`factors_of`) get their exact gradient on the way, `∂L_Q/∂η_A = −⟨v_A, ∂_A L_S(p_{t-1})⟩`.

    second_order: False drops every Hessian (first-order MAML): the query gradient at the adapted point.
    derivatives: what gives gradients and Hessian-vector products; None: autograd.

    Returns the gradient, with the names and shapes of `params` and zero for the price, which the server sets; and what
    `loss_fn` reports on the query set.

    Raises TypeError or ValueError, naming the stage, the parameter or the loss function that does not fit, as `adapt`
    does.
    """
    params, on_query = detach(params), derivatives or differentiate
    on_support = derivatives or partial(differentiate, create_graph=second_order)
    path = list(take_steps(on_support, loss_fn, params, task.support, stages))
    there = on_query(loss_fn, path[-1].after if path else params, task.query)
    adjoint, metrics = there.gradient, there.metrics
    del there
    rates: Params = {}
    while path:
        stage, factors, here, _ = path.pop()  # and with it all that the step left behind
        for name, slope in rate_slopes(stage, params, here.gradient, adjoint).items():
            rates[name] = rates.get(name, 0) + slope.detach()
        if second_order:
            product = here.hessian_vector({name: factor * adjoint[name] for name, factor in factors.items()})
            adjoint = {name: value - stage.learning_rate * product[name] for name, value in adjoint.items()}
    found = adjoint | rates
    return {name: found[name] if name in found else torch.zeros_like(value) for name, value in params.items()}, metrics
