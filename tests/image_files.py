"""Single image files for tests of what reads them, and short names for what comes out."""

import numpy as np
from PIL import Image

from mglib.tasks import load_federation


def write_image(path, value=200, size=(12, 12), mode="L"):
    """Write an even grey image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).convert(mode).save(path)
    return path


def pixels_of(path):
    """Return the pixels of a file, by another way than the library's."""
    with Image.open(path) as image:
        return np.asarray(image)


def load(path, **options):
    """Return the federation of a folder's images, made small."""
    return load_federation(f"folder:{path}", image_size=12, **options)


def names(nodes):
    """Return the nodes' names."""
    return [node.name for node in nodes]


def classes_of(nodes):
    """Return the classes of all nodes."""
    return [name for node in nodes for name in node.classes]
