"""The meta-gradient: how the loss after adaptation changes with the parameters before it."""

from collections.abc import Sequence

import torch

from mglib.meta.adapt import LossFn, Metrics, Stage, Step, Task, differentiate, rate_slopes, take_steps
from mglib.params import Params, of_network


def meta_gradient(
    loss_fn: LossFn, params: Params, task: Task, stages: Sequence[Stage], *, second_order: bool = True
) -> tuple[Params, Metrics]:
    """Return `dL_Q(adapt(p)) / dp`, exact, and the metrics of the adapted parameters on the query set.

    The staged adjoint: forward, each step `p_t = p_{t-1} − η ∂_A L_S(p_{t-1})` is taken from a detached
    point; backward, the query gradient v walks through the steps in reverse,
    `v ← v − η ∂_p ⟨∂_A L_S(p_{t-1}), v_A⟩`, one Hessian-vector product a step. No derivative of third order
    appears, however many stages there are. MetaGater's two stages give the equations of the book.

    Rates that are learnt (`factors_of`) get their exact gradient on the way, `∂L_Q/∂η_A = −⟨v_A, ∂_A L_S(p_{t-1})⟩`.

    second_order: False drops every Hessian (first-order MAML): the query gradient at the adapted point.

    Returns the gradient, with the names and shapes of `params` and zero for the price, which the server sets; and what
    `loss_fn` reports on the query set.

    Raises TypeError or ValueError, naming the stage, the parameter or the loss function that does not fit, as `adapt`
    does.
    """
    path = list(take_steps(loss_fn, params, task.support, stages, create_graph=second_order))
    _, adjoint, metrics = differentiate(loss_fn, path[-1].after if path else params, task.query)
    rates: Params = {}
    for step in reversed(path):
        for name, slope in rate_slopes(step.stage, params, step.gradient, adjoint).items():
            rates[name] = rates.get(name, 0) + slope.detach()
        if second_order:
            adjoint = _through(step, adjoint)
    return in_order(params, adjoint | rates), metrics


def in_order(params: Params, gradient: Params) -> Params:
    """Return a gradient in the order of `params`, zeros for what it lacks."""
    return {name: gradient[name] if name in gradient else torch.zeros_like(value) for name, value in params.items()}


def _through(step: Step, adjoint: Params) -> Params:
    """Return the adjoint before a step, given the one behind it: `v − ∂_p ⟨∂_A L_S(p), η v_A⟩`."""
    curved = {name: gradient for name, gradient in step.gradient.items() if gradient.requires_grad}
    if not curved:  # the support loss is linear in what this stage moves: no curvature to correct for
        return adjoint
    products = torch.autograd.grad(
        list(curved.values()),
        list(of_network(step.point).values()),
        grad_outputs=[step.factors[name] * adjoint[name] for name in curved],
        materialize_grads=True,
    )
    rate = step.stage.learning_rate
    return {name: adjoint[name] - rate * product for name, product in zip(adjoint, products, strict=True)}
