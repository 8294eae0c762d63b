"""Figures and widgets: they take the page's colours, say in words what they show, and need no kernel."""

import re
import xml.etree.ElementTree as ElementTree
from functools import cache

import ipywidgets
import numpy as np
import pytest
import torch

from figures.ch00 import show_federation
from figures.index import show_idea
from figures.style import log_scale
from mglib.figure import ROLES, new_drawing, stencil
from mglib.show import Figure, flip_book, gate_explorer, show_frontier, show_gate_map, show_step, show_training


def glyphs(count):
    return torch.rand(count, 28, 28, generator=torch.Generator().manual_seed(0))


def gates(count):
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 2, (count, width), generator=generator).float() for width in (32, 32, 8)]


@cache
def every_figure():
    probabilities = torch.rand(4, 5).softmax(1)
    history = [
        {"loss": 2 / (1 + r), "accuracy": r / 50, "macs_ratio": 1 - r / 100, "open_rate": 1 - r / 200, "budget": 0.5}
        for r in range(50)
    ]
    point = {"label": "net", "macs": 5e5, "accuracy": 0.8, "ci95": 0.01, "method": "metagater"}
    return {
        "federation": show_federation({"Greek": glyphs(6), "Lao": glyphs(6)}, ["Lao"], "A caption."),
        "training": show_training(history, "A caption."),
        "step": show_step(glyphs(5), glyphs(4), torch.arange(4), probabilities, probabilities, "A caption."),
        "gate map": show_gate_map(glyphs(6), gates(6), "A caption.", groups=2),
        "frontier": show_frontier([point], 1e6, "A caption."),
        "idea": show_idea({name: glyphs(5) for name in "abc"}, ("new", glyphs(5)), "A caption."),
    }


@pytest.mark.parametrize("name", every_figure())
def test_a_figure_is_one_picture_with_a_text_alternative_and_the_pages_colours(name):
    figure = every_figure()[name]
    html = figure._repr_html_()
    root = ElementTree.fromstring(html)
    (svg,) = [element for element in root if element.tag.endswith("svg")]
    assert svg.get("role") == "img"
    assert len(svg.get("aria-label")) > 40
    assert root.find("figcaption").text == "A caption."
    assert not any(stand_in in html for stand_in, _ in ROLES.values())
    assert "currentColor" in html
    assert not re.findall(r"(?:fill|stroke): #(?:000000|ffffff)", html), "a colour that one of the themes hides"
    assert "<style" not in html, "a style element would reach the whole page"


