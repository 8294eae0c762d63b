"""First and second derivatives of the objective on a gated conv net in closed form: the fast path of the meta-gradient.

Autograd records a graph, walks it, and to differentiate the walk records and walks another. For one known network all
of that can be written down (`passes.py`, `layer_passes.py`): there is no graph, maps lie as the convolutions like them
best, the norm of a query batch is folded into its filters, and a Hessian-vector product is one tangent pass through
what the gradient left behind. The clear path is `Objective` under autograd; a test holds the two together.
"""

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mglib.fast.layer_passes import Layer, NormalisedBySupport, channels_last
from mglib.fast.passes import Maybe, total
from mglib.nets.freezing import absent_inputs
from mglib.nets.macs import dense_macs, macs_ratio
from mglib.nets.models import GatedConvNet, Prediction, check_images, check_labels
from mglib.nets.objective import Objective
from mglib.params import PRICE, Params, split, under_prefix, with_prefix

PIXELS_AT_ONCE = 2**18  # of the first layer's maps: queries go through in pieces that the processor's cache can hold


def has_closed_form(loss: object) -> bool:
    """Return whether `Derivatives` supports a loss: an objective on a whole `GatedConvNet`, its gates without noise."""
    if type(loss) is not Objective or type(loss.net) is not GatedConvNet or loss.noise is not None:
        return False
    return not any(absent_inputs(layer.gate) for layer in loss.net.layers)


class _Piece:
    """Some of the query images, on their way through all layers and back."""

    def __init__(self, images: Tensor, of_layer: Sequence[Params], support: Sequence[Layer]):
        self.images, self.layers = channels_last(images), []
        out = self.images
        for params, layer in zip(of_layer, support, strict=True):
            self.layers.append(NormalisedBySupport(params, out, layer))
            out = self.layers[-1].out()
        self.features = out.flatten(1)

    def back(self, d_out: Tensor, prices: Sequence[Maybe], of_layer: list[Params]) -> Iterator[tuple[int, Tensor]]:
        """Yield from the top each layer's index and the derivative by the support's maps; forget the layers."""
        out = self.layers[-1].out()
        while self.layers:
            layer = self.layers.pop()
            i = len(self.layers)
            inputs = self.layers[-1].out() if self.layers else self.images
            d_out, d_before = layer.back(d_out, out, inputs, prices[i], of_layer[i])
            out = inputs
            yield i, d_before


