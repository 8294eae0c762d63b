import numpy as np
import pytest
from image_files import classes_of, load, names, pixels_of, write_image
from PIL import Image
from small_data import write_alphabets

from mglib.tasks import Partition, load_federation
from mglib.tasks.federations import choose_held_out


def write_flat(root, classes, examples=3):
    for index in range(classes):
        for example in range(examples):
            write_image(root / f"class{index:02}" / f"{example}.png", value=index)
    return root


def test_folder_of_alphabets_becomes_nodes_with_qualified_classes(alphabets):
    federation = load(alphabets, held_out=("alphabet1",), validation=("alphabet3",))
    assert names(federation.train) == ["alphabet0", "alphabet2"]
    assert (names(federation.validation), names(federation.test)) == (["alphabet3"], ["alphabet1"])
    assert federation.test[0].classes[0] == "alphabet1/character0"
    assert federation.test[0].images.shape == (48, 1, 12, 12)
    assert federation.test[0].labels.tolist() == [label for label in range(6) for _ in range(8)]
    assert (federation.image_size, federation.channels) == (12, 1)


def test_pixels_are_those_of_the_files(tmp_path, alphabets):
    federation = load_federation(f"folder:{alphabets}", image_size=14, held_out=("alphabet1",))
    file = pixels_of(alphabets / "alphabet1" / "character2" / "5.png")
    np.testing.assert_array_equal(federation.test[0].images[2 * 8 + 5, 0].numpy(), file)


def test_held_out_nodes_share_no_class_with_training_nodes_even_rotated(alphabets):
    federation = load(alphabets, held_out=("alphabet1",), rotate=True)
    assert names(federation.train)[3:6] == ["alphabet0@90", "alphabet0@180", "alphabet0@270"]
    assert len(federation.train) == 12
    assert not set(classes_of(federation.test)) & {name.split("@")[0] for name in classes_of(federation.train)}


def test_by_default_a_quarter_of_the_nodes_is_held_out_by_seed(alphabets):
    chosen = [names(load(alphabets, seed=seed).test) for seed in (0, 0, 1, 2, 3, 4)]
    assert {len(each) for each in chosen} == {1}
    assert chosen[0] == chosen[1]
    assert len({*map(tuple, chosen)}) > 1


def test_the_split_does_not_hang_on_the_order_of_a_listing():
    listing = [f"node{index}" for index in range(9)]
    assert choose_held_out(listing, ((), ()), (2, 2)) == choose_held_out(listing[::-1], ((), ()), (2, 2))


def test_one_node_alone_cannot_be_split(tmp_path):
    with pytest.raises(ValueError, match="no node is left for train; of alphabet0, test takes alphabet0"):
        load(write_alphabets(tmp_path, alphabets=1))


@pytest.mark.parametrize("option", ["held_out", "validation"])
def test_unknown_names_are_refused_with_those_allowed(alphabets, option):
    with pytest.raises(ValueError, match=f"{option} holds unknown names: Klingon; allowed are alphabet0, alphabet1"):
        load(alphabets, **{option: ("Klingon",)})
    with pytest.raises(ValueError, match="not the text 'alphabet0'"):
        load(alphabets, **{option: "alphabet0"})


def test_a_node_cannot_be_held_out_twice(alphabets):
    with pytest.raises(ValueError, match="alphabet0 cannot be both"):
        load(alphabets, held_out=("alphabet0",), validation=("alphabet0",))


def test_classes_of_a_flat_folder_are_partitioned_without_overlap(tmp_path):
    federation = load(write_flat(tmp_path, 40), validation=[f"class{index:02}" for index in range(6)])
    every = classes_of([*federation.train, *federation.validation, *federation.test])
    assert sorted(every) == [f"class{index:02}" for index in range(40)]
    assert len(classes_of(federation.test)) == 10
    assert names(federation.train) == ["train1", "train2", "train3"]
    assert min(len(node.classes) for node in federation.train) >= 5
    node = federation.train[0]
    assert node.classes[0] == f"class{int(node.images[0, 0, 0, 0]):02}"


def test_a_flat_folder_can_hold_out_named_classes(tmp_path):
    federation = load(write_flat(tmp_path, 8), held_out=("class03", "class07"))
    assert sorted(classes_of(federation.test)) == ["class03", "class07"]


def test_too_few_classes_to_partition_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"of 9 classes 5 are for test .* leaves 4 to train on; at least 5"):
        load(write_flat(tmp_path, 9))


