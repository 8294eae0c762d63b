"""Jobs on all cores: each in a process of its own, which may fail, or die, without harm to the others."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
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

    A process that dies (killed for its memory, say) takes one job with it. However the iteration ends, no process
    outlives it: one is killed in the middle of its job when the iterator is closed, and leaves when this process dies.

    Raises:
        ValueError: if there are no workers.
    """
    check_workers(workers)
    context, waiting = worker_context("mglib.experiments"), list(reversed(jobs))
    busy: dict[Connection, tuple[Job, BaseProcess]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                job = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(theirs, function, job))
                process.start()
                theirs.close()  # so that the pipe ends with the process
                busy[ours] = job, process
            for connection in wait(list(busy)):
                job, process = busy.pop(connection)
                try:
                    outcome = connection.recv()
                except EOFError:
                    outcome = Failure("its process died: killed, or out of memory")
                connection.close()
                process.join()
                yield job, outcome
    finally:
        for connection, (_, process) in busy.items():
            process.kill()
            process.join()
            connection.close()


def _work(connection: Connection, function: Callable[[Job], Any], job: Job) -> None:
    become_worker()
    try:
        outcome = function(job)
    except (Exception, SystemExit) as error:  # whatever it is, it is the job's own
        outcome = Failure(f"{type(error).__name__}: {error}")
    connection.send(outcome)
