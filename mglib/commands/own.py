"""adapt, predict and export: a network of one's own from a few images."""

import json
from pathlib import Path
from typing import Annotated

import tyro

from mglib.nets import macs_ratio
from mglib.training import NodeNetwork, Run, adapt_to_folder, export_network
from mglib.training.trainer import check_apart

Positional = tyro.conf.Positional


def adapt_command(
    run: Positional[Path], support: Path, out: Path, invert: bool | None = None, freeze: bool = True
) -> None:
    """Make a small network of your own from a few labelled images: FOLDER/<class>/<image>.

    Args:
        run: folder of a finished training.
        support: folder with one sub-folder of images a class, or one image a class, named after it.
        out: folder for the adapted network.
        invert: turn dark on light into light on dark; by default as in training, and for a run on glyphs or drawings
            if most of their pixels are bright.
        freeze: leave out the filters that none of these images opens; --no-freeze keeps them all.
    """
    check_apart(f"folder:{support}", out)
    whole, batch = adapt_to_folder(Run(run), support, invert=invert, frozen=False)
    own = whole.without_unopened(batch.images) if freeze else whole
    own.save(out)
    size = (out / "network.safetensors").stat().st_size
    left = own.parameter_bytes / whole.parameter_bytes
    print(f"{out}: tells apart {', '.join(own.classes)}")
    if own.kept:
        print(f"filters kept, of {own.recipe.width}: {', '.join(map(str, own.kept))}")
    print(f"{size:,} bytes on disk; parameters {own.parameter_bytes:,} bytes{_saved(left, ' by freezing')}")
    ratio = float(macs_ratio(own.net.costs, own(batch.images).gates, len(batch.labels)).mean())
    print(f"MACs on these images, gates included: {ratio:.1%} of the dense network's{_saved(ratio)}")


def _saved(left: float, how: str = "") -> str:
    """Return what is saved where the share `left` is spent, as the end of a sentence; nothing where nothing is."""
    return f", {1 - left:.1%} saved{how}" if left < 1 else ""


def predict_command(
    network: Positional[Path],
    images: Positional[tuple[Path, ...]],
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> None:
    """Name the class of images with a network that `adapt` made.

    Args:
        network: folder that `adapt` wrote.
        images: image files.
        json_: print one JSON object.
    """
    own = NodeNetwork.load(network)
    prediction = own.skipping(own.read(images))
    probabilities = prediction.logits[:, : len(own.classes)].softmax(1)
    ratios = macs_ratio(own.net.costs, prediction.gates, len(images))
    rows = [
        {"image": str(image), "class": own.classes[best], "probability": float(p), "macs_ratio": float(ratio)}
        for image, p, best, ratio in zip(images, *probabilities.max(1), ratios, strict=True)
    ]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['image']}: {row['class']} ({row['probability']:.0%}, {row['macs_ratio']:.0%} of the dense MACs)")


def export_command(network: Positional[Path], out: Path) -> None:
    """Write a network that `adapt` made to an ONNX file: images in; logits and each layer's gates out.

    Args:
        network: folder that `adapt` wrote.
        out: the file.
    """
    own = NodeNetwork.load(network)
    written, outputs = export_network(own, out)
    channels, side, turned = own.recipe.channels, own.recipe.image_size, "1 - " if own.inverted else ""
    print(f"{out}: {written:,} bytes, tells apart {', '.join(own.classes)}")
    print(f"in: images, float32 (batch, {channels}, {side}, {side}), {turned}pixel / 255: background 0, ink 1")
    print(f"out: {', '.join(outputs)}")
