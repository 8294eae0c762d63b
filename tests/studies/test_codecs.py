"""Compression: what a message says of a move, how long it is, and what training makes of it."""

import dataclasses

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from mglib.federated import Round, Update
from studies.codecs import Compressed, Half, Rows, TopK, Watched
from studies.recipes import Recipe, set_up

FIRST = Round(0, 4, 0)


def moves(seed, rows=7):
    generator = torch.Generator().manual_seed(seed)
    return {
        "b.weight": torch.randn(rows, 3, 2, generator=generator),
        "a.bias": torch.randn(rows, generator=generator),
        "one": torch.randn(1, generator=generator),
    }


@given(seed=st.integers(0, 10**6), rows=st.integers(1, 12))
def test_half_precision_is_off_by_rounding_only(seed, rows):
    move = moves(seed, rows)
    back = Half().unpack(Half().pack(move), move)
    for name, value in move.items():
        torch.testing.assert_close(back[name], value, rtol=2**-10, atol=2**-24)
        assert back[name].dtype == value.dtype


@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 1))
def test_top_k_keeps_the_largest_and_nothing_else(seed, share):
    move = moves(seed)
    back = TopK(share).unpack(TopK(share).pack(move), move)
    before, after = (torch.cat([each[name].flatten() for name in move]) for each in (move, back))
    sent = after != 0
    assert int(sent.sum()) == max(1, -int(-share * len(before) // 1))
    torch.testing.assert_close(after[sent], before[sent], rtol=2**-10, atol=2**-24)
    if not sent.all():
        assert before[sent].abs().min() >= before[~sent].abs().max()


@given(seed=st.integers(0, 10**6), closed=st.sets(st.integers(0, 6)))
def test_rows_lose_nothing(seed, closed):
    move = moves(seed)
    for name in ("b.weight", "a.bias"):
        move[name][list(closed)] = 0
    move |= {"alone": torch.tensor(0.5), "zero": torch.tensor(0.0)}  # as a learnt rate is
    back = Rows().unpack(Rows().pack(move), move)
    assert all(torch.equal(back[name], value) for name, value in move.items())


@pytest.mark.parametrize(("codec", "share"), [(Half(), 0.5), (TopK(0.1), 0.15), (TopK(0.01), 0.015)])
def test_messages_of_large_moves_are_as_short_as_they_say(codec, share):
    move = {"w": torch.randn(100, 1000)}
    assert len(codec.pack(move)) == pytest.approx(share * len(safetensors.torch.save(move)), rel=0.03)


def test_a_compressed_update_answers_with_what_its_message_says():
    sent = {"p": torch.tensor([1.0, 2.0, 3.0])}
    moved = {"p": torch.tensor([1.5, 2.1, 3.0])}
    update = Compressed(lambda params, node, position, round: Update("n", moved, 2.0, {"loss": 1.0}, 0), TopK(0.3))
    answer = update(sent, None, 0, FIRST)
    torch.testing.assert_close(answer.params["p"], torch.tensor([1.5, 2.0, 3.0]))
    assert answer.metrics["bytes"] == len(TopK(0.3).pack({"p": moved["p"] - sent["p"]}))
    assert (answer.weight, answer.round, answer.metrics["loss"]) == (2.0, 0, 1.0)


def answers_of(**changes):
    experiment = set_up(Recipe(width=8, queries=5, **changes))
    return experiment, experiment.client_update()(experiment.initial, experiment.federation.train[0], 0, FIRST)


def closing(experiment):
    """The initial parameters with half of the first layer's gates shut for whatever comes."""
    params = dict(experiment.initial)
    params["layers.0.gate.linear.bias"] = torch.tensor([-100.0] * 4 + [100.0] * 4)
    return params


def test_filters_that_no_image_opens_are_not_told_of():
    experiment = set_up(Recipe(width=8, queries=5, compression="opened"))
    params, node = closing(experiment), experiment.federation.train[0]
    answer = experiment.client_update()(params, node, 0, FIRST)
    whole = dataclasses.replace(experiment, wraps=()).client_update()(params, node, 0, FIRST)
    for part in ("conv.weight", "scale", "shift"):
        name = f"layers.0.{part}"
        assert torch.equal(answer.params[name][:4], params[name][:4])
        assert torch.allclose(answer.params[name][4:], whole.params[name][4:], atol=1e-6)
    assert not torch.equal(whole.params["layers.0.conv.weight"][4:], params["layers.0.conv.weight"][4:])
    gates = "layers.0.gate.linear.weight"
    assert torch.allclose(answer.params[gates], whole.params[gates], atol=1e-6), "closed filters' gates may open them"
    _, all_open = answers_of(compression="opened")
    assert answer.metrics["bytes"] < all_open.metrics["bytes"]


@pytest.mark.parametrize("changes", [{}, {"estimator": "gumbel"}, {"local_steps": 2}, {"method": "gated-fedavg"}])
def test_opened_filters_are_those_of_the_images_that_were_read(changes):
    experiment = set_up(Recipe(width=8, queries=2, batch=6, compression="opened", **changes))
    node = Watched(experiment.federation.train[0])
    generator, params = torch.Generator().manual_seed(0), dict(experiment.initial)
    # Gates that mind what they see, most of them closed, and a classifier that is not at its start of zeros.
    drawn = [*experiment.net.gate_names(), *(name for name in params if name.startswith("classifier"))]
    for name in sorted(drawn):  # a set has another order in every process
        params[name] = torch.randn(params[name].shape, generator=generator) - 2.0 * name.endswith("bias")
    answer = experiment.client_update()(params, node, 0, FIRST)
    own = {name: params[name] for name, _ in experiment.net.named_parameters()}
    gates = [torch.func.functional_call(experiment.net, own, (images,)).gates for images in node.read]
    assert len(gates) == experiment.recipe.local_steps, "nothing else was drawn"
    opened_by_layer = [torch.cat(several).any(0) for several in zip(*gates, strict=True)]
    assert 0 < torch.cat(opened_by_layer).sum() < 4 * 8
    any_moved = False
    for layer, opened in enumerate(opened_by_layer):
        moved = (answer.params[f"layers.{layer}.scale"] != params[f"layers.{layer}.scale"]) | (
            answer.params[f"layers.{layer}.conv.weight"] != params[f"layers.{layer}.conv.weight"]
        ).flatten(1).any(1)
        assert not moved[~opened].any()
        any_moved |= bool(moved.any())
    assert any_moved


def test_what_is_sent_trains_nearly_as_what_was_meant():
    _, plain = answers_of()
    for changes in ({"compression": "half"}, {"compression": "top-k", "top_k_fraction": 1.0}):
        _, answer = answers_of(**changes)
        for name, value in plain.params.items():
            torch.testing.assert_close(answer.params[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"compression": "zip"},
        {"top_k_fraction": 0.0},
        {"top_k_fraction": 1.5},
        {"compression": "opened", "privacy": "node"},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValueError, match=r"`(compression|top_k_fraction)`"):
        Recipe(**changes)
