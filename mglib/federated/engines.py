"""LocalEngine: all nodes on this machine, one after another or spread over processes."""

import math
import pickle
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from multiprocessing import current_process
from multiprocessing.synchronize import Barrier
from typing import Any

import safetensors.torch

from mglib.federated.messages import Answer, Refusal, Round, Update, examined, reason_against
from mglib.federated.process import become_worker, interrupts_held, keep_freed_memory, one_thread, worker_context
from mglib.params import Params, whole_number

ClientUpdate = Callable[[Params, Any, int, Round], Update]  # (parameters, node, its position, round)


class LocalEngine(AbstractContextManager):
    """Runs the client update of each sampled node on this machine.

    With several workers, which the context manager ends, the nodes' data goes to each process once; from then on only
    parameters travel, as bytes. Each node computes on one thread, so one worker and many give the same bits. Nodes are
    asked for when they are sampled, so `nodes` may make them then. A node whose update raises an error or is none, or
    whose worker dies, is refused for the round with the reason; an update is that of its node, whatever name it gives.
    """

    def __init__(self, client_update: ClientUpdate, nodes: Sequence[Any], workers: int = 1):
        """Make an engine; `client_update` and `nodes` must be picklable if `workers` is more than 1.

        Raises ValueError if there are no nodes or no workers; RuntimeError if the workers do not start, as from a
        script without `if __name__ == "__main__":`.
        """
        if len(nodes) == 0:
            raise ValueError("a federation needs at least one node")
        workers = whole_number("workers", workers, 1)
        if workers > 1 and getattr(current_process(), "_inheriting", False):
            raise SystemExit(1)  # this is a worker, reading the script that starts it: the parent says what is wrong
        self._client_update, self._nodes, self._workers = client_update, nodes, workers
        self._pool = None
        keep_freed_memory()
        if workers > 1:
            # Pickled here, as plain bytes: otherwise every tensor would travel as an open file, of which a
            # process may have a few hundred.
            self._packed = pickle.dumps((client_update, nodes))
            self._pool = self._new_pool()

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self._nodes)

    def run(self, params: Params, positions: Sequence[int], round: Round) -> list[Answer]:
        """Return the answers of the nodes at `positions`, in that order."""
        if self._pool is None:
            with one_thread():
                return [_answer(self._client_update, _copied(params), self._nodes, p, round) for p in positions]
        sent = _packed(params)
        # As many nodes a message as each worker has to compute: the parameters, one object, travel once in it.
        share = math.ceil(len(positions) / self._workers)
        messages = [positions[start : start + share] for start in range(0, len(positions), share)]
        replies: list[Future] = []
        try:
            replies += [self._pool.submit(_run_on_worker, sent, message, round) for message in messages]
            return [_unpacked(answer) for reply in replies for answer in reply.result()]
        except BrokenProcessPool:
            self._pool.shutdown()
            self._pool = self._new_pool()
            if len(positions) > 1 or not replies:  # find out whose death it was; before the round it is nobody's
                return [answer for position in positions for answer in self.run(params, [position], round)]
            (position,) = positions
            return [Refusal(_name_of(self._nodes[position], position), "its process died: killed, or out of memory")]

    def _new_pool(self) -> ProcessPoolExecutor:
        # All workers are started here and begin together: the executor would start them one by one as work comes, and
        # if the first dies while the second is being started, it forgets to end the second and waits for it for ever.
        context = worker_context(__name__)
        together = context.Barrier(self._workers)
        pool = ProcessPoolExecutor(self._workers, context, _become_worker, (self._packed, together))
        try:
            with interrupts_held():
                started = [pool.submit(int) for _ in range(self._workers)]
            started[0].result()
        except BaseException as error:
            pool.shutdown(cancel_futures=True)  # waits for those on their way: without a parent they fail at length
            if not isinstance(error, BrokenProcessPool):
                raise
            raise RuntimeError(
                "the worker processes did not start: what they printed says why. A script that uses them does its work "
                'under `if __name__ == "__main__":`, for each of them reads it too; one worker needs none'
            ) from None
        return pool

    def __exit__(self, *_: object) -> None:
        """End the worker processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


_PATIENCE = 300.0  # seconds that a worker waits for the others to start

_worker: tuple[ClientUpdate, Sequence[Any]]  # what a worker process was started with


def _become_worker(packed: bytes, together: Barrier) -> None:
    global _worker
    _worker = pickle.loads(packed)
    become_worker()
    together.wait(_PATIENCE)


def _run_on_worker(sent: bytes, positions: Sequence[int], round: Round) -> list[Answer]:
    """Return the answers, parameters as bytes; they are examined here, for of what is refused not all can travel."""
    (client_update, nodes), params, answers = _worker, safetensors.torch.load(sent), []
    for position in positions:
        answer = examined(_answer(client_update, _copied(params), nodes, position, round), params, round, str(position))
        answers.append(answer if isinstance(answer, Refusal) else answer._replace(params=_packed(answer.params)))
    return answers


def _packed(params: Params) -> bytes:
    """Return parameters as bytes, also those that lie scattered in memory, or share it."""
    return safetensors.torch.save({name: value.contiguous() for name, value in _copied(params).items()})


def _copied(params: Params) -> Params:
    """Return parameters that a node may write on: what was sent stays as it was for the others."""
    return {name: value.detach().clone() for name, value in params.items()}


def _unpacked(answer: Answer) -> Answer:
    if isinstance(answer, Refusal):
        return answer
    return answer._replace(params=safetensors.torch.load(answer.params))


def _answer(client_update: ClientUpdate, params: Params, nodes: Sequence[Any], position: int, round: Round) -> Answer:
    """Return the node's update, or the refusal of one that could not be computed: no node ends the others' training."""
    name = str(position)
    try:
        node = nodes[position]
        name = _name_of(node, position)
        update = client_update(params, node, position, round)
    except (Exception, SystemExit) as error:  # whatever it is, it is the node's own
        return Refusal(name, "".join(traceback.format_exception_only(error)).strip())
    is_one = isinstance(update, Update)
    return update._replace(node=name) if is_one else Refusal(name, reason_against(update, {}, round))


def _name_of(node: Any, position: int) -> str:
    """Return a node's name; one that has none in text goes by its position."""
    name = getattr(node, "name", None)
    return name if isinstance(name, str) else str(position)
