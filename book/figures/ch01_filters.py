"""Chapter 1: every filter of the network, closed and opened by a click, and what is left of its cost."""

from collections.abc import Sequence

from figures.ch01 import Cost
from figures.widgets import Live

FIELDS = ("name", "taps", "in_channels", "out_channels", "reads", "writes", "gate_macs")


def play_filters(costs: Sequence[Cost], caption: str = "") -> Live:
    """Return rows of filters that the reader closes one by one or many at once, and the MACs of every layer as areas.

    costs: four convolutions of equal width and a head, as `GatedConvNet.costs`.

    Raises:
        ValueError: if it is not five layers, or the filters of the gated ones differ in number.
    """
    widths = {cost.out_channels for cost in costs if cost.writes is not None}
    if len(costs) != 5 or len(widths) != 1:
        raise ValueError(f"{len(costs)} layers with gates of {sorted(widths)}: need four of one width, and a head")
    width = widths.pop()
    data = {"costs": [{name: getattr(cost, name) for name in FIELDS} for cost in costs], "width": width}
    total = sum(cost.taps * cost.in_channels * cost.out_channels for cost in costs)
    alt = (
        f"Four blocks of {width} cells, one for each filter of a layer, all open; each is a switch. Below them five "
        "rectangles whose areas are the layers' multiply-accumulates: a closed filter takes a column out of its own "
        f"layer's and a row out of the next one's. What is left of {total:,} is given below, layer by layer."
    )
    return Live("filters.js", data, caption, alt)
