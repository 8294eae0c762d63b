"""Clean renderings of characters from the typefaces that ship with matplotlib, and which of them look alike."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Upright and italic, with and without serifs: as unlike as free faces get. The first is the reference face.
FACES = (
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSansMono",
    "DejaVuSans-Bold",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralItalic",
)
CANVAS = 96  # pixels a side of a clean rendering
INK = 0.62  # share of the canvas that the larger side of a character fills
ENLARGEMENT = 1.7  # how far a small character (a comma-like one) may be enlarged beyond its script's scale
_FAR = 2 * CANVAS**2  # pixels, squared: beyond any two pixels of a canvas
_POINTS = 80  # font size at which outlines are drawn before scaling
_TEMPLATE = 24  # pixels a side at which characters are compared
_SHIFT = 2  # template pixels by which two characters may be shifted when compared


@cache
def _font(face: str) -> tuple[ImageFont.FreeTypeFont, frozenset[int]]:
    """The typeface and the code points it has glyphs for."""
    import matplotlib  # here, for it takes its time: who brings images of their own draws no glyphs
    from matplotlib.ft2font import FT2Font

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    return ImageFont.truetype(str(path), _POINTS, layout_engine=ImageFont.Layout.BASIC), frozenset(
        FT2Font(str(path)).get_charmap()
    )


def covering_faces(characters: str) -> tuple[str, ...]:
    """Return the faces, of FACES, that have a glyph for every one of `characters`."""
    code_points = {ord(character) for character in characters}
    return tuple(face for face in FACES if code_points <= _font(face)[1])


def _ink(character: str, face: str) -> Image.Image | None:
    """The character cropped to its ink, 255 on 0; None if the glyph is empty."""
    image = Image.new("L", (4 * _POINTS, 3 * _POINTS))
    ImageDraw.Draw(image).text((_POINTS, _POINTS // 2), character, font=_font(face)[0], fill=255)
    box = image.getbbox()
    return image.crop(box) if box else None


def render(characters: str, face: str) -> np.ndarray:
    """Return signed distances to the outline of each character, negative inside.

    Every character is centred and fills the share INK of the canvas, or less where it is much smaller than
    the others of its script, so that its size still tells something.

    Returns (character, CANVAS, CANVAS), float32, in units of the canvas side.
    Raises ValueError if a character has no ink in this face.
    """
    inks = [_ink(character, face) for character in characters]
    if None in inks:
        raise ValueError(f"{face} has no ink for {characters[inks.index(None)]!r}; choose another character or face")
    typical = float(np.median([max(ink.size) for ink in inks]))
    canvases = []
    for ink in inks:
        scale = INK * CANVAS / max(*ink.size, typical / ENLARGEMENT)
        width, height = (max(1, round(side * scale)) for side in ink.size)
        canvas = Image.new("L", (CANVAS, CANVAS))
        resized = ink.resize((width, height), Image.Resampling.BILINEAR)
        canvas.paste(resized, ((CANVAS - width) // 2, (CANVAS - height) // 2))
        canvases.append(np.asarray(canvas))
    inside = np.stack(canvases) > 127
    return (_distance(~inside) - _distance(inside)).astype(np.float32) / CANVAS


def _distance(masks: np.ndarray) -> np.ndarray:
    """How many pixels each one of `masks`, (character, CANVAS, CANVAS), is from the nearest one outside, exactly."""
    squares = np.where(masks, np.int16(_FAR), np.int16(0))
    for axis in (1, 2):  # to the nearest in the same column, then to the nearest of all
        source = np.ascontiguousarray(np.moveaxis(squares, axis, 0))
        nearest = source.copy()
        for step in range(1, CANVAS):
            square = np.int16(step**2)
            np.minimum(nearest[step:], source[:-step] + square, out=nearest[step:])
            np.minimum(nearest[:-step], source[step:] + square, out=nearest[:-step])
        squares = np.moveaxis(nearest, 0, axis)
    return np.sqrt(squares, dtype=np.float64)


@cache
def _templates(characters: str) -> np.ndarray:
    """Blurred renderings in the reference face, zero mean and unit length: (character, side, side)."""
    soft = np.clip(0.5 - render(characters, FACES[0]) * _TEMPLATE / 2, 0, 1)
    step = CANVAS // _TEMPLATE
    small = soft.reshape(-1, _TEMPLATE, step, _TEMPLATE, step).mean(axis=(2, 4))
    centred = small - small.mean(axis=(-2, -1), keepdims=True)
    return centred / np.linalg.norm(centred, axis=(-2, -1), keepdims=True)


def similarity(characters: str, others: str, *, rotations: bool = False) -> np.ndarray:
    """Return how alike characters look: the largest correlation of their clean renderings under small shifts.

    With `rotations`, also over quarter turns. Returns (character, other), float32, 1 for identical shapes.
    """
    fixed = _templates(characters).reshape(len(characters), -1)
    best = np.full((len(characters), len(others)), -1, dtype=np.float32)
    moving = _templates(others)
    for turns in range(4 if rotations else 1):
        turned = np.rot90(moving, turns, axes=(1, 2))
        for down in range(-_SHIFT, _SHIFT + 1):
            for right in range(-_SHIFT, _SHIFT + 1):
                moved = np.roll(turned, (down, right), axis=(1, 2)).reshape(len(others), -1)
                best = np.maximum(best, fixed @ moved.T)
    return best


def distinct(characters: str, threshold: float) -> str:
    """Return the characters without those that look like an earlier one (o beside O, c beside C)."""
    alike = similarity(characters, characters) > threshold
    kept: list[int] = []
    for index in range(len(characters)):
        if not alike[index, kept].any():
            kept.append(index)
    return "".join(characters[index] for index in kept)


def unlike(characters: str, others: str, threshold: float) -> str:
    """Return the characters that look like none of `others`, not even when turned by a quarter or a half."""
    alike = (similarity(characters, others, rotations=True) > threshold).any(axis=1)
    return "".join(character for character, drop in zip(characters, alike, strict=True) if not drop)
