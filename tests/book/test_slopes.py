"""Chapter 2's figure that computes: what it says under mouse, finger and keyboard is what autograd says."""

import re

import pytest
import torch

from figures.ch02_slopes import FLOOR, play_slopes

NUMBER = r"(-?\d+\.\d+)"
SAID = re.compile(
    rf"z = {NUMBER}, t = {NUMBER}, the gate is (\w+)\. Exact slope \(blue\) {NUMBER}; .*?dashed\) {NUMBER}"
)


def by_autograd(z: float, t: float) -> tuple[float, float]:
    """Return the slope of the loss on average and the straight-through estimate."""
    logit = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    soft = torch.sigmoid(logit)

    def loss(gate):
        return FLOOR + (gate - t) ** 2

    (exact,) = torch.autograd.grad(soft * loss(1.0) + (1 - soft) * loss(0.0), logit, retain_graph=True)
    (straight,) = torch.autograd.grad(loss((logit > 0).double() + soft - soft.detach()), logit)
    return float(exact), float(straight)


@pytest.fixture
def page(alone):
    return alone(play_slopes())


def check(page) -> tuple[float, float]:
    """Compare what the page says with autograd's numbers; return z and t."""
    z, t, gate, *slopes = SAID.search(page.locator(".mg-readout").inner_text()).groups()
    assert gate == ("open" if float(z) > 0 else "closed")
    assert [float(slope) for slope in slopes] == pytest.approx(by_autograd(float(z), float(t)), abs=6e-4)
    return float(z), float(t)


@pytest.mark.browser
def test_the_page_says_what_autograd_says(page):
    seen = {check(page)}
    handle = page.get_by_role("slider", name="logit z")
    handle.focus()
    for key in ("ArrowRight", "PageDown", "PageDown", "ArrowLeft", "PageUp"):
        page.keyboard.press(key)
        seen.add(check(page))
    box = page.locator("svg").bounding_box()
    for share in (0.9, 0.6, 0.3):
        x, y = box["x"] + share * box["width"], box["y"] + box["height"] / 2
        if page.evaluate("() => navigator.maxTouchPoints > 0"):
            page.touchscreen.tap(x, y)
        else:
            page.mouse.move(box["x"] + box["width"] / 2, y)
            page.mouse.down()
            page.mouse.move(x, y, steps=3)
            page.mouse.up()
        seen.add(check(page))
    page.get_by_label("what the gate should say, t").focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
        seen.add(check(page))
    assert len(seen) >= 14, seen  # one place may be met twice
    assert min(z for z, _ in seen) < 0 < max(z for z, _ in seen)


@pytest.mark.browser
def test_between_nought_and_one_straight_through_points_at_the_cliff_from_both_sides(page):
    """Where half and half would be best, the estimate never settles: it says close when open and open when closed."""
    for z, sign in ((1.0, 1), (-1.0, -1)):
        assert by_autograd(z, 0.3)[1] * sign > 0
    assert by_autograd(-1.0, 0.3)[0] > 0
    page.get_by_role("slider", name="logit z").focus()
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    assert "the wrong way" in page.locator(".mg-readout").inner_text()
    check(page)


@pytest.mark.browser
def test_no_slope_at_all_is_not_said_to_point_the_wrong_way(alone):
    page = alone(play_slopes(-1.0, 0.0))
    assert by_autograd(-1.0, 0.0)[1] == 0
    assert page.locator(".mg-readout").inner_text().endswith("0.000, no slope at all.")


@pytest.mark.parametrize(("logit", "target"), [(6, 0.2), (0, 1.1), (0, -0.1)])
def test_what_lies_outside_is_refused(logit, target):
    with pytest.raises(ValueError, match=f"logit {logit} and target {target}"):
        play_slopes(logit, target)
