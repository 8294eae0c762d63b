"""Drawings: middle lines follow the ink, the raster is what it says, and hands differ as writers do."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mglib
import pad.strokes
from mglib import Recipe
from mglib.tasks import fonts
from mglib.tasks.glyphs import SCRIPTS, TEST, kept_characters
from pad.__main__ import main
from pad.drawings import DrawingSettings, character_lines, draw_all, drawing_federation, federation_of, shake
from pad.strokes import INSIDE, PEN, centre_lines, centred, rasterise

SMALL = DrawingSettings(examples=2, writers=1, held_out_writers=1)
LINES = {
    "bar": [np.array([(0.2, 0.5), (0.8, 0.5)])],
    "two": [np.array([(0.1, 0.1), (0.1, 0.9)]), np.array([(0.5, 0.5), (0.9, 0.5)])],
}


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    return drawing_federation(SMALL, folder=tmp_path_factory.mktemp("cache"))


def points_of(strokes):
    return np.concatenate(strokes)


@pytest.mark.parametrize("character", "AKO:8")
def test_middle_lines_stay_in_the_ink_and_follow_all_of_it(character):
    (clean,) = fonts.render(character, fonts.FACES[0])
    ink = clean < 0
    strokes = centre_lines(ink)
    thin, thick = (rasterise(strokes, len(ink), pen) > 127 for pen in (0.5 / len(ink), 1.2 * -clean.min()))
    assert (thin & ~ink).sum() < 0.05 * thin.sum(), "a line leaves the ink"
    assert (ink & ~thick).sum() < 0.05 * ink.sum(), "a part of the ink has no line"


def test_a_dot_keeps_its_place_and_a_closed_line_closes():
    ink = np.zeros((60, 60), bool)
    ink[5:9, 5:9] = True
    ink[30:50, 20:40] = True
    ink[36:44, 26:34] = False
    strokes = centre_lines(ink)
    dots = [stroke for stroke in strokes if np.ptp(stroke, axis=0).max() < 0.1]
    assert len(dots) == 1
    np.testing.assert_allclose(dots[0].mean(0), (7 / 60, 7 / 60), atol=0.03)
    (ring,) = [stroke for stroke in strokes if np.ptp(stroke, axis=0).max() > 0.1]
    np.testing.assert_array_equal(ring[0], ring[-1])


def test_last_digits_do_not_choose_between_points_that_are_equally_far(monkeypatch):
    """They differ from processor to processor, and whichever point is chosen, all that is drawn afterwards differs."""
    characters, generator = kept_characters(tuple(SCRIPTS), {*TEST})["Lao"], np.random.default_rng(0)
    lines = character_lines(characters, fonts.FACES[0])
    nudges = pad.strokes._nudges
    monkeypatch.setattr(
        pad.strokes, "_nudges", lambda count: nudges(count) + 1e-12 * generator.standard_normal((count, 2))
    )
    for character, again in character_lines(characters, fonts.FACES[0]).items():
        np.testing.assert_array_equal(points_of(again), points_of(lines[character]))


def test_without_ink_or_points_there_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="no ink"):
        centre_lines(np.zeros((9, 9), bool))
    for nothing in ([], [np.zeros((0, 2))]):
        with pytest.raises(ValueError, match="empty drawing"):
            centred(nothing)


@given(shift=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)), factor=st.floats(0.3, 1))
def test_where_and_how_large_one_draws_does_not_matter(shift, factor):
    for strokes in LINES.values():
        moved = [stroke * factor + shift for stroke in strokes]
        np.testing.assert_allclose(points_of(centred(moved)), points_of(centred(strokes)), atol=1e-9)
        low, high = points_of(centred(moved)).min(0), points_of(centred(moved)).max(0)
        np.testing.assert_allclose((low + high) / 2, 0.5, atol=1e-9)
        assert (high - low).max() == pytest.approx(INSIDE)


def test_a_dot_is_not_blown_up():
    dot = centred([np.array([(0.3, 0.3), (0.301, 0.3)])])
    assert np.ptp(points_of(dot), axis=0).max() < 0.01
    assert 3 < (rasterise(dot) > 0).sum() < 20


def test_the_raster_is_as_wide_as_the_pen_and_nowhere_else():
    image = rasterise([np.array([(0.25, 0.5), (0.75, 0.5)])], side=280, pen=0.05)
    column = image[:, 140] / 255
    assert column.sum() / 280 == pytest.approx(0.1, abs=0.001)
    assert image[:, : int(0.19 * 280)].max() == 0
    np.testing.assert_array_equal(image, image[::-1])
    turned = rasterise([np.array([(0.5, 0.25), (0.5, 0.75)])], side=280, pen=0.05)
    np.testing.assert_array_equal(image, turned.T)


def test_a_line_is_the_same_whatever_points_lie_on_it():
    coarse = rasterise([np.array([(0.2, 0.2), (0.8, 0.6)])])
    fine = rasterise([np.linspace((0.2, 0.2), (0.8, 0.6), 17)])
    assert np.abs(coarse.astype(int) - fine).max() <= 1


def test_hands_differ_and_each_is_itself():
    lines = character_lines("AB", fonts.FACES[0])
    many = dataclasses.replace(SMALL, examples=30)
    one, other = (draw_all(lines, many, np.random.default_rng(seed))["A"].float() for seed in (1, 2))
    within = torch.cdist(one.flatten(1), one.flatten(1)).median()
    across = torch.cdist(one.flatten(1), other.flatten(1)).median()
    assert across > within > 0
    again = draw_all(lines, many, np.random.default_rng(1))["A"].float()
    assert torch.equal(one, again)
    still = DrawingSettings(rotation=0, shear=0, scale=0, bend=0, shake=0, stray=0, pen=0)
    shaken, pen = shake(lines["A"], still, np.random.default_rng(0))
    assert pen == pytest.approx(PEN)
    assert np.abs(rasterise(centred(shaken)).astype(int) - rasterise(centred(lines["A"]))).max() <= 1


def test_the_federation_is_that_of_the_glyphs_drawn(federation):
    glyphs = mglib.load_federation("glyphs")
    assert {node.name.split("/")[0] for node in federation.test} == {node.name.split("/")[0] for node in glyphs.test}
    classes = {name for node in federation.test for name in node.classes}
    assert classes == {name for node in glyphs.test for name in node.classes}
    for node in (*federation.train, *federation.test):
        assert node.images.shape[1:] == (1, 28, 28)
        assert (node.images.flatten(1).max(1).values > 128).all(), "a drawing is empty"


def test_what_makes_no_sense_is_refused():
    for wrong, reason in (({"channels": 3}, "grey"), ({"data": "omniglot"}, "data"), ({"nodes": (8, 2, 4)}, "nodes")):
        with pytest.raises(ValueError, match=reason):
            federation_of(Recipe(**wrong))
    with pytest.raises(ValueError, match="held_out"):
        drawing_federation(SMALL, held_out=("Klingon",))


def test_the_pad_trains_and_evaluates_on_its_drawings(federation, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pad.__main__.federation_of", lambda recipe: federation)
    sizes = ["--rounds", "1", "--width", "4", "--queries", "1", "--workers", "1"]
    assert main(["train", "--out", str(tmp_path / "run"), *sizes]) == 0
    assert main(["evaluate", str(tmp_path / "run"), "--tasks", "2"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["data"] == record["recipe"]["data"] == "drawings"
    assert record["nodes"] == [node.name for node in federation.test[:2]]
