"""Skipping answers as masking does, on every input, and multiplies no more than the gates let it."""

import copy
import pickle
from functools import cache
from math import prod
from pathlib import Path
from platform import machine

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from mglib.fast import SkippingNet, compiled, skipping, slicing
from mglib.nets import Prediction, freeze, macs_per_layer, make_net
from mglib.nets.freezing import absent_inputs
from mglib.training import NodeNetwork, Recipe

PATHS = [None, False]  # the fast path where it can be had, and the clear one


class MacsCounter(TorchDispatchMode):
    """Counts the multiply-accumulates of the convolutions and matrix products that are really called."""

    def __init__(self):
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name in ("conv2d", "convolution"):
            self.macs += args[1][0].numel() * result.numel()
        elif name == "linear":
            self.macs += args[1].numel() * len(args[0])
        elif name in ("mm", "addmm"):
            left, right = args[-2:]
            self.macs += prod(left.shape) * right.shape[1]
        else:
            assert not any(part in name for part in ("conv", "mv", "bmm", "matmul", "einsum")), name
        return result


def gated(seed, dtype=torch.double, **sizes):
    """A network with random gates, some layers all open and some all closed, and its support set's statistics."""
    net, params = make_net(seed % 1000, **sizes)
    generator = torch.Generator().manual_seed(seed)
    dim = 10.0 ** -int(torch.randint(4, (), generator=generator))  # so dim that the gates' small constant counts
    for name in params:
        if name.endswith(("scale", "shift")):
            params[name] = dim * torch.randn(params[name].shape, generator=generator)
    for name in sorted(net.gate_names()):
        params[name] = torch.randn(params[name].shape, generator=generator)
        if name.endswith("bias"):
            params[name] += (0.0, 0.0, 0.0, 100.0, -100.0)[int(torch.randint(5, (), generator=generator))]
    params = {name: value.to(dtype) for name, value in params.items()}
    support = torch.rand(5, net.channels, net.image_size, net.image_size, generator=generator, dtype=torch.double)
    statistics = functional_call(net, params, (support.to(dtype),)).statistics
    return net, params, tuple((mean.detach(), variance.detach()) for mean, variance in statistics)


def images_for(net, batch, seed=0, dtype=torch.double):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, net.channels, net.image_size, net.image_size)
    return torch.randn(shape, generator=generator, dtype=torch.double).to(dtype)


def assert_same(skipped, masked, atol=1e-6):
    for mine, its in zip(skipped.gates, masked.gates, strict=True):
        assert torch.equal(mine, its)
    torch.testing.assert_close(skipped.logits, masked.logits, atol=atol, rtol=atol)


@settings(max_examples=60)
@given(
    width=st.integers(1, 12),
    depth=st.integers(1, 4),
    image_size=st.integers(1, 30),
    channels=st.integers(1, 3),
    batch=st.integers(1, 6),
    group_cost=st.sampled_from([-1, slicing.GROUP_COST, 10**15]),
    path=st.sampled_from(PATHS),
    seed=st.integers(0, 2**31),
)
def test_skipping_equals_masking(width, depth, image_size, channels, batch, group_cost, path, seed):
    """Whether the examples go each their own way, all together, or as it pays."""
    net, params, statistics = gated(seed, width=width, depth=depth, image_size=image_size, channels=channels)
    images = images_for(net, batch, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slicing, "GROUP_COST", group_cost)
        skipped = SkippingNet(net, params, statistics, compiled=path)(images)
    assert_same(skipped, functional_call(net, params, (images, statistics)))


@pytest.mark.parametrize("bias", [100.0, -100.0])
@pytest.mark.parametrize("path", PATHS)
def test_layers_all_open_or_all_closed_answer_as_the_masked_ones(bias, path):
    net, params, statistics = gated(0, width=6, image_size=14)
    for closed in (*net.gate_names(), None):
        some = {
            name: torch.full_like(value, bias)
            if name.endswith("gate.linear.bias") and closed in (name, None)
            else value
            for name, value in params.items()
        }
        images = images_for(net, 3)
        masked = functional_call(net, some, (images, statistics))
        assert_same(SkippingNet(net, some, statistics, compiled=path)(images), masked)


