"""Image files of any size and mode, turned into one uint8 tensor."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mglib.params import whole_number

LARGEST = 4096  # pixels a side
# torchvision's and .gif
EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_COLOUR_SPREAD = 24  # between the channels of a pixel; less is the noise that JPEG leaves in grey images
_WHITE = {"L": 255, "I": 65535, "F": 255}  # largest value of grey images, by the first letter of their mode
_DEPTHS = (1, 255, 1023, 4095, 16383)  # smaller values of white: masks and fractions; 8, 10, 12 and 14 bits


def check_shape(image_size: int, channels: int | None) -> int:
    """Return the image size, pixels a side. Raises ValueError if it or the number of channels is not allowed."""
    if channels not in (None, 1, 3):
        raise ValueError(f"`channels` (={channels}) must be 1 (grey), 3 (colour) or None (as the images are)")
    return whole_number("image_size", image_size, 8, LARGEST)


def is_image(path: Path) -> bool:
    """Say whether a file is expected to be an image: it is visible and its extension says so."""
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def load_images(paths: Sequence[Path | str], image_size: int, channels: int | None = None) -> Tensor:
    """Read image files and bring them to one size and one number of channels.

    Any mode is accepted: transparency is laid over white, photos are turned upright as their camera noted. An image
    that is not square is squeezed, not cut. Where sizes or modes differ, one warning says so. `channels` None means 3
    if any image has colour, else 1.

    Grey images of more than 8 bits are scaled from their range, which the largest value of all images that are read
    together decides: 1, 8, 10, 12 or 14 bits, or what their mode can hold. A warning says so where whole numbers use
    less, and names an image of which nothing is left to see. A few images read alone may give another range.

    Returns (image, channel, image_size, image_size), uint8.
    Raises ValueError if there is no image, if a file cannot be read as one (it is named), or if a size or
    number of channels is not allowed.
    """
    return read_images(paths, image_size, channels)[0]


def read_images(paths: Sequence[Path | str], image_size: int, channels: int | None = None) -> tuple[Tensor, bool]:
    """Return what `load_images` does, and whether any of the images has colour."""
    image_size = check_shape(image_size, channels)
    if not paths or isinstance(paths, str | Path):
        raise ValueError(f"there must be a list of at least one image to read, got {paths or 'none'}")

    def brought(image: Image.Image, path: Path | str, white: int) -> Image.Image:
        return _to_eight_bit(image, path, white).resize((image_size, image_size), Image.Resampling.BILINEAR)

    resized, sizes, modes = [], set(), set()
    grey: dict[str, dict[int, float]] = {kind: {} for kind in _WHITE}  # the largest value in each, by its position
    for position, path in enumerate(paths):
        image = _open(path)
        sizes.add(image.size)
        modes.add(image.mode)
        kind = _grey_kind(image)
        resized.append(brought(image, path, _WHITE.get(kind, 255)))
        if kind:
            grey[kind][position] = float(np.asarray(image).max())
    others = len(paths) - sum(map(len, grey.values()))
    whole = [*grey["L"].values(), *grey["I"].values(), *([255.0] if others else [])]
    for kind, values in grey.items():
        most = max(values.values() if kind == "F" else whole, default=0.0)
        white = next((white for white in _DEPTHS if most <= white <= _WHITE[kind]), _WHITE[kind])
        if values and most and white != _WHITE[kind]:  # not what was taken for white above
            if kind != "F":
                warnings.warn(
                    f"{len(values)} grey images (e.g. {paths[min(values)]}) hold no value above "
                    f"{max(values.values()):g}: {white} is taken for white",
                    stacklevel=3,
                )
            for position in values:
                resized[position] = brought(_open(paths[position]), paths[position], white)
    coloured = any(image.mode == "RGB" and has_colour(_tensor([image])) for image in resized)
    channels = channels or (3 if coloured else 1)
    if len(sizes) > 1 or len(modes) > 1:
        smallest, largest = min(sizes, key=np.prod), max(sizes, key=np.prod)
        warnings.warn(
            f"{len(paths)} images of {len(sizes)} sizes ({smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]}) "
            f"and of modes {', '.join(sorted(modes))} were converted to {image_size}x{image_size} pixels "
            f"in {'grey' if channels == 1 else 'colour'}",
            stacklevel=3,
        )
    images = _tensor([image.convert("L" if channels == 1 else "RGB") for image in resized])
    even = (images.amax((2, 3)) - images.amin((2, 3))).amax(1) <= 1
    if lost := [paths[i] for i in even.nonzero() if np.ptp(np.asarray(_open(paths[i]), float), axis=(0, 1)).any()]:
        warnings.warn(
            f"{len(lost)} of {len(paths)} images come out without contrast, which their files have: {lost[0]}",
            stacklevel=3,
        )
    return images, coloured


def has_bright_background(images: Tensor) -> bool:
    """Say whether the median pixel of uint8 images is above 127."""
    return bright_pixels(images) * 2 > images.numel()


def warn_if_bright(images: Tensor, source: object, inverted: bool | None, remedy: str) -> None:
    """Warn if most pixels are bright, of what came from `source`, and say what to do if they should be dark."""
    if has_bright_background(images):
        now, then = (" once they are inverted", " then") if inverted else ("", "")
        told = f"most pixels of {source} are bright{now}: if they are dark ink on light paper{then}, {remedy}"
        warnings.warn(told, stacklevel=3)


def has_colour(images: Tensor) -> bool:
    """Say whether a pixel of uint8 images, (image, channel, height, width), has colour."""
    return int((images.amax(1) - images.amin(1)).max()) > _COLOUR_SPREAD


def bright_pixels(images: Tensor) -> int:
    """Return how many pixels of uint8 images are above 127."""
    return int((images > 127).sum())


def _open(path: Path | str) -> Image.Image:
    """The decoded image, upright. Raises ValueError naming the file if it is none or is damaged."""
    try:  # silently: of broken EXIF, Pillow warns without the file's name
        with warnings.catch_warnings(action="ignore", category=UserWarning), Image.open(path) as file:
            file.load()
            return _upright(file)
    except Exception as error:  # whatever Pillow stumbles over in a file that is damaged or lies
        raise ValueError(f"{path} cannot be read as an image: {str(error) or type(error).__name__}") from error


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its camera noted; as it is where the note, among all that EXIF holds, cannot be read."""
    try:
        image.getexif()
        image.info.pop("exif", None)  # it is read: Pillow would write it again, and fail where an entry is broken
        return ImageOps.exif_transpose(image)
    except Exception:
        return image.copy()


