"""Images kept on disk between runs: a convenience that may be missing, broken or impossible, never a failure."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mglib.params import cache_folder as cache_folder


def read_or_make(path: Path, make: Callable[[], dict[str, dict[str, Tensor]]]) -> dict[str, dict[str, Tensor]]:
    """Return the images that lie at `path`; where none do, make them, and leave them there."""
    nodes = read_cache(path)
    if nodes is None:
        nodes = make()
        write_cache(path, nodes)
    return nodes


def read_cache(path: Path) -> dict[str, dict[str, Tensor]] | None:
    """Return what `write_cache` wrote to `path`, or None if that is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            index = json.loads(file.metadata()["nodes"])  # [node, its classes] pairs, in order
            return {node: dict(zip(classes, file.get_tensor(node), strict=True)) for node, classes in index}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def write_cache(path: Path, nodes: dict[str, dict[str, Tensor]]) -> None:
    """Write images, {node: {class: (example, channel, height, width)}}, so that no reader sees half a file.

    All classes of a node must hold equally many examples. A folder that cannot be written to is no error.
    """
    index = [[node, list(classes)] for node, classes in nodes.items()]
    tensors = {node: torch.stack(list(classes.values())) for node, classes in nodes.items()}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own: two processes may draw the same federation at once.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(save(tensors, metadata={"nodes": json.dumps(index)}))
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)  # gone already unless something failed
