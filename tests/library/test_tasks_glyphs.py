import hashlib
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from mglib.tasks import GlyphSettings, fonts, glyph_federation, load_federation
from mglib.tasks.federations import ROTATIONS, original_class
from mglib.tasks.glyphs import ALIKE, SCRIPTS, TEST, VALIDATION, kept_characters

SMALL = GlyphSettings(examples=4, writers=2, held_out_writers=1)
CHOICE = {"scripts": ("Greek", "Hebrew", "Georgian"), "held_out": ("Georgian",), "validation": ("Hebrew",)}


def small(cache, settings=SMALL, **options):
    return glyph_federation(settings, cache=cache, **{**CHOICE, **options})


def digest(federation):
    pixels = hashlib.sha256()
    for node in (*federation.train, *federation.validation, *federation.test):
        pixels.update(node.name.encode() + node.images.numpy().tobytes() + node.labels.numpy().tobytes())
    return pixels.hexdigest()


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    return small(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def whole():
    return kept_characters(SCRIPTS, {*VALIDATION, *TEST})


def test_nodes_are_writers_and_classes_are_characters(federation):
    assert [node.name for node in federation.train] == ["Greek/writer1", "Greek/writer2"]
    assert [node.name for node in federation.validation + federation.test] == ["Hebrew/writer1", "Georgian/writer1"]
    first, second = federation.train
    assert first.classes == second.classes
    assert "Greek/λ" in first.classes
    assert first.images.shape == (len(first.classes) * SMALL.examples, 1, 28, 28)
    assert not torch.equal(first.images, second.images)


def test_held_out_nodes_share_no_class_with_training_nodes(tmp_path):
    rotated = small(tmp_path, rotate=True)
    trained = {original_class(name) for node in rotated.train for name in node.classes}
    for node in (*rotated.validation, *rotated.test):
        assert not trained & set(node.classes)
        assert "@" not in node.name


def test_rotation_turns_training_nodes_into_further_nodes_with_classes_of_their_own(tmp_path, federation):
    rotated = {node.name: node for node in small(tmp_path, rotate=True).train}
    plain = federation.train[0]
    assert len(rotated) == 4 * len(federation.train)
    for angle, turns in ROTATIONS.items():
        node = rotated[f"{plain.name}@{angle}"]
        assert node.classes == tuple(f"{name}@{angle}" for name in plain.classes)
        np.testing.assert_array_equal(node.images.numpy(), np.rot90(plain.images.numpy(), turns, axes=(2, 3)))


def test_no_held_out_character_looks_like_one_trained_on(whole):
    trained = "".join(characters for script, characters in whole.items() if script not in (*VALIDATION, *TEST))
    for script in (*VALIDATION, *TEST):
        assert fonts.similarity(whole[script], trained, rotations=True).max() <= ALIKE
    assert not set("օհՕ") & set(whole["Armenian"])  # they look like o, h and O


def test_every_script_keeps_enough_distinct_characters_in_two_faces_at_least(whole):
    for script, characters in whole.items():
        alike = fonts.similarity(characters, characters) > ALIKE
        assert alike.sum() == len(characters), script  # only the diagonal
        assert len(characters) >= (10 if script in (*VALIDATION, *TEST) else 20), script
        assert len(fonts.covering_faces(SCRIPTS[script])) >= 2, script


def test_similarity_sees_through_shift_and_turn_but_tells_letters_apart():
    assert fonts.similarity("A", "Α")[0, 0] == pytest.approx(1, abs=1e-3)  # Latin and Greek
    assert fonts.similarity("ꓕ", "T")[0, 0] < 0.8 < fonts.similarity("ꓕ", "T", rotations=True)[0, 0]
    assert fonts.similarity("A", "B")[0, 0] < 0.8
    assert fonts.distinct("cCoOx", ALIKE) == "cox"


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.95, 0.999])
def test_distances_are_those_of_scipy_bit_for_bit(share):
    masks = np.random.default_rng(0).random((3, fonts.CANVAS, fonts.CANVAS)) < share
    masks[:, 0, 0] = False
    np.testing.assert_array_equal(fonts._distance(masks), [distance_transform_edt(mask) for mask in masks])


