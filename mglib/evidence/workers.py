"""Jobs on all cores: each in a process that may fail, or die, without harm to the others."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from mglib.federated.engines import check_workers
from mglib.federated.process import become_worker, worker_context

Job = TypeVar("Job")


@dataclass(frozen=True)
class Failure:
    """Why a job has no outcome."""

    reason: str


def run_jobs(function: Callable[[Job], Any], jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Any]]:
    """Yield each job and what `function` made of it, or its Failure, as they end; they begin in their order.

    Every worker is a pool of its own: a process that dies (killed for its memory, say) takes one job with it and
    is replaced. However the iteration ends, no worker outlives it.

    Raises:
        ValueError: if there are no workers.
    """
    check_workers(workers)
    context = worker_context(__name__)
    # A pipe that only this process can write to: once it is closed, or this process dead, every reader knows.
    until, held = context.Pipe(duplex=False)
    waiting = list(reversed(jobs))
    idle = [_worker(context, until) for _ in range(min(workers, len(jobs)))]
    busy: dict[Future, tuple[Job, ProcessPoolExecutor]] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                job, pool = waiting.pop(), idle.pop()
                busy[pool.submit(function, job)] = job, pool
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                job, pool = busy.pop(future)
                error = future.exception()
                outcome = future.result() if error is None else Failure(_reason(error))
                if isinstance(error, BrokenProcessPool):
                    pool.shutdown()
                    pool = _worker(context, until)
                idle.append(pool)
                yield job, outcome
    finally:
        for pool in idle:
            pool.shutdown()
        held.close()
        for _, pool in busy.values():
            pool.shutdown()
        until.close()


def _reason(error: BaseException) -> str:
    if isinstance(error, BrokenProcessPool):
        return "its process died: killed, or out of memory"
    return f"{type(error).__name__}: {error}"


def _worker(context: BaseContext, until: Connection) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, context, _become_worker, (until,))


def _become_worker(until: Connection) -> None:
    become_worker()
    threading.Thread(target=_end_at, args=(until,), daemon=True).start()


def _end_at(until: Connection) -> None:
    """Leave, in the middle of a job, once nobody waits for it."""
    until.poll(None)
    os._exit(1)
