"""First and second derivatives of the objective on a gated conv net, written out: the fast path of the meta-gradient.

Autograd records a graph, walks it, and to differentiate the walk records and walks another. For one known network all
of that can be written down (`passes.py`, `layer_passes.py`). What is gained: no graph; maps in the layout that the
convolutions like best; the norm of a query batch folded into its filters; and a Hessian-vector product that is one
tangent pass through what the gradient left behind. The clear path is `Objective` under autograd; a test holds the two
together.
"""

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mglib.nets.checks import check_images
from mglib.nets.layer_passes import Layer, NormalisedByContext, channels_last
from mglib.nets.macs import dense_macs, macs_ratio
from mglib.nets.models import GatedConvNet
from mglib.nets.objective import Objective
from mglib.nets.passes import Maybe, total
from mglib.params import Params, split

PIXELS_AT_ONCE = 2**18  # of the first layer's maps: queries go through in pieces that the processor's cache can hold


def written_out(objective: object) -> bool:
    """Return whether `Derivatives` knows this loss: an objective on a whole `GatedConvNet`, its gates without noise."""
    if not isinstance(objective, Objective) or type(objective.net) is not GatedConvNet or objective.noise is not None:
        return False
    return not any(layer.gate is not None and layer.gate.absent for layer in objective.net.layers)


class _Piece:
    """Some of the images that a context normalises, on their way through all layers and back."""

    def __init__(self, images: Tensor, of_layer: Sequence[Params], context: Sequence[Layer]):
        self.images, self.layers = channels_last(images), []
        out = self.images
        for params, layer in zip(of_layer, context, strict=True):
            self.layers.append(NormalisedByContext(params, out, layer))
            out = self.layers[-1].out()
        self.features = out.flatten(1)

    def back(self, d_out: Tensor, prices: Sequence[Maybe], of_layer: list[Params]) -> Iterator[tuple[int, Tensor]]:
        """Yield from the top each layer's position and the derivative by its context's maps; forget the layers."""
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

        Raises:
            ValueError: if the derivatives of this objective are not written out, the network does not take the images,
                or a name is not among the parameters.
        """
        if not written_out(objective):
            raise ValueError(f"derivatives are written out for a GatedConvNet without noise, not for {objective}")
        for images in (batch.images, batch.support_images):
            if images is not None:
                check_images(objective.net, images, params["head.bias"])
        self._objective, self._params, self._labels = objective, params, batch.labels
        self._names = params.keys() if names is None else split(params, names)[0].keys()
        self._of_layer = [self._named(i, params) for i in range(len(objective.net.layers))]
        with torch.no_grad():
            self._forward(batch)
            self._score()
            self.gradient = self._backward()

    def hessian_vector(self, vector: Params) -> Params:
        """Return `∂_p ⟨∂L/∂p, vector⟩` by name, for a vector of some of the parameters, the others zero.

        Raises:
            ValueError: if the batch was normalised by support images.
        """
        if self._pieces:
            raise ValueError("Hessian-vector products are written out for a batch that normalises itself")
        with torch.no_grad():
            return self._tangent(vector)

    def _named(self, index: int, params: Params) -> Params:
        """Return the parameters of a layer by the layer's own names."""
        prefix = f"layers.{index}."
        return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}

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
        """Compute the loss, what to watch beside it, and its derivative by the logits."""
        objective, labels, params = self._objective, self._labels, self._params
        logits = torch.addmm(params["head.bias"], self._features, params["head.weight"].T)
        self._probabilities = logits.softmax(1)
        self._d_logits = (self._probabilities - F.one_hot(labels, logits.shape[1])) / len(labels)
        self._logits = logits
        by_layer = zip(*([piece.layers for piece in self._pieces] or [self._own]), strict=True)
        gates = [torch.cat([layer.gate.value for layer in layers]) for layers in by_layer if layers[0].gate is not None]
        self._counts = [gate.sum(1, keepdim=True) for gate in gates]
        self._ratio, self._price = torch.ones(()), 0.0  # nats for one more MAC of one example
        if gates:
            self._ratio = macs_ratio(objective.net.costs, gates).mean()
            if self._ratio > objective.budget:
                self._price = objective.penalty / (dense_macs(objective.net.costs) * len(labels))

    @property
    def metrics(self) -> Params:
        """What `Objective` reports: loss, accuracy, MACs and open filters, each a scalar."""
        objective, loss, open_rate = self._objective, F.cross_entropy(self._logits, self._labels), torch.ones(())
        if self._counts:
            loss = loss + objective.penalty * F.relu(self._ratio - objective.budget)
            filters = sum(layer.conv.out_channels for layer in objective.net.layers)
            open_rate = sum(self._counts).mean() / filters
        accuracy = (self._logits.argmax(1) == self._labels).float().mean()
        return {"loss": loss, "accuracy": accuracy, "macs_ratio": self._ratio, "open_rate": open_rate}

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
        d_before: list[Maybe] = [None] * len(self._own)  # by the context's maps, through its statistics
        sizes = [len(piece.images) for piece in self._pieces]
        for k, (piece, d_piece) in enumerate(
            zip(self._pieces, d_features.split(sizes or len(d_features)), strict=False)
        ):
            of_piece = [None if price is None else price.split(sizes)[k] for price in prices]
            for i, more in piece.back(self._unflatten(d_piece), of_piece, of_layer):
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
        for i, layer in enumerate(self._own):
            out_dot = layer.dot(out_dot, self._named(i, vector))
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
        for i in reversed(range(len(self._own))):
            d_out_dot = self._own[i].back_dot(d_out_dot, prices_dot[i], of_layer[i])
        return self._by_name(result, of_layer)

    def _unflatten(self, features: Tensor) -> Tensor:
        return channels_last(features.view(-1, *self._own[-1].normalised.shape[1:]))

    def _by_name(self, found: Params, of_layer: Sequence[Params]) -> Params:
        """Return derivatives by the network's names, in the order of its parameters."""
        for i, derivatives in enumerate(of_layer):
            found |= {f"layers.{i}.{name}": value for name, value in derivatives.items()}
        return {name: found[name].contiguous() for name in self._params if name in found}
