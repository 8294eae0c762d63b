"""Chapter 2: the slope that one gate needs and the one that straight-through gives, under the reader's hand."""

from figures.widgets import Live

REACH = 5.0  # of the logit, to both sides
FLOOR = 0.5  # the part of the loss that the gate cannot change


def play_slopes(logit: float = 1.0, target: float = 0.2, caption: str = "") -> Live:
    """Return the loss `1/2 + (g − t)²` of one gate against its logit, with the exact and the straight-through slope.

    logit, target: z and t at first; both can be dragged, z within ±REACH, t from 0 to 1.

    Raises:
        ValueError: if z or t lies outside.
    """
    if abs(logit) > REACH or not 0 <= target <= 1:
        raise ValueError(f"logit {logit} and target {target}: need one within ±{REACH} and one from 0 to 1")
    data = {"z": logit, "t": target, "logits": [-REACH, REACH], "floor": FLOOR}
    alt = (
        "The loss of one gate against its logit: two plateaus with a cliff at zero, and a smooth curve from one to the "
        "other, the loss on average. At the logit chosen two short lines touch the curve: one has its own slope, the "
        "other the slope that straight-through estimates. Numbers for both are given below."
    )
    return Live("slopes.js", data, caption, alt)
