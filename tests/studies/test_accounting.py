"""The ε of a private training: it falls with noise and nodes, and agrees with other accountants."""

import json
import math

import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from mglib import Recipe
from studies.__main__ import RESULTS
from studies.privacy import epsilon_by_turns, privacy_spent, spent

PLAN = {"rounds": 100, "delta": 1e-5, "nodes": 10_000, "nodes_per_round": 100}


def test_epsilon_falls_with_noise_and_nodes_and_grows_with_rounds():
    base = privacy_spent(2.0, **PLAN)
    assert privacy_spent(3.0, **PLAN) < base < privacy_spent(2.0, **(PLAN | {"rounds": 200}))
    assert privacy_spent(2.0, **(PLAN | {"nodes": 100_000})) < base
    assert privacy_spent(2.0, **PLAN, sampling="poisson") < base  # and its neighbours are closer: another promise
    assert privacy_spent(0.0, **PLAN) == math.inf
    assert privacy_spent(0.0, **(PLAN | {"rounds": 0})) == 0


@pytest.mark.parametrize(("noise", "rounds"), [(0.1, 150), (1.0, 150), (2.0, 1), (20.0, 4)])
def test_rounds_of_all_nodes_cost_what_one_gaussian_costs(noise, rounds):
    """Balle and Wang (arXiv 1805.06530), Theorem 8; neighbours two clips apart, so half the noise counts."""
    unit = noise / 2 / math.sqrt(rounds)

    def excess(epsilon):
        low, high = 1 / (2 * unit) - epsilon * unit, -1 / (2 * unit) - epsilon * unit
        return norm.cdf(low) - math.exp(epsilon + norm.logcdf(high)) - 1e-5

    exact = brentq(excess, 1e-3, 1e6)
    for nodes in (1, 12):
        plan = {"rounds": rounds, "delta": 1e-5, "nodes": nodes, "nodes_per_round": nodes}
        assert privacy_spent(noise, **plan) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("sampling", ["fixed", "poisson"])
@pytest.mark.parametrize("noise", [0.03, 0.3, 1.0, 4.0])
def test_sampling_nodes_never_costs_privacy(noise, sampling):
    plan = {"rounds": 150, "delta": 1e-3, "sampling": sampling}
    found = [privacy_spent(noise, **plan, nodes=nodes, nodes_per_round=12) for nodes in (12, 13, 18, 36, 1000)]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(("noise", "rounds", "nodes"), [(0.3, 150, 36), (0.5, 20, 36), (2.0, 50, 13)])
def test_epsilon_by_turns_is_no_less_than_the_tight_accountants(noise, rounds, nodes):
    import dp_accounting
    from dp_accounting.pld import PLDAccountant

    event = dp_accounting.PoissonSampledDpEvent(12 / nodes, dp_accounting.GaussianDpEvent(noise))
    tight = PLDAccountant(value_discretization_interval=1e-2).compose(event, rounds).get_epsilon(0.01)
    assert tight <= epsilon_by_turns(noise, rounds=rounds, delta=0.01, share=12 / nodes) <= 1.6 * tight


def test_turns_that_are_rarer_than_delta_cost_nothing():
    assert epsilon_by_turns(0.1, rounds=10, delta=1e-3, share=1e-5) == 0
    assert epsilon_by_turns(0.1, rounds=0, delta=1e-3, share=0.5) == 0


@pytest.mark.parametrize("part", ["server-0.3-seed0", "server-1-seed4", "node-0.003-seed2", "node-0.1-seed3"])
def test_the_committed_epsilons_are_those_of_today(part):
    """Those of records with an `epsilon_date` were computed again on that day, without training."""
    record = json.loads((RESULTS / "privacy" / f"{part}.json").read_text())
    told = spent(Recipe.loads(json.dumps(record["recipe"])), 36)
    assert told.items() <= record.items()
    assert {name for name in record if "epsilon" in name} - set(told) == {"epsilon_date"}


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
