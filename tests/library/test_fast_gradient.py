"""The fast path of the meta-gradient gives what the clear one gives, and counts fewer operations."""

import dataclasses

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mglib import Batch, Objective, Stage, Task, adapt, fast_meta_gradient, freeze, make_net, meta_gradient
from mglib.fast import Derivatives, has_closed_form
from mglib.meta.adapt import differentiate, start_of_rates
from mglib.params import PRICE, detach
from mglib.training import Recipe
from mglib.training.algorithms import stages_of


def problem(
    width=5, depth=3, image_size=9, channels=2, ways=3, shots=2, queries=4, gated=True, budget=0.4, seed=0, learnt=False
):
    """An objective with gates of all kinds, parameters in double precision, a task of noise, and the usual stages."""
    net, params = make_net(
        seed,
        ways=ways,
        width=width,
        depth=depth,
        image_size=image_size,
        channels=channels,
        gated=gated,
    )
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.double)

    params = {name: value.double() + 0.3 * noise(*value.shape) for name, value in params.items()}
    support = Batch(noise(ways * shots, channels, image_size, image_size), torch.arange(ways).repeat_interleave(shots))
    images = noise(ways * queries, channels, image_size, image_size)
    query = Batch(images, torch.arange(ways).repeat_interleave(queries), support.images)
    method = "metagater" if gated else "maml"
    stages = stages_of(Recipe(method=method, backbone_learning_rate=0.3, gate_learning_rate=0.5), net)
    if learnt:  # the rates, and the price of the budget
        params |= {name: noise(1)[0] for name in start_of_rates(stages)} | {PRICE: noise(1)[0]}
    return Objective(net.double(), budget, 2.0), params, Task("noise", tuple("abc"), support, query), stages


def assert_same(ours, theirs, tolerance=1e-6):
    """Each tensor by its own size; one that is nought because large terms cancel, by the last digits of the largest."""
    assert list(ours) == list(theirs)
    largest = max(1.0, *(float(value.abs().max()) for value in theirs.values()))
    for name, value in theirs.items():
        assert ours[name].shape == value.shape
        own = tolerance * float(value.abs().max())
        torch.testing.assert_close(ours[name], value, rtol=tolerance, atol=own + 1e-12 * largest)


@settings(max_examples=40)
@given(
    width=st.integers(1, 7),
    depth=st.integers(1, 4),
    image_size=st.integers(4, 13),
    channels=st.sampled_from([1, 3]),
    shots=st.integers(1, 3),
    gated=st.booleans(),
    budget=st.sampled_from([0.05, 0.4, 1.0]),
    second_order=st.booleans(),
    learnt=st.booleans(),
    seed=st.integers(0, 10**6),
)
@example(  # one filter a layer, one pixel: gradients of a million, and one of nought
    width=1,
    depth=4,
    image_size=4,
    channels=3,
    shots=1,
    gated=True,
    budget=0.05,
    second_order=False,
    learnt=False,
    seed=1363,
)
def test_the_fast_path_equals_the_clear_one(second_order, **sizes):
    objective, params, task, stages = problem(**sizes)
    ours, seen = fast_meta_gradient(objective, params, task, stages, second_order=second_order)
    theirs, expected = meta_gradient(objective, params, task, stages, second_order=second_order)
    assert_same(ours, theirs)
    assert seen.keys() == expected.keys()
    for name in expected:
        assert float(seen[name]) == pytest.approx(float(expected[name]), rel=1e-6)


@pytest.mark.parametrize("gated", [True, False])
def test_any_stages_in_any_order(gated):
    objective, params, task, _ = problem(gated=gated)
    head = frozenset({"head.weight", "head.bias"})
    first = frozenset(name for name in params if name.startswith("layers.0"))
    stages = (Stage("first", first, 0.2, steps=2), Stage("head", head, 0.4), Stage("all", frozenset(params), 0.1))
    ours, _ = fast_meta_gradient(objective, params, task, stages)
    assert_same(ours, meta_gradient(objective, params, task, stages)[0])


@pytest.mark.parametrize("function", [meta_gradient, fast_meta_gradient])
def test_stages_may_come_one_by_one_and_parameters_are_a_dict(function):
    objective, params, task, stages = problem()
    several, given = (function(objective, params, task, each)[0] for each in (stages, iter(stages)))
    assert all(torch.equal(given[name], several[name]) for name in params)
    for walk in (stages, ()):
        with pytest.raises(TypeError, match=r"the parameters are a generator: need a dict, such as `dict\(net\.named"):
            function(objective, (pair for pair in params.items()), task, walk)


