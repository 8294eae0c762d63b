"""Chapter 6's figure that computes: both stages and the trap, as the library and autograd take them."""

import re

import pytest
import torch
from hand import drag_by, press

import mglib
from figures.ch06_toy import play_toy

NUMBER = r"(-?\d+\.\d+)"
SAID = re.compile(
    rf"θ = {NUMBER}, φ = {NUMBER}, α = {NUMBER}, β = {NUMBER}\. Loss before {NUMBER}, after stage one {NUMBER}, after "
    rf"stage two {NUMBER}( \(the trap\))?\. The gates’ own slope is {NUMBER}; the total derivative is {NUMBER}"
    rf"(, and points the wrong way)?: with it φ′ ends {NUMBER} away"
)


def loss_fn(params, _):
    return 0.5 * (params["theta"] * params["phi"] - 1) ** 2, {}


def in_python(theta: float, phi: float, alpha: float, beta: float, trap: bool) -> tuple[list[float], bool]:
    """Return the three losses, both slopes of stage two and how far the trap is off; and whether it goes astray."""
    start = {"theta": torch.tensor(theta).double(), "phi": torch.tensor(phi).double().requires_grad_()}
    first, second = (mglib.Stage(name, frozenset({name}), rate) for name, rate in (("theta", alpha), ("phi", beta)))
    between, right = (mglib.adapt(loss_fn, start, None, stages) for stages in ([first], [first, second]))
    slope = start["phi"] * (start["theta"] * start["phi"] - 1)
    moved = {"theta": start["theta"] - alpha * slope, "phi": start["phi"]}
    (total,) = torch.autograd.grad(loss_fn(moved, None)[0], start["phi"])
    own = (start["phi"] - right["phi"]) / beta if beta else between["theta"] * (between["theta"] * start["phi"] - 1)
    wrong = {"theta": between["theta"], "phi": start["phi"] - beta * total}
    losses = [loss_fn(params, None)[0] for params in (start, between, wrong if trap else right)]
    told = [*losses, own, total, abs(wrong["phi"] - right["phi"])]
    return [value.item() for value in told], (own * total).item() < 0


def check(page) -> tuple[float, ...]:
    """Compare what the page says with Python's numbers; return θ, φ, α, β and whether the trap is on."""
    said = list(SAID.search(page.locator(".mg-readout").inner_text()).groups())
    astray, trap = said.pop(10), said.pop(7)
    setting, numbers = [float(x) for x in said[:4]], [float(x) for x in said[4:]]
    expected, wrong_way = in_python(*setting, bool(trap))
    assert numbers == pytest.approx(expected, abs=6e-4)
    assert bool(astray) == wrong_way
    return (*setting, bool(trap))


@pytest.mark.browser
def test_the_page_takes_the_stages_of_the_library(alone):
    page = alone(play_toy((1.0, 2.0), (0.1, 1.0)))
    seen = [check(page)]
    for rate in ("rate of stage one, α", "rate of stage two, β"):
        for keys in (["ArrowRight"] * 3, ["PageUp"], ["End"], ["Home"], ["PageUp", "PageUp", "PageUp"]):
            press(page.get_by_label(rate), *keys)
            seen.append(check(page))
    page.get_by_label("the trap").check()
    seen.append(check(page))
    handle = page.get_by_role("slider", name="start")
    for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowDown"):
        press(handle, key)
        seen.append(check(page))
    for right, down in ((40, 60), (-60, 20), (400, -300), (-400, 500)):
        drag_by(page, handle, right, down)
        seen.append(check(page))
    assert len(set(seen)) >= 17, seen
    for values in list(zip(*seen, strict=True))[:4]:
        assert max(values) - min(values) > 0.4, "one of the handles moves nothing"


@pytest.mark.browser
def test_the_trap_turns_back_where_the_chapter_says(alone):
    page = alone(play_toy((1.0, 2.0), (0.12, 1.0), trap=True))
    assert check(page)[-1]
    assert "wrong way" not in page.locator(".mg-readout").inner_text()
    rate = page.get_by_label("rate of stage one, α")
    press(rate, "ArrowRight")
    assert check(page)[2] == 0.125
    assert "the total derivative is 0.000:" in page.locator(".mg-readout").inner_text()
    for value, turned in ((0.13, True), (0.25, False), (0.3, True), (0.495, True), (0.5, False)):
        rate.evaluate("(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value)
        assert check(page)[2] == value
        assert ("wrong way" in page.locator(".mg-readout").inner_text()) == turned


@pytest.mark.parametrize("rates", [(-0.1, 1.0), (0.6, 1.0), (0.1, 3.5)])
def test_rates_beyond_the_sliders_are_refused(rates):
    with pytest.raises(ValueError, match=r"need α from 0 to 0\.5 and β from 0 to 3"):
        play_toy((1.0, 2.0), rates)
