"""The C of `skipping.c`, compiled where there is a compiler, and called on tensors.

torch.utils.cpp_extension would do it in no fewer lines, since arguments have to be checked and packed all the same; it
takes seconds to import and half a minute to compile against torch's headers, and needs ninja and a C++ compiler.
"""

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Thread

import torch
from torch import Tensor

from mglib.params import cache_folder

SOURCE = Path(__file__).with_name("skipping.c")
# Sums may be taken in another order, so that the compiler can use vectors for them; nothing else of "fast" arithmetic.
REORDER = ("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math")
FLAGS = ("-O3", "-march=native", *REORDER, "-shared", "-fPIC", "-lm")
DEFINES = {torch.float32: "-DSINGLE", torch.float64: "-DDOUBLE"}


class Layer(ctypes.Structure):
    """A layer as the C sees it; what its pointers point to must be kept alive beside it."""

    POINTERS = ("weight", "bias", "gate_weight", "gate_bias")  # the last two of a gated layer only
    _fields_ = (
        *((name, ctypes.c_int) for name in ("channels", "filters", "size", "grid", "gated", "absent")),
        *((name, ctypes.c_void_p) for name in POINTERS),
    )


@cache
def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """Return the compiled library for a type of numbers; None where it cannot be had: no compiler, another system.

    The compiler is $CC, options included, or cc. It runs once for a processor; what it makes lies in `cache_folder`.
    """
    compiler = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(compiler[0]) is None or dtype not in DEFINES or os.name != "posix":
        return None
    try:
        # The macros tell compilers apart, and processors: what was compiled for one may not run on another.
        asked = [*compiler, "-march=native", "-dM", "-E", "-xc", os.devnull]
        macros = subprocess.run(asked, check=True, capture_output=True, timeout=120).stdout
        about = b"".join(sorted(macros.splitlines())) + SOURCE.read_bytes() + repr((FLAGS, dtype)).encode()
        target = cache_folder() / f"skipping-{hashlib.sha256(about).hexdigest()[:16]}.so"
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                part = Path(folder) / target.name
                command = [*compiler, DEFINES[dtype], str(SOURCE), "-o", str(part), *FLAGS]
                subprocess.run(command, check=True, capture_output=True, timeout=120)
                os.replace(part, target)
        loaded = ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError):
        return None
    loaded.room.restype = ctypes.c_long
    return loaded


def address(tensor: Tensor, dtype: torch.dtype, count: int) -> ctypes.c_void_p:
    """Return where `count` numbers of a type lie one after another: every pointer that the C gets is made here.

    Raises ValueError if anything else lies there.
    """
    numbers, where = tensor.is_cpu and tensor.dtype == dtype and tensor.numel() == count, tensor.data_ptr()
    if not numbers or not tensor.is_contiguous() or tensor.is_neg() or (count and not where):
        raise ValueError(
            f"{tensor.numel()} numbers of {tensor.dtype} on {tensor.device}: the C needs {count} of {dtype}, one after "
            "another in the memory of the CPU"
        )
    return ctypes.c_void_p(where)


class CompiledNet:
    """A folded conv net for one image at a time, as `skipping.c` computes it, on as many threads as torch is set to.

    It holds the memory that it computes in: whoever calls it from two threads needs a network for each.
    """

    def __init__(
        self, layers: Sequence[tuple[Sequence[int], Sequence[Tensor]]], head: tuple[Tensor, Tensor], dtype: torch.dtype
    ):
        """Take the sizes and the tensors of each `Layer`, and the head's weight (way, filter · pixels) and bias (way,).

        dtype: one that there is a `library` for. Raises ValueError if a tensor is not what the sizes say.
        """
        loaded = library(dtype)
        self._forward, self._dtype, self._kept = loaded.forward, dtype, []
        plain = (Layer * len(layers))(*(Layer(*sizes) for sizes, _ in layers))
        for layer, (_, tensors) in zip(plain, layers, strict=True):
            reads, parts = layer.channels * layer.grid**2, 4 if layer.gated else 2
            counts = (layer.filters * layer.channels * 9, layer.filters, layer.filters * reads, layer.filters)
            for name, tensor, count in zip(Layer.POINTERS[:parts], tensors, counts[:parts], strict=True):
                setattr(layer, name, self._keep(tensor, count))
        first, last, self._ways = plain[0], plain[-1], len(head[1])
        self._gates = [layer.filters for layer in plain if layer.gated]
        self._pixels, features = first.channels * first.size**2, last.filters * ((last.size + 1) // 2) ** 2
        self.rooms = [torch.empty(loaded.room(plain, len(plain)), dtype=dtype)]  # one for each thread
        head = self._keep(head[0], self._ways * features), self._keep(head[1], self._ways)
        self._constants = plain, len(plain), *head, self._ways

    def __call__(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits (batch, way) and each gated layer's gates (batch, filter) for images on the CPU.

        Raises ValueError if the images are not of the network's size and type of numbers.
        """
        images, batch = images.resolve_neg().contiguous(), len(images)
        logits, gates = images.new_empty(batch, self._ways), images.new_empty(batch, sum(self._gates))
        threads = max(1, min(torch.get_num_threads(), batch))
        self.rooms += [torch.empty_like(self.rooms[0]) for _ in range(threads - len(self.rooms))]
        parts = zip(self.rooms, *(each.tensor_split(threads) for each in (images, logits, gates)), strict=False)
        first, *others = [Thread(target=self._forward, args=self._arguments(*part)) for part in parts]
        for thread in others:  # the C runs beside the interpreter, an image on one thread
            thread.start()
        first.run()
        for thread in others:
            thread.join()
        return logits, gates.split(self._gates, 1) if self._gates else ()

    def _arguments(self, room: Tensor, images: Tensor, *answers: Tensor) -> tuple:
        counts = [(room, room.numel()), (images, len(images) * self._pixels), *((to, to.numel()) for to in answers)]
        room, pixels, logits, gates = (address(tensor, self._dtype, count) for tensor, count in counts)
        return *self._constants, room, pixels, ctypes.c_long(len(images)), logits, gates

    def _keep(self, tensor: Tensor, count: int) -> ctypes.c_void_p:
        self._kept.append(tensor.resolve_neg().contiguous())
        return address(self._kept[-1], self._dtype, count)
