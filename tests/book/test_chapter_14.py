"""Chapter 14: its partition keeps its promises, its verdicts follow the intervals, its figures say what they show."""

import numpy as np
import pytest
import torch
from chapters import defined_in, prose_of

from figures.ch14 import show_gap, show_partition, show_photos
from studies import STUDIES
from studies.cells import RESULTS

CHAPTER = "14_on_real_images"
NAMES = [f"class{index}" for index in range(10)]


@pytest.mark.parametrize(("nodes", "size"), [(13, 5), (40, 5), (9, 2), (10, 9)])
def test_sets_drawn_are_all_different_and_hold_every_class_about_as_often(nodes, size):
    draw_sets = defined_in(CHAPTER, "draw_sets")["draw_sets"]
    sets = draw_sets(NAMES, nodes, size, np.random.default_rng(1))
    assert len(set(sets)) == nodes
    assert {len(own) for own in sets} == {size}
    often = [sum(name in own for own in sets) for name in NAMES]
    assert max(often) - min(often) <= 2


def test_images_are_shared_out_once_each():
    share_out = defined_in(CHAPTER, "share_out")["share_out"]
    parts = share_out(80, [frozenset("ab"), frozenset("b"), frozenset("ac")], "a", np.random.default_rng(0))
    assert list(parts) == [0, 2]
    assert sorted(np.concatenate([*parts.values()])) == list(range(80))


@pytest.mark.parametrize(
    ("difference", "half", "least", "said"),
    [
        (-0.043, 0.005, 0.02, "met"),
        (-0.022, 0.005, 0.02, "open"),
        (0.01, 0.005, 0.02, "missed"),
        (0.004, 0.0005, -0.005, "met"),
        (0.004, 0.002, -0.005, "open"),
        (None, None, 0.02, "not measured yet"),
    ],
)
def test_a_goal_is_reached_where_the_whole_interval_says_so(difference, half, least, said):
    held = defined_in(CHAPTER, "lead_over", "reached")
    lead = held["lead_over"]({"difference": difference, "difference_ci95": half})
    assert held["reached"](lead, least) == said


def test_a_letters_colour_says_nothing_of_its_class():
    painted = defined_in(CHAPTER, "painted")["painted"]
    ink = np.zeros((12, 12), np.uint8)
    ink[4:8, 4:8] = 255
    one, other = (painted(ink, np.random.default_rng(seed)) for seed in (1, 2))
    assert one.shape == (12, 12, 3)
    assert np.abs(one[5, 5].astype(int) - other[5, 5]).max() > 10
    assert one[5, 5].min() >= 139  # brighter than any ground


def test_gates_of_groups_are_no_better_than_gates_of_single_filters():
    rows = [row for row in STUDIES["networks"].lines(RESULTS) if row["group"]]
    right = {group: [row["accuracy"] for row in rows if row["group"] == group] for group in (1, 4, 12)}
    assert [len(each) for each in right.values()] == [3, 3, 3]
    assert abs(np.mean(right[4]) - np.mean(right[1])) < 0.01, "as good"
    assert [share < 0.25 for share in sorted(right[12])] == [True, False, False], "one ends at chance"
    assert "**Groups bring nothing here.**" in prose_of(CHAPTER)


# --- figures -------------------------------------------------------------------------------------------------------


def test_a_partition_says_what_is_on_new_nodes_only():
    heads = {name: torch.rand(8, 8) for name in NAMES[:3]}
    nodes = {"train": {"train1": {NAMES[0]: 4}}, "test": {"test1": {NAMES[0]: 3, NAMES[2]: 5}}}
    figure = show_partition(nodes, heads)
    assert "1 nodes for train, of 1 classes each; 1 nodes for test, of 2 classes each" in figure.alt
    assert "1 classes are on new nodes only" in figure.alt


def test_a_gap_says_each_loss_and_names_what_is_not_measured():
    figure = show_gap(("sets", "classes"), {"a": [(0.5, 0.03), (0.45, 0.04)], "b": [(0.5, 0.01), None]})
    assert "from sets to classes" in figure.alt
    assert "a: −5.0 ± 5.0, to 45.0 %; b: not measured yet" in figure.alt
    assert "a: not measured yet" in show_gap(("sets", "classes"), {"a": [None, None]}).alt


def test_photos_are_named_by_class():
    rows = {name: torch.zeros(3, 3, 8, 8, dtype=torch.uint8) for name in ("alpha", "beta")}
    assert "3 of each class: alpha, beta" in show_photos(rows).alt
