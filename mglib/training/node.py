"""NodeNetwork: what a node owns once it has adapted, on disk and at work."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mglib.config import as_declared
from mglib.fast import SkippingNet
from mglib.meta import adapt
from mglib.nets import Prediction, Statistics, freeze
from mglib.nets.freezing import filters_left, thinned
from mglib.nets.models import check_labels, check_numbers
from mglib.params import Params, load, new_folder, save, under_prefix, with_prefix
from mglib.tasks import Batch, load_images, read_support
from mglib.tasks.images import has_bright_background, has_colour, warn_if_bright
from mglib.training.algorithms import all_names, final_objective, network_of, stages_of
from mglib.training.recipes import Recipe
from mglib.training.runs import NETWORK, Run


@dataclass(frozen=True)
class NodeNetwork:
    """A network adapted to a few images: it names their classes, and opens the filters that an image needs."""

    recipe: Recipe  # of the run it came from, `channels` filled in
    net: nn.Module = field(repr=False)
    params: Params = field(repr=False)
    statistics: Statistics = field(repr=False)  # of the support images, by which every later image is normalised
    classes: tuple[str, ...]  # name of each label
    inverted: bool = False  # whether the support images were dark on light and had to be turned

    def __post_init__(self):
        """Raise ValueError unless parameters and statistics are those of the network."""
        check_numbers(self.net, self.params, self.statistics)

    def __getstate__(self) -> dict:
        """Return the fields alone: what was made of them for speed is made anew by a copy."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def adapted(
        cls,
        recipe: Recipe,
        net: nn.Module,
        params: Params,
        support: Batch,
        classes: tuple[str, ...],
        inverted: bool = False,
        *,
        frozen: bool = True,
    ) -> "NodeNetwork":
        """Adapt `params` to a support batch, (ways · shots, channel, height, width) with labels 0 to ways - 1.

        frozen: whether to remove the filters that no support image opens; see `without_unopened`.

        Raises ValueError if there are more classes than the network can name, or a pixel is not a finite number.
        """
        if not 2 <= len(set(classes)) == len(classes) <= recipe.ways:
            raise ValueError(
                f"{len(classes)} classes {list(classes)}: the network was trained to tell 2 to {recipe.ways}, each once"
            )
        check_labels(support.labels, len(support.images), len(classes))
        if not torch.isfinite(support.images).all():
            raise ValueError("the support images hold pixels that are not finite numbers")
        own = adapt(final_objective(recipe, net), params, support, stages_of(recipe, net))
        with torch.no_grad():
            statistics = functional_call(net, own, (support.images,)).statistics
        whole = cls(recipe, net, own, statistics, classes, inverted)
        return whole.without_unopened(support.images) if frozen else whole

    def without_unopened(self, images: Tensor) -> "NodeNetwork":
        """Return a smaller network, without the filters that none of these images opens; see `freeze`.

        On these images it answers the same; another image may have opened a filter that is gone. A dense network
        is returned as it is.
        """
        small = freeze(self.net, self.params, self(images))
        return replace(self, net=small.net, params=small.params, statistics=small.statistics)

    @property
    def kept(self) -> tuple[int, ...] | None:
        """Filters left in each layer that may lose some; None: nothing was frozen."""
        return filters_left(self.net)

    @property
    def parameter_bytes(self) -> int:
        """What the parameters take, without the support set's statistics and the names in the file."""
        return sum(value.nbytes for value in self.params.values())

    def read(self, paths: Sequence[str | Path]) -> Tensor:
        """Return image files as this network takes them: (image, channel, height, width), 0 to 1.

        Raises ValueError, naming the file that is missing, truncated or no image.
        """
        images = load_images(paths, self.recipe.image_size, self.recipe.channels)
        return (255 - images if self.inverted else images).float() / 255

    def __call__(self, images: Tensor) -> Prediction:
        """Answer for images (batch, channel, height, width), float32 from 0 (background) to 1 (ink).

        Raises TypeError or ValueError if the images are not what the network takes.
        """
        with torch.no_grad():
            return functional_call(self.net, self.params, (images, self.statistics))

    @cached_property
    def skipping(self) -> SkippingNet:
        """The same answers from inference that really skips; one thread at a time."""
        return SkippingNet(self.net, self.params, self.statistics)

    def save(self, folder: str | Path) -> None:
        """Write `network.safetensors` and `recipe.json` to a new or empty folder, both or neither.

        Raises ValueError if the folder holds something already; OSError if the disk refuses (full, read-only).
        """
        tensors = with_prefix("params/", self.params)
        for index, (mean, variance) in enumerate(self.statistics):
            tensors |= {f"statistics/{index}/mean": mean, f"statistics/{index}/variance": variance}
        facts = {"classes": self.classes, "inverted": self.inverted, "kept": self.kept}
        with new_folder(Path(folder)) as new:
            self.recipe.save(new / "recipe.json")
            save(new / NETWORK, tensors, {name: json.dumps(fact) for name, fact in facts.items()})

    @classmethod
    def load(cls, folder: str | Path) -> "NodeNetwork":
        """Read what `save` wrote.

        Raises ValueError if a file is missing, not whole, or does not fit the recipe's network.
        """
        file = Path(folder) / NETWORK
        if not file.exists() and Run(folder).begun:
            raise ValueError(f"{folder} holds a run, no network that adapt wrote: evaluate and adapt use it")
        if not file.exists():
            raise ValueError(f"{folder} holds no network that adapt wrote: there is no {NETWORK}")
        recipe = Recipe.load(file.with_name("recipe.json"))
        tensors, metadata = load(file)
        try:
            classes, inverted = tuple(json.loads(metadata["classes"])), json.loads(metadata["inverted"])
            kept = json.loads(metadata.get("kept", "null"))  # files from before networks were frozen do not say
            net, _ = network_of(recipe)
            net = net if kept is None else thinned(net, kept)
            params, layers = under_prefix("params/", tensors), range(len(net.convolutions()))
            if unknown := sorted(params.keys() - all_names(net)):
                raise ValueError(f"{unknown[0]} is no parameter of the recipe's network")
            statistics = tuple((tensors[f"statistics/{i}/mean"], tensors[f"statistics/{i}/variance"]) for i in layers)
            return cls(recipe, net, params, statistics, classes, inverted)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is not a network that `adapt` wrote ({error})") from error


def adapt_to_folder(
    run: Run | str | Path, folder: str | Path, *, invert: bool | None = None, frozen: bool = True
) -> tuple[NodeNetwork, Batch]:
    """Adapt a finished run to the images in `folder`; return the network and the support batch it was made from.

    folder: one sub-folder of images a class, or one image a class, named after it.
    invert: whether to turn dark on light into light on dark; None: as the images that the run was trained on. Where
        those were drawn, or the run does not say, if the median pixel is bright and no image has colour.
    frozen: whether to remove the filters that none of the images opens.

    Raises ValueError if the run is not finished, or the images cannot be read or are not a task for it.
    """
    run, invert = Run(run), as_declared("invert", bool | None, invert)
    recipe, net, params = run.load()
    images, labels, classes = read_support(folder, recipe.image_size, recipe.channels)
    if invert is None:
        invert = run.inverted(recipe)
    if invert is None:
        invert = has_bright_background(images) and not has_colour(images)
    images = 255 - images if invert else images
    if recipe.channels == 1:
        warn_if_bright(images, folder, invert, f"pass --invert {not invert}")
    support = Batch(images.float() / 255, labels)
    return NodeNetwork.adapted(recipe, net, params, support, classes, invert, frozen=frozen), support
