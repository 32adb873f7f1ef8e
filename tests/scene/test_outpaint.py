from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.arrays import Pixels
from realfill.errors import SceneError
from realfill.imaging import decode, encode
from realfill.imaging.decode import Original
from realfill.scene import outpaint
from realfill.scene.outpaint import Extension
from tests import files16, profiles

BY = Extension(left=3, top=5, right=0, bottom=2)


def noise(mode: str, depth: int) -> Pixels:
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    kind = np.uint8 if depth == 8 else np.uint16
    pixels: Pixels = np.random.default_rng(depth).integers(0, 2**depth, (12, 17, *channels), kind)
    return pixels


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_what_was_there_comes_back_from_the_file_bit_for_bit(tmp_path: Path, mode: decode.Mode, depth: int) -> None:
    profile = None if mode == "L" else profiles.display_p3()
    original = Original(noise(mode, depth), mode, profile, "TIFF", None, bit_exact=True, orientation=6)
    (tmp_path / "a.png").write_bytes(encode.encode_lossless(outpaint.extend(original, BY)))
    read = decode.read_original(tmp_path / "a.png")
    assert (read.mode, read.pixels.dtype, read.icc_profile) == (mode, original.pixels.dtype, profile)
    assert read.bit_exact
    assert (read.height, read.width) == BY.size(12, 17) == (19, 20)
    assert np.array_equal(read.pixels[BY.inner_slices(12, 17)], original.pixels)


def test_the_new_part_is_grey_or_transparent(tmp_path: Path) -> None:
    rgb = outpaint.extend(Original(noise("RGB", 16), "RGB", None, "PNG", None, bit_exact=True), BY)
    rgba = outpaint.extend(Original(noise("RGBA", 8), "RGBA", None, "PNG", None, bit_exact=True), BY)
    new = BY.hole(np.zeros((12, 17), np.bool_))
    assert (rgb.pixels[new] == 32768).all()
    assert (rgba.pixels[new] == 0).all()


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_a_photo_that_lies_on_its_side_grows_where_it_is_seen(tmp_path: Path, orientation: int) -> None:
    data = files16.png(noise("RGB", 16), files16.orientation_chunk(orientation))
    (tmp_path / "a.png").write_bytes(data)
    original = decode.read_original(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(encode.encode_lossless(outpaint.extend(original, BY)))
    grown = decode.read_original(tmp_path / "b.png")
    assert grown.orientation == 1
    assert np.array_equal(grown.pixels[BY.inner_slices(original.height, original.width)], original.pixels)


def test_a_result_is_marked_as_ai_work_and_an_extended_target_is_not() -> None:
    original = Original(noise("RGB", 8), "RGB", None, "PNG", None, bit_exact=True)
    assert b"trainedAlgorithmicMedia".lower() not in encode.encode_lossless(original).lower()
    assert b"trainedAlgorithmicMedia".lower() in encode.encode(original, "png", quality=90, record={}).lower()


def test_no_extension_changes_nothing() -> None:
    original = Original(noise("RGB", 8), "RGB", None, "JPEG", None, bit_exact=False)
    assert outpaint.extend(original, Extension()) is original
    assert not Extension()
    assert Extension(bottom=1)


def test_the_hole_of_a_grown_picture_is_the_old_one_and_all_that_is_new() -> None:
    inner = np.zeros((4, 6), np.bool_)
    inner[1, 2] = True
    grown = Extension(1, 2, 3, 0).hole(inner)
    assert grown.shape == (6, 10)
    assert np.array_equal(grown[2:6, 1:7], inner)
    assert grown.sum() == 60 - 24 + 1


def test_too_much_and_less_than_nothing_are_refused() -> None:
    with pytest.raises(SceneError, match="megapixels"):
        outpaint.check(3000, 4000, Extension(left=20_000))
    with pytest.raises(SceneError, match="only grow"):
        Extension(left=-1)
    small = Original(np.zeros((10, 10), np.uint8), "L", None, "PNG", None, bit_exact=True)
    with pytest.raises(SceneError, match="extend it less"):
        outpaint.extend(small, Extension(bottom=10_000_000))


def test_the_lossless_file_opens_elsewhere(tmp_path: Path) -> None:
    original = Original(noise("RGB", 8), "RGB", profiles.display_p3(), "PNG", None, bit_exact=True)
    (tmp_path / "a.png").write_bytes(encode.encode_lossless(original))
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), original.pixels)