def test_examples_have_ink_on_a_dark_ground_and_stay_inside_the_image(federation):
    nodes = (*federation.train, *federation.validation, *federation.test)
    images = torch.cat([node.images for node in nodes]).float() / 255
    assert images.amax(dim=(1, 2, 3)).min() > 0.4  # a thin pen may be pale
    assert images.flatten(1).median(dim=1).values.max() < 0.1
    edge = torch.cat([images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], dim=-1)
    assert ((edge > 0.5).sum(dim=-1) > 3).float().mean() < 0.06  # few touch the border


def test_warp_zero_draws_every_example_alike(tmp_path):
    node = small(tmp_path, replace(SMALL, warp=0.0)).train[0]
    examples = node.images.view(len(node.classes), SMALL.examples, -1)
    assert torch.equal(examples[:, 0], examples[:, 1])
    assert not torch.equal(examples[0], examples[1])


def test_more_warp_spreads_the_examples_of_a_character(tmp_path):
    def spread(warp):
        node = small(tmp_path, replace(SMALL, warp=warp)).train[0]
        return float((node.images.view(len(node.classes), SMALL.examples, -1).float() / 255).std(dim=1).mean())

    assert spread(0.3) < spread(1.0)


def test_same_seed_same_pixels_in_another_process(tmp_path, federation):
    code = "import pathlib, sys; from test_tasks_glyphs import *; print(digest(small(pathlib.Path(sys.argv[1]))))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == digest(federation)


def test_another_seed_gives_other_pixels_of_the_same_classes(tmp_path, federation):
    other = small(tmp_path, replace(SMALL, seed=1))
    assert digest(other) != digest(federation)
    assert [node.classes for node in other.train] == [node.classes for node in federation.train]


def test_cache_is_used(tmp_path, federation, monkeypatch):
    assert digest(small(tmp_path)) == digest(federation)
    monkeypatch.setattr("mglib.tasks.glyphs._draw_all", lambda *_: pytest.fail("drawn in spite of the cache"))
    assert digest(small(tmp_path)) == digest(federation)


def test_cache_of_other_settings_is_not_used(tmp_path):
    small(tmp_path)
    assert small(tmp_path, replace(SMALL, image_size=20)).image_size == 20
    assert len(list(tmp_path.iterdir())) == 2  # and no temporary file is left


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: b"", lambda content: b"x" * 5000])
def test_a_damaged_cache_is_replaced(tmp_path, federation, damage):
    small(tmp_path)
    (file,) = tmp_path.iterdir()
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    assert digest(small(tmp_path)) == digest(federation)
    assert file.read_bytes() == sound


def test_an_unwritable_cache_folder_only_means_no_cache(tmp_path, federation):
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    assert digest(small(blocked)) == digest(federation)


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MGLIB_CACHE", str(tmp_path / "elsewhere"))
    small(None)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


def test_three_channels_repeat_the_grey_image(tmp_path, federation):
    colour = small(tmp_path, replace(SMALL, channels=3))
    assert colour.channels == 3
    assert torch.equal(colour.train[0].images[:, 2:], federation.train[0].images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 7}, r"`image_size` \(=7\) must be a whole number from 8"),
        ({"examples": 0}, r"`examples` \(=0\) must be a whole number from 1"),
        ({"warp": -1.0}, r"`warp` \(=-1.0\) must not be negative"),
        ({"noise": math.nan}, r"`noise` \(=nan\) must be a finite number"),
        ({"channels": 2}, r"`channels` \(=2\) must be 1"),
        ({"seed": -1}, r"`seed` \(=-1\) must not be negative"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        GlyphSettings(**change)


def test_unknown_and_indistinct_scripts_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"held_out holds unknown names: Klingon; allowed are Greek, Hebrew, Georgian"):
        small(tmp_path, held_out=("Klingon",))
    with pytest.raises(ValueError, match="Lisu cannot be held out"):  # its letters are Latin ones, some turned
        small(tmp_path, scripts=("Latin", "Lisu"), held_out=("Lisu",), validation=())
    with pytest.raises(ValueError, match="allowed are Latin, Greek"):
        load_federation("glyphs", held_out=("Klingon",), root=tmp_path)


def test_the_default_federation_is_whole_and_can_give_tasks(tmp_path):
    federation = load_federation("glyphs", root=tmp_path)
    scripts = [{node.name.split("/")[0] for node in nodes} for nodes in (federation.train, federation.test)]
    assert scripts == [set(SCRIPTS) - {*VALIDATION, *TEST}, set(TEST)]
    for node in (*federation.train, *federation.validation, *federation.test):
        node.sample_task(ways=5, shots=5, queries=15, generator=np.random.default_rng(0))
