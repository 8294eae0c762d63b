"""Chapter 7: nodes whose bowls differ take local steps, and the server's way and place of rest, under the hand."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from figures.widgets import Live, numbers

MOST = {"steps": 50, "rate": 1.0, "rounds": 40}  # where the sliders end


class Bowl(Protocol):
    """What is drawn of a node: its name, its minimum and its curvature along each axis, (2,) both."""

    name: str
    minimum: Tensor
    curvature: Tensor


def play_drift(bowls: Sequence[Bowl], start: Tensor, steps: int, rate: float, rounds: int, caption: str = "") -> Live:
    """Return rounds in the plane: every node's local steps, the server's path, the best point and the point of rest.

    start: (2,), where the server begins; it and the minima can be dragged. All nodes take part and weigh the same.
    steps, rate, rounds: of the local steps, as they are at first.

    Raises:
        ValueError: if a slider does not go as far.
    """
    for name, value in (("steps", steps), ("rate", rate), ("rounds", rounds)):
        if not 0 < value <= MOST[name]:
            raise ValueError(f"`{name}` (={value}) must be above 0 and at most {MOST[name]}")
    data = {
        "names": [bowl.name for bowl in bowls],
        "minima": [numbers(bowl.minimum, 6) for bowl in bowls],
        "curvatures": [numbers(bowl.curvature, 6) for bowl in bowls],
        "start": numbers(start, 6),
        "steps": steps,
        "rate": rate,
        "rounds": rounds,
        "most": MOST,
    }
    alt = (
        f"A plane with a square at the minimum of each of {len(bowls)} nodes, ellipses around it for its bowl, and a "
        f"cross at the minimum of the average. From a start the server's path runs over {rounds} rounds; in every "
        f"round one thin path of {steps} steps a node fans out towards the node's own square. Start and squares can be "
        "moved. How far the server ends from the cross is given below."
    )
    return Live("drift.js", data, caption, alt)
