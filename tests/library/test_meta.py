"""The meta-gradient against four oracles: differences of the stated update, nested autograd, algebra, and its parts."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from mglib.meta import Stage, adapt, meta_gradient
from mglib.meta.adapt import RATE_SPAN, factors_of, start_of_rates
from mglib.nets import Objective, make_net
from mglib.params import RATE, detach, merge, of_network
from mglib.tasks.episodes import Batch


class SmoothGatedNet(nn.Module):
    """Two layers with soft gates and no kinks, so that finite differences see every derivative."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 3)
        self.gate = nn.Linear(6, 5)

    def forward(self, inputs):
        gates = torch.sigmoid(self.gate(inputs))
        return self.second(gates * torch.tanh(self.first(inputs))), gates


def smooth_problem():
    torch.manual_seed(3)
    net = SmoothGatedNet().double()

    def loss_fn(params, batch):
        logits, gates = functional_call(net, params, (batch.images,))
        loss = nn.functional.cross_entropy(logits, batch.labels) + 0.3 * gates.mean()
        return loss, {"loss": loss.detach()}

    def batch(size):
        return Batch(torch.randn(size, 6, dtype=torch.double), torch.arange(size) % 3)

    params = {name: value.detach().clone() for name, value in net.named_parameters()}
    gates = frozenset(name for name in params if name.startswith("gate."))
    stages = (Stage("backbone", frozenset(params) - gates, 0.7), Stage("gates", gates, 0.9))
    return loss_fn, params, SimpleNamespace(support=batch(6), query=batch(9)), stages


def stated_update(loss_fn, params, task, stages):
    """The update as the book states it: each stage's gradient taken where the stage before it led."""
    for stage in stages:
        for _ in range(stage.steps):
            leaves = detach(params, requires_grad=True)
            loss, _ = loss_fn(leaves, task.support)
            names = sorted(stage.parameters)
            gradients = torch.autograd.grad(loss, [leaves[name] for name in names])
            rates = {name: stage.learning_rate * stated_factor(params.get(RATE + name)) for name in names}
            moved = {n: params[n] - rates[n] * g for n, g in zip(names, gradients, strict=True)}
            params = merge(params, moved)
    with torch.no_grad():
        return loss_fn(params, task.query)[0]


def stated_factor(learnt):
    """By how much a learnt rate departs from its stage's: exp of ρ, softly held within a tenth and ten times."""
    return 1 if learnt is None else torch.exp(np.log(10) * torch.tanh(learnt / np.log(10)))


def nested_gradient(loss_fn, params, task, stages):
    """The textbook way: one graph through every step. A stage differentiates an alias of what it moves."""
    leaves = detach(params, requires_grad=True)
    current = dict(leaves)
    for stage in stages:
        for _ in range(stage.steps):
            names = sorted(stage.parameters)
            # θ' depends on φ: without a name of its own for φ, grad(·, φ) would be the total derivative.
            aliased = merge(current, {name: current[name].clone() for name in names})
            loss, _ = loss_fn(aliased, task.support)
            gradients = torch.autograd.grad(loss, [aliased[name] for name in names], create_graph=True)
            moved = {n: current[n] - stage.learning_rate * g for n, g in zip(names, gradients, strict=True)}
            current = merge(current, moved)
    loss, _ = loss_fn(current, task.query)
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def central_differences(function, params, step=1e-5):
    gradient = {}
    for name, value in params.items():
        gradient[name] = torch.zeros_like(value)
        for index in range(value.numel()):
            nudge = torch.zeros_like(value)
            nudge.view(-1)[index] = step
            up, down = (function(merge(params, {name: value + sign * nudge})) for sign in (1, -1))
            gradient[name].view(-1)[index] = (up - down) / (2 * step)
    return gradient


def relative_error(gradient, reference):
    difference = torch.cat([(gradient[name] - reference[name]).flatten() for name in reference])
    return float(difference.norm() / torch.cat([value.flatten() for value in reference.values()]).norm())


def test_equals_central_differences_of_the_stated_update():
    loss_fn, params, task, stages = smooth_problem()
    gradient, _ = meta_gradient(loss_fn, params, task, stages)
    reference = central_differences(lambda p: stated_update(loss_fn, p, task, stages), params)
    assert relative_error(gradient, reference) < 1e-7