def test_a_partition_depends_on_the_seed_alone(tmp_path):
    write_flat(tmp_path, 20)
    tests = [sorted(classes_of(load(tmp_path, seed=seed).test)) for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize("data", ["mnist", "folder:", "", "Omniglot", "folder"])
def test_an_unknown_data_set_is_refused_with_those_allowed(data):
    with pytest.raises(
        ValueError,
        match=r"allowed are glyphs, omniglot, .* mini-imagenet:PATH, folder:PATH",
    ):
        load_federation(data)


@pytest.mark.parametrize(("option", "value"), [("channels", 2), ("channels", 0), ("image_size", 4), ("image_size", -1)])
def test_impossible_channels_and_sizes_are_refused(alphabets, option, value):
    for data in ("glyphs", f"folder:{alphabets}"):
        with pytest.raises(ValueError, match=rf"{option}` \(={value}\) must be"):
            load_federation(data, **{option: value})


@pytest.mark.realdata
def test_omniglot_small_gives_five_alphabets_of_ink_on_dark(real_data):
    federation = load_federation(f"folder:{real_data / 'omniglot-small1'}", held_out=("Latin",), rotate=True)
    assert names(federation.test) == ["Latin"]
    assert len(federation.train) == 16
    assert {len(node.labels) // len(node.classes) for node in (*federation.train, *federation.test)} == {20}
    assert federation.test[0].images.float().mean() < 50


@pytest.mark.realdata
def test_photos_keep_their_colours(real_data):
    federation = load_federation(f"folder:{real_data / 'cifar10-train-5000'}", image_size=32, held_out=("cat", "dog"))
    assert federation.channels == 3
    assert len(classes_of(federation.train)) == 8
    file = min((real_data / "cifar10-train-5000" / "cat").iterdir())
    cat = federation.test[0].classes.index("cat")
    first = federation.test[0].images[federation.test[0].labels == cat][0].permute(1, 2, 0).numpy()
    assert np.abs(first.astype(int) - pixels_of(file).astype(int)).max() == 0


def coloured_flat(root, classes=10, examples=66):
    for index in range(classes):
        for example in range(examples):
            file = root / f"class{index:02}" / f"{example:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 12), (25 * index, example, 40)).save(file)
    return root


def test_a_flat_folder_gives_new_nodes_with_sets_of_classes_never_together_in_training(tmp_path):
    federation = load(coloured_flat(tmp_path), partition=Partition("unseen-sets"))
    assert [len(nodes) for nodes in (federation.train, federation.validation, federation.test)] == [20, 5, 8]
    trained = {frozenset(node.classes) for node in federation.train}
    assert not trained & {frozenset(node.classes) for node in (*federation.validation, *federation.test)}
    assert set(classes_of(federation.test)) == set(classes_of(federation.train))


def test_unseen_sets_hold_out_no_class_and_own_nodes_stay(tmp_path, alphabets):
    write_flat(tmp_path / "flat", 10)
    for option in ("held_out", "validation"):
        with pytest.raises(ValueError, match=r"`new_nodes` \(='unseen-sets'\) trains on every .* name class03"):
            load(tmp_path / "flat", partition=Partition("unseen-sets"), **{option: ("class03",)})
    with pytest.raises(ValueError, match=r"alphabets has nodes of its own, so .*`nodes` \(=\(3, 1, 1\)\)"):
        load(alphabets, partition=Partition(nodes=(3, 1, 1)))


@pytest.mark.realdata
def test_ten_classes_of_photos_give_twenty_nodes_to_train_on_and_unseen_sets_to_test_on(real_data):
    partition = Partition("unseen-sets", images_per_class=20)
    federation = load_federation(f"folder:{real_data / 'cifar10-train-5000'}", image_size=32, partition=partition)
    assert [len(nodes) for nodes in (federation.train, federation.validation, federation.test)] == [20, 5, 8]
    assert sum(len(node.labels) for node in (*federation.train, *federation.validation, *federation.test)) == 5000
    for node in (*federation.train, *federation.test):
        node.sample_task(5, 5, 15, np.random.default_rng(0))


@pytest.mark.realdata
def test_ten_classes_of_photos_give_five_unseen_ones_and_several_nodes_to_train_on(real_data):
    data = f"folder:{real_data / 'cifar10-train-5000'}"
    federation = load_federation(data, image_size=32, partition=Partition(nodes=(8, 0, 4), images_per_class=20))
    assert [len(nodes) for nodes in (federation.train, federation.validation, federation.test)] == [8, 0, 4]
    assert len(set(classes_of(federation.train))) == len(set(classes_of(federation.test))) == 5
    assert not set(classes_of(federation.train)) & set(classes_of(federation.test))
    assert set(classes_of(load_federation(data).test)) == set(classes_of(federation.test))
