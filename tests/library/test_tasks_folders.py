import warnings

import numpy as np
import pytest
import torch
from image_files import load, pixels_of, write_image
from PIL import Image
from small_data import write_alphabets

from mglib.tasks import load_federation, load_images, read_support


def test_bright_images_are_inverted_so_that_the_background_is_dark(tmp_path):
    write_alphabets(tmp_path / "dark")
    for file in (tmp_path / "dark").rglob("*.png"):
        target = tmp_path / "bright" / file.relative_to(tmp_path / "dark")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - pixels_of(file)).save(target)
    dark, bright = (load_federation(f"folder:{tmp_path / name}", image_size=14) for name in ("dark", "bright"))
    assert dark.train[0].images.median() < 100
    assert torch.equal(dark.train[0].images, bright.train[0].images)


def test_channels_follow_the_images_unless_given(tmp_path, alphabets):
    assert load(alphabets, channels=3).train[0].images.shape[1] == 3
    grey = write_image(tmp_path / "grey.png", mode="RGB")
    assert load_images([grey], 12).shape == (1, 1, 12, 12)
    Image.new("RGB", (12, 12), (255, 0, 0)).save(tmp_path / "red.png")
    assert load_images([tmp_path / "red.png"], 12)[0, :, 0, 0].tolist() == [255, 0, 0]
    assert load_images([tmp_path / "red.png"], 12, channels=1)[0, :, 0, 0].tolist() == [76]


def test_mixed_sizes_and_modes_are_converted_and_said_once(tmp_path):
    for index, (size, mode) in enumerate([((12, 12), "L"), ((40, 20), "RGB"), ((9, 9), "RGBA"), ((12, 12), "L")]):
        write_image(tmp_path / "animal" / f"{index}.png", size=size, mode=mode)
    summary = r"4 images of 3 sizes \(9x9 to 40x20\) and of modes L, RGB, RGBA were converted to 16x16"
    with pytest.warns(UserWarning, match=summary) as said:
        images, _, _ = read_support(tmp_path, 16)
    assert len(said) == 1
    assert images.shape == (4, 1, 16, 16)
    assert images.unique().tolist() == [200]


def test_other_files_are_ignored_and_said_once(alphabets):
    (alphabets / "README.txt").write_text("about")
    (alphabets / "alphabet0" / "notes.md").write_text("about")
    (alphabets / "alphabet0" / "character0" / "strokes.csv").write_text("1,2")
    (alphabets / ".DS_Store").write_bytes(b"\0")
    (alphabets / "alphabet0" / "character0" / ".hidden.png").write_bytes(b"\0")
    with pytest.warns(UserWarning, match=r"3 entries below .* are not used") as said:
        load(alphabets)
    assert len(said) == 1


def test_clean_folders_raise_no_warning(alphabets):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(alphabets)