def test_a_closed_and_an_open_layer():
    objective, params, task, stages = problem()
    params["layers.1.gate.linear.bias"] = torch.full_like(params["layers.1.gate.linear.bias"], -50.0)
    params["layers.2.gate.linear.bias"] = torch.full_like(params["layers.2.gate.linear.bias"], 50.0)
    ours, _ = fast_meta_gradient(objective, params, task, stages)
    assert_same(ours, meta_gradient(objective, params, task, stages)[0])


def test_the_two_paths_agree_where_the_budget_is_spent_exactly():
    objective, params, task, _ = problem()
    exact = float(objective(params, task.query)[1]["macs_ratio"])
    objective = dataclasses.replace(objective, budget=exact)
    ours, _ = fast_meta_gradient(objective, params, task, ())
    assert_same(ours, meta_gradient(objective, params, task, ())[0])


def test_pieces_of_the_query_set_add_up_to_the_whole(monkeypatch):
    objective, params, task, _ = problem(queries=9)
    whole = Derivatives(objective, params, task.query)
    monkeypatch.setattr("mglib.fast.derivatives.PIXELS_AT_ONCE", 1)
    pieces = Derivatives(objective, params, task.query)
    assert len(whole._pieces) == 1
    assert len(pieces._pieces) == 4
    assert_same(pieces.gradient, whole.gradient, 1e-12)


def test_single_precision_agrees_within_its_rounding():
    objective, params, task, stages = problem(width=16, image_size=28, channels=1, queries=15, gated=False)
    params = {name: value.float() for name, value in params.items()}
    net = objective.net.float()
    support = Batch(task.support.images.float(), task.support.labels)
    task = dataclasses.replace(
        task, support=support, query=Batch(task.query.images.float(), task.query.labels, support.images)
    )
    objective = dataclasses.replace(objective, net=net)
    ours, _ = fast_meta_gradient(objective, params, task, stages)
    assert_same(ours, meta_gradient(objective, params, task, stages)[0], 1e-3)


def test_what_has_no_closed_form_takes_the_clear_path():
    objective, params, task, stages = problem()
    noisy = dataclasses.replace(objective, noise=torch.Generator().manual_seed(1))
    assert not has_closed_form(noisy)
    with pytest.raises(ValueError, match="closed forms"):
        Derivatives(noisy, params, task.support)
    ours, _ = fast_meta_gradient(noisy, params, task, stages)
    again = dataclasses.replace(objective, noise=torch.Generator().manual_seed(1))
    assert_same(ours, meta_gradient(again, params, task, stages)[0], 0)
    assert not has_closed_form(lambda params, batch: None)


def test_a_frozen_network_takes_the_clear_path():
    objective, params, task, _ = problem(width=6)
    params["layers.0.gate.linear.bias"] = torch.tensor([-50.0, 1, 1, 1, 1, 1], dtype=torch.double)
    frozen = freeze(objective.net, params, objective.predict(params, task.support))
    assert not has_closed_form(Objective(frozen.net))


def test_a_support_set_with_a_context_takes_the_clear_path():
    objective, params, task, stages = problem()
    support = dataclasses.replace(task.support, support_images=task.query.images)
    task = dataclasses.replace(task, support=support)
    ours, _ = fast_meta_gradient(objective, params, task, stages)
    assert_same(ours, meta_gradient(objective, params, task, stages)[0])


def test_no_hessian_through_a_context():
    objective, params, task, _ = problem()
    with pytest.raises(ValueError, match="normalises itself"):
        Derivatives(objective, params, task.query).hessian_vector(params)


def test_the_hessian_is_symmetric_and_the_difference_of_gradients():
    objective, params, task, _ = problem(gated=False)
    here = Derivatives(objective, params, task.support)
    generator = torch.Generator().manual_seed(1)
    one, other = (
        {name: torch.randn(value.shape, generator=generator, dtype=torch.double) for name, value in params.items()}
        for _ in range(2)
    )

    def product(left, right):
        return sum(float((left[name] * right[name]).sum()) for name in left)

    assert product(here.hessian_vector(one), other) == pytest.approx(product(here.hessian_vector(other), one))
    ahead, behind = (
        Derivatives(objective, {n: v + step * one[n] for n, v in params.items()}, task.support).gradient
        for step in (1e-6, -1e-6)
    )
    difference = {name: (ahead[name] - behind[name]) / 2e-6 for name in params}
    assert_same(here.hessian_vector(one), difference, 1e-4)


