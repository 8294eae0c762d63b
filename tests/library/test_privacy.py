"""Privacy: updates are bounded, the noise is as large as stated, and ε agrees with other accountants."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from small_data import write_alphabets

from mglib.federated import (
    FedAdam,
    PrivateNode,
    PrivateServer,
    Round,
    Update,
    average,
    privacy_spent,
    with_noise,
)
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


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = write_alphabets(tmp_path_factory.mktemp("alphabets"))
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
        {"privacy": "server", "method": "gated-fedavg"},
        {"privacy": "node", "method": "metagater-named"},
        {"privacy": "server", "aggregation": "median"},
    ],
)
def test_recipes_that_promise_what_they_cannot_keep_are_refused(wrong):
    with pytest.raises(ValueError, match=r"`(noise|privacy|aggregation)`"):
        Recipe(**wrong)


PLAN = {"rounds": 100, "delta": 1e-5, "nodes": 10_000, "nodes_per_round": 100}


def test_epsilon_falls_with_noise_and_nodes_and_grows_with_rounds():
    base = privacy_spent(2.0, **PLAN)
    assert privacy_spent(3.0, **PLAN) < base < privacy_spent(2.0, **(PLAN | {"rounds": 200}))
    assert privacy_spent(2.0, **(PLAN | {"nodes": 100_000})) < base
    assert privacy_spent(2.0, **PLAN, sampling="poisson") < base  # and its neighbours are closer: another promise
    assert privacy_spent(0.0, **PLAN) == math.inf
    assert privacy_spent(0.0, **(PLAN | {"rounds": 0})) == 0


def test_one_release_by_all_nodes_costs_what_the_closed_form_of_the_gaussian_mechanism_says():
    """Balle and Wang (arXiv 1805.06530), Theorem 8; neighbours two clips apart, so half the noise counts."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    for noise in (2.0, 5.0, 20.0):
        unit = noise / 2

        def excess(epsilon, unit=unit):
            low, high = 1 / (2 * unit) - epsilon * unit, -1 / (2 * unit) - epsilon * unit
            return norm.cdf(low) - math.exp(epsilon) * norm.cdf(high) - 1e-5

        exact = brentq(excess, 1e-3, 50)
        assert exact <= privacy_spent(noise, rounds=1, delta=1e-5) <= 1.25 * exact


def test_epsilon_lies_between_the_tight_accountants_and_the_first_published_one():
    """Abadi et al. (arXiv 1607.00133), section 3.2: q 0.01, noise 4, 10,000 steps, δ 1e-5: 1.26 by looser bounds."""
    import dp_accounting
    from dp_accounting.pld import PLDAccountant

    plan = {"rounds": 10_000, "delta": 1e-5, "nodes": 10_000, "nodes_per_round": 100}
    told = privacy_spent(4.0, **plan, sampling="poisson")
    event = dp_accounting.PoissonSampledDpEvent(0.01, dp_accounting.GaussianDpEvent(4.0))
    tight = PLDAccountant().compose(event, plan["rounds"]).get_epsilon(1e-5)
    assert tight <= told <= 1.26
    assert told <= 1.2 * tight


def test_what_cannot_be_reckoned_is_refused():
    for wrong in ({"delta": 0.0}, {"nodes_per_round": 0}, {"nodes": 50}, {"rounds": -1}, {"sampling": "coin"}):
        with pytest.raises(ValueError, match="`"):
            privacy_spent(1.0, **(PLAN | wrong))
    with pytest.raises(ValueError, match="`noise`"):
        privacy_spent(-1.0, **PLAN)