def test_a_figure_draws_the_same_bytes_twice_and_ids_of_its_own():
    first, second = (draw()["gate map"].svg for draw in (every_figure, every_figure.__wrapped__))
    assert first == second
    ids = [set(re.findall(r'id="([^"]+)"', figure.svg)) for figure in every_figure().values()]
    assert sum(map(len, ids)) == len(set().union(*ids))
    for figure in every_figure().values():
        wanted = set(re.findall(r'(?:href="|url\()#([^")]+)', figure.svg))
        assert wanted <= set(re.findall(r'id="([^"]+)"', figure.svg)), "a reference into nothing"


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda: show_gate_map(glyphs(3), ()), "need a row of gates for each of 3 images; a dense network has none"),
        (lambda: show_gate_map(glyphs(3), gates(2)), "need a row of gates for each of 3 images"),
        (lambda: show_step(glyphs(10), glyphs(2), torch.zeros(2), torch.ones(2, 5), torch.ones(2, 5)), "10 support"),
        (
            lambda: gate_explorer(glyphs(2), gates(2), torch.ones(2, 5), torch.zeros(2), glyphs(10), torch.ones(2)),
            "10 support images for 5 classes: show one of each",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(draw, reason):
    with pytest.raises(ValueError, match=reason):
        draw()


def test_a_loss_that_grows_stays_in_the_picture():
    line = {"accuracy": 0.2, "macs_ratio": 1.0, "open_rate": 1.0, "budget": 0.5}
    history = [line | {"loss": 2.0 * 3**r} for r in range(10)]
    assert re.search(r">\s*40000\s*<", show_training(history).svg)
    show_training([*history, line | {"loss": float("nan")}])


def test_a_network_of_more_macs_than_the_dense_one_is_in_the_picture():
    point = {"label": "wide", "macs": 3.0, "accuracy": 0.8, "ci95": 0.01, "method": "maml"}
    assert ">300%<" in re.sub(r"\s", "", show_frontier([point], 1.0).svg)


@pytest.mark.parametrize("history", [[], [{"round": 0, "norm": 1.0}]])
def test_curves_of_a_training_that_does_not_tell_them_are_refused(history):
    with pytest.raises(ValueError, match="does not say accuracy, budget, loss, macs_ratio, open_rate of each round"):
        show_training(history)


def test_open_filters_are_blue_in_the_curves_of_a_training():
    svg = every_figure()["training"].svg
    assert "--mg-accent" not in svg
    assert re.search(r"fill: var\(--mg-open[^>]*>open filters<", svg)


def test_labels_of_a_frontier_keep_off_the_intervals():
    points = [
        {"label": label, "macs": macs, "accuracy": accuracy, "ci95": 0.01, "method": method}
        for label, macs, accuracy, method in (("gated", 0.48, 0.87, "metagater"), ("slim", 0.49, 0.844, "maml"))
    ]
    svg = show_frontier(points, 1).svg
    heights = {label: float(re.search(rf'y="([\d.]+)"[^>]*>{label}<', svg)[1]) for label in ("gated", "slim")}
    ends = re.findall(r'<use [^>]*y="([\d.]+)" style="fill: (?:var\(--mg-open|currentColor)', svg)
    assert heights["gated"] < min(map(float, ends))
    assert heights["slim"] > max(map(float, ends))


def test_a_figure_saved_as_a_file_reads_without_a_page(tmp_path):
    every_figure()["gate map"].save(tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text()
    ElementTree.fromstring(text)
    assert "var(" not in text
    assert "currentColor" not in text


def test_a_figure_without_a_text_alternative_is_refused():
    drawing, _ = new_drawing(1, 1)
    with pytest.raises(ValueError, match="text alternative"):
        Figure(drawing, "caption", "  ")


def test_drawing_leaves_the_readers_own_style_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    every_figure.__wrapped__()
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("groups", [0, 2, 5])
def test_groups_that_are_not_equally_large_are_refused(groups):
    with pytest.raises(ValueError, match=rf"`groups` \(={groups}\).*3 inputs"):
        show_gate_map(glyphs(3), gates(3), groups=groups)


def test_a_stencil_keeps_its_opacities():
    _, axes = new_drawing(1, 1)
    image = stencil(axes, np.array([[0.0, 0.25], [0.5, 2.0]]))
    np.testing.assert_array_equal(image.get_array()[..., 3], [[0, 0.25], [0.5, 1]])


def test_the_explorer_is_linked_in_the_browser_alone():
    count = 5
    explorer = gate_explorer(
        glyphs(count),
        gates(count),
        torch.rand(count, 5).softmax(1),
        torch.arange(5),
        glyphs(5),
        torch.full((5,), 0.5),
    )
    controls, stack = explorer.children
    play, slider = controls.children
    assert isinstance(stack, ipywidgets.Stack)
    assert len(stack.children) == count
    assert play.max == slider.max == count - 1
    assert len({frame.value for frame in stack.children}) == count
    assert all("aria-label" in frame.value for frame in stack.children)


def test_a_flip_book_without_pages_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        flip_book([], "page")


@pytest.mark.parametrize(("opens_at", "first"), [(0, 0), (1, 1), (-1, 2)])
def test_a_flip_book_opens_at_the_frame_asked_for(opens_at, first):
    frames = [Figure(new_drawing(1, 1)[0], "", f"frame {number}") for number in range(3)]
    controls, stack = flip_book(frames, "page", opens_at=opens_at).children
    assert [control.value for control in controls.children] == [first, first]
    assert stack.selected_index == first


@pytest.mark.parametrize("opens_at", [3, -4])
def test_a_flip_book_cannot_open_at_a_frame_it_lacks(opens_at):
    frames = [Figure(new_drawing(1, 1)[0], "", f"frame {number}") for number in range(3)]
    with pytest.raises(ValueError, match=r"opens_at.*must be a frame of 3"):
        flip_book(frames, "page", opens_at=opens_at)


def test_numbers_in_words_stay_as_they_were_written():
    drawing, axes = new_drawing(4, 3)
    axes.set_yticks([0, 0.005, 0.01])
    axes.set_title("p = 0.00004, 123456.789 rounds, π = 3.14159265")
    svg = Figure(drawing, "", "Nothing.").svg
    written = set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    assert {"0.000", "0.005", "0.010", "p = 0.00004, 123456.789 rounds, π = 3.14159265"} <= written
    assert not re.search(r"\d{4}\.\d\d|\.\d{7}", re.sub(r">[^<]*", "", svg)), "a coordinate finer than any screen"


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((1e-9, 1e3), {"10⁻⁷", "10⁻¹"}),
        ((0.2, 500), {"1", "100"}),
        ((0.5, 7), {"0.6", "1", "4"}),
        ((2e7, 7e7), {"4·10⁷"}),
    ],
)
def test_labels_of_a_logarithmic_axis_are_of_one_piece(values, labels):
    drawing, axes = new_drawing(4, 3)
    axes.plot(values, values)
    log_scale(axes, "xy")
    svg = Figure(drawing, "", "A line.").svg
    assert labels <= set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    assert "<tspan" not in svg
