"""What of a recipe is about the data: which images there are, and which nodes hold them."""

from dataclasses import dataclass

from mglib.config import LARGEST_SEED, Config
from mglib.params import whole_number
from mglib.tasks.federations import NewNodes
from mglib.tasks.partition import Partition


@dataclass(frozen=True)
class DataConfig(Config):
    """Which images there are, which nodes hold them, and which nodes are kept for tests."""

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
    """Of the data: what is held out where no name says it, how classes are parted into nodes, the pixels of glyphs and
    drawings."""

    def check(self) -> None:
        """Raise ValueError for data that cannot be."""
        super().check()
        self.check_counts("image_size")
        whole_number("data_seed", self.data_seed, 0, LARGEST_SEED)
        self.refuse_unless(self.channels in (None, 1, 3), "channels", "must be 1 (grey) or 3 (colour)")
        self.partition_for(1)  # checks the rest

    def partition_for(self, images_per_class: int) -> Partition:
        """Return how a flat set of classes becomes nodes, with at least so many images of a class on each."""
        return Partition(self.new_nodes, self.nodes, self.classes_per_node, images_per_class)
