"""Published image sets: fetched through torchvision, or with a published split of their classes, in folders on disk."""

import csv
import socket
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from torch.nn import functional

from mglib.tasks.episodes import ClassImages
from mglib.tasks.images import is_image, load_images

_TIMEOUT = 20  # seconds without an answer after which a server counts as unreachable
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look
_LABELLED = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "fashion-mnist": "FashionMNIST"}
CLASS_SPLITS = {  # how the files lie
    "cifar-fs": "PATH/data/<class>/<image> and PATH/splits/bertinetto/{train,val,test}.txt, a class a line",
    "mini-imagenet": "PATH/images/<file> and PATH/{train,val,test}.csv with the header filename,label",
}


def omniglot_folders(root: Path) -> tuple[Path, Path]:
    """Return the folders <alphabet>/<character>/<image> of the background and the evaluation set.

    Source: Lake, Salakhutdinov & Tenenbaum 2015; 30 alphabets to learn from and 20 to be tested on.
    Raises ValueError if they are neither in `root` nor to be fetched.
    """
    load = _torchvision_datasets("omniglot").Omniglot
    background, evaluation = (_fetched("omniglot", root, load, background=part) for part in (True, False))
    return Path(background.target_folder), Path(evaluation.target_folder)


def labelled_images(name: str, root: Path, image_size: int, channels: int | None = None) -> dict[str, Tensor]:
    """Return the images of cifar10, cifar100 or fashion-mnist by class, its own train and test part together.

    Returns {class: (example, channel, image_size, image_size) uint8}.
    Raises ValueError if the set is neither in `root` nor to be fetched.
    """
    load = getattr(_torchvision_datasets(name), _LABELLED[name])
    parts = [_fetched(name, root, load, train=train) for train in (True, False)]
    images = torch.cat([_resized(torch.as_tensor(part.data), image_size, channels) for part in parts])
    labels = torch.cat([torch.as_tensor(part.targets) for part in parts])
    return {class_name: images[labels == label] for label, class_name in enumerate(parts[0].classes)}


def _torchvision_datasets(name: str) -> ModuleType:
    try:
        from torchvision import datasets  # here, since it takes as long to import as all the rest
    except ImportError as error:
        how = "pip install -e '.[data]' in the project's folder"
        raise ValueError(f"{name} needs torchvision ({error}): {how}") from error
    return datasets


def _fetched(name: str, root: Path, load: Callable, **part: bool):
    """One of torchvision's data sets from what is on disk, else after a download."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)  # torchvision itself would wait for ever
    try:
        return load(str(root), download=True, **part)
    except (RuntimeError, OSError) as error:  # torchvision's ways to say that files are missing or damaged
        reason = " ".join(str(error).split())  # torchvision's may run over several lines
        raise ValueError(
            f"{name} is not (complete) in {root} and could not be fetched ({reason}); "
            f"it needs a network once, or give images of your own as folder:PATH"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def _resized(images: Tensor, image_size: int, channels: int | None) -> Tensor:
    """(example, height, width[, 3]) uint8 to (example, channel, image_size, image_size) uint8."""
    images = images[:, None] if images.dim() == 3 else images.permute(0, 3, 1, 2)
    if images.shape[-2:] != (image_size, image_size):
        images = functional.interpolate(images, size=(image_size, image_size), mode="bilinear", antialias=True)
    if channels == 3 and images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    elif channels == 1 and images.shape[1] == 3:
        weights = torch.tensor(_LUMA).view(1, 3, 1, 1)
        images = torch.cat([(part * weights).sum(1, keepdim=True).round().byte() for part in images.split(4096)])
    return images.contiguous()


def read_class_split(
    kind: str, path: Path, image_size: int, channels: int | None = None
) -> tuple[ClassImages, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the images by class of one of CLASS_SPLITS, and its classes for test and for validation.

    Both have 64 classes to train on, 16 for validation and 20 for test. CIFAR-FS: Bertinetto et al. 2019, out of
    CIFAR-100; mini-ImageNet: the split of Ravi & Larochelle 2017, 600 images a class. Photos are never inverted.

    Raises ValueError, saying what layout is expected, if a file is missing, or a class is in two of the splits.
    """
    list_files = {"cifar-fs": _cifar_fs_files, "mini-imagenet": _mini_imagenet_files}[kind]
    by_class: dict[str, list[Path]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for split in ("train", "val", "test"):  # as the files are called
        own = list_files(path, split)
        if twice := sorted(by_class.keys() & own.keys()):
            raise ValueError(f"{path}: classes must be in one split only, but {twice[0]} is in {split} and before it")
        by_class |= own
        names[split] = tuple(own)
    images = load_images([file for each in by_class.values() for file in each], image_size, channels)
    parts = images.split([len(each) for each in by_class.values()])
    return dict(zip(by_class, parts, strict=True)), (names["test"], names["val"])


def _cifar_fs_files(path: Path, split: str) -> dict[str, list[Path]]:
    """The images of each class of a split, in the order of their names."""
    files = {}
    lines = _text(path / "splits" / "bertinetto" / f"{split}.txt", "cifar-fs").splitlines()
    for name in filter(None, map(str.strip, lines)):
        folder = path / "data" / name
        files[name] = sorted(filter(is_image, folder.iterdir())) if folder.is_dir() else []
        if not files[name]:
            raise ValueError(
                f"there is no image in {folder}, which a split names; expected is {CLASS_SPLITS['cifar-fs']}"
            )
    return files


def _mini_imagenet_files(path: Path, split: str) -> dict[str, list[Path]]:
    """The images of each class of a split, in the order of the table."""
    files: dict[str, list[Path]] = {}
    table, layout = path / f"{split}.csv", CLASS_SPLITS["mini-imagenet"]
    rows = csv.DictReader(_text(table, "mini-imagenet").splitlines(), skipinitialspace=True)
    if not {"filename", "label"} <= set(rows.fieldnames or ()):
        raise ValueError(f"{table} has the header {rows.fieldnames}; expected is {layout}")
    for row in rows:
        if not row["filename"] or not row["label"]:
            raise ValueError(f"{table}, line {rows.line_num}, lacks a name; expected is {layout}")
        files.setdefault(row["label"], []).append(path / "images" / row["filename"])
    return files


def _text(file: Path, kind: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{file} cannot be read ({reason}); expected is {CLASS_SPLITS[kind]}") from error