@pytest.mark.parametrize("path", PATHS)
def test_slices_of_one_pattern_are_not_taken_for_anothers(path):
    """An all-open and an all-closed layer, and others between, in turns through the same network."""
    net, params, statistics = gated(3, width=5, depth=3, image_size=12)
    for index in range(3):
        params[f"layers.{index}.gate.linear.bias"] = torch.zeros(5, dtype=torch.double)
    params["layers.0.gate.linear.weight"][:] = torch.tensor([1.0] * 8 + [-1.0] * 8)
    params["layers.1.gate.linear.weight"][:] = 0.0
    params["layers.1.gate.linear.bias"][:] = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    network = SkippingNet(net, params, statistics, compiled=path)
    top = torch.zeros(1, 1, 12, 12, dtype=torch.double)
    top[:, :, :6] = 1.0
    seen = set()
    for image in (top, 1 - top, top, *images_for(net, 12).split(1), 1 - top, top, top):
        masked = functional_call(net, params, (image, statistics))
        seen.add(int(masked.gates[0].sum()))
        assert_same(network(image), masked)
    assert seen == {0, 5}


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(PATHS), st.integers(0, 2**31))
def test_skipping_equals_masking_in_floats_too(width, image_size, path, seed):
    """As far as floats go: where a gate's logit is within rounding of zero, another order of adding may open another
    filter, and no answer is further from that in doubles than the masked one's own error suggests."""
    net, params, statistics = gated(seed, torch.float, width=width, image_size=image_size)
    images = images_for(net, 3, seed, torch.float)
    logits = []
    hooks = [
        module.register_forward_hook(lambda *call: logits.append(call[2].detach()))
        for module in net.modules()
        if isinstance(module, torch.nn.Linear) and module is not net.head
    ]
    masked = functional_call(net, params, (images, statistics))
    for hook in hooks:
        hook.remove()
    skipped = SkippingNet(net, params, statistics, compiled=path)(images)
    clear = torch.stack([(layer.abs() > 1e-2).all(1) for layer in logits]).all(0)
    for mine, its in zip(skipped.gates, masked.gates, strict=True):
        assert torch.equal(mine[clear], its[clear])
    doubles = {name: value.double() for name, value in params.items()}
    in_doubles = tuple((mean.double(), variance.double()) for mean, variance in statistics)
    exact = functional_call(net, doubles, (images.double(), in_doubles)).logits[clear]
    error, its_error = ((answer.logits[clear] - exact).abs().sum() for answer in (skipped, masked))
    assert error <= 10 * its_error + 1e-5 * (1 + exact.abs().sum())


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 30), st.integers(1, 3), st.integers(0, 2**31))
def test_an_input_costs_the_multiplications_that_its_gates_let_through(width, image_size, channels, seed):
    net, params, statistics = gated(seed, width=width, image_size=image_size, channels=channels)
    image = images_for(net, 1, seed)
    network = SkippingNet(net, params, statistics, compiled=False)
    with MacsCounter() as counter:
        prediction = network(image)
    assert counter.macs == int(macs_per_layer(net.costs, prediction.gates).sum())


