"""What every way of computing a network takes for granted of what it is given."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mglib.nets.layers import MapStatistics
from mglib.params import Params


def check_images(net: nn.Module, images: Tensor, like: Tensor) -> None:
    """Check a network's input: the masked network and all that writes it out ask this, and give the same error.

    like: one of the parameters in use.

    Raises:
        TypeError: if the images are no tensor.
        ValueError: if they are not of the network's sizes, or not of the parameters' type and device.
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


def check_numbers(net: nn.Module, params: Params, statistics: Sequence[MapStatistics]) -> None:
    """Check that parameters and statistics are those of a network, of one type and on one device.

    Raises:
        ValueError: naming the first that is missing or different.
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
