"""LocalEngine: all nodes on this machine, one after another or spread over processes."""

import math
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import safetensors.torch

from mglib.federated.process import become_worker, keep_freed_memory, one_thread, worker_context
from mglib.federated.rounds import Round, Update
from mglib.params import Params

ClientUpdate = Callable[[Params, Any, int, Round], Update]  # (parameters, node, its position, round)


class LocalEngine:
    """Runs the client update of each sampled node on this machine.

    With several workers the nodes' data goes to each process once; from then on only parameters travel, as
    bytes, the way they would to a real device. Each node computes on one thread, so one worker and many
    give the same bits. Nodes are asked for when they are sampled, so `nodes` may make them then. Memory
    that a node's step freed is kept for the next one. Use it as a context manager, or call `close`.
    """

    def __init__(self, client_update: ClientUpdate, nodes: Sequence[Any], workers: int = 1):
        """Make an engine; `client_update` and `nodes` must be picklable if `workers` is more than 1.

        Raises:
            ValueError: if there are no nodes or no workers.
        """
        if len(nodes) == 0:
            raise ValueError("a federation needs at least one node")
        check_workers(workers)
        self._client_update, self._nodes, self._workers = client_update, nodes, workers
        self._pool = None
        keep_freed_memory()
        if workers > 1:
            # Pickled here, as plain bytes: otherwise every tensor would travel as an open file, of which a
            # process may have a few hundred.
            packed = pickle.dumps((client_update, nodes))
            self._pool = ProcessPoolExecutor(workers, worker_context(__name__), _become_worker, (packed,))

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self._nodes)

    def run(self, params: Params, positions: Sequence[int], round: Round) -> list[Update]:
        """Return the updates of the nodes at `positions`, in that order."""
        if self._pool is None:
            with one_thread():
                return [self._client_update(params, self._nodes[p], p, round) for p in positions]
        sent = safetensors.torch.save(params)
        # As many nodes a message as each worker has to compute: the parameters, one object, travel once in it.
        share = math.ceil(len(positions) / self._workers)
        jobs = [(sent, position, round) for position in positions]
        replies = self._pool.map(_run_on_worker, jobs, chunksize=share)
        return [
            Update(node, safetensors.torch.load(params), weight, metrics) for node, params, weight, metrics in replies
        ]

    def close(self) -> None:
        """End the worker processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> "LocalEngine":
        """Return the engine itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the worker processes."""
        self.close()


def check_workers(workers: int) -> None:
    """Raise ValueError unless `workers` is a number of processes."""
    if workers < 1:
        raise ValueError(f"`workers` (={workers}) must be at least 1")


_worker: tuple[ClientUpdate, Sequence[Any]]  # what a worker process was started with


def _become_worker(packed: bytes) -> None:
    global _worker
    _worker = pickle.loads(packed)
    become_worker()


def _run_on_worker(job: tuple[bytes, int, Round]) -> tuple[str, bytes, float, dict[str, float]]:
    sent, position, round = job
    client_update, nodes = _worker
    update = client_update(safetensors.torch.load(sent), nodes[position], position, round)
    return update.node, safetensors.torch.save(update.params), update.weight, update.metrics
