"""Config: a frozen record of settings that checks itself. Each room has its own; a recipe is all four together."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, get_args, get_origin

from mglib.params import whole_number

LARGEST_COUNT = 2**31 - 1  # of steps, filters, images: beyond it a training would have no end
LARGEST_SEED = 2**63 - 1  # of those that NumPy, torch and Flower all take


@dataclass(frozen=True)
class Config:
    """Settings by name. Each class checks its own in `check`, and a record of several checks them all."""

    def __post_init__(self):
        """Keep numbers of any library as Python's own, and check all that can be checked without the data.

        Raises ValueError, naming the setting, its value and what is allowed.
        """
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, as_declared(field.name, field.type, getattr(self, field.name)))
        self.check()

    def check(self) -> None:
        """Raise ValueError for a value that means nothing, is without effect, or breaks what others promise."""

    def check_counts(self, *names: str) -> None:
        """Raise ValueError unless the settings are whole numbers that can be counted to, from 1."""
        for name in names:
            whole_number(name, getattr(self, name), 1, LARGEST_COUNT)

    def refuse(self, name: str, reason: str) -> NoReturn:
        """Raise ValueError, with the setting's value and what is wrong with it."""
        raise ValueError(f"`{name}` (={getattr(self, name)!r}) {reason}")

    def refuse_unless(self, allowed: bool, name: str, reason: str) -> None:
        """Refuse a setting unless its value is allowed."""
        if not allowed:
            self.refuse(name, reason)

    def changed(self, name: str) -> bool:
        """Whether a setting is not its default."""
        return getattr(self, name) != getattr(type(self), name)


def as_declared(name: str, declared: Any, value: Any) -> Any:
    """Return a setting's value as it is annotated and as JSON gives it back: Python's own numbers, tuples for lists.

    Raises ValueError, naming the setting, if a number is none or not finite, a text is none or not one of those
    allowed, or one text stands where several may.
    """
    kind, *more = get_args(declared) if isinstance(declared, UnionType) else (declared,)
    if value is None and NoneType in more:
        return None
    if (several := get_origin(kind)) in (tuple, frozenset):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError(f"`{name}` (={value!r}) must be a {several.__name__}, such as {several((value,))!r}")
        return several(as_declared(name, get_args(kind)[0], each) for each in value)
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise ValueError(f"`{name}` (={value!r}) must be one of {', '.join(get_args(kind))}")
    if kind is str and not isinstance(value, str):
        raise ValueError(f"`{name}` (={value!r}) must be a text")
    if kind is int:
        return whole_number(name, value)
    if kind is bool and value not in (True, False):
        raise ValueError(f"`{name}` (={value!r}) must be True or False")
    if kind is float and not _is_finite(value):
        raise ValueError(f"`{name}` (={value!r}) must be a finite number")
    return kind(value) if kind in (bool, float) else value


def _is_finite(value: Any) -> bool:
    try:
        return not isinstance(value, bool | str) and math.isfinite(value)
    except (TypeError, OverflowError):
        return False