class Operations(TorchDispatchMode):
    """Counts operations by name, those of the backward pass too."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += 1
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("gated", [True, False])
def test_the_fast_path_takes_fewer_operations_and_no_more_arithmetic(gated):
    objective, params, task, stages = problem(width=8, depth=4, image_size=16, gated=gated, queries=3)
    operations, arithmetic = {}, {}
    for function in (meta_gradient, fast_meta_gradient):
        with Operations() as counted:
            function(objective, params, task, stages)
        operations[function] = counted.count
        with FlopCounterMode(display=False) as flops:
            function(objective, params, task, stages)
        arithmetic[function] = flops.get_total_flops()
    assert operations[fast_meta_gradient] < 0.7 * operations[meta_gradient]
    assert arithmetic[fast_meta_gradient] <= arithmetic[meta_gradient]


def test_operations_grow_with_the_steps_and_not_faster():
    objective, params, task, stages = problem(queries=3)
    counts = []
    for steps in (1, 2, 3):
        longer = tuple(dataclasses.replace(stage, steps=steps) for stage in stages)
        with Operations() as counted:
            fast_meta_gradient(objective, detach(params), task, longer)
        counts.append(counted.count)
    assert counts[2] - counts[1] == counts[1] - counts[0]


def test_the_closed_form_is_autograds_for_any_names():
    objective, params, task, stages = problem()
    names = stages[0].parameters
    fast = Derivatives(objective, params, task.support, names)
    _, clear, metrics = differentiate(objective, params, task.support, names)
    assert_same(fast.gradient, clear)
    torch.testing.assert_close(fast.metrics["loss"], metrics["loss"])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_fast_path_is_taken_where_nothing_is_recorded(mode):
    def everything():
        objective, params, task, stages = problem()
        noisy = dataclasses.replace(objective, noise=torch.Generator().manual_seed(0))  # the clear path
        return [
            fast_meta_gradient(objective, params, task, stages)[0],
            fast_meta_gradient(noisy, params, task, stages)[0],
        ]

    outside = everything()
    with mode():
        inside = everything()
    for ours, theirs in zip(inside, outside, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("second_order", [True, False])
def test_what_is_returned_holds_no_graph_whatever_came_in(gated, second_order):
    objective, params, task, stages = problem(gated=gated, learnt=True)
    params = detach(params, requires_grad=True)
    for function in (meta_gradient, fast_meta_gradient):
        gradient, _ = function(objective, params, task, stages, second_order=second_order)
        assert not [name for name, value in gradient.items() if value.requires_grad], function.__name__
    adapted = adapt(objective, params, task.support, stages)
    assert not [name for name, value in adapted.items() if value.requires_grad]


@pytest.mark.filterwarnings("ignore:var_mean")  # of no image, before its labels are looked at
def test_the_fast_path_refuses_what_the_clear_one_refuses():
    objective, params, task, stages = problem()
    images = task.support.images
    wrong = [
        (dataclasses.replace(task.support, images=changed), stages)
        for changed in (images.float(), images.byte(), images[..., 1:])
    ]
    wrong.append((task.support, (Stage("more", frozenset({"phi"}), 0.5),)))
    labels = task.support.labels
    several = (labels + 1, labels - 1, labels.int(), labels.double(), labels[1:], torch.eye(3)[labels])
    wrong += [(dataclasses.replace(task.support, labels=changed), stages) for changed in several]
    wrong.append((Batch(images[:0], labels[:0]), stages))
    for support, walk in wrong:
        changed = dataclasses.replace(task, support=support)
        told = []
        for function in (fast_meta_gradient, meta_gradient):
            with pytest.raises(ValueError, match=r"images of|labels|stage 'more' moves") as error:
                function(objective, params, changed, walk)
            told.append(str(error.value))
        assert told[0] == told[1]
    with pytest.raises(ValueError, match=r"unknown parameters \['phi'\]"):
        Derivatives(objective, params, task.support, {"phi"})
