"""Chapter 10: its verdicts follow the intervals, its intervals are the library's, its figures say what they show."""

import re

import numpy as np
import pytest
import torch
from chapters import defined_in

from figures.ch10 import show_gains, show_orders, show_sorted
from figures.intervals import show_differences, show_rows
from studies import estimate_means

CHAPTER = "10_one_step_on_a_new_node"


def lead(mean, half, seeds=5):
    return {"difference": mean, "difference_ci95": half, "paired_seeds": seeds}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (lead(0.008, 0.001), "met"),
        (lead(-0.05, 0.02), "met"),
        (lead(0.008, 0.003), "open"),
        (lead(0.012, 0.003), "open"),
        (lead(0.02, 0.003), "missed"),
        (lead(None, None), "not measured yet"),
    ],
)
def test_the_verdict_follows_the_interval(row, said):
    assert defined_in(CHAPTER, "verdict")["verdict"](row, 0.01) == said


def test_points_say_mean_interval_and_seeds():
    points = defined_in(CHAPTER, "points")["points"]
    assert points(lead(0.0253, 0.0027)) == "+2.5 ± 0.3 points (5 seeds)"
    assert points(lead(-0.004, 0.0044, 1)) == "-0.4 ± 0.4 points (1 seed)"
    assert points(lead(None, None)) == "not measured yet"


@pytest.mark.parametrize("seeds", [2, 3, 4, 5])
def test_students_interval_is_the_librarys_where_seeds_vary(seeds):
    generator = np.random.default_rng(seeds)
    values = 0.8 + 0.05 * generator.standard_normal((seeds, 1)) + 0.05 * generator.standard_normal((seeds, 400))
    (estimate,) = estimate_means([values])
    assert defined_in(CHAPTER, "student")["student"](values.mean(1)) == pytest.approx(estimate.ci95, rel=2e-3)


# --- figures -------------------------------------------------------------------------------------------------------


def test_sorted_queries_say_how_many_lie_in_their_row():
    support, queries, labels = torch.rand(2, 6, 6), torch.rand(4, 6, 6), torch.tensor([0, 0, 1, 1])
    figure = show_sorted(support, queries, labels, {"before": torch.zeros(4, dtype=int), "after": labels})
    assert "before, 2 of 4 lie in their own row; after, 4 of 4" in figure.alt


def test_orders_say_what_moves_when():
    both = frozenset({"backbone", "gates"})
    figure = show_orders({"two": [frozenset({"backbone"}), frozenset({"gates"})], "joint": [both]})
    assert "two: backbone, then gates; joint: backbone and gates" in figure.alt
    with pytest.raises(ValueError, match="head"):
        show_orders({"other": [frozenset({"head"})]})


def test_gains_say_who_loses():
    figure = show_gains({"a": np.array([[-0.02, 0.0, 0.04, 0.02]])})
    assert "a: 25% lose, 50% gain, +1.0 points on average" in figure.alt


def test_rows_that_are_missing_are_named():
    row = {"label": "ours", "accuracy": 0.825, "ci95": 0.01, "macs_ratio": 0.49, "seeds": 5}
    lacking = row | {"label": "theirs", "accuracy": None, "ci95": None, "macs_ratio": None, "seeds": 0}
    figure = show_rows({"glyphs": [row, lacking], "cifar10": [lacking, lacking]}, chance=0.2)
    assert "glyphs, ours: 82.5 ± 1.0, 49% of MACs; glyphs, theirs: not measured yet" in figure.alt
    assert "cifar10: not measured yet" in figure.alt
    differences = [{"label": "x", **lead(0.011, 0.009)}, {"label": "y", **lead(None, None)}]
    assert "x: +1.1 ± 0.9 points; y: not measured yet" in show_differences(differences, "fixed").alt


def test_panels_share_a_scale_that_makes_room_for_all_rows():
    near, far = ({"label": "x", "accuracy": a, "ci95": 0.01, "macs_ratio": None, "seeds": 1} for a in (0.5, 0.9))
    own, shared = (
        re.findall(r"(\d+)%<", show_rows({"a": [near], "b": [far]}, scale_of=s).svg) for s in ((), [near, far])
    )
    assert len(set(shared)) == len(shared) / 2
    assert len(set(own)) > len(own) / 2


def test_the_dashed_line_runs_through_the_reference():
    rows = [{"label": name, "accuracy": share, "ci95": 0.01} for name, share in (("a", 0.2), ("b", 0.8))]
    first, second = (show_rows({"glyphs": rows}, reference=place) for place in (0, 1))
    assert "marks each group's first row" in first.alt
    assert "marks each group's second row" in second.alt
    assert first.svg.count("<path") == second.svg.count("<path")
    assert first.svg != second.svg
