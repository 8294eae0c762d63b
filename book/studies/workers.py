"""Jobs on all cores: each in a process that may fail, or die, without harm to the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from mglib.federated.process import become_worker, interrupts_held, worker_context
from mglib.params import whole_number

Job = TypeVar("Job")


@dataclass(frozen=True)
class Failure:
    """Why a job has no outcome."""

    reason: str


def run_jobs(function: Callable[[Job], Any], jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Any]]:
    """Yield each job and what `function` made of it, or its Failure, as they end; they begin in their order.

    A process that dies (killed for its memory, say) takes one job with it and is replaced. However the iteration ends,
    no worker outlives it: closing the iterator kills them in the middle of a job; if this process dies, they leave.

    Raises:
        ValueError: if there are no workers.
    """
    workers = whole_number("workers", workers, 1)
    waiting, idle, busy = list(reversed(jobs)), [], {}
    started: dict[Connection, BaseProcess] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                connection = idle.pop() if idle else _start(function, started)
                busy[connection] = waiting.pop()
                with suppress(OSError):  # a worker that has died is noticed below
                    connection.send(busy[connection])
            for connection in wait(list(busy)):
                job = busy.pop(connection)
                try:
                    outcome = connection.recv()
                    idle.append(connection)
                except (EOFError, OSError):
                    outcome = Failure("its process died: killed, or out of memory")
                yield job, outcome
    finally:
        for connection, process in started.items():
            process.kill()
            process.join()
            connection.close()


def _start(function: Callable[[Job], Any], started: dict[Connection, BaseProcess]) -> Connection:
    """Start a worker, note it, and return the connection to it."""
    context = worker_context("studies.reproduce")
    ours, theirs = context.Pipe()
    started[ours] = context.Process(target=_work, args=(theirs, function))
    with interrupts_held():
        started[ours].start()
    theirs.close()  # so that the connection ends with the process
    return ours


def _work(connection: Connection, function: Callable[[Job], Any]) -> None:
    become_worker()
    with suppress(EOFError, ConnectionError):  # whoever asked has gone
        while True:
            job = connection.recv()
            try:
                outcome = function(job)
            except (Exception, SystemExit) as error:  # whatever it is, it is the job's own
                outcome = Failure(f"{type(error).__name__}: {error}")
            connection.send(outcome)
