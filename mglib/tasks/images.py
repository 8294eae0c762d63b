"""Image files of any size and mode, turned into one uint8 tensor."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
_COLOUR_SPREAD = 24  # between the channels of a pixel; less is the noise that JPEG leaves in grey images
_DEEP_MODES = {"I": 65535, "I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I;16N": 65535, "F": 255}


def is_image(path: Path) -> bool:
    """Say whether a file is expected to be an image: it is visible and its extension says so."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def load_images(
    paths: Sequence[Path | str], image_size: int, channels: int | None = None, *, invert: bool | None = False
) -> Tensor:
    """Read image files and bring them to one size and one number of channels.

    Any mode is accepted: transparency is laid over white, 16-bit and float images are scaled to 8 bits, photos
    are turned upright as their camera noted. An image that is not square is squeezed, not cut. Where sizes or
    modes differ, one warning says so. `channels` None means 3 if any image has colour, else 1. `invert` None
    inverts all images if their median pixel is bright, so that the background becomes 0, which is what
    convolutions pad with.

    Returns (image, channel, image_size, image_size), uint8.
    Raises ValueError if there is no image, if a file cannot be read as one (it is named), or if a size or
    number of channels is not allowed.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1 (grey), 3 (colour) or None (as the images are), got {channels}")
    if image_size < 8:
        raise ValueError(f"image_size must be at least 8 pixels, got {image_size}")
    if not paths:
        raise ValueError("there must be at least one image to read, got none")
    resized, sizes, modes = [], set(), set()
    for path in paths:
        image = _open(Path(path))
        sizes.add(image.size)
        modes.add(image.mode)
        resized.append(_to_eight_bit(image, path).resize((image_size, image_size), Image.Resampling.BILINEAR))
    if channels is None:
        channels = 3 if any(_is_coloured(image) for image in resized) else 1
    if len(sizes) > 1 or len(modes) > 1:
        smallest, largest = min(sizes, key=np.prod), max(sizes, key=np.prod)
        warnings.warn(
            f"{len(paths)} images of {len(sizes)} sizes ({smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]}) "
            f"and of modes {', '.join(sorted(modes))} were converted to {image_size}x{image_size} pixels "
            f"in {'grey' if channels == 1 else 'colour'}",
            stacklevel=2,
        )
    pixels = np.stack([np.asarray(image.convert("L" if channels == 1 else "RGB")) for image in resized])
    images = torch.from_numpy(pixels.reshape(len(paths), image_size, image_size, channels))
    images = images.permute(0, 3, 1, 2).contiguous()
    if invert is None:
        invert = has_bright_background(images)
    return 255 - images if invert else images


def has_bright_background(images: Tensor) -> bool:
    """Say whether the median pixel of uint8 images is above 127."""
    return int((images > 127).sum()) * 2 > images.numel()


def _open(path: Path) -> Image.Image:
    """The decoded image, upright. Raises ValueError naming the file if it is none or is damaged."""
    try:
        with Image.open(path) as file:
            file.load()
            return ImageOps.exif_transpose(file)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _to_eight_bit(image: Image.Image, path: Path | str) -> Image.Image:
    """The image in mode L or RGB, without transparency."""
    if image.mode in _DEEP_MODES:
        return _scaled_to_eight_bit(image, path)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _scaled_to_eight_bit(image: Image.Image, path: Path | str) -> Image.Image:
    """A 16-bit, 32-bit or float image, whose range is guessed from its mode and its largest value, in 8 bits."""
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} holds pixels that are not finite numbers (NaN or infinite); all must be finite")
    highest = _DEEP_MODES[image.mode]
    if image.mode == "F" and values.max() <= 1:
        highest = 1
    if values.min() < 0 or values.max() > highest:
        raise ValueError(
            f"{path} holds pixels from {values.min():g} to {values.max():g}; allowed in mode {image.mode} "
            f"are 0 to {highest}"
        )
    return Image.fromarray(np.round(values * (255 / highest)).astype(np.uint8))


def _is_coloured(image: Image.Image) -> bool:
    if image.mode == "L":
        return False
    pixels = np.asarray(image).astype(np.int16)
    return int(np.ptp(pixels, axis=2).max()) > _COLOUR_SPREAD
