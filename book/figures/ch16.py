"""Chapter 16: where nodes say they are, moved by the reader's hand, and where several means believe them to be."""

from torch import Tensor

from figures.widgets import Live, numbers

_REACH = 3.2  # how far the plane goes; a move beyond is drawn on its edge


def play_lies(moves: Tensor, liars: int, strength: float, norm: float, share: float, caption: str = "") -> Live:
    """Return nodes whose moves can be dragged, the last of which lie, and five means of them that follow.

    moves: (node, 2), the honest ones; liars: how many of the last go the wrong way at first, `strength` times as far.
    norm: what the clipped mean shortens to; share: what the trimmed mean cuts at each end, and Krum suspects.

    Raises:
        ValueError: if more nodes are to lie than the slider goes to, half of them and one.
    """
    most = len(moves) // 2 + 1
    if not 0 <= liars <= most:
        raise ValueError(f"{liars} liars of {len(moves)} nodes: 0 to {most} can be shown")
    data = {
        "moves": numbers(moves, 6),
        "liars": liars,
        "strength": strength,
        "norm": norm,
        "share": share,
        "reach": _REACH,
    }
    alt = (
        f"A plane with the moves of {len(moves)} nodes from a cross in the middle: dots for honest nodes, squares for "
        f"{liars} that go {strength:g} times as far the wrong way. Each can be dragged. Five marks follow: the mean, "
        "which goes with the liars, and the clipped mean, the median, the trimmed mean and Krum, which stay nearer to "
        "the honest."
    )
    return Live("liars.js", data, caption, alt)
