"""Freezing: a task's network loses the filters it never opens, and answers on that task as before."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call

from mglib.nets import dense_macs, freeze, macs_per_layer, make_net
from mglib.nets.freezing import filters_left, thinned

CLOSED, MOSTLY_CLOSED, HALF_OPEN, OPEN = -1e3, -2.0, 0.0, 1e3  # biases of gates whose weights are drawn at random
NETS = {
    "width": st.integers(1, 12),
    "biases": st.lists(st.sampled_from([CLOSED, MOSTLY_CLOSED, HALF_OPEN, OPEN]), min_size=1, max_size=3),
    "image_size": st.integers(1, 30),
    "channels": st.sampled_from([1, 3]),
    "batch": st.integers(1, 6),
    "seed": st.integers(0, 2**31),
}


def drawn(width, biases, image_size, channels, batch, seed):
    """A network of as many layers as biases, its parameters in double precision, and a batch of images."""
    sizes = {"width": width, "depth": len(biases), "image_size": image_size, "channels": channels}
    net, params = make_net(seed % 7, **sizes)
    generator = torch.Generator().manual_seed(seed)
    params = {name: value.double() for name, value in params.items()}
    for index, name in enumerate(net.convolutions()):
        weight, bias = (f"{name}.gate.linear.{part}" for part in ("weight", "bias"))
        params[weight] = torch.randn(params[weight].shape, generator=generator, dtype=torch.double)
        params[bias] = torch.randn(width, generator=generator, dtype=torch.double)
        params[bias] += biases[index]
        params[f"{name}.shift"] = torch.randn(width, generator=generator, dtype=torch.double)
    images = torch.rand(batch, channels, image_size, image_size, generator=generator, dtype=torch.double)
    return net, params, images


@settings(max_examples=150)
@given(**NETS)
def test_a_frozen_network_answers_the_same_on_its_support_set(**sizes):
    net, params, images = drawn(**sizes)
    before = functional_call(net, params, (images,))
    small = freeze(net, params, before)
    for statistics in (small.statistics, None):  # those it was given, and those of the batch itself
        after = functional_call(small.net, small.params, (images, statistics))
        torch.testing.assert_close(after.logits, before.logits, atol=1e-6, rtol=1e-6)
        for index, (gate, whole) in enumerate(zip(after.gates, before.gates, strict=True)):
            assert torch.equal(gate, whole[:, small.kept[index]])


@settings(max_examples=60)
@given(**NETS)
def test_what_is_left_was_opened_by_some_image_and_nothing_else_is(**sizes):
    net, params, images = drawn(**sizes)
    prediction = functional_call(net, params, (images,))
    small = freeze(net, params, prediction)
    for position, kept in small.kept.items():
        opened = prediction.gates[position].any(0).nonzero()[:, 0].tolist()
        assert kept.tolist() == (opened or [0]), "a layer that opens nothing keeps one filter"
    shapes = {name: value.shape for name, value in small.net.named_parameters()}
    assert {name: value.shape for name, value in small.params.items()} == shapes
    assert [mean.shape for mean, _ in small.statistics] == [
        (layer.conv.out_channels,) for layer in small.net.convolutions().values()
    ]


@settings(max_examples=60)
@given(second=st.integers(0, 2**31), **NETS)
def test_a_frozen_network_may_be_frozen_again_for_a_part_of_its_task(second, **sizes):
    net, params, images = drawn(**sizes)
    once = freeze(net, params, functional_call(net, params, (images,)))
    part = images[: 1 + second % len(images)]
    of_part = functional_call(once.net, once.params, (part, once.statistics))
    twice = freeze(once.net, once.params, of_part)
    again = functional_call(twice.net, twice.params, (part, twice.statistics))
    torch.testing.assert_close(again.logits, of_part.logits, atol=1e-6, rtol=1e-6)
    assert dense_macs(twice.net.costs) == dense_macs(net.costs)


@settings(max_examples=60)
@given(**NETS)
def test_macs_of_a_frozen_network_are_measured_against_the_whole_dense_one(**sizes):
    """On the support set the convolutions cost what they did, for closed filters cost nothing; the gates cost less."""
    net, params, images = drawn(**sizes)
    before = functional_call(net, params, (images,))
    small = freeze(net, params, before)
    after = functional_call(small.net, small.params, (images, small.statistics))
    assert dense_macs(small.net.costs) == dense_macs(net.costs)
    saved = macs_per_layer(net.costs, before.gates) - macs_per_layer(small.net.costs, after.gates)
    weights = [name for name in params if name.endswith("gate.linear.weight")]
    assert saved.sum(1).tolist() == [sum(params[n].numel() - small.params[n].numel() for n in weights)] * len(images)


def test_a_network_that_opens_everything_keeps_everything():
    net, params, images = drawn(8, [OPEN, OPEN], 28, 1, 5, 0)
    small = freeze(net, params, functional_call(net, params, (images,)))
    assert [len(kept) for kept in small.kept.values()] == [8, 8]
    assert all(torch.equal(small.params[name], params[name]) for name in params)


def test_a_dense_network_has_nothing_to_freeze():
    net, params = make_net(0, gated=False)
    prediction = functional_call(net, params, (torch.rand(3, 1, 28, 28),))
    small = freeze(net, params, prediction)
    assert small.net is net
    assert small.params == params
    assert small.kept == {}


def test_freezing_leaves_the_whole_network_and_the_global_generator_alone():
    net, params, images = drawn(8, [MOSTLY_CLOSED] * 3, 28, 1, 5, 0)
    before = {name: value.clone() for name, value in params.items()}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    freeze(net, params, functional_call(net, params, (images,)))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(before[name], params[name]) for name in before)


@pytest.mark.parametrize("kept", [(3, 3), (3, 0, 3), (3, 33, 3), (3, 2.5, 3)])
def test_more_filters_than_there_were_cannot_be_kept(kept):
    net, _ = make_net(0, depth=3)
    with pytest.raises(ValueError, match=r"`kept` \(=.*(3 numbers|whole number from 1 to 32)"):
        thinned(net, kept)


def test_a_frozen_network_can_be_made_again_from_what_it_kept():
    net, params, images = drawn(8, [MOSTLY_CLOSED, HALF_OPEN], 28, 1, 5, 0)
    small = freeze(net, params, functional_call(net, params, (images,)))
    assert filters_left(small.net) == tuple(len(rows) for rows in small.kept.values())
    assert filters_left(net) is None
    again = thinned(net, filters_left(small.net))
    assert again.costs == small.net.costs
    answers = [functional_call(n, small.params, (images, small.statistics)).logits for n in (small.net, again)]
    assert torch.equal(*answers)
