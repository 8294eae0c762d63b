"""Privacy: updates are bounded, and the noise is as large as stated."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from mglib.__main__ import main
from mglib.federated import (
    FedAdam,
    PrivateNode,
    PrivateServer,
    Round,
    Update,
    average,
)
from mglib.federated.aggregation import with_noise
from mglib.training import Recipe, set_up

ROUND = Round(3, 10, 7)
START = {"a": torch.zeros(40, 50), "b": torch.ones(3)}


def moved_by(length, sign=1.0):
    change = {name: torch.ones_like(value) for name, value in START.items()}
    norm = math.sqrt(sum(value.numel() for value in change.values()))
    return {name: value + sign * length / norm for name, value in START.items()}


def way(params, moved):
    return math.sqrt(sum(float((moved[name] - params[name]).double().square().sum()) for name in params))


def test_the_noise_has_the_stated_deviation_and_no_mean():
    drawn = torch.cat([with_noise(START, 0.3, np.random.default_rng(k))["a"].flatten() for k in range(20)])
    assert float(drawn.std()) == pytest.approx(0.3, rel=0.02)
    assert abs(float(drawn.mean())) < 0.01
    assert float((drawn**4).mean()) == pytest.approx(3 * 0.3**4, rel=0.06)  # a Gaussian's fourth moment


def updates(*lengths, weight=5.0):
    return [Update(str(k), moved_by(length), weight + k, {"loss": 1.0}) for k, length in enumerate(lengths)]


def test_the_server_averages_bounded_updates_by_number_whatever_their_weights():
    after, _ = PrivateServer(average, norm=1.0)(START, {}, updates(0.5, 100.0), ROUND)
    assert way(START, after) == pytest.approx(0.75, rel=1e-5)


@pytest.mark.parametrize("count", [1, 4])
def test_the_servers_noise_shrinks_with_the_number_of_nodes(count):
    quiet, _ = PrivateServer(average, norm=2.0)(START, {}, updates(*[1.0] * count), ROUND)
    noisy, _ = PrivateServer(average, norm=2.0, noise=1.5)(START, {}, updates(*[1.0] * count), ROUND)
    assert float((noisy["a"] - quiet["a"]).std()) == pytest.approx(1.5 * 2.0 / count, rel=0.05)


def test_one_node_moves_the_mean_by_two_clips_of_its_share_at_most():
    server, others = PrivateServer(average, norm=1.0), updates(0.3, 0.4, 0.5)
    one, _ = server(START, {}, [*others, Update("x", moved_by(9.0), 1.0, {})], ROUND)
    other, _ = server(START, {}, [*others, Update("x", moved_by(9.0, -1), 1.0, {})], ROUND)
    assert way(one, other) == pytest.approx(2 / 4, rel=1e-4)


def test_any_server_update_sees_the_noisy_mean_alone():
    seen = []

    def spy(params, state, updates, round):
        seen.extend(updates)
        return FedAdam()(params, state, updates, round)

    _, state = PrivateServer(spy, norm=1.0, noise=0.1)(START, {}, updates(0.3, 4.0), ROUND)
    assert [(update.weight, update.metrics) for update in seen] == [(1.0, {})]
    assert state


def test_what_leaves_a_private_node_is_bounded_noisy_and_says_nothing_else():
    def client(params, node, position, round):
        return Update("n", moved_by(7.0), 123.0, {"accuracy": 1.0})

    quiet = PrivateNode(client, norm=2.0)(START, None, 0, ROUND)
    noisy = PrivateNode(client, norm=2.0, noise=1.5)(START, None, 0, ROUND)
    assert (quiet.weight, quiet.metrics) == (1.0, {})
    assert way(START, quiet.params) == pytest.approx(2.0, rel=1e-5)
    assert float((noisy.params["a"] - quiet.params["a"]).std()) == pytest.approx(3.0, rel=0.05)


def test_noise_is_drawn_afresh_by_round_and_node_and_repeats_by_seed():
    def client(params, node, position, round):
        return Update("n", params, 1.0, {})

    def drawn(position=0, round=ROUND):
        return PrivateNode(client, 1.0, 1.0)(START, None, position, round).params["a"]

    server, _ = PrivateServer(average, 1.0, 1.0)(START, {}, updates(0.0), ROUND)
    others = [drawn(1), drawn(round=Round(4, 10, 7)), drawn(round=Round(3, 10, 8)), server["a"]]
    assert torch.equal(drawn(), drawn())
    assert all(not torch.equal(drawn(), other) for other in others)


def test_the_noise_does_not_depend_on_the_order_of_the_parameters():
    one, other = (
        with_noise(dict(order), 1.0, np.random.default_rng(0)) for order in (START.items(), reversed(START.items()))
    )
    assert all(torch.equal(one[name], other[name]) for name in START)


def test_the_noise_comes_from_streams_nobody_else_draws_from():
    def client(params, node, position, round):
        return Update("n", params, 1.0, {})

    node = PrivateNode(client, 1.0, 1.0)(START, None, 2, ROUND).params["a"]
    server, _ = PrivateServer(average, 1.0, 1.0)(START, {}, updates(0.0), ROUND)
    for drawn, others in ((node, 1 + 2), (server["a"], 0)):
        stream = ROUND.generator(others).standard_normal(drawn.shape, dtype=np.float32)
        assert not np.array_equal(drawn.numpy(), stream)


def test_who_knows_the_seed_takes_the_noise_off_as_is_said(capsys):
    def client(params, node, position, round):
        return Update("n", moved_by(1.0), 1.0, {})

    seen = PrivateNode(client, 1.0, 5.0)(START, None, 3, ROUND).params
    noise = PrivateNode(lambda params, *_: Update("n", params, 1.0, {}), 1.0, 5.0)(START, None, 3, ROUND).params
    found = {name: seen[name] - noise[name] + START[name] for name in START}
    assert all(torch.allclose(found[name], value, atol=1e-5) for name, value in moved_by(1.0).items())
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    for said in (PrivateNode.__doc__, PrivateServer.__doc__, capsys.readouterr().out):
        assert "knows the seed" in " ".join(said.replace("│", " ").split())


@pytest.fixture(scope="module")
def recipe(folder):
    small = dict(image_size=14, width=4, depth=2, ways=3, queries=4, rounds=2, nodes_per_round=2)
    return Recipe(data=f"folder:{folder}", held_out=("alphabet3",), validation=("alphabet2",), **small)


@pytest.mark.parametrize("place", ["server", "node"])
@pytest.mark.parametrize("server", ["average", "adam"])
def test_a_recipe_trains_privately_and_repeats_bit_for_bit(recipe, place, server):
    def ends(**changes):
        *_, last = set_up(dataclasses.replace(recipe, server=server, privacy=place, **changes)).rounds()
        return last.params

    private = ends(clip_norm=0.1, noise=0.5)
    for other, same in ((ends(clip_norm=0.1, noise=0.5), True), (ends(clip_norm=0.1), False), (ends(), False)):
        assert all(torch.equal(private[name], other[name]) for name in other) == same


def test_a_private_training_has_the_same_bits_on_two_workers(recipe):
    experiment = set_up(dataclasses.replace(recipe, privacy="node", noise=0.5))
    (*_, one), (*_, two) = (experiment.rounds(workers=workers) for workers in (1, 2))
    assert all(torch.equal(one.params[name], two.params[name]) for name in experiment.initial)


def test_a_large_clip_without_noise_changes_nothing_but_weights_and_rounding(recipe):
    plain, private = set_up(dataclasses.replace(recipe, server="average")), []
    for place in ("server", "node"):
        private.append(set_up(dataclasses.replace(recipe, server="average", clip_norm=1e6, privacy=place)))
    *_, last = plain.rounds()
    for experiment in private:  # the nodes of this folder hold as many images each
        *_, other = experiment.rounds()
        for name, value in last.params.items():
            torch.testing.assert_close(other.params[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise": 1.0},
        {"noise": -1.0, "privacy": "server"},
        {"privacy": "link"},
        {"privacy": "server", "aggregation": "median"},
    ],
)
def test_recipes_that_promise_what_they_cannot_keep_are_refused(wrong):
    with pytest.raises(ValueError, match=r"`(noise|privacy|aggregation)`"):
        Recipe(**wrong)
