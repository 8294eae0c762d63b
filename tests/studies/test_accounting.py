"""The ε of a private training: it falls with noise and nodes, and agrees with other accountants."""

import math

import pytest

from studies.privacy import privacy_spent

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
