"""Chapter 6: two stages on a toy loss, and the trap, under the reader's hand."""

from collections.abc import Sequence

from figures.widgets import Live

HIGHEST = (0.5, 3.0)  # where the sliders of the rates α and β end


def play_toy(start: Sequence[float], rates: Sequence[float], trap: bool = False, caption: str = "") -> Live:
    """Return both stages on L = ½ (θφ − 1)² in the plane, with a switch for the total derivative in stage two.

    start: (θ, φ), which can be dragged; rates: α and β at first; trap: whether the switch is on.

    Raises:
        ValueError: if a rate lies outside its slider.
    """
    if not all(0 <= rate <= highest for rate, highest in zip(rates, HIGHEST, strict=True)):
        raise ValueError(f"rates {list(rates)}: need α from 0 to {HIGHEST[0]} and β from 0 to {HIGHEST[1]}")
    data = {"start": list(start), "rates": list(rates), "highest": HIGHEST, "trap": trap}
    alt = (
        "A plane, the backbone across and the gate up, with level lines of the toy loss. From a start at "
        f"({start[0]:g}, {start[1]:g}), which can be moved, one arrow runs across, stage one, and from its tip "
        "another up or down, stage two. A switch shows where the total derivative would lead instead. The losses and "
        "both slopes are given below."
    )
    return Live("toy.js", data, caption, alt)
