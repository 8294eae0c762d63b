"""Chapter 1's figure that computes: what it says of any closed filters is what the library counts."""

import re

import numpy as np
import pytest
import torch
from hand import press

import mglib
from figures.ch01_filters import play_filters

NAMES = ("conv 1", "conv 2", "conv 3", "conv 4", "head")
AREA = """path => [...path.getAttribute("d").matchAll(/h([\\d.]+)v([\\d.]+)/g)]
  .reduce((sum, [, wide, high]) => sum + wide * high, 0)"""


@pytest.fixture
def net():
    return mglib.make_net(0)[0]


def check(page, net) -> list[int]:
    """Compare numbers and areas with the library's count for the gates on show; return how many are open a layer."""
    states = [cell.get_attribute("aria-checked") == "true" for cell in page.locator("[role=switch]").all()]
    gates = list(torch.tensor(states).float().view(4, 1, 32))
    macs = mglib.macs_per_layer(net.costs, gates)[0]
    text = page.locator(".mg-readout").inner_text()
    for name, count in zip(NAMES, macs.long().tolist(), strict=True):
        assert f"{name} {count:,}" in text
    share = 100 * float(mglib.macs_ratio(net.costs, gates)[0])
    assert f"In all {int(macs.sum()):,}, " in text
    assert float(re.search(r", ([\d.]+) % of the dense", text)[1]) == pytest.approx(share, abs=0.051)
    areas = np.array([path.evaluate(AREA) for path in page.locator("figure > svg > path").all()])
    heads = np.array([cost.gate_macs for cost in net.costs])
    assert areas / 0.3**2 == pytest.approx(macs.numpy() - heads, rel=1e-6, abs=1e-3)
    return [int(gate.sum()) for gate in gates]


@pytest.mark.browser
def test_any_filter_closes_and_opens_and_is_counted_as_the_library_counts(alone, net):
    page = alone(play_filters(net.costs))
    assert check(page, net) == [32] * 4
    finger = page.evaluate("() => navigator.maxTouchPoints > 0")
    cells = page.locator("[role=switch]").all()
    for place in (0, 31, 33, 40, 41, 77, 100, 127, 41):
        cells[place].tap() if finger else cells[place].click()
    assert check(page, net) == [30, 30, 31, 30]
    for layer, keys in enumerate((["ArrowLeft"], ["PageDown"], ["Home"], ["End", "PageDown"]), start=1):
        press(page.get_by_label(f"open in conv {layer}"), *keys)
        check(page, net)
    assert check(page, net)[2] == 0
    page.get_by_role("button", name="Half of each").click()
    assert check(page, net) == [16] * 4
    assert page.get_by_text("27.6 %", exact=True).is_visible()
    page.get_by_role("button", name="Open all").click()
    assert check(page, net) == [32] * 4


@pytest.mark.browser
def test_the_keyboard_reaches_every_filter_by_one_stop(alone, net):
    page = alone(play_filters(net.costs))
    assert page.locator("[role=switch][tabindex='0']").count() == 1
    page.locator("[role=switch][tabindex='0']").focus()
    here = "() => document.activeElement.getAttribute('aria-label')"
    reached = []
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        reached.append(page.evaluate(here))
    assert reached == [
        *("conv 1, filter 2", "conv 1, filter 18", "conv 2, filter 2", "conv 2, filter 18"),
        *("conv 2, filter 17", "conv 2, filter 1"),
    ]
    page.keyboard.press("Enter")
    assert check(page, net) == [32, 31, 32, 32]
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert check(page, net) == [32, 30, 32, 32]
    page.keyboard.press("Enter")
    assert check(page, net) == [32, 31, 32, 32]
    assert page.locator("[role=switch][tabindex='0']").count() == 1


@pytest.mark.browser
def test_the_figure_begins_with_what_is_closed_already(alone, net):
    assert check(alone(play_filters(net.costs, [(1, 7), (1, 20), (3, 31)])), net) == [32, 30, 32, 31]


@pytest.mark.parametrize("pair", [(4, 0), (0, 32), (-1, 0)])
def test_a_filter_that_does_not_exist_is_refused(net, pair):
    with pytest.raises(ValueError, match="layers from 0 to 3 and filters from 0 to 31"):
        play_filters(net.costs, [pair])


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="4 layers"):
        play_filters(mglib.make_net(0, depth=3)[0].costs)
