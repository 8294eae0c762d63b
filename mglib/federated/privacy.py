"""Node-level differential privacy: how far one node can move the model is bounded, and noise hides what is left."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from mglib.federated.engines import ClientUpdate
from mglib.federated.messages import Round, Update
from mglib.federated.robust import clip
from mglib.federated.rounds import ServerState, ServerUpdate
from mglib.params import Params, weighted_mean

Sampling = Literal["fixed", "poisson"]
_NOISE = 2**32  # streams of chance from here on are the noise's, beyond the server's and any node's own


def with_noise(params: Params, deviation: float, generator: np.random.Generator) -> Params:
    """Return the parameters plus independent Gaussian noise of this standard deviation on every number."""
    if deviation == 0:
        return params
    drawn = {name: generator.standard_normal(value.shape, dtype=np.float32) for name, value in params.items()}
    return {name: value + deviation * torch.from_numpy(drawn[name]).to(value) for name, value in params.items()}


@dataclass(frozen=True)
class PrivateServer:
    """Shows a server update one thing only: the mean of bounded updates, all of one weight, with noise (DP-FedAvg).

    The noise on the mean of n updates has the standard deviation `noise · norm / n` (McMahan et al., arXiv 1710.06963).
    Whatever the server update makes of the noisy mean costs no further privacy. The nodes must trust the server: it
    sees their updates, and their metrics, as they are.

    norm: longest way from the parameters that an update may go, Euclidean, over all parameters together.
    noise: standard deviation of the noise on the sum of updates, in units of `norm`.
    """

    server_update: ServerUpdate
    norm: float
    noise: float = 0.0

    def __call__(
        self, params: Params, state: ServerState, updates: Sequence[Update], round: Round
    ) -> tuple[Params, ServerState]:
        """Return what the server update makes of the noisy mean."""
        mean = weighted_mean([clip(params, u.params, self.norm) for u in updates], [1.0] * len(updates))
        noisy = with_noise(mean, self.noise * self.norm / len(updates), round.generator(_NOISE))
        return self.server_update(params, state, [Update("all of them", noisy, 1.0, {})], round)


@dataclass(frozen=True)
class PrivateNode:
    """A client update whose answer is bounded and noisy before it leaves the node, which then need trust no server.

    The standard deviation of the noise on each update is `noise · norm`. Weight and metrics would tell what the noise
    hides: every node weighs one, and no metrics leave it.

    norm, noise: as for `PrivateServer`, but each node adds noise of its own.
    """

    client_update: ClientUpdate
    norm: float
    noise: float = 0.0

    def __call__(self, params: Params, node: Any, position: int, round: Round) -> Update:
        """Return the node's update as it may be seen."""
        update = self.client_update(params, node, position, round)
        generator = round.generator(_NOISE + 1 + position)
        noisy = with_noise(clip(params, update.params, self.norm), self.noise * self.norm, generator)
        return update._replace(params=noisy, weight=1.0, metrics={})


def privacy_spent(
    noise: float,
    *,
    rounds: int,
    delta: float,
    nodes: int = 1,
    nodes_per_round: int = 1,
    sampling: Sampling = "fixed",
) -> float:
    """Return ε: a training of so many rounds is (ε, δ)-differentially private for whole nodes, by Rényi accounting.

    Needs the extra `privacy` (dp-accounting). With `PrivateServer`: against whoever sees the parameters of every round.
    With `PrivateNode`, against the server itself: `nodes` and `nodes_per_round` 1, for it knows whose update it
    reads, and for `rounds` those that the node takes part in. Infinite without noise.

    The noise must be unpredictable. A recipe's seed is public and its generator no cryptographic one, so what this
    project trains shows the price of privacy and grants none.

    noise: as in `PrivateServer`; delta: the chance that is allowed to the promise to fail, below 1 / nodes.
    sampling: "fixed", as `run_rounds` draws nodes: so many each round without replacement, and two federations are
        neighbours if one node's data are replaced, which moves a sum by up to two clips (Wang et al., arXiv
        1808.00087); "poisson", as most publications reckon and `run_rounds` does not draw: each node by a coin of its
        own, and neighbours if one node is added or removed.

    Raises:
        ValueError: if a number is out of its range.
        ModuleNotFoundError: without the extra.
    """
    if not noise >= 0 or not 0 < delta < 1:
        raise ValueError(f"`noise` (={noise}) must not be negative, and `delta` (={delta}) between 0 and 1")
    if rounds < 0 or not 1 <= nodes_per_round <= nodes:
        raise ValueError(f"`rounds` (={rounds}), `nodes_per_round` (={nodes_per_round}) of {nodes} `nodes`: none such")
    if sampling not in ("fixed", "poisson"):
        raise ValueError(f"`sampling` (={sampling!r}) must be fixed or poisson")
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    if noise == 0:
        return math.inf if rounds else 0.0
    neighbours = dp_accounting.NeighboringRelation
    if sampling == "fixed":
        accountant = RdpAccountant(neighboring_relation=neighbours.REPLACE_ONE)
        told = dp_accounting.GaussianDpEvent(noise / 2)  # its unit is the farthest that neighbours are apart: two clips
        event = dp_accounting.SampledWithoutReplacementDpEvent(nodes, nodes_per_round, told)
    else:
        accountant = RdpAccountant(neighboring_relation=neighbours.ADD_OR_REMOVE_ONE)
        event = dp_accounting.PoissonSampledDpEvent(nodes_per_round / nodes, dp_accounting.GaussianDpEvent(noise))
    return float(accountant.compose(event, rounds).get_epsilon(delta))
