"""A whole federation of real processes on this machine: a superlink, nodes, trainings, each ended by its process id."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from mglib.flower.connection import environment, program

STARTED = b"Application startup complete"  # what the superlink says once it answers
PATIENCE = 60.0  # seconds for the superlink to start; for a process to end before it is killed, a sixth


class LocalFederation:
    """The processes of a federation on loopback; whatever was started is ended when the block is left."""

    def __init__(
        self,
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ):
        """Make a federation that keeps its files in `folder`; nothing runs yet.

        prefix: what is put before every command; settings: for its environment.
        """
        self.folder, self.prefix, self._settings = folder, list(prefix), dict(settings or {})
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._running: list[subprocess.Popen] = []

    def __enter__(self) -> "LocalFederation":
        """Return the federation itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs, the superlink, which was first, last."""
        for process in reversed(list(self._running)):
            self.end(process)

    def superlink(self, *options: str) -> subprocess.Popen:
        """Start a superlink and wait until it answers; without options it is open, on this machine alone.

        It keeps who its nodes are in a file: one that is started again knows them, and they come back by themselves.

        Raises:
            RuntimeError: if it ends, or does not answer; the message holds the last that it said.
        """
        command = [program("flower-superlink"), *(options or ["--insecure"]), "--host", "127.0.0.1"]
        database = ["--database", str(self.folder / "superlink.db")]
        before = len(self.said("superlink"))
        superlink = self._start("superlink", [*command, "--port", str(self.port), *database])
        end = time.monotonic() + PATIENCE
        while STARTED not in (said := self.said("superlink")[before:]):
            if superlink.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the superlink does not answer: {said[-2000:].decode(errors='replace')}")
            time.sleep(0.2)
        return superlink

    def node(self, name: str, data: str, *options: str) -> subprocess.Popen:
        """Start `python -m mglib node` on some data."""
        command = [sys.executable, "-m", "mglib", "node", "--data", data, "--superlink", self.address]
        return self._start(name, [*command, "--port", str(free_port()), *options])

    def train(self, *options: str, program: Sequence[str] = ("-m", "mglib")) -> subprocess.Popen:
        """Start `python -m mglib train --engine flower`, the driver; what it says can be read from `stdout`."""
        command = [sys.executable, *program, "train", "--engine", "flower", "--superlink", self.address, *options]
        return self._start("driver", command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def said(self, name: str) -> bytes:
        """Return what the superlink or a node has said so far."""
        log = self.folder / f"{name}.log"
        return log.read_bytes() if log.exists() else b""

    def end(self, process: subprocess.Popen, how: signal.Signals = signal.SIGTERM) -> None:
        """End one of these processes and what it started, by force if it does not go."""
        started = []
        with suppress(psutil.NoSuchProcess):  # asked while it lives: Flower's helpers are in sessions of their own
            started = psutil.Process(process.pid).children(recursive=True)
        if process.poll() is None:
            process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE / 6)
        for left in (*started, process):
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                left.kill()
        process.wait(PATIENCE / 6)
        if process.stdout is not None:
            process.stdout.close()
        self._running.remove(process)

    def _start(self, name: str, command: Sequence[str], **pipes) -> subprocess.Popen:
        """Start a program in a session of its own; what it says goes to `name.log` unless it is piped."""
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [*self.prefix, *command],
                env=environment(home) | self._settings,
                start_new_session=True,
                **({"stdout": log, "stderr": log} | pipes),
            )
        self._running.append(process)
        return process


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
