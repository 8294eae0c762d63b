"""A gate in four directions: forward, backward, and the tangents of both; `layer_passes.py` has the layer around it.

What autograd would record, written out. A part is made by its forward pass, `back` turns the loss's derivative by what
the part gave into that by what it took, `dot` pushes a tangent forward, and `back_dot` gives the tangent of `back`. A
Hessian-vector product is `dot` through all parts and `back_dot` through all in reverse.

In the names below `d_x` is the loss's derivative by x, `x_dot` the tangent of x, and `d_x_dot` the tangent of `d_x`.
None stands for a tangent that is zero, or for a derivative that nobody asks for.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from mglib.params import Params

Maybe = Tensor | None
EPSILON = 1e-5


class Gate:
    """A gate head and its hard choice, whose derivative is that of the sigmoid (`straight_through`)."""

    def __init__(self, params: Params, inputs: Tensor, grid: int):
        """Choose for inputs (batch, channel, height, width); `value` is (batch, filter), 0 or 1."""
        self.weight, self.grid, self.pixels = params["gate.linear.weight"], grid, inputs.shape[2] * inputs.shape[3]
        pooled = inputs.mean((2, 3)) if grid == 1 else F.adaptive_avg_pool2d(inputs.contiguous(), grid).flatten(1)
        self.pooled, self.shape = pooled, pooled.shape[1:]
        self.seen, self.mean, self.inverse = torch.native_layer_norm(pooled, self.shape, None, None, EPSILON)
        logits = torch.addmm(params["gate.linear.bias"], self.seen, self.weight.T)
        self.soft = torch.sigmoid(logits)
        self.slope = torch.ops.aten.sigmoid_backward(torch.ones_like(self.soft), self.soft)
        self.value = (logits > 0).to(logits.dtype)

    def _through_norm(self, numbers: Tensor) -> Tensor:
        """Return the norm's Jacobian times `numbers`, (batch, channel); it is symmetric."""
        return torch.ops.aten.native_layer_norm_backward(
            numbers, self.pooled, self.shape, self.mean, self.inverse, None, None, [True, False, False]
        )[0]

    def back(self, d_value: Tensor, gradient: Params) -> Tensor:
        """Return the derivative by each pixel of the inputs, (batch, channel, 1, 1); add those by parameters."""
        self.d_value, self.d_logits = d_value, d_value * self.slope
        add(gradient, "gate.linear.weight", self.d_logits.T @ self.seen)
        add(gradient, "gate.linear.bias", self.d_logits.sum(0))
        self.d_seen = self.d_logits @ self.weight
        self.d_pooled = self._through_norm(self.d_seen)
        return (self.d_pooled / self.pixels)[:, :, None, None]

    def dot(self, inputs_dot: Maybe, vector: Params) -> Tensor:
        """Return the choice's tangent: the sigmoid's."""
        self.weight_dot = vector["gate.linear.weight"]
        self.pooled_dot = torch.zeros_like(self.seen) if inputs_dot is None else inputs_dot.mean((2, 3))
        self.seen_dot = self._through_norm(self.pooled_dot)
        self.logits_dot = torch.addmm(vector["gate.linear.bias"], self.seen, self.weight_dot.T)
        self.logits_dot.addmm_(self.seen_dot, self.weight.T)
        return self.slope * self.logits_dot

    def back_dot(self, d_value_dot: Tensor, gradient: Params) -> Tensor:
        """Return the tangent of what `back` returned; add those of the derivatives by parameters."""
        bend = self.slope * (1 - 2 * self.soft)  # the slope's own derivative
        d_logits_dot = d_value_dot * self.slope + self.d_value * bend * self.logits_dot
        weight_dot = torch.addmm(d_logits_dot.T @ self.seen, self.d_logits.T, self.seen_dot)
        add(gradient, "gate.linear.weight", weight_dot)
        add(gradient, "gate.linear.bias", d_logits_dot.sum(0))
        d_seen_dot = torch.addmm(d_logits_dot @ self.weight, self.d_logits, self.weight_dot)
        # The Jacobian moves too: its factor, one over the deviation, and the direction that it takes away.
        stretch = (self.seen * self.pooled_dot).mean(1, keepdim=True) * self.d_pooled
        turn = self.seen_dot * (self.d_seen * self.seen).mean(1, keepdim=True)
        turn += self.seen * (self.d_seen * self.seen_dot).mean(1, keepdim=True)
        d_pooled_dot = self._through_norm(d_seen_dot) - self.inverse * (stretch + turn)
        return (d_pooled_dot / self.pixels)[:, :, None, None]


def total(one: Maybe, other: Maybe) -> Maybe:
    """Return the sum of what is not None."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def add(gradient: Params, name: str, more: Tensor) -> None:
    """Add to the entry of a gradient, or make it."""
    gradient[name] = gradient[name] + more if name in gradient else more
