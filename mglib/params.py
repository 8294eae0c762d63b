"""Params: a network's numbers as a plain dict of tensors, what is done to them as a whole, and what all rooms share."""

import math
import operator
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs
import safetensors
import safetensors.torch
import torch
from torch import Tensor

Params = dict[str, Tensor]
PART = ".part"  # suffix of a file that is being written
META = "meta."  # before the names of what is learnt and sent with a network and is no part of it
RATE = f"{META}rate."  # before a parameter's name: ρ, which says how its learnt rate differs from the stage's
PRICE = f"{META}price"  # λ among the parameters, where the server sets it


def split(params: Params, names: Iterable[str]) -> tuple[Params, Params]:
    """Return `params` as two dicts: the entries in `names`, and the rest, both in the order of `params`.

    Raises ValueError if a name is not among the parameters.
    """
    chosen = set(names)
    if unknown := sorted(chosen - params.keys()):
        raise ValueError(f"unknown parameters {unknown}; there are {sorted(params)}")
    inside = {name: value for name, value in params.items() if name in chosen}
    outside = {name: value for name, value in params.items() if name not in chosen}
    return inside, outside


def of_network(params: Params) -> Params:
    """Return the parameters that a network computes with, without what is learnt about learning itself.

    Raises ValueError for a `meta.` name that is neither the price nor the rate of one of them.
    """
    own = {name: value for name, value in params.items() if not name.startswith(META)}
    if strange := sorted(params.keys() - {*own, PRICE, *(RATE + name for name in own)}):
        raise ValueError(f"{strange}: names beginning with 'meta.' are kept for rates and the price; rename the module")
    return own


def merge(params: Params, changes: Params) -> Params:
    """Return `params` with the entries of `changes` put in their places; the order is that of `params`."""
    return {name: changes.get(name, value) for name, value in params.items()}


def detach(params: Params, *, requires_grad: bool = False) -> Params:
    """Return the same numbers as detached leaves without history.

    Raises TypeError if a parameter is no tensor, or they are no dict of such; ValueError if gradients are asked for and
    a parameter holds whole numbers.
    """
    if not isinstance(params, Mapping):
        kind = type(params).__name__
        raise TypeError(f"the parameters are a {kind}: need a dict, such as `dict(net.named_parameters())`")
    return {name: _leaf(name, value, requires_grad) for name, value in params.items()}


def _leaf(name: str, value: Tensor, requires_grad: bool) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"parameter {name!r} is a {type(value).__name__}: need a tensor")
    if requires_grad and not (value.is_floating_point() or value.is_complex()):
        raise ValueError(
            f"parameter {name!r} is of {value.dtype}, which has no gradient: leave out what is not learnt, as "
            "`dict(net.named_parameters())` does and `net.state_dict()` does not"
        )
    leaf = value.detach()
    return (leaf.clone() if leaf.is_inference() else leaf).requires_grad_(requires_grad)


def weighted_mean(several: Sequence[Params], weights: Sequence[float]) -> Params:
    """Return `Σ_i w_i p_i / Σ_i w_i`, summed in the order given.

    Raises ValueError if there is nothing to average, names differ, or the weights are not positive.
    """
    if not several or len(several) != len(weights):
        raise ValueError(f"{len(several)} sets of parameters and {len(weights)} weights: need as many, at least one")
    if not all(weight > 0 for weight in weights):
        raise ValueError(f"weights {list(weights)} must all be positive")
    if any(params.keys() != several[0].keys() for params in several):
        raise ValueError("the sets of parameters have different names")
    shares = [weight / sum(weights) for weight in weights]
    return {name: sum(share * p[name] for share, p in zip(shares, several, strict=True)) for name in several[0]}


def with_prefix(prefix: str, params: Params) -> Params:
    """Return `params` with `prefix` before every name, so that several sets fit into one file."""
    return {f"{prefix}{name}": value for name, value in params.items()}


def under_prefix(prefix: str, params: Params) -> Params:
    """Return what `with_prefix` put under `prefix`, by its own names."""
    return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}


def save(path: str | os.PathLike, params: Params, metadata: Mapping[str, str] | None = None) -> None:
    """Write `params` to a safetensors file, whole or not at all; see `write_atomically`."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in params.items()}
    write_atomically(path, safetensors.torch.save(tensors, dict(metadata or {})))


def load(path: str | os.PathLike) -> tuple[Params, dict[str, str]]:
    """Read what `save` wrote: the parameters and the metadata.

    Raises ValueError if the file is missing, truncated or not in the safetensors format.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error})") from error


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Write a file whole or not at all: a neighbouring temporary file takes its name once the bytes are on disk.

    Whatever happens half-way, the file that was there before is left as it was.

    Raises OSError, naming the file, if the disk refuses (full, read-only); nothing half-written is left.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")  # its own: others may write here too
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):  # gone already unless something failed
            temporary.unlink()


def write_new(path: str | os.PathLike, content: bytes) -> None:
    """Write a file that was not there, and the folders above it; whole or not at all.

    Raises ValueError if there is something already; OSError, naming the file or the folder above it, if the disk
    refuses (full, read-only).
    """
    path = Path(path)
    if os.path.lexists(path):
        raise ValueError(f"{path} exists already; choose a new file")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Lend a temporary folder; its files appear in `folder` all together at the end, or not at all after an error.

    Raises ValueError if `folder` is a file, or holds something already; OSError, naming `folder` or the one above it,
    if the disk refuses (full, read-only).
    """
    there = folder.exists()
    if there and (not folder.is_dir() or any(path.suffix != PART for path in folder.iterdir())):
        raise ValueError(f"{folder} is not an empty folder; choose a new one")
    parent = folder if there else folder.parent  # an empty folder stays: it may be mounted, or the current one
    parent.mkdir(parents=True, exist_ok=True)
    temporary = parent / f".{folder.name}.{secrets.token_hex(4)}{PART}"
    try:
        temporary.mkdir()
        yield temporary
        if there:
            for path in list(temporary.iterdir()):
                os.replace(path, folder / path.name)
        else:
            os.replace(temporary, folder)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error  # not the temporary one
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cache_folder() -> Path:
    """Return the folder for what is generated, downloaded or compiled: $MGLIB_CACHE, or the user's cache folder."""
    return Path(os.environ.get("MGLIB_CACHE") or platformdirs.user_cache_dir("mglib"))


def whole_number(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> int:
    """Return a whole number of anybody's type, NumPy's or torch's, as Python's own.

    Raises ValueError, naming it, if it is none, a bool, or out of range.
    """
    try:
        number = None if type(value) is bool or getattr(value, "dtype", None) is torch.bool else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        least_alone = f" of at least {least}" if least > -math.inf else ""
        allowed = f" from {least} to {most}" if most < math.inf else least_alone
        raise ValueError(f"`{name}` (={value!r}) must be a whole number{allowed}")
    return number
