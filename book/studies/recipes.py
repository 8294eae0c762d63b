"""Recipes of the studies: what mglib's have, and the methods, codecs and attacks that only the studies train."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import mglib
from mglib.params import whole_number
from mglib.tasks import Federation
from mglib.training import Experiment
from studies.baselines import ALGORITHMS, ClassifierUpdate, MetaUpdate, NamedMetaUpdate
from studies.codecs import compressed
from studies.lies import attacked

Method = Literal[
    "metagater", "metagater-named", "joint", "gates-first", "gates-fixed", "static-mask", "random-gates",
    "maml", "anil", "reptile", "pfedme", "fedavg", "gated-fedavg",
]  # fmt: skip
Compression = Literal["none", "half", "top-k", "opened"]
Attack = Literal["none", "sign-flip", "noise", "label-flip", "drift"]


@dataclass(frozen=True)
class Recipe(mglib.Recipe):
    """Everything that decides a training of the studies."""

    method: Method = "metagater"
    """Of `studies.baselines.ALGORITHMS`."""
    batch: int = 25
    """Images in a gradient step of the methods that descend without meta-gradients."""
    naming: float = 1.0
    """Weight of the classifier of named classes, in nats, beside the meta-objective, for the method that has both."""
    proximity: float = 1.0
    """How strongly pFedMe's personal parameters are held to the common ones."""
    compression: Compression = "none"
    """How a node writes its move: in half precision, the largest numbers only, or what its images open only."""
    kept: float = 0.1
    """Share of the numbers that top-k sends."""
    attack: Attack = "none"
    """What the nodes that lie send: `studies.lies`; none: no node lies."""
    attackers: float = 0.3
    """Share of the training nodes that lie if there is an attack, chosen by the seed."""

    def check(self) -> None:
        """Raise ValueError for settings that cannot be, or that others leave without effect."""
        whole_number("batch", self.batch, 1)
        for name in ("proximity", "naming"):
            self.refuse_unless(getattr(self, name) >= 0, name, "must not be negative")
        self.refuse_unless(0 < self.kept <= 1, "kept", "must be in (0, 1]: a share of the numbers")
        self.refuse_unless(0 <= self.attackers < 0.5, "attackers", "must be in [0, 0.5): half of the nodes decide")
        super().check()

    def _conflicts(self) -> Iterator[tuple[str, str]]:
        yield from super()._conflicts()
        method, algorithm = self.method, ALGORITHMS[self.method]
        dense, update = algorithm.gates == "none", algorithm.update
        if dense or method == "random-gates":
            for name in ("estimator", "gate_bias"):
                if self.changed(name):
                    yield name, f"is of no use: {method!r} learns no gates"
        if update not in (MetaUpdate, NamedMetaUpdate) and not self.second_order:
            yield "second_order", f"is of no use: {method!r} has no meta-gradient"
        if dense and self.compression == "opened":
            yield "compression", f"is of no use: {method!r} has no gates, every filter is open"
        if self.privacy == "node" and self.compression == "opened":
            yield "compression", "tells which filters a node's images open, noise or not"
        if self.privacy != "none" and issubclass(update, ClassifierUpdate):
            yield "privacy", f"is not to be had: {method!r} has a row for each class of each node, noise or not"
        if self.attack != "none" and not self.attackers:
            yield "attackers", f"is nobody, to play {self.attack!r}"
        for name, used, where in (
            ("kept", self.compression == "top-k", "compression 'top-k'"),
            ("attackers", self.attack != "none", "an attack"),
            ("proximity", method == "pfedme", "method 'pfedme'"),
            ("naming", method == "metagater-named", "method 'metagater-named'"),
        ):
            if not used and self.changed(name):
                yield name, f"is for {where}"


def set_up(recipe: mglib.Recipe, federation: Federation | None = None) -> Experiment:
    """Return what `mglib.set_up` does, with the method, the codec and the attack that the recipe names.

    Raises:
        ValueError: if the data cannot be had, or is too small for the recipe's tasks.
    """
    wraps = []
    if isinstance(recipe, Recipe) and recipe.compression != "none":
        wraps.append(compressed(recipe.compression, recipe.kept))
    if isinstance(recipe, Recipe) and recipe.attack != "none":
        wraps.append(attacked(recipe.attack, recipe.attackers))
    return mglib.set_up(recipe, federation, algorithm=ALGORITHMS[recipe.method], wraps=wraps)
