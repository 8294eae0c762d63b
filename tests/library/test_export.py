"""Export: onnxruntime answers as the node's network does, and the file says nothing of where it was made."""

import dataclasses
import importlib.util
import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mglib.tasks import Batch, load_federation
from mglib.training import NodeNetwork, Recipe, Run, export_network
from mglib.training.algorithms import network_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=[True, False], ids=["frozen", "whole"])
def exported(request, tmp_path_factory):
    """The book's run adapted to a new script, its ONNX file, and images of the task."""
    task = load_federation("glyphs").test[0].sample_task(5, 1, 15, np.random.default_rng(0))
    recipe, net, params = Run(ROOT / "results" / "runs" / "glyphs" / "gated-50").load()
    network = NodeNetwork.adapted(recipe, net, params, task.support, tuple("abcde"), frozen=request.param)
    path = tmp_path_factory.mktemp("exported") / "network.onnx"
    written, outputs = export_network(network, path)
    assert written == path.stat().st_size
    assert outputs == ["logits", *(f"gates_conv_{layer}" for layer in (1, 2, 3, 4))]
    return network, path, torch.cat([task.support.images, task.query.images])


def assert_answers_are_the_same(network, path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answer = network(images)
    logits, *gates = session.run(None, {"images": images.numpy()})
    expected = answer.logits[:, : len(network.classes)].numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=0)
    for gate, expected in zip(gates, answer.gates, strict=True):
        assert np.array_equal(gate, expected.numpy())
    return session


@pytest.mark.parametrize("batch", [1, 2, 80])
def test_onnxruntime_gives_the_same_logits_and_gates_for_any_batch(exported, batch):
    network, path, images = exported
    assert_answers_are_the_same(network, path, images[-batch:])


def test_inputs_outputs_and_classes_have_names(exported):
    network, path, _ = exported
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (images,), outputs = session.get_inputs(), session.get_outputs()
    assert (images.name, images.shape[1:]) == ("images", [1, 28, 28])
    assert isinstance(images.shape[0], str), "the batch has no fixed size"
    widths = network.kept or (32,) * 4
    assert [output.shape[1] for output in outputs] == [5, *widths]
    assert all(output.shape[0] == images.shape[0] for output in outputs)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == list(network.classes)
    assert json.loads(facts["inverted"]) is False


def test_the_file_says_nothing_of_the_machine_that_wrote_it(exported):
    content = exported[1].read_bytes()
    for trace in (b".py", str(ROOT).encode(), b"site-packages", b"mglib", b'File "'):
        assert trace not in content, trace
    model = onnx.load(exported[1])
    onnx.checker.check_model(model, full_check=True)
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_size": 21},  # four cells a side do not divide it
        {"image_size": 15, "channels": 3},
        {"method": "maml"},
        {"method": "maml", "depth": 1},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_networks_of_every_shape_are_exported(tmp_path, changes):
    recipe = Recipe(**{"width": 6, "depth": 2, "channels": 1, **changes})
    net, params = network_of(recipe)
    generator = torch.Generator().manual_seed(0)
    params |= {name: torch.randn(params[name].shape, generator=generator) for name in sorted(net.gate_names())}
    size = (recipe.channels, recipe.image_size, recipe.image_size)
    support = Batch(torch.rand(3, *size, generator=generator), torch.arange(3))
    network = NodeNetwork.adapted(recipe, net, params, support, ("a", "b", "c"))
    _, outputs = export_network(network, tmp_path / "network.onnx")
    assert len(outputs) == 1 + len(network(support.images).gates)
    images = torch.rand(7, *size, generator=generator)
    assert_answers_are_the_same(network, tmp_path / "network.onnx", images)


def test_without_the_packages_the_export_says_what_to_install(small, tmp_path, monkeypatch):
    from mglib.training import export

    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnx" else importlib.util.find_spec(name))
    with pytest.raises(ValueError, match=r"needs onnx: pip install -e '\.\[export\]'"):
        export_network(small, tmp_path / "network.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small():
    """A network that is exported quickly."""
    recipe = Recipe(method="maml", width=2, depth=1, channels=1, image_size=4)
    net, params = network_of(recipe)
    support = Batch(torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(2))
    return NodeNetwork.adapted(recipe, net, params, support, ("a", "b"))


def exporter(*warned):
    """An exporter that warns and writes a thousand letters."""

    def export(*args, **options):
        for category in warned:
            warnings.warn("by the exporter", category, stacklevel=1)
        return SimpleNamespace(model_proto=onnx.ModelProto(producer_name="x" * 1000))

    return export


def test_a_disk_that_fills_up_leaves_no_half_file(small, tmp_path, full_disk, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", exporter())
    path = str(tmp_path / "network.onnx")
    with full_disk(500), pytest.raises(OSError, match="too large"):
        export_network(small, path)
    assert not list(tmp_path.iterdir())
    written, _ = export_network(small, path)
    content = (tmp_path / "network.onnx").read_bytes()
    assert len(content) == written > 1000
    monkeypatch.setattr(torch.onnx, "export", None)
    with pytest.raises(ValueError, match="exists already"):
        export_network(small, path)
    assert (tmp_path / "network.onnx").read_bytes() == content


def test_what_the_exporter_itself_will_change_warns_nobody(small, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", exporter(FutureWarning))
    export_network(small, tmp_path / "network.onnx")
    monkeypatch.setattr(torch.onnx, "export", exporter(FutureWarning, UserWarning))
    with pytest.warns(UserWarning, match="by the exporter"):
        export_network(small, tmp_path / "other.onnx")


def test_a_network_of_doubles_is_no_file_of_floats(small, tmp_path):
    params = {name: value.double() for name, value in small.params.items()}
    statistics = tuple((mean.double(), variance.double()) for mean, variance in small.statistics)
    with pytest.raises(ValueError, match=r"computes in torch\.float64: need torch\.float32"):
        export_network(dataclasses.replace(small, params=params, statistics=statistics), tmp_path / "network.onnx")
    images = torch.rand(2, 1, 4, 4)
    double = dataclasses.replace(small, net=small.net.double())  # its own numbers are nobody's
    export_network(double, tmp_path / "network.onnx")
    assert_answers_are_the_same(double, tmp_path / "network.onnx", images)