def _grey_kind(image: Image.Image) -> str:
    """L, I (16 and 32 bits) or F for images of one channel of numbers, else nothing."""
    opaque = image.mode == "L" and not image.has_transparency_data
    return image.mode[0] if opaque or image.mode in ("I", "F") or image.mode.startswith("I;16") else ""


def _to_eight_bit(image: Image.Image, path: Path | str, white: int) -> Image.Image:
    """The image in mode L or RGB, without transparency; `white` is the value of white in a grey image."""
    if _grey_kind(image):
        return image if image.mode == "L" and white == 255 else _scaled(image, path, white)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _scaled(image: Image.Image, path: Path | str, white: int) -> Image.Image:
    """A grey image of values from 0 to `white`, in 8 bits."""
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} holds pixels that are not finite numbers (NaN or infinite); all must be finite")
    if values.min() < 0 or values.max() > white:
        raise ValueError(
            f"{path} holds pixels from {values.min():g} to {values.max():g}; allowed in mode {image.mode} "
            f"are 0 to {white}"
        )
    return Image.fromarray(np.round(values * (255 / white)).astype(np.uint8))


def _tensor(images: Sequence[Image.Image]) -> Tensor:
    """Images of one size and mode, L or RGB, as (image, channel, height, width) uint8."""
    pixels = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(pixels.reshape(*pixels.shape[:3], -1)).permute(0, 3, 1, 2).contiguous()
