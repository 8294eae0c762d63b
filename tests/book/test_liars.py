"""Chapter 16's figure that computes: its five means are the library's, wherever the reader's hand moves the nodes."""

import re

import pytest
import torch
from hand import move_everything

from figures.ch16 import play_lies
from mglib.federated import ClippedMean, Krum, TrimmedMean, Update, median

NORM, SHARE = 1.0, 0.3
MEANS = {"clipped": ClippedMean(NORM), "median": median, "trimmed": TrimmedMean(SHARE), "Krum": Krum(SHARE)}
HONEST = torch.randn(10, 2, generator=torch.Generator().manual_seed(7), dtype=torch.double) * 0.5 + 1
HONEST = (10 * HONEST).round() / 10  # whatever the strength of the lies, the page says every move in full


def check(page) -> tuple[float, ...]:
    """Compare what the page says with the library's means of the moves that it shows; return all that was set."""
    lying, strength = int(page.get_by_label("how many lie").input_value()), page.get_by_label("how far").input_value()
    said = "all => all.map((handle) => ['aria-label', 'aria-valuetext'].map((name) => handle.getAttribute(name)))"
    names, places = zip(*page.locator("g[role=slider]").evaluate_all(said), strict=True)
    roles = ["honest"] * (len(names) - lying) + ["lying"] * lying
    assert list(names) == [f"move of node {place}, {role}" for place, role in enumerate(roles, start=1)]
    moves = torch.tensor([numbers_in(place) for place in places], dtype=torch.double)
    updates = [Update(str(place), {"p": move}, 1.0, {}) for place, move in enumerate(moves)]
    means = {name: mean({"p": torch.zeros_like(moves[0])}, updates)["p"] for name, mean in MEANS.items()}
    honest = moves[: len(moves) - lying].mean(0)
    away = {name: float((mean - honest).norm()) for name, mean in ({"mean": moves.mean(0)} | means).items()}
    told = re.findall(r"(\w+) (\d+\.\d\d)", page.locator(".mg-readout").inner_text())
    assert {name: float(distance) for name, distance in told} == pytest.approx(away, abs=6e-3)
    return lying, float(strength), *moves.flatten().tolist()


def numbers_in(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]


def as_set(lying: int, strength: float) -> list[float]:
    """Return the moves where no node was moved by hand."""
    moves = HONEST.clone()
    moves[len(moves) - lying :] *= -strength
    return moves.flatten().tolist()


@pytest.mark.browser
def test_the_page_averages_as_the_library_does_under_any_hand(alone):
    page = alone(play_lies(HONEST, 3, 2.5, NORM, SHARE))
    seen = move_everything(page, ("how many lie", "how far they go the wrong way"), check)
    for lying, strength, *moves in seen[:9]:  # before a node is moved by hand
        assert moves == pytest.approx(as_set(lying, strength))
    page.get_by_role("button", name="Back to the start").click()
    assert check(page) == pytest.approx(seen[0])


@pytest.mark.browser
@pytest.mark.parametrize(("lying", "strength"), [(0, 1.0), (3, 0.5), (3, 10.0), (5, 2.0)])
def test_any_number_of_liars_is_averaged_as_by_the_library(alone, lying, strength):
    page = alone(play_lies(HONEST, lying, strength, NORM, SHARE))
    assert check(page) == pytest.approx((lying, strength, *as_set(lying, strength)))


def test_the_figure_counts_its_liars_and_refuses_more_than_it_can_show():
    figure = play_lies(HONEST[:4], 1, 3.0, 1.0, 0.25, "Lies.")
    assert re.search(r"the moves of 4 nodes.*squares for 1 that go 3 times as far", figure.alt)
    with pytest.raises(ValueError, match="4 liars of 4 nodes: 0 to 3"):
        play_lies(HONEST[:4], 4, 3.0, 1.0, 0.25)