class Derivatives:
    """The objective's gradient at one point on one batch, and the products of its Hessian with vectors there.

    gradient: by name, in the order of `params`.
    """

    def __init__(self, objective: Objective, params: Params, batch, names: Collection[str] | None = None):
        """Compute the gradient at `params` on a `Batch`; one with support images is normalised by them.

        names: of the parameters whose derivatives are wanted; None: all.

        Raises ValueError if the objective's derivatives have no closed form, the network does not take the images or
        the labels, or a name is not among the parameters.
        """
        if not has_closed_form(objective):
            raise ValueError(f"closed forms are for a GatedConvNet without noise, not for {objective}")
        for images in (batch.images, batch.support_images):
            if images is not None:
                check_images(objective.net, images, params["head.bias"])
        check_labels(batch.labels, len(batch.images), len(params["head.bias"]))
        self._objective, self._params, self._labels = objective, params, batch.labels
        self._names = params.keys() if names is None else split(params, names)[0].keys()
        self._of_layer = self._by_layer(params)
        with torch.no_grad():
            self._forward(batch)
            self._score()
            self.gradient = self._backward()

    def hessian_vector(self, vector: Params) -> Params:
        """Return `∂_p ⟨∂L/∂p, vector⟩` by name, for a vector of some of the parameters, the others zero.

        Raises ValueError if the batch was normalised by support images.
        """
        if self._pieces:
            raise ValueError("Hessian-vector products are for a batch that normalises itself, not by support images")
        with torch.no_grad():
            return self._tangent(vector)

    @property
    def metrics(self) -> Params:
        """What the objective reports: loss, accuracy, MACs and open filters, each a scalar."""
        prediction = Prediction(self._logits, self._gates, ())
        return self._objective.score(prediction, self._labels, self._params.get(PRICE))[1]

    def _by_layer(self, params: Params) -> list[Params]:
        """Return the parameters of each layer by the layer's own names."""
        return [under_prefix(f"layers.{i}.", params) for i in range(len(self._objective.net.layers))]

    def _forward(self, batch) -> None:
        own = channels_last(batch.images if batch.support_images is None else batch.support_images)
        self._own: list[Layer] = []
        for params, layer in zip(self._of_layer, self._objective.net.layers, strict=True):
            own = Layer(params, own, 1 if layer.gate is None else layer.gate.grid)
            self._own.append(own)
        self._pieces: list[_Piece] = []
        if batch.support_images is not None:
            at_once = max(8, PIXELS_AT_ONCE // self._own[0].normalised[0].numel())
            pieces = batch.images.tensor_split(-(-len(batch.images) // at_once))
            self._pieces = [_Piece(images, self._of_layer, self._own) for images in pieces]
            self._features = torch.cat([piece.features for piece in self._pieces])
        else:
            self._features = self._own[-1].out().flatten(1)

    def _score(self) -> None:
        """Compute the logits and gates, the loss's derivative by the logits, and what a MAC over budget costs."""
        objective, labels, params = self._objective, self._labels, self._params
        self._logits = torch.addmm(params["head.bias"], self._features, params["head.weight"].T)
        self._probabilities = self._logits.softmax(1)
        self._d_logits = (self._probabilities - F.one_hot(labels, self._logits.shape[1])) / len(labels)
        by_layer = zip(*([piece.layers for piece in self._pieces] or [self._own]), strict=True)
        self._gates = tuple(
            torch.cat([layer.gate.value for layer in layers]) for layers in by_layer if layers[0].gate is not None
        )
        self._counts = [gate.sum(1, keepdim=True) for gate in self._gates]
        self._price = 0.0  # nats for one more MAC of one example
        if self._gates:
            over = macs_ratio(objective.net.costs, self._gates).mean() > objective.budget
            price = params.get(PRICE, objective.penalty * over)
            self._price = float(price) / (dense_macs(objective.net.costs) * len(labels))

    def _prices(self, counts: Sequence[Tensor], *, tangent: bool = False) -> list[Maybe]:
        """Return for each layer what one more open filter costs an example, (batch, 1), or the tangent of that.

        counts: of the open filters of each gated layer, (batch, 1), or their tangents.
        """
        if not self._price:
            return [None] * len(self._own)
        prices = [torch.zeros_like(count) for count in counts]
        for cost in self._objective.net.costs:
            rate = self._price * cost.taps
            if cost.writes is not None and not (tangent and cost.reads is None):
                prices[cost.writes] += rate * (cost.in_channels if cost.reads is None else counts[cost.reads])
            if cost.reads is not None and not (tangent and cost.writes is None):
                prices[cost.reads] += rate * (cost.out_channels if cost.writes is None else counts[cost.writes])
        return prices

    def _backward(self) -> Params:
        gradient = {"head.weight": self._d_logits.T @ self._features, "head.bias": self._d_logits.sum(0)}
        d_features, prices = self._d_logits @ self._params["head.weight"], self._prices(self._counts)
        of_layer: list[Params] = [{} for _ in self._own]
        d_before: list[Maybe] = [None] * len(self._own)  # by the support's maps, through its statistics
        sizes = [len(piece.images) for piece in self._pieces]
        for k, piece in enumerate(self._pieces):
            of_piece = [None if price is None else price.split(sizes)[k] for price in prices]
            for i, more in piece.back(self._unflatten(d_features.split(sizes)[k]), of_piece, of_layer):
                d_before[i] = total(d_before[i], more)
        d_out = None if self._pieces else self._unflatten(d_features)
        for i, layer in reversed(list(enumerate(self._own))):
            price, asked = None if self._pieces else prices[i], f"layers.{i}.conv.weight" in self._names
            d_out = layer.back(d_out, price, of_layer[i], d_before[i], weight=asked)
        return {name: value for name, value in self._by_name(gradient, of_layer).items() if name in self._names}

    def _tangent(self, vector: Params) -> Params:
        """Push `vector` forward through the network, and its tangents back: the same walk as the gradient's."""
        zeros = {name: torch.zeros_like(value) for name, value in self._params.items() if "conv" not in name}
        vector = {**zeros, **vector}
        out_dot = None
        for layer, of_layer in zip(self._own, self._by_layer(vector), strict=True):
            out_dot = layer.dot(out_dot, of_layer)
        features_dot, weight, weight_dot = out_dot.flatten(1), self._params["head.weight"], vector["head.weight"]
        logits_dot = torch.addmm(vector["head.bias"], self._features, weight_dot.T) + features_dot @ weight.T
        mean = (self._probabilities * logits_dot).sum(1, keepdim=True)
        d_logits_dot = self._probabilities * (logits_dot - mean) / len(self._labels)
        result = {
            "head.weight": d_logits_dot.T @ self._features + self._d_logits.T @ features_dot,
            "head.bias": d_logits_dot.sum(0),
        }
        d_out_dot = self._unflatten(d_logits_dot @ weight + self._d_logits @ weight_dot)
        counts_dot = [layer.gate_dot.sum(1).flatten(1) for layer in self._own if layer.gate is not None]
        prices_dot = self._prices(counts_dot, tangent=True)
        of_layer: list[Params] = [{} for _ in self._own]
        for i, layer in reversed(list(enumerate(self._own))):
            d_out_dot = layer.back_dot(d_out_dot, prices_dot[i], of_layer[i])
        return self._by_name(result, of_layer)

    def _unflatten(self, features: Tensor) -> Tensor:
        return channels_last(features.view(-1, *self._own[-1].normalised.shape[1:]))

    def _by_name(self, found: Params, of_layer: Sequence[Params]) -> Params:
        """Return derivatives by the network's names, in the order of its parameters."""
        for i, derivatives in enumerate(of_layer):
            found |= with_prefix(f"layers.{i}.", derivatives)
        return {name: found[name].contiguous() for name in self._params if name in found}
