"""A gated layer in four directions; `passes.py` says which they are and how the names are to be read.

Maps lie in memory with their channels next to each other (`torch.channels_last`), as the convolutions like them best.
"""

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from mglib.fast.passes import EPSILON, Gate, Maybe, add, total
from mglib.params import Params

MAPS = (0, 2, 3)  # the dimensions over which a layer's maps are normalised


class Layer:
    """A gated convolution of a batch that normalises itself: `gate(x) · relu(norm(conv(x)))`.

    What a product or a comparison gives back is made anew when it is asked for, and not kept.
    """

    def __init__(self, params: Params, below: "Layer | Tensor", grid: int):
        """Compute the maps; `params` go by the layer's own names.

        below: the layer that gives the inputs, or the images (batch, channel, height, width).
        grid: cells a side to which the gate pools.
        """
        self.below, self.first, self.weight = below, isinstance(below, Tensor), channels_last(params["conv.weight"])
        inputs = self.inputs()
        self.scale = params["scale"][:, None, None]
        before = convolve(inputs, self.weight)  # the norm
        self.pixels = before.numel() // len(self.scale)
        self.normalised, self.mean, self.inverse = torch.native_batch_norm(
            before, None, None, None, None, True, 0.0, EPSILON
        )
        self.zero, self.one = torch.zeros_like(self.mean), torch.ones_like(self.mean)
        self.shift = params["shift"][:, None, None]
        self.gate = Gate(params, inputs, grid) if "gate.linear.weight" in params else None

    def inputs(self) -> Tensor:
        """Return what the layer reads."""
        return self.below if isinstance(self.below, Tensor) else self.below.out()

    def maps(self) -> Tensor:
        """Return the maps after norm and relu, before the gate."""
        return torch.addcmul(self.shift, self.normalised, self.scale).relu_()

    def out(self, maps: Maybe = None) -> Tensor:
        """Return what the gate lets through, of the maps if they are at hand."""
        maps = self.maps() if maps is None else maps
        return maps if self.gate is None else maps * self.gate.value[:, :, None, None]

    @cached_property
    def folded(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the factor of each filter, and the weight and bias that convolve and normalise in one."""
        factor = self.scale.flatten() * self.inverse
        return factor, self.weight * factor[:, None, None, None], self.shift.flatten() - self.mean * factor

    def _through_norm(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the norm's Jacobian times maps, over `inverse`, and the maps' sums a filter: by normalised, and alone.

        The kernel is told that the maps are normalised already, so that the maps before the norm need not be kept.
        """
        return torch.ops.aten.native_batch_norm_backward(
            numbers, self.normalised, None, None, None, self.zero, self.one, True, EPSILON, [True, True, True]
        )

    def back(
        self, d_out: Maybe, price: Maybe, gradient: Params, d_before: Maybe = None, *, weight: bool = True
    ) -> Maybe:
        """Return the derivative by the inputs; add those by the layer's parameters to `gradient`.

        price: what one more open filter costs an example, (batch, 1); None: nothing.
        d_before: derivative by the maps before the norm that comes in through the statistics.
        weight: whether the derivative by the filters is wanted.
        """
        d_pixels = None
        if d_out is not None:
            maps, self.d_out = self.maps(), d_out
            through, self.d_scale, d_shift = self._through_norm(through_relu(d_out, self.out(maps)))
            add(gradient, "scale", self.d_scale)
            add(gradient, "shift", d_shift)
            d_before = total(through.mul_(self.scale * self.inverse[:, None, None]), d_before)
            if self.gate is not None:
                d_pixels = self.gate.back(total(maps.mul_(d_out).sum((2, 3)), price), gradient)
        d_inputs = None
        if weight or not self.first:
            d_inputs, d_weight = convolve_back(d_before, self.inputs(), self.weight, (not self.first, weight))
        if weight:
            add(gradient, "conv.weight", d_weight)
        return d_inputs if self.first or d_pixels is None else d_inputs.add_(d_pixels)

    def dot(self, inputs_dot: Maybe, vector: Params) -> Tensor:
        """Return the tangent of `out`, given the inputs' and the parameters'; conv.weight may be missing, for zero."""
        self.inputs_dot, self.weight_dot = inputs_dot, None
        before_dot = None if inputs_dot is None else convolve(inputs_dot, self.weight)
        if "conv.weight" in vector:
            self.weight_dot = channels_last(vector["conv.weight"])
            before_dot = total(convolve(self.inputs(), self.weight_dot), before_dot)
        before_dot = torch.zeros_like(self.normalised) if before_dot is None else before_dot
        normalised_dot, along, _ = self._through_norm(before_dot)
        self.normalised_dot = normalised_dot.mul_(self.inverse[:, None, None])
        self.stretch = (self.inverse * along / -self.pixels)[:, None, None]  # of one over the deviation, in parts of it
        self.scale_dot = vector["scale"][:, None, None]
        maps_dot = torch.addcmul(vector["shift"][:, None, None], self.normalised, self.scale_dot)
        maps = self.maps()
        self.maps_dot = through_relu(maps_dot.addcmul_(self.normalised_dot, self.scale), maps)
        if self.gate is None:
            return self.maps_dot
        self.gate_dot = self.gate.dot(inputs_dot, vector)[:, :, None, None]
        return maps.mul_(self.gate_dot).addcmul_(self.maps_dot, self.gate.value[:, :, None, None])

    def back_dot(self, d_out_dot: Tensor, price_dot: Maybe, gradient: Params) -> Maybe:
        """Return the tangent of what `back` returned; add those of the derivatives by parameters."""
        maps, inputs, d_pixels_dot = self.maps(), self.inputs(), None
        out = self.out(maps)
        d_maps, d_maps_dot = through_relu(self.d_out, out), through_relu(d_out_dot, out)
        if self.gate is not None:
            d_maps_dot += through_relu(self.d_out * self.gate_dot, maps)
            d_gate_dot = maps.mul_(d_out_dot).addcmul_(self.d_out, self.maps_dot).sum((2, 3))
            d_pixels_dot = self.gate.back_dot(total(d_gate_dot, price_dot), gradient)
        through_dot, d_scale_dot, d_shift_dot = self._through_norm(d_maps_dot)
        through, _, _ = self._through_norm(d_maps)
        across = (d_maps * self.normalised_dot).sum(MAPS)
        add(gradient, "scale", d_scale_dot + across)
        add(gradient, "shift", d_shift_dot)
        # As in the gate, the norm's Jacobian moves: its factor, and the directions that it takes away.
        inverse = self.inverse[:, None, None]
        turn = inverse * self.scale / -self.pixels
        d_before_dot = through_dot.mul_(self.scale * inverse)
        d_before_dot.addcmul_(through, (self.scale_dot + self.stretch * self.scale) * inverse)
        d_before_dot.addcmul_(self.normalised_dot, turn * self.d_scale[:, None, None])
        d_before_dot.addcmul_(self.normalised, turn * across[:, None, None])
        d_inputs_dot, d_weight_dot = convolve_back(d_before_dot, inputs, self.weight, (not self.first, True))
        asked = (not self.first and self.weight_dot is not None, self.inputs_dot is not None)
        if any(asked):
            inputs_dot = inputs if self.inputs_dot is None else self.inputs_dot  # only the shape is read then
            weight_dot = self.weight if self.weight_dot is None else self.weight_dot
            d_before = through.mul_(self.scale * inverse)
            more_inputs, more_weight = convolve_back(d_before, inputs_dot, weight_dot, asked)
            d_inputs_dot, d_weight_dot = total(d_inputs_dot, more_inputs), total(d_weight_dot, more_weight)
        add(gradient, "conv.weight", d_weight_dot)
        del self.inputs_dot, self.normalised_dot, self.maps_dot
        return d_inputs_dot if self.first or d_pixels_dot is None else d_inputs_dot.add_(d_pixels_dot)


class NormalisedBySupport:
    """The same layer for a batch that another batch normalises: the norm is folded into the filters.

    It keeps one tensor of maps, and makes what the gate lets through anew when it is asked for: a query batch is large.
    """

    def __init__(self, params: Params, inputs: Tensor, support: Layer):
        """Compute the maps for inputs (batch, channel, height, width) with the statistics of `support`."""
        self.support, self.scale = support, params["scale"]
        self.factor, self.weight, bias = support.folded
        self.maps = convolve(inputs, self.weight, bias).relu_()
        self.gate = None if support.gate is None else Gate(params, inputs, support.gate.grid)

    def out(self) -> Tensor:
        """Return what the gate lets through."""
        return self.maps if self.gate is None else self.maps * self.gate.value[:, :, None, None]

    def back(self, d_out: Tensor, out: Tensor, inputs: Tensor, price: Maybe, gradient: Params) -> tuple[Maybe, Tensor]:
        """Return the derivatives by the inputs and by the support's maps before the norm; add those by parameters.

        The maps and d_out are used up; out, inputs: as they were on the way forward.
        """
        first, d_pixels = self.support.first, None
        if self.gate is not None:
            d_pixels = self.gate.back(total(self.maps.mul_(d_out).sum((2, 3)), price), gradient)
        d_maps = torch.ops.aten.threshold_backward.grad_input(d_out, out, 0, grad_input=d_out)
        d_inputs, d_folded = convolve_back(d_maps, inputs, self.weight, (not first, True))
        d_shift = d_maps.sum(MAPS)
        d_factor = (d_folded * self.support.weight).sum((1, 2, 3)) - self.support.mean * d_shift
        add(gradient, "conv.weight", d_folded * self.factor[:, None, None, None])
        add(gradient, "scale", d_factor * self.support.inverse)
        add(gradient, "shift", d_shift)
        # Mean and deviation are the support's: d_mean / pixels, and along the normalised maps.
        d_mean = (-self.factor * d_shift / self.support.pixels)[:, None, None]
        along = (-self.support.inverse.square() * self.scale * d_factor / self.support.pixels)[:, None, None]
        d_before = torch.addcmul(d_mean, self.support.normalised, along)
        return (d_inputs if first or d_pixels is None else d_inputs.add_(d_pixels)), d_before


def channels_last(maps: Tensor) -> Tensor:
    """Return maps, or filters, with their channels next to each other in memory."""
    maps = maps.contiguous(memory_format=torch.channels_last)
    channels, height, width = maps.shape[1:]
    # One channel lies the same in both layouts; the strides have to say which one is meant.
    return maps.as_strided(maps.shape, (height * width, 1, width, 1)) if channels == 1 else maps


def convolve(inputs: Tensor, weight: Tensor, bias: Maybe = None) -> Tensor:
    """Return the maps of 3×3 filters, stride 2, padding 1."""
    return F.conv2d(inputs, weight, bias, stride=2, padding=1)


def convolve_back(d_maps: Tensor, inputs: Tensor, weight: Tensor, asked: tuple[bool, bool]) -> tuple[Maybe, Maybe]:
    """Return the derivatives by inputs and by filters, those that are asked for."""
    d_inputs, d_weight, _ = torch.ops.aten.convolution_backward(
        d_maps, inputs, weight, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1, [*asked, False]
    )
    return d_inputs, d_weight


def through_relu(d_maps: Tensor, maps: Tensor) -> Tensor:
    """Return `d_maps` where `maps` are positive, zero elsewhere."""
    return torch.ops.aten.threshold_backward(d_maps, maps, 0)
