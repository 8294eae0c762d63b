"""What the process that computes is set to: one thread, and memory that stays with it."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # glibc's malloc.h
_LARGEST_THRESHOLD = 32 * 1024 * 1024  # bytes; glibc takes no more on 64 bits
_NEVER = 2**31 - 1  # bytes


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside the block: the order of sums, and so the last bits, depends on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> bool:
    """Have the C library keep freed buffers of up to 32 MiB for the next step; return whether it can.

    A step frees some megabytes and takes them again at once. By default glibc hands them back to the system,
    which returns them page by page, each with a fault and full of zeros: a quarter of a small network's step.
    The price is that the process keeps what it needed at its peak. No number that is computed changes.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library has it
    # No short circuit: one setting alone already helps.
    return mallopt is not None and all([mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD), mallopt(_TRIM_THRESHOLD, _NEVER)])
