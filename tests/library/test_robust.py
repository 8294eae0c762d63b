"""Robust means: what defines each, and that nodes which lie do not move them far."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mglib.federated import (
    ClippedMean,
    FedAdam,
    FedAvg,
    Krum,
    Round,
    TrimmedMean,
    Update,
    clip,
    mean,
    median,
    move_length,
)

SENT = {"a": torch.zeros(2, dtype=torch.double), "b": torch.zeros(1, dtype=torch.double)}
ALL = {
    "mean": mean,
    "clipped": ClippedMean(1e6),
    "median": median,
    "trimmed": TrimmedMean(0.3),
    "krum": Krum(0.3),
}


def updates_of(rows, weights=None):
    weights = weights or [1.0] * len(rows)
    return [
        Update(
            f"node {place}",
            {"a": torch.tensor(row[:2], dtype=torch.double), "b": torch.tensor(row[2:], dtype=torch.double)},
            weight,
            {},
        )
        for place, (row, weight) in enumerate(zip(rows, weights, strict=True))
    ]


def flat(params):
    return np.concatenate([params["a"].numpy(), params["b"].numpy()])


numbers = st.floats(-100, 100, allow_nan=False, width=32)


def test_the_median_and_the_trimmed_mean_are_numpys_number_by_number():
    rows = np.random.default_rng(0).normal(size=(10, 3))
    found = flat(median(SENT, updates_of(rows.tolist())))
    np.testing.assert_allclose(found, np.median(rows, axis=0))
    np.testing.assert_allclose(flat(median(SENT, updates_of(rows[:9].tolist()))), np.median(rows[:9], axis=0))
    trimmed = flat(TrimmedMean(0.2)(SENT, updates_of(rows.tolist())))
    np.testing.assert_allclose(trimmed, np.sort(rows, axis=0)[2:-2].mean(0))


def test_the_clipped_mean_shortens_what_is_too_long_and_keeps_its_direction():
    rows = [[0.3, 0.0, 0.4], [30.0, 0.0, 40.0]]  # of length 0.5 and 50
    found = flat(ClippedMean(1.0)(SENT, updates_of(rows, [1.0, 3.0])))
    np.testing.assert_allclose(found, (np.array(rows[0]) + 3 * np.array([0.6, 0.0, 0.8])) / 4)
    sent = {"a": torch.tensor([1.0, 1.0]).double(), "b": torch.tensor([1.0]).double()}
    far = {"a": torch.tensor([1.0, 4.0]).double(), "b": torch.tensor([5.0]).double()}
    assert move_length(sent, far) == 5
    np.testing.assert_allclose(flat(clip(sent, far, 2.5)), [1.0, 2.5, 3.0])


def test_the_length_of_a_far_move_does_not_overflow():
    sent, far = {"a": torch.zeros(1000)}, {"a": torch.full((1000,), 9e17)}
    assert move_length(sent, far) == pytest.approx(9e17 * 1000**0.5)


def test_krum_scores_by_the_distances_to_the_nearest_others():
    """Blanchard et al., section 4, by hand: n = 6, f = 2, so the two nearest of the others count."""
    for seed in range(20):
        rows, krum = np.random.default_rng(seed).normal(size=(6, 3)), Krum(1 / 3)
        squares = ((rows[:, None] - rows[None]) ** 2).sum(-1)
        scores = np.sort(squares, axis=1)[:, 1:3].sum(1)
        best, updates = sorted(np.argsort(scores)[:4].tolist()), updates_of(rows.tolist())
        assert krum.chosen(updates) == best, seed
        np.testing.assert_allclose(flat(krum(SENT, updates)), rows[best].mean(0))


def test_shares_of_the_nodes_are_rounded():
    rows = np.random.default_rng(0).normal(size=(8, 3))
    updates = updates_of(rows.tolist())  # 0.2 of eight is 1.6: two of them
    np.testing.assert_allclose(flat(TrimmedMean(0.2)(SENT, updates)), np.sort(rows, axis=0)[2:-2].mean(0))
    assert len(Krum(0.2).chosen(updates)) == 6


@pytest.mark.parametrize("name", ALL)
@given(count=st.integers(6, 12), seed=st.integers(0, 999))
def test_the_order_of_the_answers_does_not_matter(name, count, seed):
    generator = np.random.default_rng(seed)  # no two nodes have the same score, of which Krum could take either
    rows, order = generator.normal(size=(count, 3)).tolist(), generator.permutation(count)
    found = flat(ALL[name](SENT, updates_of(rows)))
    np.testing.assert_allclose(flat(ALL[name](SENT, updates_of([rows[place] for place in order]))), found)


@pytest.mark.parametrize("name", ALL)
@given(row=st.tuples(numbers, numbers, numbers), count=st.integers(1, 8))
def test_nodes_that_agree_are_all_taken_at_their_word(name, row, count):
    np.testing.assert_allclose(flat(ALL[name](SENT, updates_of([row] * count))), row, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("mean", "clipped")])
@given(seed=st.integers(0, 200), size=st.floats(10, 1e6))
def test_three_nodes_of_ten_that_lie_do_not_move_it_out_of_the_honest_ones(name, seed, size):
    generator = np.random.default_rng(seed)
    honest = generator.normal(size=(7, 3))
    lies = size * generator.choice([-1, 1], size=(3, 3))
    found = flat(ALL[name](SENT, updates_of([*honest.tolist(), *lies.tolist()])))
    assert (found >= honest.min(0) - 1e-9).all()
    assert (found <= honest.max(0) + 1e-9).all()


def test_the_mean_goes_wherever_a_single_node_wants_and_the_clipped_mean_only_so_far():
    rows = [[0.0, 0.0, 0.0]] * 9 + [[1e6, 0.0, 0.0]]
    assert flat(mean(SENT, updates_of(rows)))[0] == pytest.approx(1e5)
    assert flat(ClippedMean(1.0)(SENT, updates_of(rows)))[0] == pytest.approx(0.1)


def test_a_stated_weight_counts_for_the_means_by_weight_alone():
    rows, weights = np.random.default_rng(1).normal(size=(5, 3)).tolist(), [1.0, 1.0, 1e9, 1.0, 1.0]
    for name, aggregate in ALL.items():
        same = np.allclose(flat(aggregate(SENT, updates_of(rows))), flat(aggregate(SENT, updates_of(rows, weights))))
        assert same == (name not in ("mean", "clipped")), name


def test_the_servers_take_it_in_place_of_the_mean():
    updates = updates_of([[1.0, 2.0, 3.0]] * 2 + [[1e9, 1e9, 1e9]])
    first = Round(0, 5, 0)
    params, state = FedAvg(median)(SENT, {}, updates, first)
    np.testing.assert_allclose(flat(params), [1, 2, 3])
    assert state == {}
    robust, plain = (FedAdam(0.1, aggregate=kind)(SENT, {}, updates, first)[1] for kind in (median, mean))
    np.testing.assert_allclose(robust["first.a"], [-0.1, -0.2])
    assert float(plain["first.a"].abs().max()) > 1e6