@pytest.mark.parametrize("steps", [(1, 1), (3, 2)])
def test_learnt_rates_have_the_gradient_of_the_stated_update(steps):
    loss_fn, params, task, stages = smooth_problem()
    stages = [Stage(s.name, s.parameters, s.learning_rate, n) for s, n in zip(stages, steps, strict=True)]
    rates = {name: value.double() + 0.3 * torch.randn(()) for name, value in start_of_rates(stages).items()}
    params |= rates
    gradient, _ = meta_gradient(on_network(loss_fn), params, task, stages)
    reference = central_differences(lambda p: stated_update(on_network(loss_fn), p, task, stages), params)
    assert list(gradient) == list(params)
    assert relative_error(gradient, reference) < 1e-7
    assert relative_error({name: gradient[name] for name in rates}, {name: reference[name] for name in rates}) < 1e-7


def on_network(loss_fn):
    return lambda params, batch: loss_fn(of_network(params), batch)


def test_learnt_rates_that_have_learnt_nothing_change_nothing():
    loss_fn, params, task, stages = smooth_problem()
    fixed, _ = meta_gradient(loss_fn, params, task, stages)
    free, _ = meta_gradient(on_network(loss_fn), params | start_of_rates(stages), task, stages)
    assert relative_error({name: free[name] for name in fixed}, fixed) < 1e-7  # ρ is of single precision
    adapted = adapt(on_network(loss_fn), params | start_of_rates(stages), task.support, stages)
    assert adapted.keys() == params.keys()


@pytest.mark.parametrize("far", [-1e4, 1e4])
def test_a_rate_that_runs_away_is_held_within_its_bounds(far):
    _, _, _, (stage, _) = smooth_problem()
    factors = factors_of(stage, {name: torch.tensor(far) for name in start_of_rates([stage])})
    assert [float(factor) for factor in factors.values()] == pytest.approx([RATE_SPAN ** np.sign(far)] * len(factors))


@pytest.mark.parametrize("steps", [(1, 1), (3, 2), (0, 1)])
def test_equals_nested_autograd(steps):
    loss_fn, params, task, stages = smooth_problem()
    stages = [Stage(s.name, s.parameters, s.learning_rate, n) for s, n in zip(stages, steps, strict=True)]
    gradient, _ = meta_gradient(loss_fn, params, task, stages)
    assert relative_error(gradient, nested_gradient(loss_fn, params, task, stages)) < 1e-14


def test_equals_nested_autograd_on_the_gated_conv_net():
    net, params = make_net(0, width=4, depth=2, image_size=8)
    net, params = net.double(), {name: value.double() for name, value in params.items()}
    torch.manual_seed(0)
    support = Batch(torch.rand(5, 1, 8, 8).double(), torch.arange(5))
    query = Batch(torch.rand(10, 1, 8, 8).double(), torch.arange(10) % 5, support_images=support.images)
    task = SimpleNamespace(support=support, query=query)
    gates = net.gate_names()
    stages = (Stage("backbone", frozenset(params) - gates, 0.4), Stage("gates", gates, 0.3))
    objective = Objective(net, budget=0.5, penalty=1.0)
    gradient, _ = meta_gradient(objective, params, task, stages)
    assert relative_error(gradient, nested_gradient(objective, params, task, stages)) < 1e-12


def test_differs_from_the_total_derivative():
    """The trap: gates differentiated without an alias give another algorithm."""
    loss_fn, params, task, stages = smooth_problem()
    leaves = detach(params, requires_grad=True)
    current = dict(leaves)
    for stage in stages:
        names = sorted(stage.parameters)
        loss, _ = loss_fn(current, task.support)
        gradients = torch.autograd.grad(loss, [leaves[name] for name in names], create_graph=True)
        moved = {n: current[n] - stage.learning_rate * g for n, g in zip(names, gradients, strict=True)}
        current = merge(current, moved)
    loss, _ = loss_fn(current, task.query)
    trapped = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    gradient, _ = meta_gradient(loss_fn, params, task, stages)
    assert relative_error(gradient, trapped) > 1e-4


