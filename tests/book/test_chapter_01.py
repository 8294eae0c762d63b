"""Chapter 1: what it defines equals the library, and its drawings say what the numbers say."""

import re
from dataclasses import asdict, fields
from functools import cache

import pytest
import torch
from chapters import defined_in
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import mglib
from figures.ch01 import GAP, show_areas, show_shares, show_window

CHAPTER = "01_where_the_multiplications_go"


@cache
def readers() -> dict:
    """What the chapter's cells define."""
    return defined_in(CHAPTER, "LayerCost", "dense_macs", "macs_per_layer", "macs_ratio", "convolve")


def random_gates(net, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    widths = [cost.out_channels for cost in net.costs if cost.writes is not None]
    return [torch.randint(0, 2, (batch, width), generator=generator).float() for width in widths]


def test_the_chapters_definitions_are_its_own():
    for name, value in readers().items():
        assert value is not getattr(mglib.nets, name, None), f"the test would compare the library's {name} with itself"


def test_the_readers_record_has_the_librarys_fields():
    ours, theirs = readers()["LayerCost"], mglib.nets.LayerCost
    assert [(f.name, f.default) for f in fields(ours)] == [(f.name, f.default) for f in fields(theirs)]
    assert ours("layer", 9, 3, 5).dense == theirs("layer", 9, 3, 5).dense == 135


@given(width=st.integers(1, 9), batch=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_the_readers_count_is_the_librarys(width, batch, seed):
    net, _ = mglib.make_net(0, width=width, image_size=13)
    costs = [readers()["LayerCost"](**asdict(cost)) for cost in net.costs]
    assert readers()["dense_macs"](costs) == mglib.dense_macs(net.costs)
    answers = []
    for functions, of in ((readers(), costs), ({name: getattr(mglib, name) for name in mglib.__all__}, net.costs)):
        gates = [gate.requires_grad_() for gate in random_gates(net, batch, seed)]
        ratio = functions["macs_ratio"](of, gates)
        answers.append(
            [functions["macs_per_layer"](of, gates), ratio, *torch.autograd.grad(ratio.square().sum(), gates)]
        )
    for ours, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@given(side=st.integers(1, 9), filters=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_the_loops_compute_torchs_convolution_and_count_the_formula(side, filters, seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(-3, 4, (side, side), generator=generator).float()
    weights = torch.randint(-3, 4, (filters, 3, 3), generator=generator).float()
    maps, macs = readers()["convolve"](image, weights)
    assert torch.equal(maps, F.conv2d(image[None, None], weights[:, None], stride=2, padding=1)[0])
    assert macs == mglib.nets.LayerCost("layer", 9 * ((side + 1) // 2) ** 2, 1, filters).dense


@cache
def example():
    """An image of 4×4, two filters and their maps, all whole numbers."""
    image, weights = torch.arange(16.0).reshape(4, 4), torch.ones(2, 3, 3)
    weights[1] = -1
    return image, weights, F.conv2d(image[None, None], weights[:, None], stride=2, padding=1)[0]


@pytest.mark.parametrize(("step", "value"), [(0, 10), (3, 90), (7, -90)])
def test_the_window_says_what_it_computes(step, value):
    figure = show_window(*example(), step)
    assert f"gives {value}: nine multiply-accumulates, {9 * (step + 1)} so far" in figure.alt
    assert f"{9 * (step + 1)} multiply-accumulates so far, of 72" in figure.svg


@pytest.mark.parametrize("step", [-1, 8])
def test_a_window_beside_the_maps_is_refused(step):
    with pytest.raises(ValueError, match=f"{step}.*one of the 8"):
        show_window(*example(), step)


def drawn_areas(figure) -> list[tuple[str, float]]:
    """Return role and area of each dashed path, layer by layer, gaps included: a dash is a cell as wide as the line."""
    areas = []
    for path, style in re.findall(r'<path d="([^"]*)"[^>]*?style="([^"]*stroke-dasharray[^"]*)"', figure.svg):
        points = re.findall(r"M [\d.]+ ([\d.]+) \s*L [\d.]+ ([\d.]+)", path)
        side = float(re.search(r"stroke-width: ([\d.]+)", style)[1]) / (1 - GAP)
        cells = sum(abs(float(end) - float(start)) / side + GAP for start, end in points)
        areas.append((re.search(r"stroke: var\(--mg-(\w+)", style)[1], cells * side**2))
    return areas


def test_a_layers_area_is_its_macs():
    net, _ = mglib.make_net(0, gated=False)
    roles, areas = zip(*drawn_areas(show_areas(net.costs)), strict=True)
    assert set(roles) == {"open"}
    expected = [cost.dense / mglib.dense_macs(net.costs) for cost in net.costs]
    assert [area / sum(areas) for area in areas] == pytest.approx(expected, rel=1e-3)


def test_the_open_area_is_what_closed_filters_leave():
    net, _ = mglib.make_net(0)
    gates = random_gates(net, 1, 3)
    drawn = drawn_areas(show_areas(net.costs, [gate[0] for gate in gates]))
    open_area, everything = sum(area for role, area in drawn if role == "open"), sum(area for _, area in drawn)
    heads = sum(cost.gate_macs for cost in net.costs)
    macs = float(mglib.macs_per_layer(net.costs, gates).sum()) - heads
    assert open_area / everything == pytest.approx(macs / mglib.dense_macs(net.costs), rel=1e-3)


@pytest.mark.parametrize("gated", [True, False])
def test_areas_say_the_count(gated):
    net, _ = mglib.make_net(0, gated=gated)
    gates = random_gates(net, 1, 4) if gated else []
    macs = mglib.macs_per_layer(net.costs, gates)[0]
    figure = show_areas(net.costs, [gate[0] for gate in gates], "A caption.")
    for cost, count in zip(net.costs, macs.long().tolist(), strict=True):
        assert f" {count - cost.gate_macs:,} MACs" in figure.alt
    assert f"{int(macs.sum()):,} MACs, {float(macs.sum()) / mglib.dense_macs(net.costs):.1%} of" in figure.alt
    assert ("gate heads" in figure.svg.split(">", 1)[1]) == ("With gate heads" in figure.alt) == gated


def test_areas_of_another_network_are_refused():
    net, _ = mglib.make_net(0, depth=3)
    with pytest.raises(ValueError, match="4 layers"):
        show_areas(net.costs)


def test_shares_are_shares_and_name_their_parts():
    figure = show_shares({"work": {"a": 1, "b": 3}, "time": {"a": 30, "b": 10}}, "A caption.")
    assert "work: a 25%, b 75%. time: a 75%, b 25%" in figure.alt


def test_bars_of_different_parts_are_refused():
    with pytest.raises(ValueError, match="'c'"):
        show_shares({"work": {"a": 1, "b": 3}, "time": {"a": 30, "c": 10}})
