"""What a node tells of the filters that its images open, and of no others."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call

from mglib.experiments.recipes import Recipe
from mglib.federated import Round, Update
from mglib.federated.engines import ClientUpdate
from mglib.params import Params
from mglib.tasks import Node


@dataclass(frozen=True)
class OpenedOnly:
    """A client update that leaves the filters as they were sent which no image of the node's task opens.

    The task is the first that the node draws in the round, the gates are those of the parameters that were sent. Gates
    themselves move in any case: a closed filter's gate has to be able to open it. The exact meta-gradient moves closed
    filters too, through the gates' own step; that part is what is lost.
    """

    client_update: ClientUpdate
    net: nn.Module
    recipe: Recipe

    def __call__(self, params: Params, node: Node, position: int, round: Round) -> Update:
        """Return the update without the moves of closed filters."""
        update = self.client_update(params, node, position, round)
        after = dict(update.params)
        gates = self._gates(params, node, position, round)
        for index, name in self._gated():
            closed = ~gates[index].any(0)
            for part in ("conv.weight", "scale", "shift"):
                after[f"{name}.{part}"] = after[f"{name}.{part}"].clone()
                after[f"{name}.{part}"][closed] = params[f"{name}.{part}"][closed]
        return update._replace(params=after)

    def _gated(self) -> list[tuple[int, str]]:
        """Return gates and the layers whose filters they close, by position and name."""
        pairs = zip(self.net.costs, self.net.convolutions(), strict=False)  # the head, which no gate closes, is last
        return [(cost.writes, name) for cost, name in pairs if cost.writes is not None]

    def _gates(self, params: Params, node: Node, position: int, round: Round) -> list[torch.Tensor]:
        """Return each layer's gates on the images of the task, (image, filter), booleans."""
        recipe = self.recipe
        task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, round.generator(1 + position))
        with torch.no_grad():
            images = torch.cat([task.support.images, task.query.images])
            return [gate > 0 for gate in functional_call(self.net, params, (images,)).gates]
