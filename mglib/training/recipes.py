"""Recipe: everything that decides a run, as one frozen record that goes to disk and comes back."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

from mglib.nets.gates import Estimator
from mglib.params import write_atomically
from mglib.tasks import NewNodes, Partition, resolve_data
from mglib.training.settings import (
    Aggregation,
    Architecture,
    Attack,
    Compression,
    Method,
    Privacy,
    Server,
    as_declared,
    check_settings,
)

_FILLED_IN = ("channels", "depth", "invert")  # by the data and the architecture, where a recipe says None


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run: the same recipe gives the same parameters, bit for bit."""

    data: str = "glyphs"
    """glyphs, omniglot, cifar10, cifar100, fashion-mnist, cifar-fs:PATH, mini-imagenet:PATH, folder:PATH."""
    held_out: tuple[str, ...] = ()
    """Nodes (alphabets, scripts, or classes of a flat folder) kept for the final test; none: the data set's own."""
    validation: tuple[str, ...] = ()
    """Nodes kept to choose settings by; none: the data set's own."""
    new_nodes: NewNodes = "unseen-classes"
    """What held-out nodes of a flat set hold: classes never trained on, or sets of them that no training node holds."""
    nodes: tuple[int, int, int] | None = None
    """Training, validation and test nodes that share a flat set's images; none: each class on one node, or 20 5 8."""
    classes_per_node: int | None = None
    """Classes a node of a flat set; none: 5 where nodes share classes, else about 8."""
    rotate: bool = False
    """Train also on each node turned by 90, 180 and 270 degrees, as further nodes with classes of their own."""
    image_size: int = 28
    """Pixels a side to which images are resized."""
    channels: int | None = None
    """1 for grey, 3 for colour; none: as the images are."""
    invert: bool | None = None
    """Whether image files are turned from dark on light to light on dark; none: told from the whole set before
    training, and kept."""
    data_seed: int = 0
    """Of the data: what is held out where no name says it, how classes are dealt to nodes, the pixels of glyphs and
    drawings."""
    method: Method = "metagater"
    """metagater: backbone, then gates; maml: the same network without gates, one stage; `ALGORITHMS` has the others."""
    architecture: Architecture = "conv"
    """conv: a stack of stride-2 convolutions; residual: blocks of two convolutions with a stream around them."""
    width: int = 32
    """Filters a layer."""
    depth: int | None = None
    """Convolutions of the conv net, blocks of the residual one; none: 4 and 2."""
    ways: int = 5
    """Classes in a task."""
    shots: int = 1
    """Labelled examples a class to adapt on."""
    queries: int = 15
    """Examples a class scored after adaptation."""
    budget: float = 0.5
    """Share of the dense network's MACs that may be spent, gate heads included, in (0, 1]."""
    penalty: float = 1.0
    """λ: cross-entropy, in nats, that a whole dense network over budget is worth."""
    anneal_share: float = 0.5
    """Share of the rounds over which the budget falls from 1 to its value."""
    estimator: Estimator = "straight-through"
    """How the gates get a gradient: straight-through, or gumbel for noise in training."""
    backbone_learning_rate: float = 0.4
    """α: the one step on the backbone."""
    gate_learning_rate: float = 0.5
    """β: the one step on the gates."""
    gate_bias: float | None = None
    """Logit with which learnt gates start, open if positive; none: 1, and 0.1 for a mask."""
    steps: int = 1
    """Gradient steps of every stage of adaptation."""
    batch: int = 25
    """Images in a gradient step of the methods that descend without meta-gradients."""
    naming: float = 1.0
    """Weight of the classifier of named classes, in nats, beside the meta-objective, for the method that has both."""
    proximity: float = 1.0
    """How strongly pFedMe's personal parameters are held to the common ones."""
    second_order: bool = True
    """The exact meta-gradient; otherwise its first-order part."""
    rounds: int = 2500
    """Federated rounds."""
    nodes_per_round: int = 4
    """Nodes sampled in a round."""
    local_steps: int = 1
    """Meta-steps that a node takes before it answers."""
    tasks_per_step: int = 1
    """Tasks averaged in a meta-step."""
    node_learning_rate: float = 0.1
    """Rate of a node's meta-steps."""
    server: Server = "adam"
    """What the server makes of the nodes' parameters: a step of Adam towards their mean, or the mean itself."""
    server_learning_rate: float = 2e-3
    """Rate of the server's Adam, which falls to zero along half a cosine."""
    aggregation: Aggregation = "mean"
    """What the server takes for the nodes' average; all but the mean bear some nodes that lie."""
    clip_norm: float = 0.1
    """To which the moves of the nodes are shortened, by the clipped mean and for privacy: Euclidean, over all
    parameters."""
    suspected: float = 0.3
    """Share of a round's nodes that the trimmed mean cuts at each end, and that Krum leaves out."""
    privacy: Privacy = "none"
    """Who shortens the moves and adds noise to them: the server to their sum, or each node to its own."""
    noise: float = 0.0
    """Standard deviation of the Gaussian noise that privacy adds, in units of the clip norm."""
    compression: Compression = "none"
    """How a node writes its move: in half precision, the largest numbers only, or what its images open only."""
    kept: float = 0.1
    """Share of the numbers that top-k sends."""
    attack: Attack = "none"
    """What the nodes that lie send: training/attacks.py; none: no node lies."""
    attackers: float = 0.3
    """Share of the training nodes that lie if there is an attack, chosen by the seed."""
    quorum: int = 1
    """Nodes of a round that must have answered as they should; with fewer the training stops and says why."""
    seed: int = 0
    """Of the training: where the network starts, who is in a round or lies, the tasks and the noise."""

    def __post_init__(self):
        """Keep numbers of any library as Python's own, and check all that can be checked without the data.

        Raises:
            ValueError: naming the field, its value and what is allowed.
        """
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, as_declared(field.name, field.type, getattr(self, field.name)))
        check_settings(self)

    @property
    def partition(self) -> Partition:
        """How a flat set of classes becomes nodes, with enough images of a class on each for the recipe's tasks."""
        return Partition(self.new_nodes, self.nodes, self.classes_per_node, self.shots + self.queries)

    def dumps(self) -> str:
        """Return the recipe as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def loads(cls, text: str) -> "Recipe":
        """Read what `dumps` wrote; a field that a recipe did not have then takes its default.

        Raises:
            ValueError: if it is no JSON, or holds fields or values that a recipe cannot have.
        """
        try:
            return cls(**json.loads(text))
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no recipe ({error})") from error

    def save(self, path: str | os.PathLike) -> None:
        """Write the recipe as JSON, whole or not at all."""
        write_atomically(path, self.dumps().encode())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Recipe":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is missing, is not JSON, or holds fields or values that a recipe cannot have.
        """
        path = Path(path)
        try:
            return cls.loads(path.read_text())
        except FileNotFoundError:
            raise ValueError(f"{path.parent} holds no run: there is no {path.name}") from None
        except ValueError as error:
            raise ValueError(f"{path} is not a recipe ({error})") from error

    def differences(self, other: "Recipe") -> str:
        """Return as text in what `other` departs from this recipe; None in either says nothing where it is filled in.

        Two paths to the same data are no difference.
        """
        pairs = (
            (field.name, getattr(self, field.name), getattr(other, field.name))
            for field in dataclasses.fields(self)
            if field.name != "data" or resolve_data(self.data) != resolve_data(other.data)
        )
        return ", ".join(
            f"{name}={mine!r} where it has {theirs!r}"
            for name, mine, theirs in pairs
            if mine != theirs and not (None in (mine, theirs) and name in _FILLED_IN)
        )
