"""Telling home: the run's log is the one way back from the link, so what home needs travels in its lines."""

import base64
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import safetensors.torch

from mglib.federated import RoundFailed
from mglib.params import Params, under_prefix, with_prefix

MARK = "mglib:"  # how a line begins that is meant for home
LONGEST = 16_000  # characters of a state in a line


def tell(what: dict[str, Any]) -> None:
    """Write a line for home."""
    sys.stdout.write(f"{MARK} {json.dumps(what)}\n")
    sys.stdout.flush()


def tell_state(rounds_done: int, params: Params, server_state: Params) -> None:
    """Write a training's state, in as many lines as it takes."""
    packed = pack_state(rounds_done, params, server_state)
    parts = [packed[start : start + LONGEST] for start in range(0, len(packed), LONGEST)]
    for place, part in enumerate(parts):
        tell({"state": part, "last": place + 1 == len(parts)})


def heard(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield what lines tell, a state whole; what is not meant for home is passed over.

    Raises:
        RoundFailed: if a line for home did not arrive whole.
    """
    parts: list[str] = []
    for line in lines:
        if not line.startswith(MARK):
            continue
        try:
            what = json.loads(line.removeprefix(MARK))
        except json.JSONDecodeError:
            raise RoundFailed(f"a line that the link wrote for home cannot be read: {line[:80]!r}") from None
        if "state" not in what:
            yield what
            continue
        parts.append(what["state"])
        if what["last"]:
            yield {"state": "".join(parts)}
            parts = []


def pack_state(rounds_done: int, params: Params, server_state: Params) -> str:
    """Return a training's state as text."""
    tensors = with_prefix("params/", params) | with_prefix("server/", server_state)
    return f"{rounds_done}:{base64.b64encode(safetensors.torch.save(tensors)).decode()}"


def unpack_state(text: str) -> tuple[int, Params | None, Params | None]:
    """Return the rounds done, the parameters and the server's state that a text holds; empty: the beginning."""
    if not text:
        return 0, None, None
    rounds_done, _, packed = text.partition(":")
    tensors = safetensors.torch.load(base64.b64decode(packed))
    return int(rounds_done), under_prefix("params/", tensors), under_prefix("server/", tensors)
