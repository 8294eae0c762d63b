"""Experiment: a recipe with its data and its network, and the rounds that train it in memory."""

import dataclasses
import warnings
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from mglib.federated import LocalEngine, RoundResult, ServerUpdate, run_rounds
from mglib.federated.engines import ClientUpdate
from mglib.meta import Stage
from mglib.nets import Objective
from mglib.params import Params
from mglib.tasks import Federation, Node, at_hand, load_federation, resolve_data
from mglib.tasks.federations import SPLITS, original_class
from mglib.training.algorithms import ALGORITHMS, Algorithm, client_update, final_objective, network_of, server_update
from mglib.training.recipes import Recipe


@dataclass(frozen=True)
class Experiment:
    """A recipe with everything it stands for: the data, the network, where it starts, how a node adapts."""

    recipe: Recipe
    federation: Federation
    net: nn.Module
    initial: Params
    algorithm: Algorithm

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages in which a node adapts."""
        return self.algorithm.stages(self.net, self.recipe)

    @property
    def objective(self) -> Objective:
        """The objective at the end of training and ever after."""
        return final_objective(self.recipe, self.net)

    def client_update(self, device: str = "cpu") -> ClientUpdate:
        """Return what a node does in a round."""
        return client_update(self.recipe, self.net, device, algorithm=self.algorithm)

    def server_update(self) -> ServerUpdate:
        """Return what the server makes of the nodes' parameters."""
        return server_update(self.recipe)

    def rounds(
        self,
        *,
        workers: int = 1,
        device: str = "cpu",
        start: int = 0,
        params: Params | None = None,
        server_state: Params | None = None,
    ) -> Iterator[RoundResult]:
        """Yield the federation's state after each round, from round `start` and its state to the last."""
        workers = min(workers, self.recipe.nodes_per_round)
        with LocalEngine(self.client_update(device), self.federation.train, workers) as engine:
            options = {name: getattr(self.recipe, name) for name in ("rounds", "nodes_per_round", "seed", "quorum")}
            options |= {"start": start, "server_state": server_state}
            yield from run_rounds(engine, params or self.initial, self.server_update(), **options)


def set_up(recipe: Recipe, federation: Federation | None = None, *, algorithm: Algorithm | None = None) -> Experiment:
    """Load what a recipe names (or take `federation` in its place), make the network, check the two against each other.

    algorithm: a method of one's own, in place of the recipe's.

    The experiment's recipe says what was found out about the data: channels, image size and polarity are the
    federation's, the path is absolute.

    Raises ValueError if the data cannot be had, or is too small for the recipe's tasks.
    """
    federation = federation or load_federation(**data_of(recipe))
    if recipe.nodes_per_round > len(federation.train):
        found = (f"{name} {_counted(nodes)}" for name in SPLITS if (nodes := at_hand(getattr(federation, name))))
        raise ValueError(
            f"`nodes_per_round` (={recipe.nodes_per_round}) is more than the {len(federation.train)} training nodes; "
            f"{federation.name} gives {', '.join(found)}. Ask for fewer (--nodes-per-round) or more nodes: folders of "
            f"class folders are nodes, and `nodes` deals a flat set of classes (--new-nodes unseen-sets --nodes 8 2 4)"
        )
    _check_tasks(recipe, federation)
    recipe = filled_in(recipe, federation)
    algorithm = algorithm or ALGORITHMS[recipe.method]
    net, initial = network_of(recipe, algorithm=algorithm)
    return Experiment(recipe, federation, net, initial, algorithm)


def filled_in(recipe: Recipe, federation: Federation) -> Recipe:
    """Return the recipe with what was found out about its data."""
    found = {"channels": federation.channels, "image_size": federation.image_size, "invert": federation.inverted}
    return dataclasses.replace(recipe, data=resolve_data(recipe.data), **found)


def _counted(nodes: Sequence[Node]) -> str:
    """The first nodes, with their numbers of classes."""
    some = ", ".join(f"{node.name}: {len(node.classes)} classes" for node in nodes[:3])
    return f"{len(nodes)} ({some}{', ...' if len(nodes) > 3 else ''})"


def _check_tasks(recipe: Recipe, federation: Federation) -> None:
    """Raise ValueError if a node of any split is too small for the recipe's tasks; warn of classes that are."""
    needed, small = recipe.shots + recipe.queries, []
    for split in SPLITS:
        nodes = getattr(federation, split)
        for node in (*at_hand(nodes), *([nodes[0]] if len(nodes) else [])):
            try:
                node.large_classes(recipe.ways, recipe.shots, recipe.queries)
            except ValueError as error:
                raise ValueError(
                    f"{error}; it is a node of {split}: ask for fewer `ways`, `shots` or `queries`, give it more "
                    f"images, or leave it out"
                ) from None
        for node in at_hand(nodes):
            if original_class(node.name) == node.name:  # not turned
                counts = zip(node.classes, map(len, node.examples_by_class), strict=True)
                small += [f"{name} on {node.name} ({count})" for name, count in counts if count < needed]
    if small:
        warnings.warn(
            f"{len(small)} classes are in no task, which takes {needed} images of each of its classes: "
            f"{', '.join(small[:5])}{', ...' if len(small) > 5 else ''}",
            stacklevel=3,
        )


def data_of(recipe: Recipe) -> dict[str, Hashable]:
    """Return what of a recipe its data depend on, as `load_federation` asks for it."""
    names = ("data", "image_size", "channels", "invert", "held_out", "validation", "rotate", "partition")
    return {name: getattr(recipe, name) for name in names} | {"seed": recipe.data_seed}