def test_a_batch_that_is_split_costs_the_sum_of_its_inputs_and_keeps_their_order(monkeypatch):
    monkeypatch.setattr(slicing, "GROUP_COST", -1)
    net, params, statistics = gated(1, width=10)
    for name in net.gate_names():
        if name.endswith("bias"):
            params[name] = torch.zeros_like(params[name])
    images = images_for(net, 3).repeat(4, 1, 1, 1)[torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    masked = functional_call(net, params, (images, statistics))
    assert len(torch.cat(masked.gates, 1).unique(dim=0)) == 3
    network = SkippingNet(net, params, statistics, compiled=False)
    with MacsCounter() as counter:
        prediction = network(images)
    assert_same(prediction, masked)
    assert counter.macs == int(macs_per_layer(net.costs, prediction.gates).sum())


def test_inputs_of_one_pattern_share_their_operations():
    net, params, statistics = gated(1, width=10)
    network, image = SkippingNet(net, params, statistics), images_for(net, 1)
    calls = []

    class Calls(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            calls.append(function)
            return function(*args, **(kwargs or {}))

    with Calls():
        network(image.repeat(2, 1, 1, 1))
    two = len(calls)
    with Calls():
        network(image.repeat(50, 1, 1, 1))
    assert len(calls) - two <= two
    assert not any(call.overloadpacket.__name__ in ("mul_", "mul") for call in calls), "nothing to mask"


def test_a_network_without_gates_is_computed_whole():
    net, params, statistics = gated(2, width=7, gated=False)
    images = images_for(net, 4)
    skipped = SkippingNet(net, params, statistics)(images)
    assert skipped.gates == ()
    assert_same(skipped, functional_call(net, params, (images, statistics)))


def test_the_parameters_are_not_touched_and_the_statistics_handed_on():
    net, params, statistics = gated(1)
    before = {name: value.clone() for name, value in params.items()}
    prediction = SkippingNet(net, params, statistics)(images_for(net, 3))
    assert all(torch.equal(before[name], value) for name, value in params.items())
    assert prediction.statistics is statistics


def test_what_cannot_be_skipped_is_refused():
    net, params, statistics = gated(0)
    with pytest.raises(ValueError, match=r"Linear.*GatedConvNet"):
        SkippingNet(torch.nn.Linear(2, 2), {}, ())
    with pytest.raises(ValueError, match=r"3 layers.*has 4"):
        SkippingNet(net, params, statistics[:3])
    with pytest.raises(ValueError, match=r"\(2, 3, 28, 28\).*1, 28, 28"):
        SkippingNet(net, params, statistics)(torch.zeros(2, 3, 28, 28))


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=20)
@given(width=st.integers(8, 16), seed=st.integers(0, 2**31))
def test_skipping_a_frozen_network_equals_masking_it(width, seed, path):
    net, params, _ = gated(seed, width=width, depth=3, image_size=14)
    for name in net.gate_names():
        if name.endswith("bias"):  # some filters never open, the others hang on what the head sees
            params[name] = torch.linspace(-20, 1, width, dtype=torch.double)
    frozen = freeze(net, params, functional_call(net, params, (images_for(net, 3, seed),)))
    assert any(layer.gate and absent_inputs(layer.gate) for layer in frozen.net.convolutions().values())
    images = images_for(net, 50, seed + 1)
    masked = functional_call(frozen.net, frozen.params, (images, frozen.statistics))
    assert_same(SkippingNet(frozen.net, frozen.params, frozen.statistics, compiled=path)(images), masked)


HAS_COMPILER = compiled.library(torch.float32) is not None


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler")
@settings(max_examples=40)
@given(
    width=st.integers(1, 40),
    depth=st.integers(1, 4),
    image_size=st.integers(1, 40),
    channels=st.integers(1, 3),
    batch=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_reading_in_place_equals_slicing(width, depth, image_size, channels, batch, seed):
    net, params, statistics = gated(seed, width=width, depth=depth, image_size=image_size, channels=channels)
    images = images_for(net, batch, seed)
    fast = SkippingNet(net, params, statistics, compiled=True)
    slow = SkippingNet(net, params, statistics, compiled=False)
    assert_same(fast(images), slow(images))
    assert_same(fast(images), slow(images))  # what the first call left in its memory changes nothing


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler")
def test_the_c_writes_nowhere_but_in_its_room():
    net, params, statistics = gated(3, width=9, depth=3, image_size=11)
    fast = SkippingNet(net, params, statistics, compiled=True)._compiled
    around = torch.full((len(fast.rooms[0]) + 2000,), 7.0, dtype=torch.double)
    fast.rooms = [around[1000:-1000]]
    assert_same(
        Prediction(*fast(images_for(net, 4)), statistics),
        functional_call(net, params, (images_for(net, 4), statistics)),
    )
    assert (around[:1000] == 7).all()
    assert (around[-1000:] == 7).all()
    assert (fast.rooms[0] != 7).any()


@pytest.fixture
def fresh_cache(monkeypatch, tmp_path):
    """An empty folder for what is compiled; nothing that was compiled before or is in it counts, then or later."""
    monkeypatch.setenv("MGLIB_CACHE", str(tmp_path / "cache"))
    compiled.library.cache_clear()
    yield tmp_path / "cache"
    compiled.library.cache_clear()


NARROWER = {"x86-64": set(), "x86-64-v3": {"avx2", "fma", "bmi2"}}  # processors, and what runs their programs


@pytest.mark.skipif(not HAS_COMPILER or machine() != "x86_64", reason="no C compiler, or none for these processors")
@pytest.mark.parametrize("dtype", [torch.float, torch.double])
@pytest.mark.parametrize("processor", NARROWER)
def test_narrower_registers_give_the_same_answer(monkeypatch, fresh_cache, processor, dtype):
    if not NARROWER[processor] <= set(Path("/proc/cpuinfo").read_text().split()):
        pytest.skip(f"programs for {processor} do not run here")
    monkeypatch.setattr(compiled, "FLAGS", [flag.replace("native", processor) for flag in compiled.FLAGS])
    for seed, image_size in ((1, 40), (2, 11), (3, 1)):
        net, params, statistics = gated(seed, dtype, width=13, depth=3, image_size=image_size)
        images = images_for(net, 3, seed, dtype=dtype)
        fast, slow = (SkippingNet(net, params, statistics, compiled=path)(images) for path in (True, False))
        assert all(map(torch.equal, fast.gates, slow.gates))
        torch.testing.assert_close(fast.logits, slow.logits)
    assert len(list(fresh_cache.iterdir())) == 1, "it was compiled anew"


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler")
@pytest.mark.parametrize("batch", [0, 1, 2, 7])
def test_threads_share_the_images_and_give_the_same_bits(threads, batch):
    net, params, statistics = gated(3, torch.float, width=9, depth=3, image_size=11)
    network, images = SkippingNet(net, params, statistics, compiled=True), images_for(net, batch, dtype=torch.float)
    answers = []
    for count in (1, 3, 2):
        threads(count)
        answers.append(network(images))
        assert len(network._compiled.rooms) >= min(count, batch)
    for other in answers[1:]:
        assert torch.equal(other.logits, answers[0].logits)
        assert all(map(torch.equal, other.gates, answers[0].gates))


def test_without_a_compiler_the_clear_path_answers(monkeypatch):
    net, params, statistics = gated(5, width=6, depth=2, image_size=9)
    monkeypatch.setattr(skipping, "library", lambda dtype: None)
    network, images = SkippingNet(net, params, statistics), images_for(net, 2)
    assert network._compiled is None
    assert_same(network(images), functional_call(net, params, (images, statistics)))
    with pytest.raises(ValueError, match="C compiler"):
        SkippingNet(net, params, statistics, compiled=True)


def test_a_compiler_that_fails_is_no_compiler(monkeypatch, tmp_path, fresh_cache):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert compiled.library(torch.float32) is None


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler")
def test_it_is_compiled_once(fresh_cache):
    assert compiled.library(torch.float64) is not None
    (first,) = fresh_cache.iterdir()
    written = first.stat().st_mtime_ns
    compiled.library.cache_clear()
    assert compiled.library(torch.float64) is not None
    assert [path.stat().st_mtime_ns for path in fresh_cache.iterdir()] == [written]


def test_numbers_of_another_kind_take_the_clear_path():
    net, params, statistics = gated(5, width=6, depth=2, image_size=9, dtype=torch.bfloat16)
    assert SkippingNet(net, params, statistics)._compiled is None


DTYPES = [
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float8_e4m3fn,
    torch.complex64,
    torch.complex128,
    torch.uint8,
    torch.uint16,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.bool,
]
LAYOUTS = {
    "one after another": lambda images: images,
    "channels last": lambda images: images.contiguous(memory_format=torch.channels_last),
    "every second": lambda images: torch.stack([images, 1 - images], -1)[..., 0],
    "columns first": lambda images: images.transpose(-1, -2).contiguous().transpose(-1, -2),
    "one image for all": lambda images: images[:1].expand_as(images),
    "one number for all": lambda images: images.flatten()[0].expand_as(images),
    "last first": lambda images: images.flip(0),
    "not yet negated": torch._neg_view,
    "differentiable": lambda images: images.clone().requires_grad_(),
    "a parameter": torch.nn.Parameter,
    "inference": torch.inference_mode()(torch.clone),
    "sparse": torch.Tensor.to_sparse,
    "of mkldnn": torch.Tensor.to_mkldnn,
    "elsewhere": lambda images: images.to("meta"),
    "an array": lambda images: images.numpy(),
    "a list": lambda images: images.tolist(),
}
SIZES = {
    "right": lambda channels, size: (channels, size, size),
    "more channels": lambda channels, size: (channels + 1, size, size),
    "lower": lambda channels, size: (channels, size - 1, size),
    "as long": lambda channels, size: (channels, size * size, 1),
    "no channels": lambda channels, size: (size, size),
}


@cache
def clear_paths(dtype, channels):
    """The masked network and all others of the same numbers; its gates are far from zero, whatever the image."""
    sizes = dict(width=3, depth=2, image_size=6, channels=channels)
    net, params = make_net(0, **sizes)
    generator = torch.Generator().manual_seed(0)
    for name in sorted(net.gate_names()):
        noise = torch.randn(params[name].shape, generator=generator)
        params[name] = 3 * noise.sign() if name.endswith("bias") else 0.05 * noise
    params = {name: value.to(dtype) for name, value in params.items()}
    support = torch.rand(5, channels, 6, 6, generator=generator)
    with torch.no_grad():
        statistics = functional_call(net, params, (support.to(dtype),)).statistics
    node = NodeNetwork(Recipe(**sizes), net, params, statistics, ("a", "b"))
    skipping = [SkippingNet(net, params, statistics, compiled=path) for path in PATHS]
    return lambda images: functional_call(net, params, (images, statistics)), (*skipping, node, node.skipping)


def told(network, images):
    """What a network says to images, or its error."""
    try:
        return network(images)
    except Exception as error:
        return type(error), str(error)


@settings(max_examples=200)
@given(
    own=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    dtype=st.none() | st.sampled_from(DTYPES),
    layout=st.sampled_from(sorted(LAYOUTS)),
    size=st.just("right") | st.sampled_from(sorted(SIZES)),
    batch=st.integers(0, 3),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**31),
)
def test_every_path_gives_the_masked_answer_or_its_error(own, dtype, layout, size, batch, channels, seed):
    """Numbers of any type, lying anywhere and anyhow, as many as they may be."""
    masked, others = clear_paths(own, channels)
    numbers = torch.randint(0, 2, (batch, *SIZES[size](channels, 6)), generator=torch.Generator().manual_seed(seed))
    try:
        images = LAYOUTS[layout](numbers.to(dtype or own))
    except (RuntimeError, TypeError, IndexError):
        assume(False)  # there is no such thing of these numbers
    expected = told(masked, images)
    refused = not isinstance(expected, Prediction)
    if refused:
        assert expected[0] in (TypeError, ValueError)
        assert "images" in expected[1]
    for network in others:
        answer = told(network, images)
        if refused or not isinstance(answer, Prediction):
            assert answer == expected
        else:
            assert_same(answer, expected, atol=0.1 if own == torch.bfloat16 else 1e-4)


WRONG = {
    "another type": lambda value: value.double(),
    "whole numbers": lambda value: value.int(),
    "one less": lambda value: value[1:],
    "one for all": lambda value: value.flatten()[:1],
    "a dimension more": lambda value: value[None],
    "sparse": torch.Tensor.to_sparse,
    "elsewhere": lambda value: value.to("meta"),
    "a list": torch.Tensor.tolist,
    "none": lambda value: None,
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("compiled", PATHS)
def test_numbers_that_are_not_the_networks_are_refused(wrong, compiled):
    net, params, statistics = gated(1, torch.float, width=3, depth=2, image_size=6)
    for name in params:
        with pytest.raises(ValueError, match=f"{name}|head.bias"):  # the first is what the others are compared with
            SkippingNet(net, params | {name: WRONG[wrong](params[name])}, statistics, compiled=compiled)
    for place in range(2):
        changed = list(statistics[1])
        changed[place] = WRONG[wrong](changed[place])
        with pytest.raises(ValueError, match=f"{('mean', 'variance')[place]} of layers.1 is"):
            SkippingNet(net, params, (statistics[0], tuple(changed)), compiled=compiled)


@pytest.mark.parametrize("compiled", PATHS)
def test_parameters_may_lie_in_memory_as_they_like(compiled):
    net, params, statistics = gated(4, width=4, depth=2, image_size=6)
    images = images_for(net, 3)
    for lie in (
        lambda value: value.flatten()[:, None].repeat(1, 2)[:, 0].view(value.shape),
        lambda value: torch._neg_view(-value),
        lambda value: value.mT.contiguous().mT if value.dim() > 1 else value.repeat_interleave(2)[::2],
        torch.nn.Parameter,
    ):
        lying = {name: lie(value) for name, value in params.items()}
        of_layers = tuple((lie(mean), lie(variance)) for mean, variance in statistics)
        expected = functional_call(net, params, (images, statistics))
        assert_same(SkippingNet(net, lying, of_layers, compiled=compiled)(images), expected)


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler")
def test_the_c_gets_no_address_of_anything_else():
    net, params, statistics = gated(4, torch.float, width=3, depth=2, image_size=6)
    network = SkippingNet(net, params, statistics, compiled=True)
    fast, images = network._compiled, torch.rand(2, 1, 6, 6)
    for wrong in (images.double(), images.byte(), images[..., 1:], images.to("meta")):
        with pytest.raises(ValueError, match="the C needs"):
            fast(wrong)
    head = params["head.weight"], params["head.bias"]
    layers = [layer.for_c(size) for layer, size in zip(network._layers, (6, 3), strict=True)]
    assert torch.equal(compiled.CompiledNet(layers, head, torch.float)(images)[0], network(images).logits)
    for wrong in ((head[0][:, 1:], head[1]), (head[0].double(), head[1]), (head[0].to("meta"), head[1])):
        with pytest.raises(ValueError, match="the C needs"):
            compiled.CompiledNet(layers, wrong, torch.float)
    with pytest.raises(ValueError, match="the C needs"):
        compiled.CompiledNet(layers, head, torch.double)
    with pytest.raises(ValueError, match=r"the C needs 3 of torch\.float32"):
        compiled.address(images[0, 0, :3, 0], torch.float, 3)


@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, lambda network: pickle.loads(pickle.dumps(network))])
def test_a_used_network_can_be_copied_and_pickled(again):
    net, params, statistics = gated(4, torch.float, width=3, depth=2, image_size=6)
    params = {name: value.requires_grad_() for name, value in params.items()}
    for path in PATHS:
        network, images = SkippingNet(net, params, statistics, compiled=path), images_for(net, 3, dtype=torch.float)
        answer = network(images)
        other = again(network)
        assert torch.equal(other(images).logits, answer.logits)
        assert (other._compiled is None) == (network._compiled is None)
