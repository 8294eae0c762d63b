"""What node-level privacy costs: accuracy and gates after training with clipped and noisy updates, and the ε of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mglib.federated import Round
from mglib.params import Params
from mglib.training import Experiment, Recipe, set_up
from studies.choices import opened_after_adaptation
from studies.counting import counted, told
from studies.measure import as_record, federation_of

CLIP = 0.2  # about as far as the update of one node goes in the clean run
SERVER_NOISE, NODE_NOISE = (0.03, 0.1, 0.3, 1.0), (0.003, 0.01, 0.03, 0.1)
NODES = (10_000, 100_000, 1_000_000)  # of federations that the same noise is reckoned for
_BASE = {"rounds": 150, "width": 16, "queries": 5, "nodes_per_round": 12, "server_learning_rate": 5e-3}


def privacy_parts(seeds: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return what is trained, by name: without privacy, clipped only, noise at the server, noise at the nodes."""
    settings: dict[str, dict[str, Any]] = {"plain": {}, "clipped": {"clip_norm": CLIP, "privacy": "server"}}
    for place, levels in (("server", SERVER_NOISE), ("node", NODE_NOISE)):
        settings |= {f"{place}-{noise:g}": {"clip_norm": CLIP, "noise": noise, "privacy": place} for noise in levels}
    return {f"{name}-seed{seed}": {**changes, "seed": seed} for seed in seeds for name, changes in settings.items()}


def measure_privacy(changes: Mapping[str, Any], quick: bool = False) -> dict[str, Any]:
    """Train by a short recipe with `changes` and return how it went on the test nodes, its gates, and its ε."""
    short = {"rounds": 10} if quick else {}
    recipe = Recipe(**{**_BASE, **changes, **short})
    experiment = set_up(recipe, federation_of(recipe))
    *_, last = experiment.rounds()
    scores = counted(experiment, last.params, experiment.federation.test, 20 if quick else 400)
    bits = opened(experiment, last.params, tasks=8)
    record = {
        **told(scores),
        "open_rate": float(bits.mean()),
        "dependence": dependence(bits),
        "gates": np.packbits(bits.bool().numpy()).tobytes().hex(),
        "inputs": len(bits),
        "filters": bits.shape[1],
        **spent(experiment.recipe, len(experiment.federation.train)),
    }
    return as_record(record, experiment.recipe, quick)


def spent(recipe: Recipe, nodes: int) -> dict[str, Any]:
    """Return the ε of a recipe, and what the same noise and number of sampled nodes would cost larger federations.

    Empty without privacy. At the server: against whoever sees every round's parameters. At the node: against the
    server, for the node that is sampled most often, whom no crowd hides. δ is the number of nodes to the power −1.1.
    """
    if recipe.privacy == "none":
        return {}
    if recipe.privacy == "node":
        rounds = busiest(recipe, nodes)
        epsilon = privacy_spent(recipe.noise, rounds=rounds, delta=nodes**-1.1)
        return {"epsilon": rounded(epsilon), "delta": nodes**-1.1, "rounds_of_the_busiest": rounds}
    plan = {"rounds": recipe.rounds, "nodes_per_round": recipe.nodes_per_round}
    fixed, poisson = (
        {
            str(count): rounded(privacy_spent(recipe.noise, nodes=count, delta=count**-1.1, sampling=sampling, **plan))
            for count in (nodes, *NODES)
        }
        for sampling in ("fixed", "poisson")
    )
    return {
        "epsilon": fixed[str(nodes)],
        "delta": nodes**-1.1,
        "epsilon_by_nodes": fixed,
        "epsilon_by_nodes_poisson": poisson,
    }


