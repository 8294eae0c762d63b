"""The networks that the benchmark of inference compares, and the images that it shows them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from mglib.fast import SkippingNet
from mglib.fast.slicing import folded
from mglib.nets import Statistics, make_net
from mglib.params import Params


@dataclass(frozen=True)
class Case:
    """What is the same for the four networks of a comparison."""

    width: int
    image_size: int
    batch: int
    open: float = 0.5  # share of the filters that open, on average
    patterns: str = "per input"  # or "shared" by all inputs
    threads: int = 1

    @property
    def channels(self) -> int:
        """Grey small images, colour larger ones."""
        return 1 if self.image_size == 28 else 3

    def sizes(self, width: int | None = None) -> dict[str, int]:
        """Return the keywords of the network, of another width if one is given."""
        return {"width": width or self.width, "image_size": self.image_size, "channels": self.channels}


def images_for(case: Case, number: int, seed: int) -> Tensor:
    """Return smooth random images that differ from one another in every part."""
    coarse = torch.randn(number, case.channels, 7, 7, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, case.image_size, mode="bilinear")


@torch.no_grad()
def gated_net(case: Case) -> tuple[nn.Module, Params, Statistics]:
    """Return a network whose gates open each filter for the case's share of the inputs, and its statistics."""
    net, params = make_net(0, **case.sizes())
    images, generator = images_for(case, 128, seed=0), torch.Generator().manual_seed(0)
    for index in range(len(net.layers)):  # the layers below have their gates when those of a layer are set
        weight, bias = (f"layers.{index}.gate.linear.{name}" for name in ("weight", "bias"))
        params[bias] = torch.zeros(case.width)
        if case.patterns == "shared":
            params[weight] = torch.zeros_like(params[weight])
            order = torch.randperm(case.width, generator=generator)
            params[bias] = torch.where(order < round(case.open * case.width), 1.0, -1.0)
            continue
        params[weight] = torch.randn(params[weight].shape, generator=generator)
        heard = []
        hook = net.layers[index].gate.linear.register_forward_hook(lambda *call, heard=heard: heard.append(call[2]))
        functional_call(net, params, (images,))
        hook.remove()
        params[bias] = -heard[0].quantile(1 - case.open, 0) if case.open < 1 else 1 - heard[0].amin(0) * 2
    return net, params, functional_call(net, params, (images,)).statistics


def check_equal(net: nn.Module, params: Params, statistics: Statistics, images: Tensor) -> tuple[Tensor, ...]:
    """Return the masked network's gates for the images, if skipping gives the same and the same answers in doubles.

    Raises:
        RuntimeError: if it does not: then there is nothing to time.
    """
    some = images[:8].double()
    doubles = {name: value.double() for name, value in params.items()}
    in_doubles = tuple((mean.double(), variance.double()) for mean, variance in statistics)
    masked = functional_call(net, doubles, (some, in_doubles))
    skipping = SkippingNet(net, doubles, in_doubles)(some)
    if not all(torch.equal(*pair) for pair in zip(masked.gates, skipping.gates, strict=True)):
        raise RuntimeError("skipping opens other filters than the masked network")
    torch.testing.assert_close(masked.logits.detach(), skipping.logits, atol=1e-6, rtol=1e-6)
    return tuple(gate.detach() for gate in functional_call(net, params, (images, statistics)).gates)


class MaskedNet:
    """The masked network as fast as it goes: folded, channels last, nothing kept for gradients."""

    def __init__(self, case: Case, params: Params, statistics: Statistics):
        """Fold the normalisation of each layer."""
        self.net, _ = make_net(0, **case.sizes())
        self.net.load_state_dict(params)
        self.folded = []
        for index, of_layer in enumerate(statistics):
            names = ("conv.weight", "scale", "shift")
            weight, bias = folded({name: params[f"layers.{index}.{name}"] for name in names}, of_layer)
            self.folded.append((weight.contiguous(memory_format=torch.channels_last), bias))

    @torch.inference_mode()
    def __call__(self, maps: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return logits and gates."""
        gates = []
        for layer, (weight, bias) in zip(self.net.layers, self.folded, strict=True):
            gates.append((layer.gate(maps) > 0).to(maps.dtype))
            maps = torch.conv2d(maps, weight, bias, 2, 1).relu_().mul_(gates[-1][:, :, None, None])
        return self.net.head(maps.flatten(1)), gates
