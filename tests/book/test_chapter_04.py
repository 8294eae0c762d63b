"""Chapter 4: its task is the library's, its baseline is what it says, and its figures say what they show."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chapters import defined_in
from hypothesis import given, settings
from hypothesis import strategies as st

import mglib
from figures import ch04
from mglib import Batch, Node

CHAPTER = "04_tasks_not_data_sets"


def make_node(classes=7, examples=9):
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (classes * examples, 1, 6, 6), generator=generator, dtype=torch.uint8)
    names = tuple(f"character{index}" for index in range(classes))
    return Node("writer", names, images, torch.arange(classes * examples) % classes)


@settings(max_examples=40)
@given(st.integers(2, 7), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32))
def test_the_chapters_task_is_the_librarys_tensor_for_tensor(ways, shots, queries, seed):
    node = make_node()
    sample_task = defined_in(CHAPTER, "sample_task")["sample_task"]
    generators = [np.random.default_rng(seed) for _ in range(2)]
    ours = sample_task(node, ways, shots, queries, generators[0])
    its = node.sample_task(ways, shots, queries, generators[1])
    assert (ours.node, ours.classes) == (its.node, its.classes)
    for mine, theirs in ((ours.support, its.support), (ours.query, its.query)):
        assert torch.equal(mine.images, theirs.images)
        assert mine.images.dtype == theirs.images.dtype
        assert torch.equal(mine.labels, theirs.labels)
    assert ours.support.support_images is None
    assert torch.equal(ours.query.support_images, its.query.support_images)
    assert generators[0].random() == generators[1].random(), "not the same draws"


def test_classes_with_too_few_examples_are_left_out():
    node = make_node()
    fewer = Node("writer", node.classes, node.images[3:], node.labels[3:])  # three classes lose one example
    sample_task = defined_in(CHAPTER, "sample_task")["sample_task"]
    for seed in range(10):
        ours = sample_task(fewer, 4, 4, 5, np.random.default_rng(seed))
        assert set(ours.classes) == set(node.classes[3:])


def test_the_nearest_neighbour_answers_with_the_label_of_the_closest_image():
    nearest_neighbour = defined_in(CHAPTER, "nearest_neighbour")["nearest_neighbour"]
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).view(3, 1, 1, 2)
    support = Batch(corners, torch.tensor([2, 0, 1]))
    query = Batch(corners + torch.tensor([0.2, 0.1]), torch.tensor([2, 0, 1]))
    assert nearest_neighbour(support, query).tolist() == [2, 0, 1]


def test_the_interval_covers_the_mean_19_times_of_20():
    half_width = defined_in(CHAPTER, "half_width")["half_width"]
    samples = np.random.default_rng(0).normal(0.5, 0.1, (2000, 100))
    covered = np.mean([abs(each.mean() - 0.5) < half_width(each) for each in samples])
    assert 0.93 < covered < 0.97
    scores = [
        SimpleNamespace(accuracy=a, macs_ratio=1, accuracy_zero_step=0, accuracy_transductive=0) for a in samples[0]
    ]
    assert half_width(samples[0]) == pytest.approx(mglib.summarise(scores)["ci95"])


def glyphs(count, seed=0):
    return torch.rand(count, 28, 28, generator=torch.Generator().manual_seed(seed))


def test_the_tasks_in_a_figure_are_named_and_counted():
    task = ("Greek/writer1", glyphs(5), glyphs(8), torch.arange(8) % 5)
    figure = ch04.show_tasks([task, ("Lao/writer2", *task[1:])], "Tasks.")
    assert "2 rows" in figure.alt
    assert "Greek/writer1, Lao/writer2" in figure.alt
    assert "numbered 0 to 4" in figure.alt


def test_the_writers_in_a_figure_are_named():
    assert "drawn 6 times" in ch04.show_writers({"Ada": glyphs(3), "Bo": glyphs(3)}).alt


@pytest.mark.parametrize("trained", [3, 4])
def test_the_split_says_which_script_is_kept_for_what(trained):
    train = {f"script{index}": glyphs(10) for index in range(trained)}
    splits = {"train": train, "validation": {"N'Ko": glyphs(10)}, "test": {"Lao": glyphs(10)}}
    figure = ch04.show_split(splits, dict.fromkeys([*train, "N'Ko", "Lao"], 44), "The split.")
    assert "validation: N'Ko; test: Lao" in figure.alt
    assert figure.svg.count("44 characters") == trained + 2
    assert "stroke-dasharray" in figure.svg, "validation must differ by more than its colour"


def test_the_warp_figure_tells_strength_and_accuracy():
    figure = ch04.show_warp(glyphs(12).view(4, 3, 28, 28), [0, 1, 2], [1.0, 0.5, 0.25], 2)
    assert "4 characters, 3 drawings of each, warp 2.00" in figure.alt
    assert "25%" in figure.alt


@pytest.mark.parametrize(("answer", "told"), [(None, "question mark"), (2, "is 2: right"), (4, "is 4: wrong")])
def test_a_riddle_keeps_its_answer_until_it_is_solved(answer, told):
    figure = ch04.show_riddle(glyphs(5), glyphs(1)[0], 2, answer)
    assert told in figure.alt
    assert ("true" in figure.svg) == (answer is not None)
    assert (">pixels</text>" in figure.svg) == (answer == 4)
    if answer is None:
        assert "It is 2" not in figure._repr_html_()


def test_accuracies_are_told_with_their_labels():
    figure = ch04.show_accuracies([("pixels", 0.654, 0.02), ("learnt", 0.88, 0.01)], ours=[1])
    assert "pixels: 65%; learnt: 88%" in figure.alt
    assert "--mg-open" in figure.svg
    assert "--mg-open" not in ch04.show_accuracies([("pixels", 0.654, 0.02)]).svg


def test_twins_name_the_scripts_and_the_weakest_likeness():
    pairs = [(glyphs(2)[0], glyphs(2)[1], script, value) for script, value in (("Latin", 0.99), ("Lisu", 0.91))]
    figure = ch04.show_twins(pairs * 3)
    assert "6 pairs" in figure.alt
    assert "Latin, Lisu" in figure.alt
    assert "0.91" in figure.alt


def test_likeness_counts_what_lies_beyond_the_threshold():
    figure = ch04.show_likeness(glyphs(6), [0.7, 0.75, 0.89, 0.9, 0.901, 1.0], 0.9)
    assert "2 of 6" in figure.alt
    assert "2 dropped" in figure.svg
    assert "4 kept" in figure.svg
