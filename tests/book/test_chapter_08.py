"""Chapter 8: the chapter's folding and skipping answer as the library; its figures say what they show."""

import json
import re

import pytest
import torch
from chapters import RESULTS, cells_of, defined_in, prose_of
from torch.func import functional_call
from torch.nn import functional as F

import mglib
from figures.ch08 import show_frozen, show_patterns, show_slices
from figures.ch08_in_place import show_in_place
from figures.ch08_times import show_time_frontier, show_time_parts, show_where_it_pays
from mglib.fast.slicing import folded

CHAPTER = "08_making_saved_work_save_time"
REPORT = RESULTS / "bench" / "inference.json"


@pytest.fixture(scope="module")
def chapter():
    names = "folded", "fold_all", "open_filters", "skip", "convolve", "as_masks", "in_place", "places"
    return defined_in(CHAPTER, *names)


@pytest.fixture
def network():
    net, params = mglib.make_net(0)
    generator = torch.Generator().manual_seed(1)
    for name in params:
        if "gate" in name or name.endswith(("scale", "shift")):
            params[name] = torch.randn(params[name].shape, generator=generator)
    net = net.double()
    net.load_state_dict(params)
    images = torch.rand(6, 1, 28, 28, generator=generator, dtype=torch.double)
    with torch.no_grad():
        return net, images, net(images).statistics


