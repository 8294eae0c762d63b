"""Folders of images: which classes they hold, whether or not the classes are grouped into nodes."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mglib.tasks.assembly import Images
from mglib.tasks.images import EXTENSIONS, has_bright_background, is_image, load_images, read_images

LAYOUTS = "<node>/<class>/<image> or <class>/<image>"


@dataclass
class _Listing:
    """What a folder holds, hidden entries left out."""

    folders: list[Path]
    images: list[Path]
    others: list[Path]


class Folder(NamedTuple):
    """The images of a folder, as they are in the files."""

    nodes: Images  # all classes on one nameless node where the folder has none
    has_nodes: bool
    invert: bool  # whether they are to be turned from dark on light to light on dark


def read_folder(path: Path | str, image_size: int, channels: int | None = None, invert: bool | None = None) -> Folder:
    """Read PATH/<node>/<class>/<image>, or PATH/<class>/<image>.

    invert: None: told from the whole set; dark on light is what has no colour and a bright median pixel.
    Files that are no images by their extension are ignored, and one warning says how many.

    Raises ValueError if the folder is missing, mixes the layouts or holds a class without images, and for a
    file that cannot be read.
    """
    root = Path(path)
    ignored: list[Path] = []
    top = _listing(root)
    inside = {folder: _listing(folder) for folder in top.folders}
    classes = [folder for folder, listing in inside.items() if listing.images]
    nodes = [folder for folder, listing in inside.items() if listing.folders]
    if classes and nodes:
        raise ValueError(f"{root} mixes layouts: {classes[0]} holds images, {nodes[0]} holds folders; use {LAYOUTS}")
    if not classes and not nodes:
        others = top.others + [file for listing in inside.values() for file in listing.others]
        raise ValueError(f"there is no image in {root}{_named(others)}; expected below it is {LAYOUTS}")
    ignored += top.images + top.others
    if nodes:
        ignored += [file for listing in inside.values() for file in listing.others]
        empty = [folder for folder, listing in inside.items() if not listing.folders]
        if empty:
            raise ValueError(f"there is no class in node {empty[0]}; expected below {root} is {LAYOUTS}")
        files = {node.name: _class_files(inside[node].folders, ignored) for node in nodes}
    else:
        files = {"": _class_files(top.folders, ignored)}
    _warn_of_ignored(root, ignored)
    every = [file for classes in files.values() for each in classes.values() for file in each]
    images, coloured = read_images(every, image_size, channels)
    bright = invert is None and has_bright_background(images)
    if bright and coloured:
        warnings.warn(
            f"the images of {root} are bright, but have colour, so they stay as they are; `invert` turns them",
            stacklevel=3,
        )
    parts = iter(images.split([len(each) for classes in files.values() for each in classes.values()]))
    read = {node: {name: next(parts) for name in classes} for node, classes in files.items()}
    return Folder(read, bool(nodes), bright and not coloured if invert is None else invert)


def read_support(
    path: Path | str, image_size: int, channels: int | None = None, *, invert: bool = False
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Read a user's own labelled images: PATH/<class>/<image>, or PATH/<class>.png with one image a class.

    Sizes and modes may be mixed, and `channels` and `invert` mean what they do in `load_images`.

    Returns images (example, channel, image_size, image_size) uint8, labels (example,) int64, class names.
    Raises ValueError if the folder is missing, empty or ambiguous, and for a file that cannot be read.
    """
    root = Path(path)
    top = _listing(root)
    ignored = list(top.others)
    if top.folders and top.images:
        raise ValueError(
            f"{root} holds images ({top.images[0].name}) beside folders ({top.folders[0].name}); "
            f"use <class>/<image> or <class>.png, not both"
        )
    if top.folders:
        files = _class_files(top.folders, ignored)
    else:
        files = {image.stem: [image] for image in top.images}
        if len(files) < len(top.images):
            names = ", ".join(image.name for image in top.images)
            raise ValueError(f"{root} holds several images of one class name: {names}; use <class>/<image> instead")
    if not files:
        raise ValueError(f"there is no image in {root}{_named(ignored)}; expected are <class>/<image> or <class>.png")
    _warn_of_ignored(root, ignored)
    images = load_images([file for each in files.values() for file in each], image_size, channels, invert=invert)
    counts = torch.tensor([len(each) for each in files.values()])
    return images, torch.arange(len(files)).repeat_interleave(counts), tuple(files)


def _listing(folder: Path) -> _Listing:
    """The visible entries of a folder by kind, sorted by name. Raises ValueError if it cannot be listed."""
    listing = _Listing([], [], [])
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ValueError(f"{folder} is not a folder that can be read: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        kind = listing.folders if entry.is_dir() else listing.images if is_image(entry) else listing.others
        kind.append(entry)
    return listing


def _class_files(folders: list[Path], ignored: list[Path]) -> dict[str, list[Path]]:
    """The images of each class folder; what is not used is added to `ignored`."""
    files = {}
    for folder in folders:
        listing = _listing(folder)
        if not listing.images:
            others = _named(listing.others)
            raise ValueError(f"there is no image in class folder {folder}{others}; add images or remove the folder")
        files[folder.name] = listing.images
        ignored += listing.others + listing.folders
    return files


def _named(others: Sequence[Path]) -> str:
    """What to say of files that are no images by their extension; nothing where there are none."""
    if not others:
        return ""
    names = ", ".join(file.name for file in others[:3])
    return f", {len(others)} other files ({names}); an image's name ends in {' '.join(sorted(EXTENSIONS))}"


def _warn_of_ignored(root: Path, ignored: list[Path]) -> None:
    if ignored:
        warnings.warn(
            f"{len(ignored)} entries below {root} are not used, as they are no images in their place "
            f"(e.g. {ignored[0].name})",
            stacklevel=3,
        )
