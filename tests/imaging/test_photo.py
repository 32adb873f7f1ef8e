"""Photos, and generated pixels laid into originals: what is not generated stays bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from realfill.imaging.photo import blend, insert, read_photo, save_photo, to_photo
from realfill.seeds import rng
from tests.imaging.samples import SHAPES, H, W, noise, original


def test_a_photo_is_eight_bit_colour_without_alpha() -> None:
    assert np.array_equal(to_photo(original("RGBA")), noise("RGBA")[:, :, :3])
    assert np.array_equal(to_photo(original("L"))[:, :, 2], noise("L"))
    deep = np.array([[0, 128, 129, 257, 32767, 65406, 65407, 65535]], np.uint16)
    photo = to_photo(original("L", pixels=deep))
    assert photo[0, :, 0].tolist() == [0, 0, 1, 1, 127, 254, 255, 255]


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("depth", [8, 16])
def test_only_values_with_alpha_change(mode: str, depth: int) -> None:
    source = original(mode, depth)
    alpha = np.where(rng(1).random((H, W)) < 0.3, rng(2).random((H, W)), 0).astype(np.float32)
    before = source.pixels.copy()
    result = insert(source, noise(seed=9), alpha)
    assert np.array_equal(result.pixels[alpha == 0], before[alpha == 0])
    assert result.pixels.dtype == before.dtype
    assert (result.pixels[alpha > 0.5] != before[alpha > 0.5]).mean() > 0.5
    assert np.array_equal(source.pixels, before)


@pytest.mark.parametrize("depth", [8, 16])
def test_where_alpha_is_one_the_generated_value_is_taken_and_opaque(depth: int) -> None:
    generated, ones = noise(seed=9), np.ones((H, W), np.float32)
    factor = 1 if depth == 8 else 257
    assert np.array_equal(insert(original("RGB", depth), generated, ones).pixels, generated.astype(int) * factor)
    rgba = insert(original("RGBA", depth), generated, ones).pixels
    assert np.array_equal(rgba[:, :, :3], generated.astype(int) * factor)
    assert (rgba[:, :, 3] == 2**depth - 1).all()
    grey = insert(original("L", depth), np.repeat(noise("L")[..., None], 3, 2), ones).pixels
    assert np.array_equal(grey, noise("L").astype(int) * factor)


def test_half_alpha_is_the_mean() -> None:
    below, above = np.full((1, 1), 10, np.uint8), np.full((1, 1), 21, np.uint8)
    assert blend(below, above, np.full((1, 1), 0.5, np.float32)).item() == 16


def test_no_alpha_changes_nothing_and_wrong_sizes_are_refused() -> None:
    source = original("RGB")
    assert insert(source, noise(seed=9), np.zeros((H, W), np.float32)).pixels is source.pixels
    with pytest.raises(ValueError, match="do not fit"):
        insert(source, np.zeros((W, H, 3), np.uint8), np.zeros((H, W), np.float32))


def test_saved_photos_are_read_again_value_for_value(tmp_path: Path) -> None:
    save_photo(noise(), tmp_path / "a.png")
    assert np.array_equal(read_photo(tmp_path / "a.png"), noise())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
