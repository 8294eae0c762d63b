"""load_federation: one name, one federation, whatever the images come from."""

import os
from collections.abc import Mapping
from pathlib import Path

from mglib.config import as_declared
from mglib.params import cache_folder
from mglib.tasks.episodes import ClassImages, Node, make_node
from mglib.tasks.federations import LEAST_CLASSES, Federation, Names, assemble, choose_held_out
from mglib.tasks.folders import read_folder
from mglib.tasks.glyphs import GlyphSettings, glyph_federation
from mglib.tasks.images import check_shape
from mglib.tasks.partition import Partition, partition_classes
from mglib.tasks.published import CLASS_SPLITS, labelled_images, omniglot_folders, read_class_split

_WITH_PATH = (*CLASS_SPLITS, "folder")
# Classes held out for (test, validation): by class as CIFAR-FS does for cifar100, half of the small sets.
_HELD_OUT_CLASSES = {"cifar10": (5, 0), "cifar100": (20, 16), "fashion-mnist": (5, 0)}
DATA_NAMES = ("glyphs", "omniglot", *_HELD_OUT_CLASSES, *(f"{kind}:PATH" for kind in _WITH_PATH))
OMNIGLOT_VALIDATION = 5  # of the 30 background alphabets


def load_federation(
    data: str,
    *,
    image_size: int = 28,
    channels: int | None = None,
    invert: bool | None = None,
    held_out: Names = (),
    validation: Names = (),
    rotate: bool = False,
    partition: Partition | None = None,
    seed: int = 0,
    root: Path | str | None = None,
) -> Federation:
    """Return the federation that `data` names.

    data: one of DATA_NAMES.
      glyphs: writers of scripts, generated; `held_out` names scripts, by default TEST and VALIDATION.
      omniglot: alphabets; tested on the evaluation set, validated on five alphabets of the background set.
      cifar10, cifar100, fashion-mnist: classes are partitioned into nodes; `held_out` names classes.
      cifar-fs:PATH: PATH/data/<class>/<image> and PATH/splits/bertinetto/{train,val,test}.txt, a class a line.
      mini-imagenet:PATH: PATH/images/<file> and PATH/{train,val,test}.csv with the header filename,label.
        Both are split by class as published, and the classes of each split are partitioned into nodes.
      folder:PATH: PATH/<node>/<class>/<image>, or PATH/<class>/<image> with classes partitioned into nodes.
        Tested by default on a quarter of the nodes (or classes, five at least), validated on none.
    image_size: pixels a side to which images are resized.
    channels: 1 grey, 3 colour, None as the images are.
    invert: whether image files are turned from dark on light to light on dark; None: those of omniglot and folders, if
        the median pixel of the whole set is bright and no image has colour. `Federation.inverted` says what was done.
    held_out, validation: names of the nodes, scripts or classes kept for test and for validation.
    rotate: training nodes also appear turned by 90, 180 and 270 degrees, with classes of their own.
    partition: how a flat set of classes becomes nodes, by default every class on one node.
    seed: of every choice, and of the pixels of glyphs.
    root: where downloads and the glyph cache lie; by default $MGLIB_CACHE or the user's cache folder.

    Raises ValueError for an unknown name (the message lists the allowed ones), images that cannot be read, too few
    nodes or classes, or a download without a network.
    """
    image_size, invert = check_shape(image_size, channels), as_declared("invert", bool | None, invert)
    chosen, root = (held_out, validation), Path(root or cache_folder())
    partition, (kind, path) = partition or Partition(), _kind_and_path(data)
    if data == "glyphs":
        _check_unpartitioned(data, partition)
        if invert:
            raise ValueError("`invert` (=True) is for image files: glyphs are drawn light on dark")
        settings = GlyphSettings(image_size=image_size, channels=channels or 1, seed=seed)
        return glyph_federation(settings, held_out=held_out, validation=validation, rotate=rotate, cache=root)
    if data == "omniglot":
        _check_unpartitioned(data, partition)
        background, evaluation = (read_folder(each, image_size, channels, invert) for each in omniglot_folders(root))
        nodes = _qualified({**background.nodes, **evaluation.nodes})
        kept = choose_held_out(nodes, chosen, (tuple(evaluation.nodes), OMNIGLOT_VALIDATION), seed)
        return assemble(data, nodes, kept, rotate=rotate, invert=background.invert)
    if kind == "folder":
        images, has_nodes, invert = read_folder(path, image_size, channels, invert)
        if has_nodes:
            _check_unpartitioned(data, partition)
            kept = choose_held_out(images, chosen, (max(1, round(len(images) / 4)), 0), seed)
            return assemble(data, _qualified(images), kept, rotate=rotate, invert=invert)
        classes = images[""]
        default = max(LEAST_CLASSES, round(len(classes) / 4)), 0
    elif kind in CLASS_SPLITS:
        classes, default = read_class_split(kind, path, image_size, channels)
    elif data in _HELD_OUT_CLASSES:
        classes, default = labelled_images(data, root, image_size, channels), _HELD_OUT_CLASSES[data]
    else:
        raise ValueError(f"unknown data set {data!r}; allowed are {', '.join(DATA_NAMES)}")
    if partition.new_nodes == "unseen-sets":
        _check_no_class_is_kept(data, kind, (*held_out, *validation))
        kept = (), ()
    else:
        kept = choose_held_out(classes, chosen, default, seed)
    return partition_classes(data, classes, kept, partition, seed=seed, rotate=rotate, invert=bool(invert))


