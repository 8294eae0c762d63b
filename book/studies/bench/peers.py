"""The meta-gradient as a reader would get it elsewhere: nested autograd, and the packages higher and torchopt.

Each takes what `mglib.meta_gradient` takes and returns its gradient. The packages know one inner optimiser over a
module's parameters, so they stand beside plain MAML only.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from mglib.meta import Stage
from mglib.meta.adapt import LossFn, gradient_of
from mglib.nets import Objective
from mglib.params import Params, detach
from mglib.tasks import Batch, Task

MetaGradient = Callable[[Objective, Params, Task, Sequence[Stage]], Params]


def nested(objective: Objective, params: Params, task: Task, stages: Sequence[Stage]) -> Params:
    """Differentiate through the steps of all stages with one graph: the textbook's way, and the plainest."""
    start = detach(params, requires_grad=True)
    return gradient_of(nested_loss(objective, start, task.support, task.query, stages), start)


def nested_loss(loss_fn: LossFn, start: Params, support: Batch, query: Batch, stages: Sequence[Stage]) -> Tensor:
    """Return the query loss after the stages' steps from `start`, in one graph with them.

    A later stage takes its gradient at an alias of its own parameters, or it would see the way in which the earlier
    stage's result depends on them: another algorithm (chapter 6).
    """
    reached = dict(start)
    for stage in stages:
        for _ in range(stage.steps):
            moved = {name: value.view_as(value) for name, value in reached.items() if name in stage.parameters}
            reached |= moved
            slopes = gradient_of(loss_fn(reached, support)[0], moved, create_graph=True)
            reached = reached | {name: moved[name] - stage.learning_rate * slopes[name] for name in moved}
    return loss_fn(reached, query)[0]


def with_higher(objective: Objective, params: Params, task: Task, stages: Sequence[Stage]) -> Params:
    """Plain MAML by higher 0.2: a patched module and a differentiable optimiser (arXiv 1910.01727)."""
    import higher

    (stage,) = stages
    net = _loaded(objective.net, params)
    optimiser = torch.optim.SGD(net.parameters(), stage.learning_rate)
    with higher.innerloop_ctx(net, optimiser, copy_initial_weights=False) as (patched, differentiable):
        for _ in range(stage.steps):
            differentiable.step(_loss(patched, task.support))
        gradients = torch.autograd.grad(_loss(patched, task.query), list(net.parameters()))
    return dict(zip(dict(net.named_parameters()), gradients, strict=True))


def with_torchopt(objective: Objective, params: Params, task: Task, stages: Sequence[Stage]) -> Params:
    """Plain MAML by TorchOpt 0.7: a differentiable optimiser over the module itself (arXiv 2211.06934)."""
    import torchopt

    (stage,) = stages
    net = _loaded(objective.net, params)
    start = dict(net.named_parameters())
    before = torchopt.extract_state_dict(net)
    optimiser = torchopt.MetaSGD(net, stage.learning_rate)
    for _ in range(stage.steps):
        optimiser.step(_loss(net, task.support))
    gradients = torch.autograd.grad(_loss(net, task.query), list(start.values()))
    torchopt.recover_state_dict(net, before)
    return dict(zip(start, gradients, strict=True))


PACKAGES: dict[str, MetaGradient] = {"higher": with_higher, "torchopt": with_torchopt}


def installed() -> dict[str, MetaGradient]:
    """Return the peers whose packages are there.

    Raises:
        ValueError: if one is missing.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ValueError(
            f"the peers {', '.join(missing)} are not installed: pip install -e '.[bench]' in the project's folder"
        )
    return PACKAGES


def _loaded(net: nn.Module, params: Params) -> nn.Module:
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(params[name])
    return net


def _loss(net: nn.Module, batch) -> torch.Tensor:
    statistics = None if batch.support_images is None else net(batch.support_images).statistics
    return nn.functional.cross_entropy(net(batch.images, statistics).logits, batch.labels)
