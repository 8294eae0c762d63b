import numpy as np
import pytest
from PIL import Image

from mglib.tasks import load_images


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
