"""Chapter 17: what the chapter builds is what the library has, attacks find what they are given, figures say it."""

import dataclasses

import numpy as np
import pytest
import torch
from chapters import defined_in

import mglib
from figures.ch17 import show_found, show_noise
from figures.intervals import show_price
from mglib.federated import PrivateServer, Round, Update, average, clip
from mglib.nets import Objective, make_net
from studies import inversion
from studies.inversion import Attack, batch_gradient, peak_ratio, task_gradient
from studies.leaks import RUNS, changes, drawn, images_from, own, pixels, score
from studies.privacy import busiest, dependence, gates_of, spent

CHAPTER = "17_what_an_update_gives_away"


@pytest.fixture(scope="module")
def experiment():
    return mglib.set_up(mglib.Recipe(width=8, queries=3))


@pytest.fixture(scope="module")
def wide():
    """As many numbers in the gradient as an attack needs, more than the five drawings have pixels, and trained."""
    recipe, _, params = mglib.Run(RUNS / "dense").load()
    return dataclasses.replace(mglib.set_up(recipe), initial=params)


@pytest.fixture(scope="module")
def task(experiment):
    return experiment.federation.train[0].sample_task(5, 1, 3, np.random.default_rng(3))


def test_what_the_chapter_builds_is_what_the_library_has():
    own_code = defined_in(CHAPTER, "angle", "roughness", "likeness")
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 4, 1, 9, 9, generator=generator)
    torch.testing.assert_close(own_code["roughness"](images[0]), inversion.roughness(images[0]))
    torch.testing.assert_close(own_code["likeness"](*images), inversion.likeness(*images))
    first, second = ({"a": pair[:2], "b": pair[2:]} for pair in images)
    torch.testing.assert_close(own_code["angle"](first, second), inversion.angle(first, second))


def test_the_chapter_clips_as_the_library_does():
    own_code = defined_in(CHAPTER, "shorten", "noisy_mean")
    changes = [{"p": torch.full((9,), float(k))} for k in (0.1, 1, 50)]
    start = {"p": torch.zeros(9)}
    for change in changes:
        torch.testing.assert_close(own_code["shorten"](change, 1.0)["p"], clip(start, change, 1.0)["p"])
    updates = [Update("", change, 1.0, {}) for change in changes]
    theirs, _ = PrivateServer(average, 1.0)(start, {}, updates, Round(0, 1, 0))
    ours = own_code["noisy_mean"](changes, 1.0, 0.0, np.random.default_rng(0))["p"].float()
    torch.testing.assert_close(ours, theirs["p"])


def test_the_gradient_function_of_a_batch_is_that_of_its_loss(experiment, task):
    told = batch_gradient(experiment.objective, experiment.initial, task.support.labels)(task.support.images)
    leaves = {name: value.clone().requires_grad_() for name, value in experiment.initial.items()}
    loss, _ = experiment.objective(leaves, task.support)
    for value, expected in zip(told.values(), torch.autograd.grad(loss, list(leaves.values())), strict=True):
        torch.testing.assert_close(value.detach(), expected)


def test_the_gradient_function_of_a_task_is_the_meta_gradient(experiment, task):
    labels = (task.support.labels, task.query.labels)
    generator = torch.Generator().manual_seed(0)
    params = {
        name: value + 0.1 * torch.randn(value.shape, generator=generator) for name, value in experiment.initial.items()
    }
    gradient_of = task_gradient(experiment.objective, params, labels, experiment.stages)
    told = gradient_of(torch.cat([task.support.images, task.query.images]))
    expected, _ = mglib.meta_gradient(experiment.objective, params, task, experiment.stages)
    for name, value in expected.items():
        torch.testing.assert_close(told[name].detach(), value, rtol=1e-3, atol=1e-5)


def test_an_attack_finds_the_drawings_and_clipping_does_not_stop_it(wide, task):
    gradient_of = batch_gradient(wide.objective, wide.initial, task.support.labels)
    told = own(gradient_of, task.support.images)
    clipped = {name: 0.01 * value for name, value in told.items()}
    for seen in (told, clipped):
        found = Attack(steps=300)(gradient_of, seen, task.support.images.shape)
        alike = inversion.likeness(found, task.support.images)
        assert alike.argmax(1).tolist() == list(range(5))
        assert alike.diag().mean() > 0.5


def test_an_attack_on_noise_alone_finds_nothing(wide, task):
    gradient_of = batch_gradient(wide.objective, wide.initial, task.support.labels)
    generator = torch.Generator().manual_seed(0)
    noise = {name: torch.randn(value.shape, generator=generator) for name, value in wide.initial.items()}
    found = Attack(steps=300)(gradient_of, noise, task.support.images.shape)
    assert inversion.likeness(found, task.support.images).diag().mean() < 0.25


