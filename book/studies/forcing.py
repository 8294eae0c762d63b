"""Other gates than the network's own: what is its answer worth when somebody else chooses its filters?"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mglib.nets.gates import GateHead
from mglib.params import Params


@contextmanager
def forced_gates(net: nn.Module, gates: Sequence[Tensor]) -> Iterator[None]:
    """Let `net`, while this lasts, open the filters that `gates` name instead of its own choice.

    The given gates are constants: no gradient reaches the gate heads, the backbone learns with what is open. What
    writes the network out by itself, `Derivatives` and `SkippingNet`, does not notice.

    gates: a gated layer, in the order of computation, (batch, filter) or (filter,) of zeros and ones.

    Raises:
        ValueError: if there are not as many gates as gated layers, or one does not fit its layer and the batch.
    """
    heads = gate_heads(net)
    if len(gates) != len(heads):
        raise ValueError(f"{len(gates)} gates for a network of {len(heads)} gated layers")

    def in_place_of(gate: Tensor, logits: Tensor) -> Tensor:
        if gate.shape[-1:] != logits.shape[-1:] or gate.shape[:-1] not in ((), logits.shape[:1]):
            raise ValueError(f"a gate of shape {tuple(gate.shape)} for logits of shape {tuple(logits.shape)}")
        return (gate.to(logits.dtype) - 0.5).expand_as(logits)

    with _heard(heads, lambda position, logits: in_place_of(gates[position], logits)):
        yield


@torch.no_grad()
def gate_logits(
    net: nn.Module, params: Params, images: Tensor, statistics: Sequence | None = None
) -> tuple[Tensor, ...]:
    """Return what the gate heads say to images: a gated layer, (batch, filter); a filter opens above zero.

    statistics: those of another batch, to normalise this one by; None: this batch's own.
    """
    said: list[Tensor] = []
    with _heard(gate_heads(net), lambda _, logits: said.append(logits)):
        functional_call(net, params, (images, statistics))
    return tuple(said)


def gate_heads(net: nn.Module) -> list[GateHead]:
    """Return the gate heads in the order of computation, which is that of `Prediction.gates`."""
    return [module for module in net.modules() if isinstance(module, GateHead)]


@contextmanager
def _heard(heads: Sequence[GateHead], listen: Callable[[int, Tensor], Tensor | None]) -> Iterator[None]:
    """Call `listen` with the position and the logits of every head that speaks; what it returns takes their place."""
    hooks = [
        head.register_forward_hook(lambda _, __, logits, position=position: listen(position, logits))
        for position, head in enumerate(heads)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