def privacy_spent(
    noise: float,
    *,
    rounds: int,
    delta: float,
    nodes: int = 1,
    nodes_per_round: int = 1,
    sampling: Literal["fixed", "poisson"] = "fixed",
) -> float:
    """Return an ε: a training of so many rounds is (ε, δ)-differentially private for whole nodes.

    An upper bound, the smaller of two: Rényi accounting, tighter with much noise, and `epsilon_by_turns`, tighter with
    little and exact if all nodes take part in every round.

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
    share = nodes_per_round / nodes
    if sampling == "fixed":
        unit = noise / 2  # in units of the farthest that neighbours are apart: two clips
        accountant = RdpAccountant(neighboring_relation=neighbours.REPLACE_ONE)
        released = dp_accounting.GaussianDpEvent(unit)
        event = dp_accounting.SampledWithoutReplacementDpEvent(nodes, nodes_per_round, released)
    else:
        unit = noise
        accountant = RdpAccountant(neighboring_relation=neighbours.ADD_OR_REMOVE_ONE)
        event = dp_accounting.PoissonSampledDpEvent(share, dp_accounting.GaussianDpEvent(unit))
    by_moments = float(accountant.compose(event, rounds).get_epsilon(delta))
    return min(by_moments, epsilon_by_turns(unit, rounds=rounds, delta=delta, share=share))


def epsilon_by_turns(noise: float, *, rounds: int, delta: float, share: float) -> float:
    """Return an ε from how often a node takes part, K ~ Binomial(rounds, share) times, as if the attacker knew K.

    Given who is sampled when, neighbours differ in K releases only, which tell them apart no better than one whose
    neighbours lie √K / noise standard deviations apart. A mixture's divergence is at most the mean of its parts'
    (joint convexity), so with z = noise / √k

        δ(ε) ≤ Σ_k P(K = k) · [Φ(1 / 2z − εz) − e^ε Φ(−1 / 2z − εz)]

    (the bracket: Balle and Wang, arXiv 1805.06530, Theorem 8). Exact for share 1.

    noise: above 0, in units of the farthest that one node moves the sum.
    """
    from scipy.optimize import brentq
    from scipy.stats import binom, norm

    turns = np.arange(1, rounds + 1)  # a node that never takes part tells nothing
    chances, scales = binom.pmf(turns, rounds, share), noise / np.sqrt(turns)

    def excess(epsilon: float) -> float:
        low, high = 0.5 / scales - epsilon * scales, -0.5 / scales - epsilon * scales
        told = norm.cdf(low) - np.exp(epsilon + norm.logcdf(high))
        return float(chances @ told) - delta

    if excess(0.0) <= 0:
        return 0.0
    enough = 1.0
    while excess(enough) > 0:
        enough *= 2
    return float(brentq(excess, 0.0, enough))


def busiest(recipe: Recipe, nodes: int) -> int:
    """Return in how many rounds the node takes part that is sampled most often, which the seed alone decides."""
    counts = np.zeros(nodes, int)
    for index in range(recipe.rounds):
        draw = Round(index, recipe.rounds, recipe.seed).generator(0)
        counts[draw.choice(nodes, recipe.nodes_per_round, replace=False)] += 1
    return int(counts.max())


def opened(experiment: Experiment, params: Params, *, tasks: int) -> Tensor:
    """Return which filters the queries of test tasks open after adaptation, all layers in a row: (query, filter)."""
    recipe, rows = experiment.recipe, []
    for index in range(tasks):
        node = experiment.federation.test[index % len(experiment.federation.test)]
        task = node.sample_task(recipe.ways, recipe.shots, recipe.queries, np.random.default_rng([recipe.seed, index]))
        rows.append(opened_after_adaptation(experiment, params, task))
    return torch.cat(rows)


def dependence(bits: Tensor) -> float:
    """Return how much gates depend on the input: `4 p (1 − p)` of a filter open for a share p of inputs, on average.

    0: every filter is always open or always closed; 1: every filter is open for one half of the inputs.
    """
    rates = bits.mean(0)
    return float((4 * rates * (1 - rates)).mean())


def gates_of(record: dict[str, Any]) -> np.ndarray:
    """Return the gates that a record holds: (input, filter), 0 and 1."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(record["gates"]), np.uint8))
    return bits[: record["inputs"] * record["filters"]].reshape(record["inputs"], record["filters"])


def rounded(epsilon: float) -> float | None:
    """Return ε to four digits; None where there is none, for JSON has no infinity."""
    return float(f"{epsilon:.4g}") if np.isfinite(epsilon) else None


def privacy_rows(part: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a table says of a part."""
    row = {name: record["recipe"][name] for name in ("privacy", "noise", "clip_norm", "seed")}
    return [row | {name: record.get(name) for name in ("accuracy", "macs_ratio", "open_rate", "dependence", "epsilon")}]
