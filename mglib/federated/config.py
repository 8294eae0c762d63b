"""What of a recipe is about the rounds: who takes part, what they send, what the server makes of it."""

from dataclasses import dataclass
from typing import Literal

from mglib.config import Config


@dataclass(frozen=True)
class FederationConfig(Config):
    """The rounds: how many, with whom, and what the server makes of the answers."""

    rounds: int = 2500
    """Federated rounds."""
    nodes_per_round: int = 4
    """Nodes sampled in a round."""
    local_steps: int = 1
    """Meta-steps that a node takes before it answers."""
    tasks_per_step: int = 1
    """Tasks averaged in a meta-step."""
    client_learning_rate: float = 0.1
    """Rate of a node's meta-steps."""
    server: Literal["adam", "average"] = "adam"
    """What the server makes of the nodes' parameters: a step of Adam towards their mean, or the mean itself."""
    server_learning_rate: float = 2e-3
    """Rate of the server's Adam, which falls to zero along half a cosine."""
    aggregation: Literal["mean", "clipped", "median", "trimmed", "krum"] = "mean"
    """What the server takes for the nodes' average; all but the mean bear some nodes that lie."""
    clip_norm: float = 0.1
    """To which the moves of the nodes are shortened, by the clipped mean and for privacy: Euclidean, over all
    parameters."""
    trim_fraction: float = 0.3
    """Share of a round's nodes that the trimmed mean cuts at each end, and that Krum leaves out."""
    privacy: Literal["none", "server", "node"] = "none"
    """Who shortens the moves and adds noise to them: the server to their sum, or each node to its own."""
    noise: float = 0.0
    """Standard deviation of the Gaussian noise that privacy adds, in units of the clip norm. It repeats with
    the seed: it shows what privacy costs, and hides nothing from one who knows the seed."""
    quorum: int = 1
    """Nodes of a round that must have answered as they should; with fewer the training stops and says why."""

    def check(self) -> None:
        """Raise ValueError for rounds that cannot be."""
        super().check()
        self.check_counts("rounds", "nodes_per_round", "local_steps", "tasks_per_step", "quorum")
        for name in ("client_learning_rate", "server_learning_rate", "clip_norm"):
            self.refuse_unless(getattr(self, name) > 0, name, "must be positive")
        less_than_half = 0 <= self.trim_fraction < 0.5
        self.refuse_unless(less_than_half, "trim_fraction", "must be in [0, 0.5): half of the nodes decide")
        self.refuse_unless(self.noise >= 0, "noise", "must not be negative")
        of_a_round = f"must be at most the {self.nodes_per_round} nodes of a round"
        self.refuse_unless(self.quorum <= self.nodes_per_round, "quorum", of_a_round)
        nodes, rule = self.nodes_per_round, self.aggregation
        lying = round(self.trim_fraction * nodes)
        if self.privacy == "none" and self.noise:
            self.refuse("noise", "is for privacy, at the server or at the node")
        if self.privacy == "server" and rule != "mean":
            self.refuse("aggregation", "is not possible with a private server, which sees no update by itself")
        if self.changed("trim_fraction") and rule not in ("trimmed", "krum"):
            self.refuse("trim_fraction", "is for the aggregations 'trimmed' and 'krum'")
        if self.changed("clip_norm") and rule != "clipped" and self.privacy == "none":
            self.refuse("clip_norm", "is for the aggregation 'clipped', and for privacy")
        if rule in ("trimmed", "krum") and not lying:
            self.refuse("trim_fraction", f"is none of {nodes} nodes; {rule!r} would leave none out")
        least = {"median": 3, "trimmed": 2 * lying + 1, "krum": 2 * lying + 3}.get(rule, 1)
        if nodes < least:
            self.refuse("nodes_per_round", f"is too few: {rule!r} needs {least} to bear {max(1, lying)} that lie")