def test_first_order_is_the_query_gradient_at_the_adapted_point_and_not_the_exact_one():
    loss_fn, params, task, stages = smooth_problem()
    first, _ = meta_gradient(loss_fn, params, task, stages, second_order=False)
    adapted = detach(adapt(loss_fn, params, task.support, stages), requires_grad=True)
    loss, _ = loss_fn(adapted, task.query)
    expected = dict(zip(adapted, torch.autograd.grad(loss, list(adapted.values())), strict=True))
    assert relative_error(first, expected) < 1e-15
    exact, _ = meta_gradient(loss_fn, params, task, stages)
    assert relative_error(first, exact) > 1e-2


def test_quadratic_has_the_gradient_that_algebra_gives():
    """L(p) = ½ (p − t)ᵀ H (p − t): p' = p − α H (p − s), so dL_Q/dp = (I − α H) H (p' − q)."""
    torch.manual_seed(1)
    root = torch.randn(4, 4, dtype=torch.double)
    hessian, rate = root @ root.T, 0.1

    def loss_fn(params, target):
        gap = params["p"] - target
        return 0.5 * gap @ hessian @ gap, {}

    point, support, query = torch.randn(3, 4, dtype=torch.double)
    stages = (Stage("all", frozenset({"p"}), rate),)
    gradient, _ = meta_gradient(loss_fn, {"p": point}, SimpleNamespace(support=support, query=query), stages)
    adapted = point - rate * hessian @ (point - support)
    expected = (torch.eye(4, dtype=torch.double) - rate * hessian) @ hessian @ (adapted - query)
    torch.testing.assert_close(gradient["p"], expected, rtol=1e-12, atol=1e-12)


def test_a_linear_support_loss_has_no_curvature_to_correct_for():
    def loss_fn(params, batch):
        return (params["p"] * batch).sum(), {}

    task = SimpleNamespace(support=torch.ones(3), query=torch.arange(3.0))
    stages = (Stage("all", frozenset({"p"}), 0.5),)
    gradient, _ = meta_gradient(loss_fn, {"p": torch.zeros(3)}, task, stages)
    torch.testing.assert_close(gradient["p"], task.query)


def test_no_stage_gives_the_plain_gradient():
    loss_fn, params, task, _ = smooth_problem()
    gradient, _ = meta_gradient(loss_fn, params, task, ())
    leaves = detach(params, requires_grad=True)
    loss, _ = loss_fn(leaves, task.query)
    expected = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
    assert relative_error(gradient, expected) < 1e-15


def test_query_labels_cannot_reach_adaptation():
    loss_fn, params, task, stages = smooth_problem()
    seen = []

    def spy(params, batch):
        seen.append(batch)
        return loss_fn(params, batch)

    first, _ = meta_gradient(spy, params, task, stages)
    assert [batch is task.support for batch in seen] == [True, True, False]
    relabelled = Batch(task.query.images, task.query.labels.flip(0))
    second, _ = meta_gradient(loss_fn, params, SimpleNamespace(support=task.support, query=relabelled), stages)
    assert any(not torch.equal(first[name], second[name]) for name in first), "the score must see the labels"


def test_stages_move_their_own_parameters_in_their_order():
    loss_fn, params, task, stages = smooth_problem()
    backbone, gates = stages
    after_first = adapt(loss_fn, params, task.support, (backbone,))
    after_both = adapt(loss_fn, params, task.support, stages)
    assert all(torch.equal(after_first[name], params[name]) for name in gates.parameters)
    assert all(torch.equal(after_both[name], after_first[name]) for name in backbone.parameters)
    reverse = adapt(loss_fn, params, task.support, (gates, backbone))
    assert any(not torch.equal(reverse[name], after_both[name]) for name in params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": "p"}, r"`parameters` \(='p'\) must be a frozenset"),
        ({"parameters": frozenset()}, r"`parameters` \(=frozenset\(\)\) of stage 'all' must not be empty"),
        ({"learning_rate": -0.1}, "-0.1"),
        ({"learning_rate": float("nan")}, "nan"),
        ({"learning_rate": float("inf")}, "inf"),
        ({"learning_rate": np.float64("nan")}, "nan"),
        ({"steps": -1}, "-1"),
        ({"steps": 1.5}, "1.5"),
        ({"steps": True}, "True"),
    ],
)
def test_a_stage_that_makes_no_sense_is_refused(change, message):
    fields = {"name": "all", "parameters": frozenset({"p"}), "learning_rate": 0.1} | change
    with pytest.raises(ValueError, match=message):
        Stage(**fields)


