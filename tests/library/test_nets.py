"""Gated networks: binary gates, honest costs, and answers that depend on nothing but the call."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from mglib.nets import (
    Objective,
    annealed_budget,
    dense_macs,
    gumbel,
    macs_per_layer,
    macs_ratio,
    make_net,
    straight_through,
)
from mglib.tasks.episodes import Batch

SIZES = [
    {},
    {"width": 8, "depth": 3, "image_size": 21, "channels": 3, "ways": 7},
    {"width": 5, "depth": 1, "image_size": 9},
]


def half_open(net, params, seed=0):
    """The parameters with gate heads drawn at random, so that about half of the filters open."""
    generator = torch.Generator().manual_seed(seed)
    gates = net.gate_names()
    return {n: torch.randn(v.shape, generator=generator) if n in gates else v for n, v in params.items()}


def images_for(net, batch=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, net.channels, net.image_size, net.image_size, generator=generator)


def test_macs_equal_the_hand_count():
    """Four 3×3 stride-2 convolutions of 32 filters on 28×28, which become 14, 7, 4 and 2 pixels a side."""
    by_hand = [
        9 * 1 * 32 * 14 * 14 + 16 * 32,  # the first gate reads 4×4 cells of one channel
        9 * 32 * 32 * 7 * 7 + 32 * 32,
        9 * 32 * 32 * 4 * 4 + 32 * 32,
        9 * 32 * 32 * 2 * 2 + 32 * 32,
        32 * 2 * 2 * 5,  # the head has no gate
    ]
    net, params = make_net(0)
    gates = functional_call(net, params, (images_for(net, 1),)).gates
    assert macs_per_layer(net.costs, gates).tolist() == [by_hand]
    assert dense_macs(net.costs) == sum(by_hand) - 16 * 32 - 3 * 32 * 32


def test_macs_of_a_closed_filter_are_saved_where_it_is_written_and_where_it_is_read():
    net, _ = make_net(0)
    gates = [torch.ones(1, 32) for _ in range(4)]
    open_macs = macs_per_layer(net.costs, gates)[0]
    gates[1][0, :8] = 0
    saved = open_macs - macs_per_layer(net.costs, gates)[0]
    assert saved.tolist() == [0, 9 * 49 * 32 * 8, 9 * 16 * 8 * 32, 0, 0]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("gated", [True, False])
def test_macs_with_everything_open_are_half_of_torchs_flops(sizes, gated):
    net, params = make_net(0, gated=gated, **sizes)
    images = images_for(net, 1)
    with FlopCounterMode(display=False) as counter:
        prediction = functional_call(net, params, (images,))
    assert macs_per_layer(net.costs, prediction.gates).sum() == counter.get_total_flops() / 2
    assert len(prediction.gates) == (len(net.costs) - 1) * gated


@pytest.mark.parametrize("sizes", SIZES)
def test_every_gate_is_open_at_the_start(sizes):
    net, params = make_net(0, **sizes)
    assert all((gate == 1).all() for gate in functional_call(net, params, (images_for(net),)).gates)


@pytest.mark.parametrize("sizes", SIZES)
def test_open_gates_change_nothing_the_dense_network_is_the_same_class(sizes):
    net, params = make_net(0, **sizes)
    dense, _ = make_net(0, gated=False, **sizes)
    backbone = {name: value for name, value in params.items() if name not in net.gate_names()}
    images = images_for(net)
    gated_logits = functional_call(net, params, (images,)).logits
    torch.testing.assert_close(gated_logits, functional_call(dense, backbone, (images,)).logits)


@pytest.mark.parametrize("sizes", SIZES)
def test_gates_are_binary_and_depend_on_the_input(sizes):
    net, params = make_net(0, **sizes)
    gates = functional_call(net, half_open(net, params), (images_for(net, 16),)).gates
    assert all(((gate == 0) | (gate == 1)).all() for gate in gates)
    assert any((gate != gate[0]).any() for gate in gates)


def test_a_closed_filter_gives_a_map_of_zeros():
    net, _ = make_net(0)
    with torch.no_grad():
        net.layers[0].gate.linear.bias[3] = -1.0
    maps, gate, _ = net.layers[0](images_for(net), None, None)
    assert (gate[:, 3] == 0).all()
    assert (maps[:, 3] == 0).all()
    assert (maps[:, 4] != 0).any()


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.integers(1, 40), st.integers(0, 2**31))
def test_macs_of_random_gates_equal_a_count_filter_by_filter(batch, width, depth, image_size, seed):
    net, _ = make_net(0, width=width, depth=depth, image_size=image_size)
    generator = torch.Generator().manual_seed(seed)
    gates = [torch.randint(0, 2, (batch, width), generator=generator).float() for _ in range(depth)]
    for example in range(batch):
        count, inputs, size = 0, 1, image_size
        for index, gate in enumerate(gates):
            size = -(-size // 2)
            filters = int(gate[example].sum())
            count += 9 * size * size * inputs * filters + width * (16 if index == 0 else width)
            inputs = filters
        count += inputs * size * size * 5
        assert int(macs_per_layer(net.costs, gates)[example].sum()) == count


def test_straight_through_is_a_step_forward_and_a_sigmoid_backward():
    logits = torch.linspace(-4, 4, 33, dtype=torch.double, requires_grad=True)
    gate = straight_through(logits)
    assert torch.equal(gate, (logits > 0).double())
    (slope,) = torch.autograd.grad(gate.sum(), logits, create_graph=True)
    soft = torch.sigmoid(logits)
    torch.testing.assert_close(slope, soft * (1 - soft))
    assert torch.autograd.grad(slope.sum(), logits)[0].abs().sum() > 0, "second order flows too"


def test_gumbel_gates_are_binary_and_open_with_the_sigmoids_probability():
    logits = torch.tensor([-2.0, 0.0, 1.0]).expand(20_000, 3)
    gate = gumbel(logits, torch.Generator().manual_seed(0))
    assert ((gate == 0) | (gate == 1)).all()
    torch.testing.assert_close(gate.mean(0), torch.sigmoid(logits[0]), atol=0.015, rtol=0)


def test_gumbel_gates_keep_the_sigmoids_probability_far_out():
    logits = torch.tensor([-6.0, 6.0]).expand(200_000, 2)
    opened = gumbel(logits, torch.Generator().manual_seed(0)).mean(0)
    torch.testing.assert_close(opened, torch.sigmoid(logits[0]), atol=6e-4, rtol=0)


def test_noise_is_drawn_only_when_asked_for_and_is_repeatable():
    net, params = make_net(0)
    images = images_for(net)
    quiet = [functional_call(net, params, (images,)).logits for _ in range(2)]
    assert torch.equal(*quiet)
    noisy = [
        functional_call(net, params, (images, None, torch.Generator().manual_seed(seed))).logits for seed in (1, 1, 2)
    ]
    assert torch.equal(noisy[0], noisy[1])
    assert not torch.equal(noisy[0], noisy[2])
    assert not torch.equal(noisy[0], quiet[0])


def test_the_default_network_draws_no_noise_in_its_objective():
    net, params = make_net(0)
    batch = Batch(images_for(net, 5), torch.arange(5))
    assert torch.equal(Objective(net)(params, batch)[0], Objective(net)(params, batch)[0])


def test_a_support_sets_statistics_are_drawn_with_the_noise():
    net, params = make_net(0)
    params, support, queries = half_open(net, params), images_for(net, 5, seed=1), images_for(net, 9, seed=2)
    batch = Batch(queries, torch.zeros(9, dtype=torch.long), support)
    found = Objective(net, noise=torch.Generator().manual_seed(0)).predict(params, batch)
    noise = torch.Generator().manual_seed(0)
    statistics = functional_call(net, params, (support, None, noise)).statistics
    assert torch.equal(found.logits, functional_call(net, params, (queries, statistics, noise)).logits)


def test_a_prediction_never_depends_on_the_other_queries():
    net, params = make_net(0)
    params, support, queries = half_open(net, params), images_for(net, 5, seed=1), images_for(net, 9, seed=2)
    objective, labels = Objective(net), torch.zeros(9, dtype=torch.long)
    together = objective.predict(params, Batch(queries, labels, support_images=support))
    for index in range(9):
        alone = objective.predict(params, Batch(queries[index : index + 1], labels[:1], support_images=support))
        torch.testing.assert_close(alone.logits[0], together.logits[index])
        assert all(torch.equal(a[0], t[index]) for a, t in zip(alone.gates, together.gates, strict=True))


def test_a_batch_without_context_is_normalised_by_itself():
    net, params = make_net(0)
    images = images_for(net, 6)
    objective, labels = Objective(net), torch.zeros(6, dtype=torch.long)
    own = objective.predict(params, Batch(images, labels))
    same = objective.predict(params, Batch(images, labels, support_images=images))
    torch.testing.assert_close(own.logits, same.logits)
    alone = objective.predict(params, Batch(images[:3], labels[:3]))
    assert not torch.allclose(alone.logits, own.logits[:3])


def test_networks_hold_no_buffers_and_calls_leave_no_trace():
    net, params = make_net(0)
    assert not list(net.buffers())
    before = {name: value.clone() for name, value in params.items()}
    functional_call(net, params, (images_for(net),))
    assert all(torch.equal(before[name], params[name]) for name in params)


def test_same_seed_same_network_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (make_net(seed)[1] for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_kernels_start_at_the_deviation_that_relu_asks_for():
    """He et al., 2015: √(2 / inputs), 9 pixels of each channel being the inputs."""
    _, params = make_net(0, width=64)
    assert float(params["layers.1.conv.weight"].std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


def test_budget_hinge_charges_what_is_over_and_nothing_below():
    net, params = make_net(0)
    batch = Batch(images_for(net, 5), torch.arange(5))
    free, _ = Objective(net, budget=1.0, penalty=0.0)(params, batch)
    tight, metrics = Objective(net, budget=0.6, penalty=2.0)(params, batch)
    torch.testing.assert_close(tight - free, 2.0 * (metrics["macs_ratio"] - 0.6))
    closed = {n: v - 2.0 if n in net.gate_names() and n.endswith("bias") else v for n, v in params.items()}
    free, _ = Objective(net, budget=1.0, penalty=0.0)(closed, batch)
    slack, _ = Objective(net, budget=0.6, penalty=2.0)(closed, batch)
    assert torch.equal(slack, free)


def test_the_open_rate_is_the_share_of_open_filters():
    net, params = make_net(0, width=4, depth=2)
    batch = Batch(images_for(net, 5), torch.arange(5))
    assert Objective(net)(params, batch)[1]["open_rate"] == 1
    params["layers.1.gate.linear.bias"][:3] = -1.0
    assert Objective(net)(params, batch)[1]["open_rate"] == 5 / 8
    dense, backbone = make_net(0, width=4, depth=2, gated=False)
    assert Objective(dense)(backbone, batch)[1]["open_rate"] == 1


def test_metrics_are_detached_from_the_parameters():
    net, params = make_net(0)
    leaves = {name: value.requires_grad_() for name, value in params.items()}
    _, metrics = Objective(net)(leaves, Batch(images_for(net, 5), torch.arange(5)))
    assert [name for name, value in metrics.items() if value.requires_grad] == []


def test_the_budget_reaches_every_gate_with_a_gradient():
    net, params = make_net(0)
    leaves = {name: value.requires_grad_() for name, value in params.items()}
    gates = functional_call(net, leaves, (images_for(net),)).gates
    macs_ratio(net.costs, gates).mean().backward()
    assert all((leaves[f"layers.{index}.gate.linear.bias"].grad > 0).all() for index in range(4))


def test_macs_without_the_gates_of_a_layer_are_refused():
    net, _ = make_net(0, depth=2)
    for gates in ((), (torch.ones(1, 32),)):
        with pytest.raises(ValueError, match=f"gates of {len(gates)} layers: need those of 2"):
            macs_ratio(net.costs, gates)


def test_the_budget_falls_from_everything_to_its_value():
    assert annealed_budget(0.4, 0.0) == 1.0
    assert annealed_budget(0.4, 0.25) == pytest.approx(0.7)
    assert annealed_budget(0.4, 0.5) == annealed_budget(0.4, 1.0) == pytest.approx(0.4)


@pytest.mark.parametrize(("progress", "share"), [(0.3, 0), (0.3, -1), (-0.1, 0.5), (1.1, 0.5), (float("nan"), 0.5)])
def test_a_budget_at_no_moment_of_the_training_is_refused(progress, share):
    with pytest.raises(ValueError, match=rf"`progress` \(={progress}\) .*`share` \(={share}\)"):
        annealed_budget(0.5, progress, share)


@pytest.mark.parametrize("budget", [0.0, -0.5, 1.01, float("nan"), float("inf")])
def test_a_budget_that_is_no_share_is_refused(budget):
    net, _ = make_net(0)
    with pytest.raises(ValueError, match=rf"`budget` \(={budget}\) must be (in \(0, 1\]|a finite number)"):
        Objective(net, budget=budget)
    with pytest.raises(ValueError, match=r"budget.*\(0, 1\]"):
        annealed_budget(budget, 0.5)


def test_sizes_that_make_no_network_are_refused():
    with pytest.raises(ValueError, match=r"`width` \(=0\)"):
        make_net(0, width=0)
    with pytest.raises(ValueError, match=r"`depth` \(=2.5\)"):
        make_net(0, depth=2.5)
    for wrong in (np.float64(3), True, np.True_, "3", None):
        with pytest.raises(ValueError, match=r"`ways` \(=.*whole number"):
            make_net(0, ways=wrong)
    for wrong in (-1.0, np.float64("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"`penalty` \(="):
            Objective(make_net(0)[0], penalty=wrong)
    net, params = make_net(0)
    with pytest.raises(ValueError, match=r"\(2, 3, 28, 28\).*1, 28, 28"):
        functional_call(net, params, (torch.zeros(2, 3, 28, 28),))


def test_whole_numbers_of_any_type_make_the_same_network():
    plain = dict(ways=3, width=4, depth=2, image_size=8, channels=1)
    net, params = make_net(0, **{name: np.uint8(size) for name, size in plain.items()})
    same, expected = make_net(0, **plain)
    assert all(torch.equal(params[name], expected[name]) for name in expected)
    assert net.costs == same.costs
    assert [type(number) for number in (net.image_size, net.channels)] == [int, int]
    assert [type(cost.in_channels) for cost in net.costs] == [int] * len(net.costs)
    objective = Objective(net, budget=np.float64(0.5), penalty=np.int64(2))
    assert (type(objective.budget), type(objective.penalty)) == (float, float)
