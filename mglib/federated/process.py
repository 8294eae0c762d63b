"""What the process that computes is set to: one thread, memory that stays with it, an end with its parent."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.context import BaseContext

import torch

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # glibc's malloc.h
_LARGEST_THRESHOLD = 32 * 1024 * 1024  # bytes; glibc takes no more on 64 bits
_NEVER = 2**31 - 1  # bytes
_MASKS = hasattr(signal, "pthread_sigmask")  # not on Windows


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

    A step frees some megabytes and takes them again at once. By default glibc hands them back to the system, which
    returns them page by page, each with a fault: a quarter of a small network's step. No number changes.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library has it
    # No short circuit: one setting alone already helps.
    return mallopt is not None and all([mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD), mallopt(_TRIM_THRESHOLD, _NEVER)])


def worker_context(module: str) -> BaseContext:
    """How worker processes come to be that run functions of `module`: never by forking this one.

    If this one's threads compute, a fork can hang. On Linux the workers are forked from a process that has imported
    the library and computes nothing: the first waits for one import of torch, later ones for none. Elsewhere each is
    a new interpreter.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back inside the block; processes that are started there never see it.

    It reaches the whole group, and a process that it meets while it starts would print a traceback.
    """
    in_main_thread, came = threading.current_thread() is threading.main_thread(), []
    if in_main_thread:  # the one that hears of it, whichever thread it reaches
        before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    if _MASKS:  # what is started inherits a mask, but no handler
        resource_tracker.ensure_running()  # now: when it starts, it lets Ctrl-C through again
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if _MASKS:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main_thread:
            signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def become_worker() -> None:
    """Set this process up to compute for its parent: one thread, freed memory kept, Ctrl-C and the end left to it."""
    keep_freed_memory()
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the parent is gone: a parent that was killed cannot end its workers."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
