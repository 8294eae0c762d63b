import struct
import zlib

import numpy as np
import pytest
from image_files import write_image
from PIL import ExifTags, Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from mglib.tasks import load_images
from mglib.tasks.images import EXTENSIONS


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F"])
def test_every_mode_is_read_as_the_same_picture(tmp_path, mode):
    picture = np.kron([[0, 255], [255, 0]], np.ones((6, 6))).astype(np.uint8)
    image = Image.fromarray(picture)
    if mode == "I;16":
        image = Image.fromarray(picture.astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(picture.astype(np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray((picture / 255).astype(np.float32))
    else:
        image = image.convert(mode)
    path = tmp_path / ("image.tiff" if mode in ("CMYK", "I", "F") else "image.png")
    image.save(path)
    with Image.open(path) as written:
        assert written.mode == mode
    np.testing.assert_array_equal(load_images([path], 12, 1)[0, 0].numpy(), picture)


def test_transparency_is_laid_over_white(tmp_path):
    Image.new("RGBA", (12, 12), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert load_images([tmp_path / "clear.png"], 12).unique().tolist() == [255]


def test_shrinking_averages_instead_of_skipping_pixels(tmp_path):
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    inner = load_images([tmp_path / "stripes.png"], 8)[0, 0, :, 1:-1]
    assert 100 < inner.min() <= inner.max() < 155


def test_whatever_torchvision_takes_for_an_image_is_one():
    assert {*IMG_EXTENSIONS, ".gif"} == EXTENSIONS


def ramp(largest, kind):
    return np.linspace(0, largest, 144).reshape(12, 12).round().astype(kind)


@pytest.mark.parametrize(("kind", "name"), [(np.uint16, "a.png"), (np.int32, "a.tiff"), (np.uint16, "a.pgm")])
def test_eight_bit_values_in_deep_files_are_seen_and_told(tmp_path, kind, name):
    Image.fromarray(ramp(200, kind)).save(tmp_path / name)
    with pytest.warns(UserWarning, match=rf"1 grey images .*{name}.* no value above 200: 255 is taken for white"):
        images = load_images([tmp_path / name], 12, 1)
    np.testing.assert_array_equal(images[0, 0].numpy(), ramp(200, np.uint8))


@pytest.mark.parametrize(("largest", "white"), [(900, 1023), (1023, 1023), (4000, 4095), (16000, 16383)])
def test_values_of_10_12_and_14_bits_are_seen_and_told(tmp_path, largest, white):
    Image.fromarray(ramp(largest, np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(ramp(255, np.uint8)).save(tmp_path / "eight.png")
    with (
        pytest.warns(UserWarning, match=f"1 grey .* no value above {largest}: {white} is taken for white"),
        pytest.warns(UserWarning, match="of modes"),
    ):
        images = load_images([tmp_path / "a.png", tmp_path / "eight.png"], 12, 1)
    assert images.amax((1, 2, 3)).tolist() == [round(255 * largest / white), 255]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_labels_of_0_and_1_are_black_and_white(tmp_path, kind):
    Image.fromarray(ramp(1, kind)).save(tmp_path / "a.tiff")
    with pytest.warns(UserWarning, match="no value above 1: 1 is taken for white"):
        images = load_images([tmp_path / "a.tiff"], 12, 1)
    np.testing.assert_array_equal(images[0, 0].numpy(), ramp(1, np.uint8) * 255)


def test_the_range_is_that_of_the_whole_set(tmp_path):
    for name, largest in (("dark", 200), ("bright", 65535)):
        Image.fromarray(ramp(largest, np.uint16)).save(tmp_path / f"{name}.png")
        Image.fromarray(ramp(largest, np.float32) / 257).save(tmp_path / f"{name}.tiff")
    with pytest.warns(UserWarning, match=r"1 of 2 images come out without contrast.*dark\.png"):
        dark, bright = load_images([tmp_path / "dark.png", tmp_path / "bright.png"], 12, 1)
    assert (dark.max(), bright.max()) == (1, 255)
    with pytest.warns(UserWarning, match=r"without contrast.*dark\.tiff"):
        assert load_images([tmp_path / "dark.tiff", tmp_path / "bright.tiff"], 12, 1)[0].max() == 1
    assert load_images([tmp_path / "dark.tiff"], 12, 1).max() == round(200 / 257 * 255)


def test_a_dark_grey_image_among_others_stays_dark(tmp_path):
    Image.fromarray(ramp(1, np.uint8)).save(tmp_path / "dark.png")
    write_image(tmp_path / "other.png", 90, mode="RGB")
    with pytest.warns(UserWarning, match=r"of modes L, RGB|without contrast.*dark"):
        assert load_images([tmp_path / "dark.png", tmp_path / "other.png"], 12, 1)[0].max() == 1


def test_white_on_transparent_is_told_to_be_lost(tmp_path):
    picture = np.full((12, 12, 4), 255, dtype=np.uint8)
    picture[:, :6, 3] = 0
    Image.fromarray(picture).save(tmp_path / "icon.png")
    with pytest.warns(UserWarning, match=r"without contrast.*icon\.png"):
        load_images([tmp_path / "icon.png"], 12)


def exif(tag, kind, count, value):
    """EXIF bytes with the orientation 6, a quarter turn, and one entry about GPS."""
    pointers = struct.pack(">HHLHH", ExifTags.Base.Orientation, 3, 1, 6, 0) + struct.pack(">HHLL", 0x8825, 4, 1, 38)
    gps = struct.pack(">HHHL4sL", 1, tag, kind, count, value, 0)
    return b"Exif\0\0MM\0*" + struct.pack(">LH", 8, 2) + pointers + bytes(4) + gps


BROKEN_EXIF = {  # by what Pillow raises where it writes them again, which it does where it turns an image
    "TypeError": exif(5, 2, 2, b"N\0\0\0"),
    "AttributeError": exif(1, 5, 1, struct.pack(">L", 8)),
    "struct.error": exif(2, 8, 2, b"\xff\xff\0\3"),
}


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png"])
@pytest.mark.parametrize("what", BROKEN_EXIF)
def test_a_photo_with_broken_exif_is_read_and_upright(tmp_path, name, what):
    picture = np.zeros((12, 12), dtype=np.uint8)
    picture[:6] = 255  # bright above; turned by 90 degrees clockwise, bright at the right
    Image.fromarray(picture).save(tmp_path / name, exif=BROKEN_EXIF[what], quality=100)
    image = load_images([tmp_path / name], 12, 1)[0, 0]
    assert image[:, 7:].min() > 200 > 50 > image[:, :5].max()


@pytest.mark.parametrize("content", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\1" * 40])
def test_a_photo_whose_exif_is_noise_is_read_as_it_is(tmp_path, content):
    picture = np.kron([[0, 255], [255, 0]], np.ones((6, 6))).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png", exif=content)
    np.testing.assert_array_equal(load_images([tmp_path / "a.png"], 12, 1)[0, 0].numpy(), picture)


ERRORS = [struct.error, TypeError, KeyError, OverflowError, zlib.error, IndexError, AssertionError, MemoryError]


@pytest.mark.parametrize("error", [*ERRORS, NotImplementedError, AttributeError, Image.DecompressionBombError])
def test_whatever_pillow_raises_names_the_file(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    path = write_image(tmp_path / "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(ValueError, match=rf"a\.png cannot be read as an image: {error.__name__}"):
        load_images([path], 12)