@pytest.mark.parametrize("content", ["truncated", "text", "empty", "broken link", "folder"])
def test_a_file_that_is_no_image_is_refused_by_name(alphabets, content):
    file = alphabets / "alphabet0" / "character0" / "3.png"
    sound = file.read_bytes()
    file.unlink()
    if content == "broken link":
        file.symlink_to(alphabets / "nowhere.png")
    elif content == "folder":
        write_image(file / "inside.png")
        with pytest.warns(UserWarning, match="not used"):
            load(alphabets)
        return
    else:
        file.write_bytes({"truncated": sound[: len(sound) // 2], "text": b"not an image", "empty": b""}[content])
    with pytest.raises(ValueError, match=r"alphabet0.character0.3\.png cannot be read as an image"):
        load(alphabets)


@pytest.mark.parametrize(
    ("pixel", "message"), [(np.nan, "NaN"), (np.inf, "NaN or infinite"), (-1.0, "from -1"), (300.0, "to 300")]
)
def test_float_pixels_that_mean_nothing_are_refused_by_file_name(alphabets, pixel, message):
    values = np.full((14, 14), 0.5, dtype=np.float32)
    values[3, 3] = pixel
    Image.fromarray(values).save(alphabets / "alphabet0" / "character0" / "bad.tiff")
    with pytest.raises(ValueError, match=rf"bad\.tiff holds pixels .*{message}"):
        load(alphabets)


def test_missing_and_empty_folders_are_refused(tmp_path, alphabets):
    with pytest.raises(ValueError, match="nowhere is not a folder that can be read: No such file"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no image in .*empty; expected below it is <node>/<class>/<image>"):
        load(tmp_path / "empty")
    (alphabets / "alphabet0" / "character9").mkdir()
    with pytest.raises(ValueError, match=r"no image in class folder .*character9"):
        load(alphabets)
    (alphabets / "alphabet9").mkdir()
    with pytest.raises(ValueError, match=r"no class in node .*alphabet9"):
        load(alphabets)


@pytest.mark.parametrize("pattern", ["*", "*/*"])
@pytest.mark.parametrize("rotate", [True, False])
def test_a_name_that_would_count_as_turned_is_refused(alphabets, pattern, rotate):
    named = min(alphabets.glob(pattern))
    named.rename(f"{named}@180")
    with pytest.raises(ValueError, match=rf"{named.name}@180' ends in @90, @180 or @270, .* rename it"):
        load(alphabets, rotate=rotate)


def test_mixed_layouts_are_refused(alphabets):
    write_image(alphabets / "stray" / "0.png")
    with pytest.raises(ValueError, match=r"mixes layouts: .*stray holds images, .*alphabet0 holds folders"):
        load(alphabets)


def test_a_loop_of_links_is_refused_not_followed(alphabets):
    (alphabets / "alphabet0" / "loop").symlink_to(alphabets)
    with pytest.raises(ValueError, match=r"no image in class folder .*loop"):
        load(alphabets)


def test_support_is_read_from_class_folders_or_from_one_file_a_class(tmp_path):
    for index, name in enumerate(["cat", "dog"]):
        write_image(tmp_path / "files" / f"{name}.png", value=9 * index)
        for example in range(2):
            write_image(tmp_path / "folders" / name / f"{example}.png", value=9 * index)
    images, labels, classes = read_support(tmp_path / "folders", 12, 1)
    assert (labels.tolist(), classes) == ([0, 0, 1, 1], ("cat", "dog"))
    assert images[:, 0, 0, 0].tolist() == [0, 0, 9, 9]
    images, labels, classes = read_support(tmp_path / "files", 12, 3)
    assert (labels.tolist(), classes, images.shape[1]) == ([0, 1], ("cat", "dog"), 3)
    assert images[:, 0, 0, 0].tolist() == [0, 9]


def test_ambiguous_support_is_refused(tmp_path):
    write_image(tmp_path / "cat.png")
    write_image(tmp_path / "cat.jpg")
    with pytest.raises(ValueError, match=r"several images of one class name: cat\.jpg, cat\.png"):
        read_support(tmp_path, 12)
    write_image(tmp_path / "dog" / "0.png")
    with pytest.raises(ValueError, match=r"beside folders \(dog\)"):
        read_support(tmp_path, 12)
    with pytest.raises(ValueError, match="not a folder"):
        read_support(tmp_path / "cat.png", 12)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no image in .*empty"):
        read_support(tmp_path / "empty", 12)


def test_files_that_are_no_images_are_named_with_what_would_be(tmp_path):
    for name in ("a.heic", "b.heic"):
        write_image(tmp_path / "flat" / "class" / "a.png").rename(tmp_path / "flat" / "class" / name)
    told = r"2 other files \(a\.heic, b\.heic\); an image's name ends in \.bmp .*\.pgm"
    with pytest.raises(ValueError, match=rf"no image in .*flat, {told}"):
        load(tmp_path / "flat")
    with pytest.raises(ValueError, match=rf"class folder .*class, {told}"):
        load(tmp_path)
    with pytest.raises(ValueError, match=rf"no image in .*class, {told}"):
        read_support(tmp_path / "flat" / "class", 12)
