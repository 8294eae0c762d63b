"""The objective: cross-entropy plus the MAC budget, the only place where gates and loss meet."""

import numbers
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mglib.config import Config
from mglib.nets.macs import macs_ratio
from mglib.nets.models import Prediction, check_labels
from mglib.params import PRICE, Params, of_network


@dataclass(frozen=True)
class Objective(Config):
    """`L = cross-entropy + penalty · relu(mean MACs / dense MACs − budget)`, a loss for `mglib.meta`.

    The hinge asks nothing of a network that keeps within its budget, and the mean over the batch lets a
    hard input open more than an easy one. A dense network pays cross-entropy alone.

    Where the parameters hold a price λ, the multiplier of the constraint, the loss is the Lagrangian:
    `L = cross-entropy + λ · (mean MACs / dense MACs − budget)`.

    budget: allowed share of the dense MACs, gate heads included, in (0, 1].
    penalty: λ, cost in nats of being one dense network over budget.
    noise: draws the gates' Gumbel noise in training; None: straight-through, and at evaluation.
    """

    net: nn.Module
    budget: float = 1.0
    penalty: float = 0.0
    noise: torch.Generator | None = None

    def check(self) -> None:
        """Raise ValueError for a budget or a penalty that cannot be."""
        check_budget(self.budget)
        self.refuse_unless(self.penalty >= 0, "penalty", "must not be negative")

    def predict(self, params: Params, batch) -> Prediction:
        """Return the network's answer for `batch.images`, normalised by `batch.support_images` where there is one."""
        statistics, params = None, of_network(params)
        if batch.support_images is not None:
            statistics = functional_call(self.net, params, (batch.support_images, None, self.noise)).statistics
        return functional_call(self.net, params, (batch.images, statistics, self.noise))

    def __call__(self, params: Params, batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar, and what to watch beside it, detached: accuracy, MACs, open filters.

        Raises TypeError or ValueError if images or labels are not the network's; see `check_images`, `check_labels`.
        """
        prediction = self.predict(params, batch)
        check_labels(batch.labels, *prediction.logits.shape)
        return self.score(prediction, batch.labels, params.get(PRICE))

    def score(
        self, prediction: Prediction, labels: Tensor, price: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the metrics of a prediction.

        labels: (batch,), which `check_labels` let pass.
        price: the multiplier of the budget; None: the penalty on what is over it.
        """
        loss = F.cross_entropy(prediction.logits, labels)
        ratio = macs_ratio(self.net.costs, prediction.gates).mean()
        if prediction.gates:
            over = ratio - self.budget
            loss = loss + (self.penalty * F.relu(over) if price is None else price * over)
        accuracy = (prediction.logits.argmax(1) == labels).float().mean()
        open_rate = torch.cat(prediction.gates, 1).detach().mean() if prediction.gates else torch.ones(())
        metrics = {"accuracy": accuracy, "macs_ratio": ratio.detach(), "open_rate": open_rate}
        return loss, {"loss": loss.detach(), **metrics}


def annealed_budget(budget: float, progress: float, share: float = 0.5) -> float:
    """Return the budget in force after `progress` (0 to 1) of the training.

    It falls linearly from the whole network to `budget` over the first `share` of the training, so that every
    filter learns something before some of them are closed.

    Raises ValueError unless budget, progress and share are shares, the first and the last not 0.
    """
    check_budget(budget)
    if not (0 <= progress <= 1 and share > 0):
        raise ValueError(f"`progress` (={progress}) must be from 0 to 1, and `share` (={share}) positive")
    return 1.0 - (1.0 - budget) * min(1.0, progress / share)


def check_budget(budget: float) -> None:
    """Raise ValueError unless `budget` is a share of the dense MACs."""
    if not (isinstance(budget, numbers.Real) and 0 < budget <= 1):
        raise ValueError(f"`budget` (={budget}) must be in (0, 1]: a share of the dense network's MACs")
