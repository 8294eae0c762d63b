"""What is learnt: tasks, the nodes that hold them, and the federations of nodes."""

from mglib.tasks.datasets import DATA_NAMES, load_federation, load_nodes, resolve_data
from mglib.tasks.episodes import Batch, Node, Task
from mglib.tasks.federations import Federation, NewNodes, at_hand
from mglib.tasks.folders import read_support
from mglib.tasks.glyphs import GlyphSettings, glyph_federation
from mglib.tasks.images import load_images
from mglib.tasks.partition import Partition
