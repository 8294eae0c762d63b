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

import platformdirs
import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("skipping.c")
# Sums may be taken in another order, so that the compiler can use vectors for them; nothing else of "fast" arithmetic.
REORDER = ("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math")
FLAGS = ("-O3", "-march=native", *REORDER, "-shared", "-fPIC", "-lm")
DEFINES = {torch.float32: "-DSINGLE", torch.float64: "-DDOUBLE"}
PANEL_BYTES, SLACK_BYTES = 128, 256  # of the pixels that the C computes together, and of the room behind each map


class Layer(ctypes.Structure):
    """A layer as the C sees it; what its pointers point to must be kept alive beside it."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("channels", "filters", "size", "grid", "gated", "absent")),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "gate_weight", "gate_bias")),
    )


def compiler() -> str | None:
    """Return the C compiler's path: $CC, or the first of cc, gcc, clang that is installed; None if there is none."""
    found = (shutil.which(name) for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name)
    return next((path for path in found if path), None)


@cache
def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """Return the compiled library for a type of numbers; None where it cannot be had: no compiler, another system.

    It is compiled once for a processor and lies in the user's cache folder.
    """
    path = compiler()
    if path is None or dtype not in DEFINES or os.name != "posix":
        return None
    about = (SOURCE.read_bytes(), repr((path, FLAGS, DEFINES[dtype], platform.machine(), processor())).encode())
    name = hashlib.sha256(b"".join(about)).hexdigest()[:16]
    target = Path(platformdirs.user_cache_dir("mglib")) / f"skipping-{name}.so"
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


class CompiledNet:
    """A folded conv net for one image at a time, as `skipping.c` computes it.

    It holds the memory that it computes in: two threads need a network each.
    """

    def __init__(
        self, layers: Sequence[tuple[Layer, Sequence[Tensor]]], head: tuple[Tensor, Tensor], dtype: torch.dtype
    ):
        """Take layers with the tensors they point to, and the head's weight (way, filter · pixels) and bias (way,).

        Raises:
            ValueError: if there is no library for `dtype` here.
        """
        loaded = library(dtype)
        if loaded is None:
            raise ValueError(f"`dtype` (={dtype}): no C compiler here, or none of {', '.join(map(str, DEFINES))}")
        self._forward, self._kept = loaded.forward, [tensor for _, kept in layers for tensor in kept]
        plain = [layer for layer, _ in layers]
        self._gates = [layer.filters for layer in plain if layer.gated]
        weight, bias = (tensor.contiguous() for tensor in head)
        self._ways, itemsize = len(bias), bias.element_size()
        widest = max(max(layer.channels, layer.filters) for layer in plain)
        slack = SLACK_BYTES // itemsize
        area = max(max(layer.channels, layer.filters) * ((layer.size + 2) ** 2 + slack) for layer in plain)
        maps = torch.empty(2, area + slack, dtype=dtype)
        panel = torch.empty(max(9 * layer.channels for layer in plain) * PANEL_BYTES // itemsize + slack, dtype=dtype)
        pooled = torch.empty(max(layer.channels * layer.grid**2 for layer in plain), dtype=dtype)
        index = torch.empty(2, widest + 1, dtype=torch.int32)
        self._kept += [weight, bias, maps, panel, pooled, index]
        self._constants = (
            (Layer * len(plain))(*plain),
            len(plain),
            *map(_address, (weight, bias)),
            self._ways,
            (ctypes.c_void_p * 2)(*(row.data_ptr() for row in maps)),
            *map(_address, (panel, pooled)),
            (ctypes.c_void_p * 2)(*(row.data_ptr() for row in index)),
        )

    def __call__(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits (batch, way) and each gated layer's gates (batch, filter) for images on the CPU."""
        images = images.contiguous()
        logits = images.new_empty(len(images), self._ways)
        gates = images.new_empty(len(images), sum(self._gates))
        self._forward(*self._constants, _address(images), len(images), _address(logits), _address(gates))
        return logits, gates.split(self._gates, 1) if self._gates else ()


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())
