"""Chapter 16: its admission refuses what the library refuses, its means are the library's."""

import math

import numpy as np
import pytest
import torch
from chapters import defined_in

from mglib.federated import ClippedMean, Krum, Round, TrimmedMean, Update, median, reason_against

CHAPTER = "16_when_nodes_fail_or_lie"
SENT = {"w": torch.ones(3, 2), "b": torch.zeros(3)}
ROUND = Round(4, 9, 0)


def update(**changes):
    fields = {"node": "n", "params": {name: value + 1 for name, value in SENT.items()}, "weight": 2.0, "metrics": {}}
    return Update(**{**fields, "round": 4, **changes})


def params(**changes):
    return {**update().params, **changes}


@pytest.mark.parametrize(
    "answer",
    [
        update(),
        update(round=None),
        update(round=3),
        update(weight=-1.0),
        update(weight=math.nan),
        update(params={"w": torch.ones(3, 2)}),
        update(params=params(c=torch.ones(1))),
        update(params=params(w=torch.ones(2, 3))),
        update(params=params(w=torch.ones(3, 2, dtype=torch.float64))),
        update(params=params(w=torch.ones(300, 2))),
        update(params=params(b=torch.tensor([0.0, math.inf, 0.0]))),
        update(metrics={"loss": math.nan}),
    ],
)
def test_the_chapter_refuses_what_the_library_refuses(answer):
    ours = defined_in(CHAPTER, "objection")["objection"](answer, SENT, ROUND)
    assert (ours is None) == (reason_against(answer, SENT, ROUND) is None)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("nodes", [5, 8, 11])
def test_the_chapters_means_are_the_librarys(seed, nodes):
    held = defined_in(CHAPTER, "clipped_mean", "middle", "trimmed_mean", "krum")
    moves = torch.randn(nodes, 4, generator=torch.Generator().manual_seed(seed)) * 2
    sent = {"p": torch.zeros(4)}
    updates = [Update(str(place), {"p": move}, 1.0, {}) for place, move in enumerate(moves)]
    pairs = {
        "clipped": (held["clipped_mean"](moves, 1.5), ClippedMean(1.5)),
        "median": (held["middle"](moves), median),
        "trimmed": (held["trimmed_mean"](moves, 0.2), TrimmedMean(0.2)),
        "krum": (held["krum"](moves, 0.3), Krum(0.3)),
    }
    for name, (ours, theirs) in pairs.items():
        torch.testing.assert_close(ours, theirs(sent, updates)["p"], msg=name)


def test_the_chance_of_a_lying_majority_is_what_sampling_gives():
    chance = defined_in(CHAPTER, "majority_lies")["majority_lies"](20, 6, 4)
    generator = np.random.default_rng(0)
    drawn = [sum(generator.choice(20, 4, replace=False) < 6) >= 2 for _ in range(20_000)]
    assert chance == pytest.approx(np.mean(drawn), abs=0.012)
    assert defined_in(CHAPTER, "majority_lies")["majority_lies"](20, 0, 4) == 0


@pytest.mark.parametrize(
    ("mean", "half", "word"), [(0.005, 0.01, "within 2 points"), (0.05, 0.01, "more than 2"), (0.01, 0.02, "open")]
)
def test_a_loss_is_judged_by_its_whole_interval(mean, half, word):
    lost = type("Estimate", (), {"mean": mean, "ci95": half})
    assert defined_in(CHAPTER, "verdict_on")["verdict_on"](lost) == word
