"""Strokes: a drawing as the lines that a pen went along, and those lines as an image.

`gated_net.js` does the same to what is drawn on the page; both compute in double precision.
"""

from collections.abc import Sequence

import numpy as np

Stroke = np.ndarray  # (point, 2), right and down; a dot is a single point
INSIDE = 20 / 28  # share of the image that the longer side of a drawing fills
PEN = 1.1 / 28  # half the width of the pen, in image sides
_SHORTEST = 0.12  # of the canvas: a longer side below that is a dot, and is not enlarged to fill the image


def centred(strokes: Sequence[Stroke]) -> list[Stroke]:
    """Return the strokes in the middle of the image, (0, 0) to (1, 1), their longer side `INSIDE`; small ones as dots.

    strokes: on a canvas from (0, 0) to (1, 1).

    Raises:
        ValueError: if there is no point.
    """
    if not any(len(stroke) for stroke in strokes):
        raise ValueError("an empty drawing: there is no point in it")
    points = np.concatenate([np.asarray(stroke, float) for stroke in strokes if len(stroke)])
    low, high = points.min(0), points.max(0)
    factor = INSIDE / max(float((high - low).max()), _SHORTEST)
    return [(np.asarray(stroke, float) - (low + high) / 2) * factor + 0.5 for stroke in strokes if len(stroke)]


def rasterise(strokes: Sequence[Stroke], side: int = 28, pen: float = PEN) -> np.ndarray:
    """Return the image of strokes on (0, 0) to (1, 1): (side, side), uint8, background 0 and ink 255.

    A pixel is as dark as its middle lies within the pen of the nearest line, with a ramp of one pixel at the edge.
    """
    middles = (np.indices((side, side))[::-1].reshape(2, -1).T + 0.5) / side  # (pixel, 2), right and down
    nearest = np.full(side * side, np.inf)
    for stroke in strokes:
        starts, ends = (stroke[:-1], stroke[1:]) if len(stroke) > 1 else (stroke, stroke)
        along = ends - starts
        length = (along * along).sum(1)
        away = middles - starts[:, None]  # (segment, pixel, 2)
        share = (away * along[:, None]).sum(2) / np.where(length > 0, length, 1)[:, None]
        away -= np.clip(share, 0, 1)[:, :, None] * along[:, None]
        nearest = np.minimum(nearest, (away * away).sum(2).min(0))
    ink = np.clip((pen - np.sqrt(nearest)) * side + 0.5, 0, 1)
    return np.floor(ink * 255 + 0.5).astype(np.uint8).reshape(side, side)


def centre_lines(ink: np.ndarray, tolerance: float = 0.9, spur: float = 0.06) -> list[Stroke]:
    """Return the lines in the middle of a character's ink, as a pen could have drawn them, on (0, 0) to (1, 1).

    ink: (side, side), booleans. tolerance: pixels by which a line may leave the skeleton's; spur: lines that hang
    on others by one end and are shorter than this share of the side are leftovers of thinning, and go.

    Needs scikit-image, which is in `mglib[book]`.

    Raises:
        ValueError: if there is no ink.
    """
    from skimage.measure import approximate_polygon
    from skimage.morphology import skeletonize

    if not ink.any():
        raise ValueError("no ink: there is nothing to follow")
    side = len(ink)
    chains = _chains({tuple(map(int, place)) for place in np.argwhere(skeletonize(ink))})
    ends = [point for chain in chains for point in (chain[0], chain[-1])]
    kept = []
    for chain in chains:
        hangs = sorted(min(ends.count(end), 2) for end in (chain[0], chain[-1])) == [1, 2]
        if not (hangs and len(chain) < spur * side):
            kept.append(np.round(approximate_polygon(chain + _nudges(len(chain)), tolerance)))
    return [(chain[:, ::-1] + 0.5) / side for chain in kept]


def _nudges(points: int) -> np.ndarray:
    """Return for each point of a chain so little that it only decides which of two equally far points is farther.

    Symmetric characters have many such. The last digits would decide there, which processors compute differently.
    """
    return 1e-6 * np.random.default_rng(0).random((points, 2))


def _chains(places: set[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Return the paths between the pixels at which lines of a skeleton end or meet; what closes on itself is one."""
    near = {place: _neighbours(place, places) for place in places}
    knots = {place for place, others in near.items() if len(others) != 2}
    walked: set[frozenset] = set()
    chains = [[place] for place in knots if not near[place]]
    for start in [*sorted(knots), *sorted(places)]:
        for following in near[start]:
            if frozenset((start, following)) in walked:
                continue
            chain = [start, following]
            walked.add(frozenset(chain))
            while chain[-1] not in knots and chain[-1] != start:
                (onward,) = [place for place in near[chain[-1]] if place != chain[-2]]
                walked.add(frozenset((chain[-1], onward)))
                chain.append(onward)
            chains.append(chain)
    return chains


def _neighbours(place: tuple[int, int], places: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pixels that touch; one that is reached over a side is not reached over a corner as well."""
    row, column = place
    straight = [(row + r, column + c) for r, c in ((0, 1), (1, 0), (0, -1), (-1, 0)) if (row + r, column + c) in places]
    found = list(straight)
    for r in (-1, 1):
        for c in (-1, 1):
            if (row + r, column + c) in places and not {(row + r, column), (row, column + c)} & set(straight):
                found.append((row + r, column + c))
    return found
