"""Jobs on all cores: each in a process that may fail, or die, without harm to the others."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
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
    over, waiting = context.Event(), list(reversed(jobs))
    idle = [_worker(context, over) for _ in range(min(workers, len(jobs)))]
    busy: dict[Future, tuple[Job, ProcessPoolExecutor]] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                job, pool = waiting.pop(), idle.pop()
                busy[pool.submit(function, job)] = job, pool
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                job, pool = busy.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    outcome = Failure("its process died: killed, or out of memory")
                    pool.shutdown(wait=False)
                    pool = _worker(context, over)
                except Exception as error:  # whatever it was, the others go on, and the caller is told
                    outcome = Failure(f"{type(error).__name__}: {error}")
                idle.append(pool)
                yield job, outcome
    finally:
        over.set()
        for pool in (*idle, *(pool for _, pool in busy.values())):
            pool.shutdown(cancel_futures=True)


def _worker(context: BaseContext, over: Event) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, context, _become_worker, (over,))


def _become_worker(over: Event) -> None:
    become_worker()
    threading.Thread(target=_end_at, args=(over,), daemon=True).start()


def _end_at(over: Event) -> None:
    """Leave in the middle of a job once nobody waits for it."""
    over.wait()
    os._exit(1)