def _check_unpartitioned(data: str, partition: Partition) -> None:
    """Raise ValueError if data that have nodes of their own are to be partitioned into others."""
    if partition != Partition():
        raise ValueError(
            f"{data} has nodes of its own, so `new_nodes` (={partition.new_nodes!r}), `nodes` (={partition.nodes}) and "
            f"`classes_per_node` (={partition.classes_per_node}) must be left as they are: they partition flat sets of "
            f"classes"
        )


def _check_no_class_is_kept(data: str, kind: str, named: Names) -> None:
    """Raise ValueError if classes are to be kept from training, which new sets of trained classes contradict."""
    if named or kind in CLASS_SPLITS:
        published = f"{data} is published with classes kept from training"
        why = f"`held_out` and `validation` name {', '.join(named)}" if named else published
        raise ValueError(f"`new_nodes` (='unseen-sets') trains on every class, but {why}; allowed is unseen-classes")


def load_nodes(
    data: str, *, image_size: int = 28, channels: int | None = None, invert: bool | None = None, seed: int = 0
) -> list[Node]:
    """Return every node of a data set, for a network that has trained on none of them.

    The arguments mean what they do in `load_federation`; a flat folder of classes is one node.

    Raises ValueError as `load_federation` does.
    """
    kind, path = _kind_and_path(data)
    if kind == "folder":
        images, has_nodes, invert = read_folder(path, image_size, channels, invert)
        named = images if has_nodes else {path.resolve().name: images[""]}
        return [make_node(node, classes, invert) for node, classes in _qualified(named).items()]
    options = {"image_size": image_size, "channels": channels, "invert": invert, "seed": seed}
    federation = load_federation(data, **options)
    return [*federation.train, *federation.validation, *federation.test]


def resolve_data(data: str) -> str:
    """Return the name with its path, where it has one, absolute and without links: two names of the same data agree."""
    kind, path = _kind_and_path(data)
    return f"{kind}:{path.resolve()}" if kind else data


def of_files(data: str) -> bool:
    """Return whether `data` names image files: glyphs are drawn here, light on dark, and never change."""
    return data != "glyphs" and (data in DATA_NAMES or _kind_and_path(data)[0] != "")


def _kind_and_path(data: str) -> tuple[str, Path]:
    """The parts of "folder:PATH", "cifar-fs:PATH", "mini-imagenet:PATH"; an empty kind if `data` names no path."""
    kind, _, path = data.partition(":")
    return (kind, Path(os.path.expanduser(path))) if path and kind in _WITH_PATH else ("", Path())


def _qualified(nodes: Mapping[str, ClassImages]) -> dict[str, ClassImages]:
    """The same images, each class named after its node too: two alphabets may both hold a "character01"."""
    return {node: {f"{node}/{name}": images for name, images in classes.items()} for node, classes in nodes.items()}
