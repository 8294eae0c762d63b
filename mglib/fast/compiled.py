"""The C of `skipping.c`, compiled where there is a compiler, and called on tensors."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from mglib.params import cache_folder

SOURCE = Path(__file__).with_name("skipping.c")
# Sums may be taken in another order, so that the compiler can use vectors for them; nothing else of "fast" arithmetic.
REORDER = ("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math")
FLAGS = ("-O3", "-march=native", *REORDER, "-shared", "-fPIC", "-lm")
DEFINES = {torch.float32: "-DSINGLE", torch.float64: "-DDOUBLE"}
PANEL_BYTES, SLACK_BYTES = 128, 256  # of the pixels that the C computes together, and of the room behind each map


class Layer(ctypes.Structure):
    """A layer as the C sees it; what its pointers point to must be kept alive beside it."""

    POINTERS = ("weight", "bias", "gate_weight", "gate_bias")  # the last two of a gated layer only
    _fields_ = (
        *((name, ctypes.c_int) for name in ("channels", "filters", "size", "grid", "gated", "absent")),
        *((name, ctypes.c_void_p) for name in POINTERS),
    )


def compiler() -> str | None:
    """Return the C compiler's path: $CC, or the first of cc, gcc, clang that is installed; None if there is none."""
    found = (shutil.which(name) for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name)
    return next((path for path in found if path), None)


@cache
def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """Return the compiled library for a type of numbers; None where it cannot be had: no compiler, another system.

    It is compiled once for a processor and lies in `cache_folder`.
    """
    path = compiler()
    if path is None or dtype not in DEFINES or os.name != "posix":
        return None
    about = (SOURCE.read_bytes(), repr((path, FLAGS, DEFINES[dtype], platform.machine(), processor())).encode())
    name = hashlib.sha256(b"".join(about)).hexdigest()[:16]
    target = cache_folder() / f"skipping-{name}.so"
    try:
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:
                part = Path(folder) / target.name
                command = [path, DEFINES[dtype], str(SOURCE), "-o", str(part), *FLAGS]
                subprocess.run(command, check=True, capture_output=True, timeout=120)
                os.replace(part, target)
        return ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError):
        return None


def processor() -> str:
    """Return what tells processors of different instructions apart: a library for one may not run on another."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return platform.processor()


def address(tensor: Tensor, dtype: torch.dtype, count: int) -> ctypes.c_void_p:
    """Return where `count` numbers of a type lie one after another: every pointer that the C gets is made here.

    Raises:
        ValueError: if anything else lies there.
    """
    numbers, where = tensor.is_cpu and tensor.dtype == dtype and tensor.numel() == count, tensor.data_ptr()
    if not numbers or not tensor.is_contiguous() or tensor.is_neg() or (count and not where):
        raise ValueError(
            f"{tensor.numel()} numbers of {tensor.dtype} on {tensor.device}: the C needs {count} of {dtype}, one after "
            "another in the memory of the CPU"
        )
    return ctypes.c_void_p(where)


class CompiledNet:
    """A folded conv net for one image at a time, as `skipping.c` computes it.

    It holds the memory that it computes in: two threads need a network each.
    """

    def __init__(
        self, layers: Sequence[tuple[Sequence[int], Sequence[Tensor]]], head: tuple[Tensor, Tensor], dtype: torch.dtype
    ):
        """Take the sizes and the tensors of each `Layer`, and the head's weight (way, filter · pixels) and bias (way,).

        Raises:
            ValueError: if there is no library for `dtype` here, or a tensor is not what the sizes say.
        """
        loaded = library(dtype)
        if loaded is None:
            raise ValueError(f"`dtype` (={dtype}): no C compiler here, or none of {', '.join(map(str, DEFINES))}")
        self._forward, self._dtype, self._kept = loaded.forward, dtype, []
        plain = [Layer(*sizes) for sizes, _ in layers]
        for layer, (_, tensors) in zip(plain, layers, strict=True):
            reads, parts = layer.channels * layer.grid**2, 4 if layer.gated else 2
            counts = (layer.filters * layer.channels * 9, layer.filters, layer.filters * reads, layer.filters)
            for name, tensor, count in zip(Layer.POINTERS[:parts], tensors, counts[:parts], strict=True):
                setattr(layer, name, self._keep(tensor, count))
        self._gates = [layer.filters for layer in plain if layer.gated]
        self._ways, self._pixels, last = len(head[1]), plain[0].channels * plain[0].size ** 2, plain[-1]
        widest = max(max(layer.channels, layer.filters) for layer in plain)
        slack = SLACK_BYTES // dtype.itemsize
        area = max(max(layer.channels, layer.filters) * ((layer.size + 2) ** 2 + slack) for layer in plain)
        maps = torch.empty(2, area + slack, dtype=dtype)
        panel = torch.empty(
            max(9 * layer.channels for layer in plain) * PANEL_BYTES // dtype.itemsize + slack, dtype=dtype
        )
        pooled = torch.empty(max(layer.channels * layer.grid**2 for layer in plain), dtype=dtype)
        index = torch.empty(2, widest + 1, dtype=torch.int32)
        self._kept += [maps, index]
        self._constants = (
            (Layer * len(plain))(*plain),
            len(plain),
            self._keep(head[0], self._ways * last.filters * ((last.size + 1) // 2) ** 2),
            self._keep(head[1], self._ways),
            self._ways,
            (ctypes.c_void_p * 2)(*(address(row, dtype, len(row)) for row in maps)),
            self._keep(panel, len(panel)),
            self._keep(pooled, len(pooled)),
            (ctypes.c_void_p * 2)(*(address(row, torch.int32, len(row)) for row in index)),
        )

    def __call__(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits (batch, way) and each gated layer's gates (batch, filter) for images on the CPU.

        Raises:
            ValueError: if the images are not of the network's size and type of numbers.
        """
        images, batch = images.resolve_neg().contiguous(), len(images)
        logits, gates = images.new_empty(batch, self._ways), images.new_empty(batch, sum(self._gates))
        self._forward(
            *self._constants,
            address(images, self._dtype, batch * self._pixels),
            ctypes.c_long(batch),
            address(logits, self._dtype, logits.numel()),
            address(gates, self._dtype, gates.numel()),
        )
        return logits, gates.split(self._gates, 1) if self._gates else ()

    def _keep(self, tensor: Tensor, count: int) -> ctypes.c_void_p:
        self._kept.append(tensor.resolve_neg().contiguous())
        return address(self._kept[-1], self._dtype, count)
