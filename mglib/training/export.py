"""Export: a node's network as an ONNX file, for machines that have neither this library nor torch."""

import copy
import json
import os
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from mglib.params import write_new
from mglib.training.node import NodeNetwork

NEEDED = ("onnx", "onnxscript")


def export_network(network: NodeNetwork, path: str | Path) -> tuple[int, list[str]]:
    """Write a network to a new ONNX file; return its bytes and the names of its outputs.

    The input is `images` (batch, channel, height, width), float32 from 0 (background) to 1 (ink), any number of
    them. The outputs are `logits` (batch, class) and, for each gated layer, `gates_<layer>` (batch, filter), 0 closed
    and 1 open. The support set's statistics are inside; the file's metadata hold `classes` and `inverted` as JSON.

    Raises ValueError if the file exists already, the network does not compute in float32, or a package that the export
    needs is missing. Raises OSError if the disk refuses (full, read-only); no part of a file is left.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        needed = " and ".join(missing)
        raise ValueError(f"the export to ONNX needs {needed}: pip install -e '.[export]' in the project's folder")
    path = Path(path)
    if os.path.lexists(path):
        raise ValueError(f"{path} exists already; choose a new file")
    if (dtype := network.params["head.bias"].dtype) != torch.float32:
        raise ValueError(f"the network computes in {dtype}: need torch.float32, as the file's input is")
    names = [cost.name.replace(" ", "_") for cost in network.net.costs if cost.writes is not None]
    outputs = ["logits", *(f"gates_{name}" for name in names)]
    recipe = network.recipe
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of what the exporter itself uses, in torch 2.13
        program = torch.onnx.export(
            _WithStatistics(network).eval(),
            (torch.zeros(1, recipe.channels, recipe.image_size, recipe.image_size),),
            dynamo=True,
            input_names=["images"],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    model = program.model_proto
    _forget_origin(model)
    for name, fact in {"classes": network.classes, "inverted": network.inverted}.items():
        model.metadata_props.add(key=name, value=json.dumps(fact))
    content = model.SerializeToString()
    write_new(path, content)
    return len(content), outputs


class _WithStatistics(nn.Module):
    """A node's network with its parameters and statistics inside, and an answer that is a plain tuple."""

    def __init__(self, network: NodeNetwork):
        super().__init__()
        self.net = copy.deepcopy(network.net).to("cpu", torch.float32)
        self.net.load_state_dict(network.params)
        self.classes = len(network.classes)
        for index, (mean, variance) in enumerate(network.statistics):
            self.register_buffer(f"mean_{index}", mean.cpu())
            self.register_buffer(f"variance_{index}", variance.cpu())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        layers = range(len(self.net.convolutions()))
        statistics = tuple((getattr(self, f"mean_{index}"), getattr(self, f"variance_{index}")) for index in layers)
        prediction = self.net(images, statistics)
        return prediction.logits[:, : self.classes], *prediction.gates


def _forget_origin(message) -> None:
    """Clear the notes in a protobuf message and in all it holds: the exporter's are stack traces, with local paths."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                _forget_origin(part)
