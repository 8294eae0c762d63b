"""The bytes of all tensors that live at once while a function runs, followed operation by operation."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Live(TorchDispatchMode):
    """Watches every operation, those of the backward pass too, and adds up the storages that are still held."""

    def __init__(self):
        super().__init__()
        self.peak = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        self._held = {pointer: entry for pointer, entry in self._held.items() if not entry[0].expired()}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                self._held[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._held.values()))
        return result


def peak_bytes(function: Callable[[], Any]) -> int:
    """Return the most bytes of tensors that were alive at once among those that `function` made.

    Exact and the same on every machine. What an operation uses inside itself is not seen.
    """
    live = _Live()
    with live:
        function()
    return live.peak
