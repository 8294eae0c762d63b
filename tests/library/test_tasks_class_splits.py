"""CIFAR-FS and mini-ImageNet, read from small files in the formats in which they are published."""

import csv

import pytest
from image_files import classes_of, names, write_image

from mglib.tasks import Partition, load_federation, load_nodes, resolve_data

SIZES = {"train": 8, "val": 5, "test": 6}  # classes
IMAGES = 3  # a class
EVERY = {split: [f"{split}_thing{index}" for index in range(count)] for split, count in SIZES.items()}
VALUES = {name: 10 * index for index, name in enumerate(name for own in EVERY.values() for name in own)}


def write_cifar_fs(root):
    """`data/<class>/<image>.png`, and a class a line in `splits/bertinetto`."""
    for split, own in EVERY.items():
        listing = root / "splits" / "bertinetto" / f"{split}.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("".join(f"{name}\n" for name in reversed(own)))
        for name in own:
            for index in range(IMAGES):
                write_image(root / "data" / name / f"{name}_s_00{index}.png", VALUES[name] + index, (32, 32), "RGB")
    write_image(root / "data" / "in_no_split" / "0.png", 5, (32, 32), "RGB")
    return root


def write_mini_imagenet(root):
    """`images/<file>.jpg`, all classes in one folder, and a table a split with the columns filename and label."""
    for split, own in EVERY.items():
        rows = [(f"{name}0000000{index}.jpg", name) for index in range(IMAGES) for name in own]
        for index, (file, name) in enumerate(rows):
            write_image(root / "images" / file, VALUES[name] + index // len(own), (84, 84), "RGB")
        with open(root / f"{split}.csv", "w", newline="") as table:
            csv.writer(table).writerows([("filename", "label"), *rows])
    return root


WRITERS = {"cifar-fs": write_cifar_fs, "mini-imagenet": write_mini_imagenet}


@pytest.fixture(params=WRITERS)
def kind(request):
    return request.param


def load(kind, root, **options):
    return load_federation(f"{kind}:{root}", image_size=12, **options)


def test_classes_are_split_as_published_and_partitioned(kind, tmp_path):
    federation = load(kind, WRITERS[kind](tmp_path))
    for split, nodes in (("train", federation.train), ("val", federation.validation), ("test", federation.test)):
        assert sorted(classes_of(nodes)) == EVERY[split]
    assert (names(federation.train), federation.new_nodes) == (["train1"], "unseen-classes")
    assert {len(node.labels) for node in federation.test} == {6 * IMAGES}


def test_the_pixels_are_those_of_the_class(kind, tmp_path):
    federation = load(kind, WRITERS[kind](tmp_path))
    for node in (*federation.train, *federation.validation, *federation.test):
        for image, label in zip(node.images, node.labels, strict=True):
            value = VALUES[node.classes[int(label)]]
            assert value - 1 <= int(image.min()) <= int(image.max()) <= value + IMAGES  # JPEG may be one off


def test_bright_photos_stay_as_they_are(kind, tmp_path):
    WRITERS[kind](tmp_path)
    for file in [*tmp_path.rglob("*.png"), *tmp_path.rglob("*.jpg")]:
        write_image(file, 240, (32, 32), "RGB")
    assert int(load(kind, tmp_path).train[0].images.min()) > 200


def test_the_images_of_published_classes_can_be_shared_by_several_nodes(kind, tmp_path):
    federation = load(kind, WRITERS[kind](tmp_path), partition=Partition(nodes=(2, 1, 2)), channels=3)
    assert [len(nodes) for nodes in (federation.train, federation.validation, federation.test)] == [2, 1, 2]
    with pytest.raises(
        ValueError, match=f"{kind}:.* is published with classes kept from training; allowed is unseen-c"
    ):
        load(kind, tmp_path, partition=Partition("unseen-sets"))


def test_own_held_out_classes_take_the_place_of_the_published_ones(kind, tmp_path):
    federation = load(kind, WRITERS[kind](tmp_path), held_out=("train_thing0",))
    assert classes_of(federation.test) == ["train_thing0"]
    assert sorted(classes_of(federation.validation)) == EVERY["val"]
    assert len(classes_of(federation.train)) == 7 + 6


def test_every_node_of_them_can_be_evaluated_on(kind, tmp_path):
    nodes = load_nodes(f"{kind}:{WRITERS[kind](tmp_path)}", image_size=12)
    assert sorted(classes_of(nodes)) == sorted(VALUES)


def test_a_folder_named_twice_is_the_same_data_and_another_format_is_not(kind, tmp_path):
    (tmp_path / "a").mkdir()
    names = (f"{kind}:{tmp_path}", f"{kind}:{tmp_path}/a/..", f"folder:{tmp_path}", f"{kind}:{tmp_path}/a", "cifar10")
    assert [resolve_data(name) == names[0] for name in names] == [True, True, False, False, False]


LAYOUTS = {"cifar-fs": r"PATH/splits/bertinetto/\{train,val,test\}\.txt", "mini-imagenet": "header filename,label"}
SPLIT_FILES = {"cifar-fs": "splits/bertinetto/val.txt", "mini-imagenet": "val.csv"}


def test_a_missing_or_unreadable_split_says_what_layout_is_expected(kind, tmp_path):
    for missing in (tmp_path / "nowhere", WRITERS[kind](tmp_path)):
        (tmp_path / SPLIT_FILES[kind]).unlink(missing_ok=True)
        with pytest.raises(ValueError, match=rf"cannot be read \(No such file.*expected is .*{LAYOUTS[kind]}") as error:
            load(kind, missing)
        assert "\n" not in str(error.value)
    (tmp_path / SPLIT_FILES[kind]).write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match=rf"cannot be read .*{LAYOUTS[kind]}"):
        load(kind, tmp_path)


def test_a_class_in_two_splits_is_refused(kind, tmp_path):
    WRITERS[kind](tmp_path)
    line = {"cifar-fs": "train_thing2\n", "mini-imagenet": "train_thing200000000.jpg,train_thing2\n"}[kind]
    with open(tmp_path / SPLIT_FILES[kind], "a") as file:
        file.write(line)
    with pytest.raises(ValueError, match="one split only, but train_thing2 is in val and before it"):
        load(kind, tmp_path)


def test_an_image_that_is_missing_is_refused_by_name(kind, tmp_path):
    WRITERS[kind](tmp_path)
    for file in [*tmp_path.rglob("test_thing1*.png"), *tmp_path.rglob("test_thing1*.jpg")]:
        file.unlink()
    with pytest.raises(ValueError, match=r"test_thing1.*(which a split names|cannot be read as an image)"):
        load(kind, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,class\n", r"val.csv has the header \['name', 'class'\]; expected is"),
        ("", "has the header None"),
        ("filename,label\na.jpg\n", "line 2, lacks a name"),
    ],
)
def test_a_table_without_its_two_columns_is_refused(tmp_path, text, message):
    (write_mini_imagenet(tmp_path) / "val.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load("mini-imagenet", tmp_path)
