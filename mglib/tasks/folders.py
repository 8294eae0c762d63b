"""Folders of images: which classes they hold, whether or not the classes are grouped into nodes."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mglib.tasks.episodes import ClassImages
from mglib.tasks.images import EXTENSIONS, has_bright_background, is_image, load_images, read_images

LAYOUTS = "<node>/<class>/<image> or <class>/<image>"


class Folder(NamedTuple):
    """The images of a folder, as they are in the files."""

    nodes: dict[str, ClassImages]  # all classes on one nameless node where the folder has none
    has_nodes: bool
    invert: bool  # whether they are to be turned from dark on light to light on dark


class _Listing(NamedTuple):
    """What a folder holds, hidden entries left out, sorted by name."""

    folders: list[Path]
    images: list[Path]
    others: list[Path]


def read_folder(path: Path | str, image_size: int, channels: int | None = None, invert: bool | None = None) -> Folder:
    """Read PATH/<node>/<class>/<image>, or PATH/<class>/<image>.

    invert: None: told from the whole set; dark on light is what has no colour and a bright median pixel.
    Files that are no images by their extension are ignored, and one warning says how many.

    Raises ValueError if the folder is missing, mixes the layouts or holds a class without images, and for a
    file that cannot be read.
    """
    root = Path(path)
    top = _listing(root)
    inside = {folder: _listing(folder) for folder in top.folders}
    classes = [folder for folder, listing in inside.items() if listing.images]
    nodes = [folder for folder, listing in inside.items() if listing.folders]
    others = [file for listing in inside.values() for file in listing.others]
    if classes and nodes:
        raise ValueError(f"{root} mixes layouts: {classes[0]} holds images, {nodes[0]} holds folders; use {LAYOUTS}")
    if not classes and not nodes:
        raise ValueError(f"there is no image in {root}{_named(top.others + others)}; expected below it is {LAYOUTS}")
    if nodes and (empty := [folder for folder in inside if folder not in nodes]):
        raise ValueError(f"there is no class in node {empty[0]}; expected below {root} is {LAYOUTS}")
    ignored = top.images + top.others + (others if nodes else [])
    groups = {node.name: inside[node].folders for node in nodes} or {"": top.folders}
    files = {name: _class_files(folders, ignored) for name, folders in groups.items()}
    _warn_of_ignored(root, ignored)
    every = [file for classes in files.values() for each in classes.values() for file in each]
    images, coloured = read_images(every, image_size, channels)
    if invert is None:
        bright = has_bright_background(images)
        invert = bright and not coloured
        if bright and coloured:
            warnings.warn(
                f"the images of {root} are bright, but have colour, so they stay as they are; `invert` turns them",
                stacklevel=3,
            )
    parts = iter(images.split([len(each) for classes in files.values() for each in classes.values()]))
    read = {node: {name: next(parts) for name in classes} for node, classes in files.items()}
    return Folder(read, bool(nodes), invert)


def read_support(
    path: Path | str, image_size: int, channels: int | None = None
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Read a user's own labelled images: PATH/<class>/<image>, or PATH/<class>.png with one image a class.

    Sizes and modes may be mixed, and `channels` means what it does in `load_images`.

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
    files = _class_files(top.folders, ignored) or {image.stem: [image] for image in top.images}
    if not files:
        raise ValueError(f"there is no image in {root}{_named(ignored)}; expected are <class>/<image> or <class>.png")
    if len(files) < len(top.images):
        names = ", ".join(image.name for image in top.images)
        raise ValueError(f"{root} holds several images of one class name: {names}; use <class>/<image> instead")
    _warn_of_ignored(root, ignored)
    images = load_images([file for each in files.values() for file in each], image_size, channels)
    counts = torch.tensor([len(each) for each in files.values()])
    return images, torch.arange(len(files)).repeat_interleave(counts), tuple(files)


def _listing(folder: Path) -> _Listing:
    """What a folder holds. Raises ValueError if it cannot be listed."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise ValueError(f"{folder} is not a folder that can be read: {error.strerror}") from error
    folders = [entry for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if not entry.is_dir()]
    return _Listing(folders, [file for file in files if is_image(file)], [file for file in files if not is_image(file)])


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
