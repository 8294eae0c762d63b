"""Published image sets, read from disk or fetched through torchvision."""

import socket
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_TIMEOUT = 20  # seconds without an answer after which a server counts as unreachable
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look


class DataUnavailableError(ValueError):
    """A published data set that is neither on disk nor to be fetched."""


@contextmanager
def _impatient_sockets():
    """Give up on silent servers: torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_disk_or_network(name: str, root: Path, make: Callable):
    """`make(download=...)` from what is on disk, else after a download."""
    try:
        return make(download=False)
    except (RuntimeError, OSError):  # torchvision's way to say that files are missing or damaged
        pass
    try:
        with _impatient_sockets():
            return make(download=True)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())  # torchvision's may run over several lines
        raise DataUnavailableError(
            f"{name} is not (complete) in {root} and could not be fetched ({reason}); "
            f"it needs a network once, or give images of your own as folder:PATH"
        ) from error


def omniglot_folders(root: Path) -> tuple[Path, Path]:
    """Return the folders <alphabet>/<character>/<image> of the background and the evaluation set.

    Source: Lake, Salakhutdinov & Tenenbaum 2015; 30 alphabets to learn from and 20 to be tested on.
    Raises DataUnavailableError if they are neither in `root` nor to be fetched.
    """

    from torchvision import datasets  # here, since it takes as long to import as all the rest

    def folder(background: bool) -> Path:
        data = _from_disk_or_network(
            "omniglot", root, lambda download: datasets.Omniglot(str(root), background=background, download=download)
        )
        return Path(data.target_folder)

    return folder(True), folder(False)


_LABELLED = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "fashion-mnist": "FashionMNIST",
}


def labelled_images(name: str, root: Path, image_size: int, channels: int | None = None) -> dict[str, Tensor]:
    """Return the images of cifar10, cifar100 or fashion-mnist by class, its own train and test part together.

    Returns {class: (example, channel, image_size, image_size) uint8}.
    Raises DataUnavailableError if the set is neither in `root` nor to be fetched.
    """
    from torchvision import datasets

    load = getattr(datasets, _LABELLED[name])
    parts = [
        _from_disk_or_network(name, root, lambda download, train=train: load(str(root), train=train, download=download))
        for train in (True, False)
    ]
    images = torch.cat([_resized(torch.as_tensor(part.data), image_size, channels) for part in parts])
    labels = np.concatenate([np.asarray(part.targets) for part in parts])
    return {
        class_name: images[torch.from_numpy(np.flatnonzero(labels == label))]
        for label, class_name in enumerate(parts[0].classes)
    }


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
