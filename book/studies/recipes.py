"""Recipes of the studies: what mglib's have, and the methods, codecs and attacks that only the studies train."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import mglib
from mglib import training
from mglib.federated import ServerUpdate
from mglib.federated.engines import ClientUpdate
from mglib.params import merge
from mglib.tasks import Federation, at_hand
from studies.baselines import ALGORITHMS, HELD, STARTS, ClassifierUpdate, HeldUpdate, MetaUpdate, NamedMetaUpdate
from studies.codecs import Wrap, compressed
from studies.lies import attacked

Method = Literal[
    "metagater", "metagater-named", "joint", "gates-first", "gates-fixed", "static-mask", "random-gates",
    "maml", "maml-named", "anil", "reptile", "pfedme", "fedavg", "gated-fedavg",
]  # fmt: skip
Compression = Literal["none", "half", "top-k", "opened"]
Attack = Literal["none", "sign-flip", "noise", "label-flip", "drift"]


@dataclass(frozen=True)
class Recipe(mglib.Recipe):
    """Everything that decides a training of the studies."""

    RENAMED: ClassVar[Mapping[str, str]] = {
        **mglib.Recipe.RENAMED,
        "attackers": "byzantine_fraction",
        "kept": "top_k_fraction",
        "proximity": "proximal_weight",
        "naming": "classifier_weight",
    }
    """What settings were called in older files."""

    method: Method = "metagater"
    """Of `studies.baselines.ALGORITHMS`."""
    batch: int = 25
    """Images in a gradient step of the methods that descend without meta-gradients."""
    classifier_weight: float = 1.0
    """Weight of the classifier of named classes, in nats, beside the meta-objective, for methods that have both."""
    proximal_weight: float = 1.0
    """How strongly pFedMe's personal parameters are held to the common ones."""
    compression: Compression = "none"
    """How a node writes its move: in half precision, the largest numbers only, or what its images open only."""
    top_k_fraction: float = 0.1
    """Share of the numbers that top-k sends."""
    attack: Attack = "none"
    """What the nodes that lie send: `studies.lies`; none: no node lies."""
    byzantine_fraction: float = 0.3
    """Share of the training nodes that lie if there is an attack, chosen by the seed."""

    def check(self) -> None:
        """Raise ValueError for settings that cannot be, or that others leave without effect."""
        super().check()
        self.check_counts("batch")
        for name in ("proximal_weight", "classifier_weight"):
            self.refuse_unless(getattr(self, name) >= 0, name, "must not be negative")
        self.refuse_unless(0 < self.top_k_fraction <= 1, "top_k_fraction", "must be in (0, 1]: a share of the numbers")
        self.refuse_unless(
            0 <= self.byzantine_fraction < 0.5, "byzantine_fraction", "must be in [0, 0.5): half of the nodes decide"
        )
        method, algorithm = self.method, ALGORITHMS[self.method]
        dense, update = algorithm.gates == "none", algorithm.update
        if update not in (MetaUpdate, NamedMetaUpdate) and not self.second_order:
            self.refuse("second_order", f"is of no use: {method!r} has no meta-gradient")
        if update not in (MetaUpdate, NamedMetaUpdate) and self.learn_rates:
            self.refuse("learn_rates", f"is of no use: {method!r} has no meta-gradient")
        if dense and self.compression == "opened":
            self.refuse("compression", f"is of no use: {method!r} has no gates, every filter is open")
        if self.privacy == "node" and self.compression == "opened":
            self.refuse("compression", "tells which filters a node's images open, noise or not")
        if self.privacy != "none" and issubclass(update, ClassifierUpdate):
            self.refuse("privacy", f"is not to be had: {method!r} has a row for each class of each node, noise or not")
        if self.attack != "none" and not self.byzantine_fraction:
            self.refuse("byzantine_fraction", f"is nobody, to play {self.attack!r}")
        for name, used, where in (
            ("top_k_fraction", self.compression == "top-k", "compression 'top-k'"),
            ("byzantine_fraction", self.attack != "none", "an attack"),
            ("proximal_weight", method == "pfedme", "method 'pfedme'"),
            ("classifier_weight", update is NamedMetaUpdate, "methods with names beside tasks"),
        ):
            if not used and self.changed(name):
                self.refuse(name, f"is for {where}")

    @property
    def learns_gates(self) -> bool:
        """Whether the method has gates that training moves."""
        return ALGORITHMS[self.method].gates not in ("none", "random")


@dataclass(frozen=True)
class Experiment(training.Experiment):
    """An experiment of the studies, some of whose methods leave parameters as they start.

    wraps: what stands around each node's update, such as a codec or an attack, the innermost first.
    """

    held: frozenset[str] = frozenset()
    wraps: tuple[Wrap, ...] = ()

    def client_update(self, device: str = "cpu") -> ClientUpdate:
        """Return what a node does in a round."""
        update = super().client_update(device)
        for wrap in self.wraps:
            update = wrap(update, self)
        return update

    def server_update(self) -> ServerUpdate:
        """Return the server's step, which leaves what is held as it is, whatever the nodes say, or rounding."""
        update = super().server_update()

        def step(params, state, updates, round):
            after, state = update(params, state, updates, round)
            return merge(after, {name: params[name] for name in self.held}), state

        return step


def set_up(recipe: Recipe, federation: Federation | None = None) -> Experiment:
    """Return what `mglib.set_up` does, with the method, the codec and the attack that the recipe names.

    Raises:
        ValueError: if the data cannot be had, or is too small for the recipe's tasks.
    """
    wraps = []
    if recipe.compression != "none":
        wraps.append(compressed(recipe.compression, recipe.top_k_fraction))
    if recipe.attack != "none":
        wraps.append(attacked(recipe.attack, recipe.byzantine_fraction))
    algorithm = ALGORITHMS[recipe.method]
    made = vars(mglib.set_up(recipe, federation, algorithm=algorithm))
    net, nodes = made["net"], at_hand(made["federation"].train)
    classes = tuple(sorted({name for node in nodes for name in node.classes}))
    if recipe.method in STARTS:
        made["initial"] = STARTS[recipe.method](recipe, net, made["initial"], classes)
    held = HELD[recipe.method](net) if recipe.method in HELD else frozenset()
    if algorithm.gates == "constant":  # what no input changes costs nothing for one more
        net.costs = tuple(replace(cost, gate_macs=0) for cost in net.costs)
    if held:
        algorithm = replace(algorithm, update=partial(HeldUpdate, held=held))
    elif issubclass(algorithm.update, ClassifierUpdate):
        algorithm = replace(algorithm, update=partial(algorithm.update, classes=classes))
    return Experiment(**made | {"algorithm": algorithm, "held": held, "wraps": tuple(wraps)})
