"""Intervals that cover, and p-values that are corrected for the number of questions."""

import numpy as np
import pytest
from scipy import stats

from studies import estimate_means, holm
from studies.statistics import bootstrap_interval, resampled_means, seed_interval, seeds_needed


def test_the_interval_of_five_seeds_covers_the_truth_where_the_bootstrap_alone_does_not():
    generator = np.random.default_rng(3)
    several = generator.normal(0, 0.02, (400, 5, 1)) + generator.normal(0, 0.05, (400, 5, 60))
    reported = estimate_means(list(several))
    off = np.abs([estimate.mean for estimate in reported])
    assert np.mean(off <= [estimate.ci95 for estimate in reported]) >= 0.93
    assert np.mean([estimate.p < 0.05 for estimate in reported]) <= 0.07
    alone = [bootstrap_interval(resampled) for resampled in resampled_means(several, 1000)]
    assert np.mean(off <= [half for half, _ in alone]) < 0.9, "or the wider of the two would not be needed"
    assert np.mean([p < 0.05 for _, p in alone]) > 0.1


def test_where_seeds_do_not_differ_the_interval_covers_too():
    several = np.random.default_rng(5).normal(0, 0.05, (300, 5, 60))
    covered = [abs(estimate.mean) <= estimate.ci95 for estimate in estimate_means(list(several))]
    assert np.mean(covered) >= 0.93


def test_the_bootstrap_of_one_seed_is_that_of_its_tasks_and_of_many_seeds_that_of_both_levels():
    values = np.random.default_rng(0).normal(0, 1, (1, 1, 200))
    assert resampled_means(values)[0].std() == pytest.approx(values.std() / 200**0.5, rel=0.05)
    both = np.random.default_rng(1).normal(0, 1, (1, 40, 1)) + np.random.default_rng(2).normal(0, 1, (1, 40, 50))
    by_hand = both.mean(2).var() / 40 + both.var(axis=2).mean() / (40 * 50)
    assert resampled_means(both)[0].std() == pytest.approx(by_hand**0.5, rel=0.05)


def test_the_bootstrap_agrees_with_scipys_on_one_level():
    values = np.random.default_rng(4).normal(0.1, 1, 300)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    half, _ = bootstrap_interval(resampled_means(values[None, None])[0])
    assert half == pytest.approx((theirs.high - theirs.low) / 2, rel=0.05)


def test_the_interval_over_seeds_is_students():
    means = np.array([0.1, 0.3, 0.2, 0.25, 0.18])
    theirs = stats.ttest_1samp(means, 0)
    half, p = seed_interval(means)
    assert p == pytest.approx(theirs.pvalue)
    assert means.mean() + half == pytest.approx(theirs.confidence_interval().high)


def test_one_seed_says_nothing_of_others():
    (estimate,) = estimate_means([np.random.default_rng(0).random((1, 50))])
    assert estimate.ci95 > 0
    assert estimate.p is None


def test_holm_corrects_for_the_number_of_questions_asked():
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert holm([0.02]) == [0.02]
    assert holm([None]) == [None]


@pytest.mark.parametrize(("spread", "level"), [(0.0025, 0.003), (0.005, 0.05), (0.01, 0.05), (0.02, 0.05)])
def test_the_seeds_that_are_needed_show_the_effect_nine_times_in_ten(spread, level):
    generator = np.random.default_rng(0)
    means = spread * np.sqrt(4 / 2.5) * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])  # of this very spread
    needed = seeds_needed(means, 0.01, level=level)
    enough, too_few = (
        np.mean(stats.ttest_1samp(0.01 + spread * generator.standard_normal((20_000, seeds)), 0, axis=1).pvalue < level)
        for seeds in (needed, needed - 1)
    )
    assert too_few < 0.91
    assert enough > 0.89
    assert seeds_needed(means, 0.01, level=level / 10) > needed


def test_seeds_that_do_not_differ_need_no_more_than_two():
    assert seeds_needed([0.01, 0.01, 0.01], 0.01) == 2
