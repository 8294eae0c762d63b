"""load_federation: one name, one federation, whatever the images come from."""

from collections.abc import Collection
from pathlib import Path

from mglib.params import whole_number
from mglib.tasks.assembly import LEAST_CLASSES, Images, Split, assemble, make_node
from mglib.tasks.cache import cache_folder
from mglib.tasks.class_splits import CLASS_SPLITS, ClassSplit
from mglib.tasks.dealing import Dealing, deal
from mglib.tasks.episodes import Federation, Node
from mglib.tasks.folders import read_folder
from mglib.tasks.glyphs import GlyphSettings, glyph_federation
from mglib.tasks.images import LARGEST
from mglib.tasks.published import labelled_images, omniglot_folders
from mglib.tasks.scripts import SCRIPTS, TEST, VALIDATION

_WITH_PATH = (*CLASS_SPLITS, "folder")
DATA_NAMES = (
    "glyphs",
    "omniglot",
    "cifar10",
    "cifar100",
    "fashion-mnist",
    *(f"{kind}:PATH" for kind in _WITH_PATH),
)
OMNIGLOT_VALIDATION = 5  # of the 30 background alphabets
# Classes held out for (test, validation): by class as CIFAR-FS does for cifar100, half of the small sets.
_HELD_OUT_CLASSES = {"cifar10": (5, 0), "cifar100": (20, 16), "fashion-mnist": (5, 0)}


def load_federation(
    data: str,
    *,
    image_size: int = 28,
    channels: int | None = None,
    invert: bool | None = None,
    held_out: Collection[str] = (),
    validation: Collection[str] = (),
    rotate: bool = False,
    dealing: Dealing | None = None,
    seed: int = 0,
    root: Path | str | None = None,
) -> Federation:
    """Return the federation that `data` names.

    data: one of DATA_NAMES.
      glyphs: writers of scripts, generated; `held_out` names scripts, by default TEST and VALIDATION.
      omniglot: alphabets; tested on the evaluation set, validated on five alphabets of the background set.
      cifar10, cifar100, fashion-mnist: classes are dealt to nodes; `held_out` names classes.
      cifar-fs:PATH: PATH/data/<class>/<image>; in PATH/splits/bertinetto the files train.txt, val.txt and test.txt, a
        class a line.
      mini-imagenet:PATH: PATH/images/<file>; in PATH the files train.csv, val.csv and test.csv with the header
        filename,label.
        Both are split by class as published, and the classes of each split are dealt to nodes.
      folder:PATH: PATH/<node>/<class>/<image>, or PATH/<class>/<image> with classes dealt to nodes.
        Tested by default on a quarter of the nodes (or classes, five at least), validated on none.
    image_size: pixels a side to which images are resized.
    channels: 1 grey, 3 colour, None as the images are.
    invert: whether image files are turned from dark on light to light on dark; None: those of omniglot and folders, if
        the median pixel of the whole set is bright and no image has colour. `Federation.inverted` says what was done.
    held_out, validation: names of the nodes, scripts or classes kept for test and for validation.
    rotate: training nodes also appear turned by 90, 180 and 270 degrees, with classes of their own.
    dealing: how a flat set of classes becomes nodes, by default every class on one node.
    seed: of every choice, and of the pixels of glyphs and drawings.
    root: where downloads and the glyph cache lie; by default $MGLIB_CACHE or the user's cache folder.

    Raises ValueError for an unknown name (the message lists the allowed ones), images that cannot be read, or
    too few nodes or classes; DataUnavailableError, a ValueError, for a download without a network.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"`channels` (={channels}) must be 1 (grey), 3 (colour) or None (as the images are)")
    image_size = whole_number("image_size", image_size, 8, LARGEST)
    split, dealing, root = Split(held_out, validation, seed), dealing or Dealing(), Path(root or cache_folder())
    if data in ("glyphs", "omniglot"):
        _check_undealt(data, dealing)
    if data == "glyphs":
        test, checked = split.choose(SCRIPTS, TEST, VALIDATION)
        settings = GlyphSettings(image_size=image_size, channels=channels or 1, seed=seed)
        return glyph_federation(settings, held_out=test, validation=checked, rotate=rotate, cache=root)
    if data == "omniglot":
        background, evaluation = (read_folder(path, image_size, channels, invert) for path in omniglot_folders(root))
        nodes = _qualified({**background.nodes, **evaluation.nodes})
        chosen = split.choose(nodes, tuple(evaluation.nodes), OMNIGLOT_VALIDATION)
        return assemble(data, nodes, *chosen, rotate=rotate, invert=background.invert)
    kind, path = _kind_and_path(data)
    if kind == "folder":
        images, has_nodes, invert = read_folder(path, image_size, channels, invert)
        if has_nodes:
            _check_undealt(data, dealing)
            chosen = split.choose(images, max(1, round(len(images) / 4)), 0)
            return assemble(data, _qualified(images), *chosen, rotate=rotate, invert=invert)
        flat = ClassSplit(images[""], max(LEAST_CLASSES, round(len(images[""]) / 4)), 0)
    elif kind in CLASS_SPLITS:
        flat = CLASS_SPLITS[kind](path, image_size, channels)
    elif data in _HELD_OUT_CLASSES:
        flat = ClassSplit(labelled_images(data, root, image_size, channels), *_HELD_OUT_CLASSES[data])
    else:
        raise ValueError(f"unknown data set {data!r}; allowed are {', '.join(DATA_NAMES)}")
    if dealing.new_nodes == "unseen-sets":
        _check_no_class_is_kept(data, kind, split)
        chosen = (), ()
    else:
        chosen = split.choose(flat.classes, flat.test, flat.validation)
    return deal(data, flat.classes, chosen, dealing, seed=seed, rotate=rotate, invert=bool(invert))


def _check_undealt(data: str, dealing: Dealing) -> None:
    """Raise ValueError if data that have nodes of their own are asked to be dealt to others."""
    if dealing != Dealing():
        raise ValueError(
            f"{data} has nodes of its own, so `new_nodes` (={dealing.new_nodes!r}), `nodes` (={dealing.nodes}) and "
            f"`classes_per_node` (={dealing.classes_per_node}) must be left as they are: they deal flat sets of classes"
        )


def _check_no_class_is_kept(data: str, kind: str, split: Split) -> None:
    """Raise ValueError if classes are to be kept from training, which new sets of trained classes contradict."""
    if named := [*split.held_out, *split.validation]:
        raise ValueError(
            f"`new_nodes` (='unseen-sets') trains on every class, so held_out and validation must name none, "
            f"not {', '.join(named)}"
        )
    if kind in CLASS_SPLITS:
        raise ValueError(
            f"`new_nodes` (='unseen-sets') trains on every class, but {data} is published with classes kept "
            f"from training; allowed is unseen-classes"
        )


def load_nodes(
    data: str,
    *,
    image_size: int = 28,
    channels: int | None = None,
    invert: bool | None = None,
    seed: int = 0,
    root: Path | str | None = None,
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
    options = {"image_size": image_size, "channels": channels, "invert": invert, "seed": seed, "root": root}
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
    return (kind, Path(path).expanduser()) if path and kind in _WITH_PATH else ("", Path())


def _qualified(nodes: Images) -> Images:
    """The same images, each class named after its node too: two alphabets may both hold a "character01"."""
    return {node: {f"{node}/{name}": images for name, images in classes.items()} for node, classes in nodes.items()}
