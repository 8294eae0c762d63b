"""Inference that really skips: a closed filter is not computed, and the next layer does not read its map.

The masked network computes every filter and multiplies by the gate: it says what the gates would save, and saves
nothing. Here a layer asks its gate first, slices the open filters and the open inputs out of its weights, and
convolves what is left. With fixed statistics the normalisation is a scale and a shift of each filter, folded into
the weights once. On a CPU with a C compiler it takes the fast path instead, `skipping.c`, which reads the open weights
where they lie. What was measured and tried for speed is told in `book/studies/bench/inference.py`.
"""

from functools import partial

import torch
from torch import Tensor, nn

from mglib.fast.compiled import CompiledNet, library
from mglib.fast.slicing import Group, SlicedLayer
from mglib.nets.models import GatedConvNet, Prediction, Statistics, check_images, check_numbers
from mglib.params import Params, detach, under_prefix


class SkippingNet:
    """A gated network with a node's statistics that computes what its gates open, and nothing else.

    It answers as the masked network does, to the rounding of its arithmetic: a gate logit within rounding of zero
    may fall to the other side. An example alone costs what `macs_per_layer` says. Examples of a batch are computed
    in groups of one pattern where that spares more than it costs, and otherwise together, with every filter that
    one of them opens. A network without gates is computed whole. Its layers hold the slices they used last: two
    threads need a network each. Copied or unpickled it is made anew.
    """

    def __init__(self, net: nn.Module, params: Params, statistics: Statistics, *, compiled: bool | None = None):
        """Fold the normalisation into the weights, once.

        statistics: those that normalise every answer, such as `Prediction.statistics` of a node's support set.
        compiled: whether to take the fast path; None: where it can be had.

        Raises ValueError if the network is another, the parameters or the statistics are not of its layers, or the fast
        path is asked for where it cannot be had.
        """
        if not isinstance(net, GatedConvNet):
            raise ValueError(f"`net` is a {type(net).__name__}: need a GatedConvNet")
        check_numbers(net, params, statistics)
        self.net, self.statistics = net, statistics
        self._made_from = dict(params), compiled
        head = net.costs[-1]
        with torch.inference_mode():
            layers = zip(net.convolutions().items(), statistics, net.costs[:-1], net.costs[1:], strict=True)
            self._layers = [
                SlicedLayer(layer, under_prefix(f"{name}.", params), of_layer, cost, after)
                for (name, layer), of_layer, cost, after in layers
            ]
            weight = params["head.weight"].reshape(head.out_channels, head.in_channels, head.taps)
            self._head_weight = weight.permute(1, 2, 0).contiguous()  # (channel, pixel, way): an open channel is a row
        self._head_bias = bias = params["head.bias"]
        here = bias.is_cpu and library(bias.dtype) is not None
        if compiled and not here:
            raise ValueError("`compiled` (=True): the fast path needs a CPU and a C compiler")
        self._compiled = None
        if here and compiled is not False:
            sizes = [-(-net.image_size // 2**index) for index in range(len(self._layers))]
            layers = [layer.for_c(size) for layer, size in zip(self._layers, sizes, strict=True)]
            self._compiled = CompiledNet(layers, (params["head.weight"], bias), bias.dtype)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Prediction:
        """Answer for images, (batch, channel, height, width), as the masked network does where all pixels are finite.

        Raises TypeError or ValueError if the images are not what the network takes, as the masked one says.
        """
        check_images(self.net, images, self._head_bias)
        if self._compiled is not None:
            return Prediction(*self._compiled(images), self.statistics)
        groups = [Group(images, torch.arange(len(images), device=images.device))]
        for layer in self._layers:
            groups = [part for group in groups for part in layer(group)]
        answers = [(self._head(group), *group.gates) for group in groups]
        if len(groups) > 1:
            order = torch.cat([group.places for group in groups]).argsort()
            answers = [[torch.cat(parts)[order] for parts in zip(*answers, strict=True)]]
        logits, *gates = answers[0]
        return Prediction(logits, tuple((gate > 0).to(images.dtype) for gate in gates), self.statistics)

    def __reduce__(self):
        """Return what the network is made from: the memory that it computes in is nobody else's."""
        params, compiled = self._made_from
        statistics = tuple((mean.detach(), variance.detach()) for mean, variance in self.statistics)
        return partial(type(self), compiled=compiled), (self.net, detach(params), statistics)

    def _head(self, group: Group) -> Tensor:
        weight = self._head_weight if group.open is None else self._head_weight.index_select(0, group.open)
        return torch.addmm(self._head_bias, group.maps.flatten(1), weight.flatten(0, 1))
