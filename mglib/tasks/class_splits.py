"""Image sets that are published with a split of their classes: CIFAR-FS and mini-ImageNet, as folders on disk."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mglib.tasks.assembly import ClassImages
from mglib.tasks.images import is_image, load_images

_SPLITS = ("train", "val", "test")  # as the files are called


@dataclass(frozen=True)
class ClassSplit:
    """Images by class, and the classes for test and for validation where a user names none: names, or how many."""

    classes: ClassImages
    test: tuple[str, ...] | int
    validation: tuple[str, ...] | int


def read_cifar_fs(path: Path, image_size: int, channels: int | None = None) -> ClassSplit:
    """Read CIFAR-FS: PATH/data/<class>/<image> and PATH/splits/bertinetto/{train,val,test}.txt, a class a line.

    Source: Bertinetto et al. 2019; 64, 16 and 20 classes of CIFAR-100.
    Raises ValueError, saying what layout is expected, if a file is missing, or a class is in two of the splits.
    """
    layout = "PATH/data/<class>/<image> and PATH/splits/bertinetto/{train,val,test}.txt, a class a line"
    files: dict[str, dict[str, list[Path]]] = {}
    for split in _SPLITS:
        lines = _text(path / "splits" / "bertinetto" / f"{split}.txt", layout).splitlines()
        names = [line.strip() for line in lines if line.strip()]
        files[split] = {each: _images_in(path / "data" / each, layout) for each in names}
    return _read(path, files, image_size, channels)


def read_mini_imagenet(path: Path, image_size: int, channels: int | None = None) -> ClassSplit:
    """Read mini-ImageNet: PATH/images/<file> and PATH/{train,val,test}.csv with the columns filename and label.

    Source: the split of Ravi & Larochelle 2017; 64, 16 and 20 classes of ImageNet, 600 images each.
    Raises ValueError, saying what layout is expected, if a file is missing, or a class is in two of the splits.
    """
    layout = "PATH/images/<file> and PATH/{train,val,test}.csv with the header filename,label"
    files: dict[str, dict[str, list[Path]]] = {split: {} for split in _SPLITS}
    for split in _SPLITS:
        table = csv.DictReader(_text(path / f"{split}.csv", layout).splitlines(), skipinitialspace=True)
        if not {"filename", "label"} <= set(table.fieldnames or ()):
            raise ValueError(f"{path / f'{split}.csv'} has the header {table.fieldnames}; expected is {layout}")
        for row in table:
            if not row["filename"] or not row["label"]:
                raise ValueError(f"{path / f'{split}.csv'}, line {table.line_num}, lacks a name; expected is {layout}")
            files[split].setdefault(row["label"], []).append(path / "images" / row["filename"])
    return _read(path, files, image_size, channels)


CLASS_SPLITS: Mapping[str, Callable[[Path, int, int | None], ClassSplit]] = {
    "cifar-fs": read_cifar_fs,
    "mini-imagenet": read_mini_imagenet,
}


def _text(file: Path, layout: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{file} cannot be read ({reason}); expected is {layout}") from error


def _images_in(folder: Path, layout: str) -> list[Path]:
    """The images of a class, in the order of their names."""
    found = sorted(file for file in folder.iterdir() if is_image(file)) if folder.is_dir() else []
    if not found:
        raise ValueError(f"there is no image in {folder}, which a split names; expected is {layout}")
    return found


def _read(
    path: Path, files: Mapping[str, Mapping[str, list[Path]]], image_size: int, channels: int | None
) -> ClassSplit:
    """The images behind file names, read in one go so that colour is decided for all; photos are never inverted."""
    by_class: dict[str, list[Path]] = {}
    for split, own in files.items():
        if twice := sorted(by_class.keys() & own.keys()):
            raise ValueError(f"{path}: classes must be in one split only, but {twice[0]} is in {split} and before it")
        by_class |= own
    images = load_images([file for each in by_class.values() for file in each], image_size, channels, invert=False)
    parts = torch.split(images, [len(each) for each in by_class.values()])
    return ClassSplit(dict(zip(by_class, parts, strict=True)), tuple(files["test"]), tuple(files["val"]))
