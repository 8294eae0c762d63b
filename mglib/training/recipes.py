"""Recipe: everything that decides a run, as one frozen record that goes to disk and comes back."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from mglib.config import LARGEST_SEED
from mglib.federated.config import FederationConfig
from mglib.meta.config import AdaptationConfig
from mglib.nets.config import NetworkConfig
from mglib.params import whole_number, write_atomically
from mglib.tasks import Partition, resolve_data
from mglib.tasks.config import DataConfig

Method = Literal["metagater", "joint", "gates-first", "gates-fixed", "maml"]
_FILLED_IN = ("channels", "invert")  # by the data, where a recipe says None
# What recipes of older files say too: settings that are gone, or that only the studies have now, with what they must
# say; and settings that then mean nothing.
_GONE = {"attack": "none", "compression": "none", "architecture": "conv"}
_KNOBS_OF_STUDIES = ("attackers", "kept", "batch", "naming", "proximity")


@dataclass(frozen=True)
class Recipe(FederationConfig, AdaptationConfig, NetworkConfig, DataConfig):
    """Everything that decides a run: the same recipe gives the same parameters, bit for bit.

    A recipe is the settings of the four rooms together: of the data, the network, adaptation and the federation.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {"node_learning_rate": "client_learning_rate", "suspected": "trim_fraction"}
    """What settings were called in older files."""

    method: Method = "metagater"
    """metagater: backbone, then gates; joint: both in one stage; gates-first: the other order; gates-fixed: the
    backbone alone; maml: the same network without gates, one stage."""
    seed: int = 0
    """Of the training: where the network starts, who is in a round, the tasks and the noise."""

    def check(self) -> None:
        """Raise ValueError for a seed that no generator takes, and for settings that others leave without effect."""
        super().check()
        whole_number("seed", self.seed, 0, LARGEST_SEED)
        for name in ("estimator", "gate_bias", "price"):
            if not self.learns_gates and self.changed(name):
                self.refuse(name, f"is of no use: {self.method!r} learns no gates")
        if self.method in ("joint", "gates-fixed", "maml") and self.changed("gate_learning_rate"):
            self.refuse("gate_learning_rate", f"is of no use: {self.method!r} has no stage of the gates alone")
        if self.price != "fixed" and self.changed("penalty"):
            self.refuse("penalty", f"is of no use: the price is {self.price!r}, which the server sets")
        if self.price != "fixed" and self.privacy != "none":
            self.refuse("price", "follows what each node spent, which a private training does not tell")

    @property
    def learns_gates(self) -> bool:
        """Whether the method has gates that training moves."""
        return self.method != "maml"

    @property
    def partition(self) -> Partition:
        """How a flat set of classes becomes nodes, with enough images of a class on each for the recipe's tasks."""
        return self.partition_for(self.shots + self.queries)

    def dumps(self) -> str:
        """Return the recipe as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read what `dumps` wrote; a setting that a recipe did not have then takes its default.

        Raises ValueError if it is no JSON, or holds settings or values that a recipe cannot have.
        """
        try:
            settings = cls.of_today(json.loads(text))
            if unknown := settings.keys() - {field.name for field in dataclasses.fields(cls)}:
                raise ValueError(f"a recipe has no setting `{min(unknown)}`")
            return cls(**settings)
        except (json.JSONDecodeError, RecursionError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no recipe ({error})") from error

    @classmethod
    def of_today(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an older file says in today's settings.

        Raises ValueError if it says what recipes cannot say any more, or only those of the studies.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for name, nothing in _GONE.items():
            if name not in known and settings.get(name, nothing) != nothing:
                raise ValueError(f"`{name}` (={settings[name]!r}) is no setting of a recipe, or of the studies alone")
        gone = {*_GONE, *_KNOBS_OF_STUDIES} - {*known, *cls.RENAMED}
        today = {cls.RENAMED.get(name, name): value for name, value in settings.items() if name not in gone}
        return {name: cls.depth if (name, value) == ("depth", None) else value for name, value in today.items()}

    def save(self, path: str | os.PathLike) -> None:
        """Write the recipe as JSON, whole or not at all."""
        write_atomically(path, self.dumps().encode())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read what `save` wrote.

        Raises ValueError if the file is missing, is not JSON, or holds settings or values that a recipe cannot have.
        """
        path = Path(path)
        try:
            return cls.loads(path.read_text())
        except FileNotFoundError:
            raise ValueError(f"{path.parent} holds no run: there is no {path.name}") from None
        except ValueError as error:
            raise ValueError(f"{path} is not a recipe ({error})") from error

    def differences(self, other: "Recipe") -> str:
        """Return as text in what `other` departs from this recipe; None in either says nothing where it is filled in.

        Two paths to the same data are no difference.
        """
        pairs = (
            (field.name, getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
            if field.name != "data" or resolve_data(self.data) != resolve_data(other.data)
        )
        return ", ".join(
            f"{name}={mine!r} where it has {theirs!r}"
            for name, mine, theirs in pairs
            if mine != theirs and not (None in (mine, theirs) and name in _FILLED_IN)
        )