def test_the_chapter_folds_as_the_library(chapter):
    layer = {"conv.weight": torch.randn(5, 3, 3, 3), "scale": torch.randn(5), "shift": torch.randn(5)}
    statistics = torch.randn(5), torch.rand(5)
    for ours, theirs in zip(chapter["folded"](layer, statistics), folded(layer, statistics), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shut", [None, 0, 1, 3])
@pytest.mark.parametrize("compiled", [None, False])
def test_the_chapter_skips_as_the_library(chapter, network, shut, compiled):
    net, images, statistics = network
    if shut is not None:
        with torch.no_grad():
            net.layers[shut].gate.linear.bias -= 1000
    params = {name: value.detach() for name, value in net.named_parameters()}
    theirs = mglib.SkippingNet(net, params, statistics, compiled=compiled)(images)
    layers = chapter["fold_all"](net, statistics)
    for index, image in enumerate(images):
        logits, gates = chapter["skip"](image, layers, net.head)
        torch.testing.assert_close(logits[0], theirs.logits[index], atol=1e-6, rtol=1e-6)
        for mine, of in zip(chapter["as_masks"](gates), theirs.gates, strict=True):
            assert torch.equal(mine.double(), of[index])
        assert shut is None or len(gates[shut]) == 0


def test_in_place_is_the_sliced_convolution(chapter):
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(7, 5, 3, 3, generator=generator, dtype=torch.double)
    bias = torch.randn(7, generator=generator, dtype=torch.double)
    channels, filters = torch.tensor([0, 3, 4]), torch.tensor([1, 2, 6])
    maps = torch.randn(1, 3, 9, 9, generator=generator, dtype=torch.double)
    looped = chapter["in_place"](maps, weight, bias, channels, filters)
    torch.testing.assert_close(looped, F.conv2d(maps, weight[filters][:, channels], bias[filters], 2, 1))


def test_places_are_the_taps_of_the_network(chapter):
    for size in (28, 56, 84):
        net, _ = mglib.make_net(0, image_size=size)
        assert chapter["places"](size) == [cost.taps // 9 for cost in net.costs[:4]]


def test_the_result_file_holds_what_the_chapter_reads():
    report = json.loads(REPORT.read_text())
    assert {"machine", "versions", "date", "goals", "notes"} <= report.keys()
    cases = report["notes"]["cases"]
    for width in (32, 64, 128, 256):
        for size in (28, 56, 84):
            for batch in (1, 16):
                sizes = {"width": width, "image_size": size, "batch": batch}
                default = {"open": 0.5, "patterns": "per input", "threads": 1}
                (case,) = [c for c in cases if c["case"] == sizes | default]
                assert {"dense", "masked", "slicing", "skipping", "slim", "slim, compiled"} <= case["seconds"].keys()
                assert set(case["parts"]) == {"gates", "slices", "convolutions", "rest"}


def test_the_table_of_seven_ways_has_the_times_of_the_file():
    (table,) = [cell.source for cell in cells_of(CHAPTER, "markdown") if cell.source.startswith("| way |")]
    times = {line.split("|")[1].strip(): line.split("|")[4] for line in table.splitlines() if line.count("|") > 4}
    report = json.loads(REPORT.read_text())
    sizes = {"width": 64, "image_size": 84, "batch": 1, "open": 0.5, "patterns": "per input", "threads": 1}
    (case,) = [case for case in report["notes"]["cases"] if case["case"] == sizes]
    over = {name: f"{seconds / case['seconds']['dense']:.2f}" for name, seconds in case["seconds"].items()}
    for name in ("dense", "masked", "slicing", "skipping", "slim"):
        compiled = f"{name}, compiled"
        expected = [over[each] for each in (name, compiled) if each in over]
        assert re.findall(r"\d\.\d\d", times[name]) == expected


def test_the_blocks_say_what_an_image_copies(network):
    net, images, statistics = network
    gates = [gate[0].detach() for gate in functional_call(net, {}, (images, statistics)).gates]
    alt = show_slices(images[0, 0], net.costs, gates).alt
    opened = [int(gate.sum()) for gate in gates]
    copied = 4 * 9 * opened[1] * (32 + opened[0])
    macs = 441 * opened[0] * opened[1]
    assert f"conv 2 opens {opened[1]} of 32 filters and reads {opened[0]} of 32 channels" in alt
    assert f"copies {copied:,} bytes and multiplies {macs:,} times" in alt
    everything = show_slices(images[0, 0], net.costs, [torch.ones(32)] * 4).alt
    assert everything.count("copies 0 bytes") == 4
    with pytest.raises(ValueError, match="2 gates"):
        show_slices(images[0, 0], net.costs, gates[:2])


def test_in_place_says_what_is_copied():
    channels, filters = torch.tensor([True, False, True]), torch.tensor([False, True, True, True])
    alt = show_in_place(torch.rand(28, 28), channels, filters).alt
    assert "4 filters by 3 channels, of which 3 and 2 are open" in alt
    assert "its 6 open cells are copied" in alt


def test_the_tree_counts_the_groups():
    gates = [torch.tensor([[1.0, 0], [1, 0], [0, 1]]), torch.tensor([[1.0], [0], [0]])]
    alt = show_patterns(torch.rand(3, 28, 28), gates).alt
    assert "at first 1 group, 0 of them" in alt
    assert "after layer 1 2 groups, 1 of them" in alt
    assert "after layer 2 3 groups, 3 of them" in alt


def test_frozen_tasks_say_what_is_gone():
    kept, missed = torch.ones(32, dtype=torch.bool), torch.zeros(32, dtype=torch.bool)
    kept[:3], missed[1] = False, True
    row = {"name": "Lao 1", "images": torch.rand(5, 28, 28), "kept": [kept], "missed": [missed]}
    assert "Lao 1: 3 removed, 1 of them opened by a later image" in show_frozen([row, row]).alt


def test_the_frontier_says_its_ends_and_leaves_out_what_was_not_measured():
    names = {"dense": 1.0, "masked": 1.0, "slicing": 0.3, "skipping": 0.3, "slim": 0.25, "slim, compiled": 0.25}
    points = [
        {"width": 64, "macs": names, "seconds": dict.fromkeys(names, 0.001)},
        {"width": 64, "macs": dict.fromkeys(names, 1.0), "seconds": dict.fromkeys(names, 0.002)},
    ]
    alt = show_time_frontier(points).alt
    assert "skipping from 1.00 ms at 30% to 2.00 ms at 100%" in alt
    for point in points:
        del point["seconds"]["slicing"]
    assert "slicing" not in show_time_frontier(points).alt


def test_tiles_say_where_the_goal_is_met():
    cells = {1: {(32, 28): 1.5, (64, 28): 0.5}}
    alt = show_where_it_pays(cells, 0.5, at_most=True, even=1).alt
    assert "width 64, 28×28: 0.50, goal met" in alt
    assert "width 32, 28×28: 1.50" in alt
    assert "goal met" not in show_where_it_pays(cells, None, at_most=True, even=1).alt
    assert "1.50, goal met" in show_where_it_pays(cells, 0.8, at_most=False, even=0).alt


def test_parts_are_told_with_their_sum_and_marks():
    alt = show_time_parts({"small": {"gates": 0.5, "rest": 0.75}}, {"small": {"dense": 1.0}}, "seconds").alt
    assert "small: gates 0.50, rest 0.75, dense 1.00, in all 1.25" in alt


def test_what_is_said_of_two_threads_is_in_the_file():
    report = json.loads(REPORT.with_name("batches.json").read_text())
    prose = prose_of(CHAPTER)

    def spread(values):
        return f"{min(values):.2f} to {max(values):.2f}"

    gains = {
        net: spread([gain[net] for gain in report["notes"]["one thread over two"]]) for net in ("skipping", "slim")
    }
    assert (
        f"skipping is {gains['skipping']} times as fast as on one, and the slim network {gains['slim']} times" in prose
    )
    over = {
        net: [row["ratio"] for row in report["rows"] if (row["what"], row["against"]) == ("skipping", net)][1::2]
        for net in ("dense", "slim")
    }
    assert f"takes {spread(over['dense'])} of the dense network's time" in prose
    assert f"it takes {spread(over['slim'])} times as long" in prose
    alone = [row["ratio"] for row in report["rows"] if (row["what"], row["against"]) == ("skipping", "slim")][::2]
    assert f"one thread already takes {spread(alone)} times the slim network's time" in prose
    assert f"was missed as well, by {1.5 - report['goals'][1]['measured']:.2f}" in prose
    assert [ratio < 1.2 for ratio in over["slim"]] == [True, False, False, False], (
        "the goal, in the smallest case alone"
    )
