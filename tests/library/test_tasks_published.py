import pickle
import socket
import sys

import numpy as np
import pytest
from image_files import classes_of, names, write_image

from mglib.tasks import load_federation


@pytest.fixture
def no_checksums(monkeypatch):
    for module in ("cifar", "omniglot"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda path, md5=None: True)


def write_cifar(folder, batches, meta, key, names_key, classes):
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for batch in batches:
        labels = list(range(classes)) * 2
        pixels = np.repeat(np.array(labels, dtype=np.uint8)[:, None], 3072, axis=1)
        pixels[:, 1024:] = generator.integers(0, 256, (len(labels), 2048))  # red says the class
        (folder / batch).write_bytes(pickle.dumps({"data": pixels, key: labels}))
    (folder / meta).write_bytes(pickle.dumps({names_key: [f"thing{index}" for index in range(classes)]}))


def test_cifar10_is_split_by_class_with_both_its_parts(tmp_path, no_checksums):
    batches = [*(f"data_batch_{index}" for index in range(1, 6)), "test_batch"]
    write_cifar(tmp_path / "cifar-10-batches-py", batches, "batches.meta", "labels", "label_names", 10)
    federation = load_federation("cifar10", image_size=32, root=tmp_path)
    assert (federation.channels, federation.image_size) == (3, 32)
    assert [len(classes_of(nodes)) for nodes in (federation.train, federation.validation, federation.test)] == [5, 0, 5]
    for node in (*federation.train, *federation.test):
        assert len(node.labels) == 5 * 6 * 2
        for image, label in zip(node.images, node.labels, strict=True):
            assert node.classes[int(label)] == f"thing{int(image[0, 0, 0])}"
    assert load_federation("cifar10", image_size=28, channels=1, root=tmp_path).train[0].images.shape[1:] == (1, 28, 28)


def test_cifar100_is_split_64_16_20(tmp_path, no_checksums):
    write_cifar(tmp_path / "cifar-100-python", ["train", "test"], "meta", "fine_labels", "fine_label_names", 100)
    federation = load_federation("cifar100", root=tmp_path)
    splits = [classes_of(nodes) for nodes in (federation.train, federation.validation, federation.test)]
    assert [len(classes) for classes in splits] == [64, 16, 20]
    assert len(set().union(*splits)) == 100
    assert [len(node.classes) for node in federation.train] == [8] * 8


def test_fashion_mnist_is_read_from_its_own_format(tmp_path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    labels = np.arange(20, dtype=np.uint8) % 10
    images = np.repeat(labels, 28 * 28).reshape(20, 28, 28)
    for part in ("train", "t10k"):
        header = (2051).to_bytes(4, "big") + b"".join(side.to_bytes(4, "big") for side in images.shape)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes((2049).to_bytes(4, "big") + b"\0\0\0\x14" + labels.tobytes())
    federation = load_federation("fashion-mnist", held_out=("Bag", "Coat"), root=tmp_path)
    assert set(classes_of(federation.test)) == {"Bag", "Coat"}
    bag = federation.test[0].classes.index("Bag")
    assert federation.test[0].images[federation.test[0].labels == bag].unique().tolist() == [8]
    assert federation.channels == 1


def test_omniglot_is_tested_on_the_evaluation_alphabets(tmp_path, no_checksums):
    parts = {"images_background": range(8), "images_evaluation": range(8, 11)}
    for part, alphabets in parts.items():
        for alphabet in alphabets:
            for character in range(3 + alphabet):  # or all would hold the same images
                path = tmp_path / "omniglot-py" / part / f"Alphabet{alphabet:02}" / f"character{character:02}" / "1.png"
                write_image(path, value=255, mode="1")
    federation = load_federation("omniglot", root=tmp_path)
    assert names(federation.test) == ["Alphabet08", "Alphabet09", "Alphabet10"]
    assert (len(federation.validation), len(federation.train)) == (5, 3)
    assert federation.train[0].images.unique().tolist() == [0]  # white paper becomes dark ground
    held_out = load_federation("omniglot", root=tmp_path, held_out=("Alphabet00",))
    assert names(held_out.test) == ["Alphabet00"]


@pytest.mark.parametrize("data", ["omniglot", "cifar10"])
def test_without_torchvision_the_extra_is_named(tmp_path, monkeypatch, data):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ValueError, match=rf"{data} needs torchvision .*pip install -e '\.\[data\]'"):
        load_federation(data, root=tmp_path)


@pytest.mark.parametrize("data", ["omniglot", "cifar10", "cifar100", "fashion-mnist"])
def test_a_set_that_cannot_be_fetched_says_where_it_looked_and_what_to_do(tmp_path, monkeypatch, data):
    def unreachable(*_, **__):
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ValueError, match=f"{data} is not .* in {tmp_path} .* needs a network once.*folder:PATH"):
        load_federation(data, root=tmp_path)
    assert socket.getdefaulttimeout() is None
