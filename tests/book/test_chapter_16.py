"""Chapter 16: its admission refuses what the library refuses, its means are the library's, its figure says who lies."""

import math
import re

import numpy as np
import pytest
import torch
from chapters import defined_in

from figures.ch16 import play_lies
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


def test_the_figure_counts_its_liars_and_refuses_more_than_it_can_show():
    moves = torch.tensor([[1.0, 0.5], [0.8, 0.7], [0.9, 0.4], [1.2, 0.6]])
    figure = play_lies(moves, 1, 3.0, 1.0, 0.25, "Lies.")
    assert re.search(r"the moves of 4 nodes.*squares for 1 that go 3 times as far", figure.alt)
    with pytest.raises(ValueError, match="4 liars of 4 nodes: 0 to 3"):
        play_lies(moves, 4, 3.0, 1.0, 0.25)


@pytest.mark.parametrize(("liars", "strength"), [(0, 1.0), (3, 0.5), (3, 10.0), (5, 2.0)])
def test_the_page_averages_as_the_library_does(browser, liars, strength):
    moves = torch.randn(10, 2, generator=torch.Generator().manual_seed(7)) * 0.5 + 1
    page = browser.new_page()
    page.set_content(play_lies(moves, liars, strength, 1.0, 0.3)._repr_html_())
    told = page.locator(".mg-readout").inner_text()
    page.close()
    lied, honest = moves.clone(), moves[: 10 - liars].mean(0)
    lied[10 - liars :] *= -strength
    updates = [Update(str(place), {"p": move}, 1.0, {}) for place, move in enumerate(lied)]
    robust = {"clipped": ClippedMean(1.0), "median": median, "trimmed": TrimmedMean(0.3), "Krum": Krum(0.3)}
    means = {name: aggregate({"p": torch.zeros(2)}, updates)["p"] for name, aggregate in robust.items()}
    for name, mean in ({"mean": lied.mean(0)} | means).items():
        expected = float((mean - honest).norm())
        shown = float(re.search(rf"{name} (\d+\.\d\d)", told)[1])
        assert shown == pytest.approx(expected, abs=0.006), name


def test_back_to_the_start_resets_moves_liars_and_strength(browser):
    page = browser.new_page()
    page.set_content(play_lies(torch.eye(10)[:, :2] + 0.5, 3, 2.5, 1.0, 0.3)._repr_html_())
    told, sliders = page.locator(".mg-readout"), page.locator("input[type=range]")
    before = told.inner_text()
    page.get_by_role("slider", name="move of node 1, honest").press("ArrowUp")
    for slider in sliders.all():
        slider.press("End")
    assert [slider.input_value() for slider in sliders.all()] == ["6", "10"]
    assert page.get_by_role("slider", name=re.compile("lying")).count() == 6
    page.get_by_role("button", name="Back to the start").click()
    assert told.inner_text() == before
    assert [slider.input_value() for slider in sliders.all()] == ["3", "2.5"]
    assert page.get_by_role("slider", name=re.compile("lying")).count() == 3
    page.close()


def test_a_node_is_moved_by_the_arrow_keys(browser):
    page = browser.new_page()
    page.set_content(play_lies(torch.ones(10, 2), 3, 3.0, 1.0, 0.3)._repr_html_())
    node = page.get_by_role("slider", name="move of node 1, honest")
    node.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert node.get_attribute("aria-valuetext") == "1.5 across, 1.0 up"
    page.close()