def test_likeness_knows_no_brightness_and_the_peak_ratio_follows_it():
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    alike = inversion.likeness(0.2 + 0.5 * images, images)
    torch.testing.assert_close(alike.diag(), torch.ones(3))
    assert (alike - torch.eye(3)).abs().max() < 0.5
    noisy = images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    ratio = peak_ratio(inversion.likeness(noisy, images).diag(), images)
    for one, true, told in zip(noisy, images, ratio, strict=True):
        a, b = np.polyfit(one.flatten(), true.flatten(), 1)
        error = np.mean((a * one.flatten().numpy() + b - true.flatten().numpy()) ** 2)
        assert float(told) == pytest.approx(-10 * np.log10(error), rel=1e-3)


def test_changes_are_those_that_their_names_say(experiment, task):
    gradient_of = batch_gradient(experiment.objective, experiment.initial, task.support.labels)
    changed = changes(gradient_of, task.support.images, seed=0)
    length = {name: sum(float(v.square().sum()) for v in c.values()) ** 0.5 for name, c in changed.items() if c}
    assert length[", clipped"] == pytest.approx(1.0, rel=1e-4)
    numbers = sum(value.numel() for value in experiment.initial.values())
    assert length[", noise 0.1"] == pytest.approx((1 + 0.01 * numbers) ** 0.5, rel=0.05)


def test_a_true_drawing_is_named_by_other_drawings_of_its_character(experiment):
    node = experiment.federation.train[0]
    task = drawn(node, seed=0, queries=1)
    whole = drawn(node, seed=0, queries=15)
    assert torch.equal(task.support.images, whole.support.images)
    assert torch.equal(task.query.images[1], whole.query.images[15])
    told = score(task.support.images, task, node)
    assert told["likeness"] == pytest.approx([1.0] * 5)
    assert np.mean(told["named"]) >= 0.6
    noise = torch.rand(task.support.images.shape, generator=torch.Generator().manual_seed(0))
    assert np.mean(score(noise, task, node)["named"]) <= 0.4


def test_images_come_back_from_a_file():
    images = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(images_from(pixels(images)), images[:, 0], atol=0.5 / 255 + 1e-6)


def test_gates_come_back_from_a_file_and_dependence_is_nothing_for_a_mask():
    bits = torch.tensor([[1.0, 0, 1], [1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 1, 0]])
    packed = np.packbits(bits.bool().numpy()).tobytes().hex()
    assert gates_of({"gates": packed, "inputs": 5, "filters": 3}).tolist() == bits.int().tolist()
    assert dependence(bits[:, :1]) == 0
    assert dependence(bits[:4, 1:]) == 1


def test_the_busiest_node_is_counted_and_epsilon_falls_with_the_crowd():
    recipe = mglib.Recipe(rounds=50, nodes_per_round=4, privacy="server", noise=1.0)
    assert 50 * 4 / 36 <= busiest(recipe, 36) <= 50
    assert busiest(mglib.Recipe(rounds=50, nodes_per_round=36), 36) == 50
    told = spent(recipe, 36)["epsilon_by_nodes"]
    assert told["36"] > told["10000"] > told["1000000"]
    assert spent(mglib.Recipe(), 36) == {}


def test_masks_cancel_in_the_sum():
    own_code = defined_in(CHAPTER, "MODULUS", "SCALE", "masked", "unmasked_sum")
    updates = np.array([[-3.0, 2.5], [1.25, -0.5], [0.5, 0.5]])
    messages = [own_code["masked"](updates[k], k, [o for o in range(3) if o != k], 1) for k in range(3)]
    np.testing.assert_allclose(own_code["unmasked_sum"](messages), updates.sum(0))
    assert all((message >= 0).all() and (message < 2**32).all() for message in messages)


def test_figures_say_what_they_show():
    images = np.random.default_rng(0).random((3, 6, 6))
    assert "on the node; found" in show_found({"on the node": images, "found": images}).alt
    with pytest.raises(ValueError, match="as many in each"):
        show_found({"a": images, "b": images[:2]})
    figure = show_price({"server": [(1, 0.5, 0.1)]}, ("ε", "accuracy"), level=("free", 0.7))
    assert "server: 50% at 1" in figure.alt
    assert "free: 70%" in figure.alt
    cut = show_price({"one": [(1, 1e-9, 0), (2, 0.5, 0)]}, ("a", "b"), percent=False, least=1e-3)
    assert cut.alt == "b against a. one: below 0.001 at 1, 0.5 at 2."
    assert show_price({"one": [(1, 0.5, 0)]}, ("a", "b"), alt="One half.").alt == "b against a. One half."
    with pytest.raises(ValueError, match="4 lines"):
        show_price({name: [(1, 1, 0)] for name in "abcd"}, ("a", "b"))
    assert "likeness: 0.40" in show_noise(images, images, {"likeness: 0.40": 0.4}).alt


def test_gates_that_no_input_opens_tell_nothing_of_it():
    """A closed filter's weights have no gradient: what is not computed cannot be given away."""
    net, params = make_net(0, width=4)
    params |= {
        name: torch.full_like(value, -1.0) for name, value in params.items() if name == "layers.1.gate.linear.bias"
    }
    gradient_of = batch_gradient(Objective(net), params, torch.arange(5))
    told = gradient_of(torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    assert float(told["layers.1.conv.weight"].detach().abs().max()) == 0
