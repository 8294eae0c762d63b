"""Chapter 1: every filter of the network, closed and opened by a click, and what is left of its cost."""

from collections.abc import Sequence

from figures.widgets import Live
from mglib.nets import LayerCost

FIELDS = ("name", "taps", "in_channels", "out_channels", "reads", "writes", "gate_macs")


def play_filters(costs: Sequence[LayerCost], closed: Sequence[tuple[int, int]] = (), caption: str = "") -> Live:
    """Return rows of filters that the reader closes one by one or many at once, and the MACs of every layer as areas.

    costs: four convolutions of equal width and a head, as `GatedConvNet.costs`.
    closed: what is closed at first, as pairs of a layer and a filter, both counted from 0.

    Raises:
        ValueError: if it is not five layers, the filters of the gated ones differ in number, or a filter to be closed
            does not exist.
    """
    widths = {cost.out_channels for cost in costs if cost.writes is not None}
    if len(costs) != 5 or len(widths) != 1:
        raise ValueError(f"{len(costs)} layers with gates of {sorted(widths)}: need four of one width, and a head")
    width = widths.pop()
    if not all(0 <= layer < 4 and 0 <= filter_ < width for layer, filter_ in closed):
        raise ValueError(f"`closed` (={list(closed)}): need layers from 0 to 3 and filters from 0 to {width - 1}")
    data = {"costs": [{name: getattr(cost, name) for name in FIELDS} for cost in costs], "width": width}
    data["closed"] = [list(pair) for pair in closed]
    total = sum(cost.taps * cost.in_channels * cost.out_channels for cost in costs)
    alt = (
        f"Four blocks of {width} cells, one for each filter of a layer; each is a switch, {len(closed)} are off. "
        "Below, five rectangles whose areas are the layers' multiply-accumulates: a closed filter takes a column out "
        f"of its own layer's and a row out of the next one's. What is left of {total:,} is given below, layer by layer."
    )
    return Live("filters.js", data, caption, alt)
