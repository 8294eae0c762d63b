"""Chapter 13's figure that computes: its bound is the chapter's, term by term, and its best rate is the best."""

import re

import numpy as np
import pytest
from chapters import defined_in
from hand import drag, drag_by, press
from scipy.optimize import minimize_scalar

from figures.ch13_bound import play_bound

SIZE = r"([\d.]+(?:e-?\d+)?)"
SAID = re.compile(
    rf"K = (\d+), S = (\d+) of 6, T = (\d+), η = {SIZE} of at most {SIZE}\. The bound is {SIZE}: {SIZE} goes to zero, "
    rf"{SIZE} is the floor\. The best rate, {SIZE}, brings it to {SIZE}\."
)
SMOOTHNESS, FALL, SIGMA2 = 10.94, 2.34, 0.96
BEGIN = {"steps": 5, "sampled": 2, "rounds": 600}


@pytest.fixture(scope="module")
def terms():
    return defined_in("13_does_it_converge", "terms", "drift", "kappa")["terms"]


def bound(terms, steps, sampled, rounds, rate):
    """Return the term that goes to zero, and the floor, of the theorem."""
    u = rate * steps * SMOOTHNESS
    a, b = terms(steps, sampled, 6, u)
    return 2 * FALL / ((1 - a) * rate * steps * rounds), b / (1 - a) * SIGMA2


def check(page, terms) -> tuple[float, ...]:
    """Compare what the page says with the chapter's bound; return K, S, T and η."""
    said = SAID.search(page.locator(".mg-readout").inner_text()).groups()
    steps, sampled, rounds = map(int, said[:3])
    rate, largest, whole, fall, floor, best_rate, best = map(float, said[3:])
    assert largest == pytest.approx(0.5 / (steps * SMOOTHNESS), rel=6e-3)
    assert rate <= largest
    assert (fall, floor) == pytest.approx(bound(terms, steps, sampled, rounds, rate), rel=0.03, abs=1e-12)
    assert whole == pytest.approx(fall + floor, rel=0.01)

    def height(log):
        return sum(bound(terms, steps, sampled, rounds, min(np.exp(log), 0.5 / (steps * SMOOTHNESS))))

    found = minimize_scalar(height, bounds=(np.log(1e-6), np.log(0.5 / (steps * SMOOTHNESS))), method="bounded")
    assert best == pytest.approx(found.fun, rel=0.01)
    assert sum(bound(terms, steps, sampled, rounds, best_rate)) == pytest.approx(best, rel=0.02)
    return steps, sampled, rounds, rate


@pytest.mark.browser
def test_the_page_computes_the_chapters_bound(alone, terms):
    page = alone(play_bound(SMOOTHNESS, FALL, SIGMA2, 6, **BEGIN))
    seen = [check(page, terms)]
    handle = page.get_by_role("slider", name="rate η")
    for key in ("PageDown", "ArrowRight", "ArrowLeft", "PageDown", "End", "Home"):
        press(handle, key)
        seen.append(check(page, terms))
    *_, (*_, largest), (*_, smallest) = seen
    assert (largest, smallest) == (pytest.approx(0.5 / (BEGIN["steps"] * SMOOTHNESS), rel=0.02), pytest.approx(1e-5))
    press(handle, *10 * ["PageUp"])
    drag_by(page, handle, 40, 10)
    seen.append(check(page, terms))
    box = page.locator("figure > svg").bounding_box()
    drag(page, (box["x"] + 0.3 * box["width"], box["y"] + 90), (box["x"] + 0.5 * box["width"], box["y"] + 90))
    seen.append(check(page, terms))
    for name in ("local steps K", "nodes a round, S", "rounds T"):
        for keys in (["Home"], ["End"], ["ArrowLeft", "ArrowLeft"]):
            press(page.get_by_label(name), *keys)
            seen.append(check(page, terms))
    assert all(len(set(values)) >= 3 for values in zip(*seen, strict=True)), "one of the handles moves nothing"
    page.get_by_role("button", name="Take the best rate").click()
    steps, sampled, rounds, rate = check(page, terms)
    for other in (0.9, 1.1):
        assert sum(bound(terms, steps, sampled, rounds, rate)) < sum(bound(terms, steps, sampled, rounds, other * rate))


@pytest.mark.browser
def test_one_step_on_all_nodes_has_no_floor(alone, terms):
    page = alone(play_bound(SMOOTHNESS, FALL, SIGMA2, 6, steps=1, sampled=6, rounds=600))
    assert ", 0 is the floor" in page.locator(".mg-readout").inner_text()
    check(page, terms)


@pytest.mark.parametrize(("name", "value"), [("steps", 4), ("sampled", 7), ("rounds", 500)])
def test_what_a_slider_does_not_reach_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` \\(={value}\\)"):
        play_bound(SMOOTHNESS, FALL, SIGMA2, 6, **(BEGIN | {name: value}))
