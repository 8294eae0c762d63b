"""The gated network: every convolution may ask its gate which filters this input needs.

It keeps no buffers and writes nothing while it computes: the statistics that normalise a layer come in with the call or
from the batch itself, and go out with the answer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mglib.nets.gates import GatedConv, MapStatistics
from mglib.nets.macs import LayerCost
from mglib.params import Params, whole_number

Statistics = tuple[MapStatistics, ...]  # of every normalised layer, in order


class Prediction(NamedTuple):
    """What a network answers for a batch."""

    logits: Tensor  # (batch, ways)
    gates: tuple[Tensor, ...]  # a gated layer: (batch, filter), 0 closed and 1 open; empty for a dense net
    statistics: Statistics  # those that normalised it


class GatedConvNet(nn.Module):
    """`depth` gated 3×3 convolutions of stride 2, `width` filters each, then a linear head.

    The first layer's gate sees the image averaged to 4×4 cells, for the mean of a grey image alone says little; the
    gates above see the mean of each map. With `gated=False` it is the dense network: the same class without gate heads.

    costs: what each layer costs, in the order of computation, the head last.
    """

    def __init__(
        self,
        ways: int = 5,
        *,
        width: int = 32,
        depth: int = 4,
        image_size: int = 28,
        channels: int = 1,
        gated: bool = True,
    ):
        """Make the network; weights are drawn from torch's global generator (see `make_net`).

        Raises ValueError if a size is not a positive integer.
        """
        super().__init__()
        sizes = dict(ways=ways, width=width, depth=depth, image_size=image_size, channels=channels)
        ways, width, depth, size, channels = (whole_number(name, size, 1) for name, size in sizes.items())
        self.image_size, self.channels = size, channels
        self.layers, costs, reads = nn.ModuleList(), [], None
        for index in range(depth):
            below, grid = (width, 1) if index else (channels, 4)
            self.layers.append(GatedConv(below, width, gated=gated, grid=grid))
            size, writes = (size + 1) // 2, index if gated else None
            gate_macs = self.layers[-1].gate.linear.weight.numel() if gated else 0
            costs.append(LayerCost(f"conv {index + 1}", 9 * size**2, below, width, reads, writes, gate_macs))
            reads = writes
        self.head = nn.Linear(width * size**2, ways)
        self.costs = (*costs, LayerCost("head", size**2, width, ways, reads))

    def convolutions(self) -> dict[str, GatedConv]:
        """Return the gated convolutions by the names of their parameters, in the order of computation."""
        return {f"layers.{index}": layer for index, layer in enumerate(self.layers)}

    def gate_names(self) -> frozenset[str]:
        """Return the names of the gate heads' parameters (φ); all others are the backbone (θ)."""
        return frozenset(name for name, _ in self.named_parameters() if ".gate." in name)

    def forward(
        self, images: Tensor, statistics: Statistics | None = None, noise: torch.Generator | None = None
    ) -> Prediction:
        """Answer for a batch of images, shape (batch, channel, height, width).

        statistics: those of another batch, to normalise this one by; None: this batch's own.
        noise: draws the gates' Gumbel noise; None: no noise, as at evaluation.

        Raises TypeError or ValueError if the images are not what the network takes; see `check_images`.
        """
        check_images(self, images, self.head.bias)
        maps, gates, used = images, [], []
        for index, layer in enumerate(self.layers):
            maps, gate, of_layer = layer(maps, statistics and statistics[index], noise)
            used.append(of_layer)
            if gate is not None:
                gates.append(gate)
        return Prediction(self.head(maps.flatten(1)), tuple(gates), tuple(used))


def make_net(seed: int, **sizes: int | bool) -> tuple[GatedConvNet, Params]:
    """Return a `GatedConvNet` and its initial parameters, the same for the same seed.

    sizes: keywords of the class: ways, width, depth, image_size, channels, gated.

    Raises ValueError if a size is not a positive integer.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = GatedConvNet(**sizes)
    return net, {name: value.detach().clone() for name, value in net.named_parameters()}


def check_images(net: nn.Module, images: Tensor, like: Tensor) -> None:
    """Check a network's input: the masked network and all that writes it out ask this, and give the same error.

    like: one of the parameters in use.

    Raises TypeError if the images are no tensor; ValueError if they are not of the network's sizes, or not of the
    parameters' type and device.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"the images are a {type(images).__name__}: need a torch.Tensor")
    if images.layout is not torch.strided:
        raise ValueError(f"images in the layout {images.layout}: need {torch.strided}; call `.to_dense()`")
    expected = (net.channels, net.image_size, net.image_size)
    if images.ndim != 4 or images.shape[1:] != expected:
        raise ValueError(f"images of shape {tuple(images.shape)}: need (batch, {', '.join(map(str, expected))})")
    if images.dtype != like.dtype or images.device != like.device:
        raise ValueError(
            f"images of {images.dtype} on {images.device}: need {like.dtype} on {like.device}, as the parameters are; "
            "call `.to(…)`, and divide bytes by 255"
        )


def check_labels(labels: Tensor, batch: int, ways: int) -> None:
    """Check the labels of a batch that a network names `ways` classes of, on the clear path and on the fast one.

    Raises TypeError if they are no tensor; ValueError unless they are int64, one for each of one image at least, and
    from 0 to ways - 1.
    """
    if not isinstance(labels, Tensor):
        raise TypeError(f"the labels are a {type(labels).__name__}: need a torch.Tensor")
    if labels.dtype != torch.int64 or labels.shape != (batch,) or batch == 0:
        form = f"{labels.dtype} of shape {tuple(labels.shape)}"
        raise ValueError(f"labels in {form}: need int64, one for each of {batch} images, and at least one")
    least, most = map(int, labels.aminmax())
    if least < 0 or most >= ways:
        raise ValueError(f"labels from {least} to {most}: need 0 to {ways - 1}, as the network names {ways} classes")


def check_numbers(net: nn.Module, params: Params, statistics: Sequence[MapStatistics]) -> None:
    """Check that parameters and statistics are those of a network, of one type and on one device.

    Raises ValueError, naming the first that is missing or different.
    """
    layers = net.convolutions()
    if len(statistics) != len(layers):
        raise ValueError(f"`statistics` of {len(statistics)} layers: the network has {len(layers)}")
    given = [(f"parameter {name}", params.get(name), own) for name, own in net.named_parameters()]
    for (name, layer), (mean, variance) in zip(layers.items(), statistics, strict=True):
        given += [(f"mean of {name}", mean, layer.shift), (f"variance of {name}", variance, layer.shift)]
    first, like, _ = given[0]
    for name, value, own in given:
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} is {'missing' if value is None else type(value).__name__}: need a tensor")
        if value.shape != own.shape or value.layout is not torch.strided:
            raise ValueError(
                f"{name} is of shape {tuple(value.shape)} and {value.layout}: need {tuple(own.shape)} and strided"
            )
        if not value.is_floating_point() or (value.dtype, value.device) != (like.dtype, like.device):
            raise ValueError(
                f"{name} is of {value.dtype} on {value.device}: need one type of floating-point numbers on one device, "
                f"and {first} is of {like.dtype} on {like.device}"
            )
