"""Chapter 7's figure that computes: its rounds are the library's, and it rests where the chapter's formula says."""

import re
from dataclasses import dataclass

import pytest
import torch
from chapters import defined_in
from hand import move_everything, press
from torch import Tensor

import mglib
from figures.ch07_drift import play_drift

CHAPTER = "07_many_nodes"
SAID = re.compile(r"(\d+) local steps? at η = ([\d.]+): after (\d+) rounds? .*? ([\d.]+) from .*? rests ([\d.]+) from")


@dataclass(frozen=True)
class Bowl:
    """A node as the chapter has it."""

    name: str
    minimum: Tensor
    curvature: Tensor
    weight: float = 1.0


def vector(*numbers):
    return torch.tensor(numbers, dtype=torch.double)


BOWLS = [
    Bowl("node 1", vector(-2, 2), vector(0.2, 1.0)),
    Bowl("node 2", vector(3, 1), vector(1.0, 0.2)),
    Bowl("node 3", vector(-1, -3), vector(0.3, 0.3)),
]


def check(page) -> tuple[float, ...]:
    """Compare what the page says with the library's rounds and the chapter's formula; return all that was set."""
    said = SAID.search(page.locator(".mg-readout").inner_text()).groups()
    steps, rate, rounds = int(said[0]), float(said[1]), int(said[2])
    differ = float(page.get_by_label("how much the curvatures differ").input_value())
    handles = page.locator("g[role=slider]").all()
    points = [vector(*map(float, re.findall(r"-?[\d.]+", h.get_attribute("aria-valuetext")))) for h in handles]
    level = sum(bowl.curvature for bowl in BOWLS) / len(BOWLS)
    bowls = [
        Bowl(bowl.name, minimum, level + differ * (bowl.curvature - level))
        for bowl, minimum in zip(BOWLS, points[1:], strict=True)
    ]
    held = defined_in(CHAPTER, "Descend", "resting_place")
    held["resting_place"].__globals__["bowls"] = bowls
    client, total = held["Descend"](steps, rate), sum(bowl.curvature for bowl in bowls)
    best = sum(bowl.curvature * bowl.minimum for bowl in bowls) / total
    *_, last = mglib.run_rounds(
        mglib.LocalEngine(client, bowls), {"p": points[0]}, mglib.average, rounds=rounds, nodes_per_round=3, seed=0
    )
    away = float((last.params["p"] - best).norm()), float((held["resting_place"](steps, rate) - best).norm())
    assert [float(x) for x in said[3:]] == pytest.approx(away, abs=6e-3)
    return steps, rate, rounds, differ, *torch.stack(points).flatten().tolist()


@pytest.mark.browser
def test_the_page_averages_as_the_library_does_and_rests_where_the_formula_says(alone):
    page = alone(play_drift(BOWLS, vector(-3, -2), 20, 0.2, 8))
    move_everything(page, ("local steps", "learning rate η", "rounds", "how much the curvatures differ"), check)
    page.get_by_role("button", name="Put all points back").click()
    assert check(page)[4:6] == (-3, -2)


@pytest.mark.browser
def test_bowls_of_one_curvature_do_not_drift(alone):
    page = alone(play_drift(BOWLS, vector(-3, -2), 20, 0.2, 8))
    assert "rests 1.24 from it" in page.locator(".mg-readout").inner_text()
    press(page.get_by_label("how much the curvatures differ"), "Home")
    assert "rests 0.00 from it" in page.locator(".mg-readout").inner_text()
    check(page)


@pytest.mark.parametrize(("setting", "name"), [((51, 0.2, 8), "steps"), ((2, 0, 8), "rate"), ((2, 0.2, 41), "rounds")])
def test_what_a_slider_does_not_reach_is_refused(setting, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        play_drift(BOWLS, vector(-3, -2), *setting)
