"""One round by hand: what tests of methods compare a node's and the server's steps with."""

import numpy as np
import torch

from mglib.federated import Round
from mglib.meta import adapt
from mglib.nets import Objective

FIRST = Round(0, 4, 3)


def after_a_round(experiment, params=None):
    """The first node's parameters after its part of the first round."""
    return experiment.client_update()(params or experiment.initial, experiment.federation.train[0], 0, FIRST).params


def drawn(experiment):
    """The task that the first node draws in the first round."""
    recipe = experiment.recipe
    return experiment.federation.train[0].sample_task(recipe.ways, recipe.shots, recipe.queries, FIRST.generator(1))


def slope(experiment, params, batch):
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    loss, _ = Objective(experiment.net, 1.0, experiment.recipe.penalty)(leaves, batch)  # the budget is 1 at the start
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True), strict=True))


def trained(experiment):
    *_, last = experiment.rounds()
    return last.params


def moved(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def close(ours, theirs):
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)


def adapted(experiment, params):
    task = experiment.federation.test[0].sample_task(3, 1, 4, np.random.default_rng(0))
    return adapt(experiment.objective, params, task.support, experiment.stages)