def test_numbers_of_numpy_make_the_stage_that_pythons_make():
    stage = Stage("all", (name for name in "p"), np.float64(0.25), np.int64(2))
    assert stage == Stage("all", frozenset({"p"}), 0.25, 2)
    assert (type(stage.learning_rate), type(stage.steps)) == (float, int)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_where_none_are_recorded(mode):
    """The parameters and the task may be made there, too; outside, what is recorded is as it was."""
    loss_fn, params, task, stages = smooth_problem()
    adapted, (gradient, _) = adapt(loss_fn, params, task.support, stages), meta_gradient(loss_fn, params, task, stages)
    with mode():
        loss_fn, params, task, stages = smooth_problem()
        there = adapt(loss_fn, params, task.support, stages), meta_gradient(loss_fn, params, task, stages)[0]
        assert not torch.is_grad_enabled()
    for ours, theirs in zip((adapted, gradient), there, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def both(loss_fn, params, task, stages):
    """Adaptation and the meta-gradient, to be called one after the other."""
    return lambda: adapt(loss_fn, params, task.support, stages), lambda: meta_gradient(loss_fn, params, task, stages)


def bare(params, batch):
    return params["p"].sum()


def one_each(params, batch):
    return params["p"] ** 2, {}


def nothing(params, batch):
    return params["p"][:0], {}


def detached(params, batch):
    return params["p"].detach().sum(), {}


@pytest.mark.parametrize(
    ("loss_fn", "error", "message"),
    [
        (bare, TypeError, r"bare returned a Tensor: need \(loss, metrics\)"),
        (lambda params, batch: (1.0, {}), TypeError, r"<lambda> returned a tuple: need \(loss, metrics\)"),
        (lambda params, batch: params["p"] ** 2, TypeError, "<lambda> returned a Tensor"),  # of two, which unpack
        (one_each, ValueError, r"one_each is of shape \(2,\): need a scalar"),
        (nothing, ValueError, r"nothing is of shape \(0,\): need a scalar"),
        (detached, ValueError, "detached does not depend on the parameters"),
    ],
)
def test_what_is_no_loss_is_refused_by_its_name(loss_fn, error, message):
    task, stages = SimpleNamespace(support=None, query=None), (Stage("all", frozenset({"p"}), 0.5),)
    for call in both(loss_fn, {"p": torch.ones(2)}, task, stages):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("name", ["meta.weight", "meta.rate.nothing", "meta.rate.meta.price"])
def test_a_name_that_is_kept_is_refused_and_not_dropped(name):
    loss_fn, params, task, stages = smooth_problem()
    for call in both(loss_fn, params | {name: torch.ones(())}, task, stages):
        with pytest.raises(ValueError, match=rf"\['{name}'\]: names beginning with 'meta.' are kept"):
            call()


def test_parameters_that_cannot_be_learnt_are_refused_by_name():
    def loss_fn(params, batch):
        return functional_call(net, params, (torch.rand(3, 2),)).sum(), {}

    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    task, stages = SimpleNamespace(support=None, query=None), (Stage("all", frozenset({"0.weight"}), 0.5),)
    for wrong, error, message in (
        (net.state_dict(), ValueError, r"'1.num_batches_tracked' is of torch\.int64.*named_parameters"),
        (dict(net.named_parameters()) | {"rate": 0.5}, TypeError, "'rate' is a float"),
    ):
        for call in both(loss_fn, wrong, task, stages):
            with pytest.raises(error, match=message):
                call()
    for call in both(loss_fn, dict(net.named_parameters()), task, (*stages, Stage("gates", frozenset({"phi"}), 0.5))):
        with pytest.raises(ValueError, match=r"stage 'gates' moves unknown parameters \['phi'\]; there are \['0.bias'"):
            call()
