"""What is learnt: tasks, the nodes that hold them, and the federations of nodes."""

from mglib.tasks.datasets import DATA_NAMES, load_federation, load_nodes, of_files, resolve_data
from mglib.tasks.dealing import Dealing
from mglib.tasks.episodes import SPLITS, Batch, Federation, NewNodes, Node, Task, at_hand, original_class
from mglib.tasks.folders import read_support
from mglib.tasks.glyphs import GlyphSettings, glyph_federation
from mglib.tasks.images import load_images
from mglib.tasks.published import DataUnavailableError

__all__ = [
    "DATA_NAMES",
    "SPLITS",
    "Batch",
    "DataUnavailableError",
    "Dealing",
    "Federation",
    "GlyphSettings",
    "NewNodes",
    "Node",
    "Task",
    "at_hand",
    "glyph_federation",
    "load_federation",
    "load_images",
    "load_nodes",
    "of_files",
    "original_class",
    "read_support",
    "resolve_data",
]
