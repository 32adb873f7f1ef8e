"""Colour profiles: honoured when reading, kept and written in when writing."""

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from realfill.imaging import encode
from realfill.imaging.decode import read_original
from realfill.imaging.photo import insert, to_photo
from tests import files16, profiles
from tests.imaging.samples import H, W, noise, original, read_back, save


def test_a_cmyk_jpeg_is_read_through_its_profile(tmp_path: Path) -> None:
    Image.new("CMYK", (32, 32), (255, 0, 0, 0)).save(tmp_path / "a.jpg", icc_profile=profiles.cmyk(), quality=100)
    read = read_original(tmp_path / "a.jpg")
    assert read.mode == "RGB" and read.icc_profile is None and not read.bit_exact
    assert np.ptp(read.pixels[5, 5].astype(int)) <= 2  # the test profile knows no colour; without it, cyan
    assert abs(int(read.pixels[5, 5, 0]) - 162) <= 3


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_a_profile_is_kept_and_honoured(tmp_path: Path, suffix: str) -> None:
    """A Display P3 file: seen in sRGB, and sRGB red comes back as the code values P3 has for it."""
    pixels = np.full((16, 16, 3), (234, 51, 35), np.uint8)
    options: dict[str, dict[str, Any]] = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}
    save(tmp_path / f"a{suffix}", pixels, icc_profile=profiles.display_p3(), **options.get(suffix, {}))
    read = read_original(tmp_path / f"a{suffix}")
    assert read.icc_profile == profiles.display_p3()
    assert np.abs(to_photo(read).astype(int) - (255, 0, 0)).max() <= 6
    red = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    alpha = np.zeros((16, 16), np.float32)
    alpha[:8] = 1
    result = insert(read, red, alpha)
    assert np.abs(result.pixels[0, 0].astype(int) - (234, 51, 35)).max() <= 1
    assert np.array_equal(result.pixels[8:], read.pixels[8:])
    again = read_back(encode.encode(result, "png", quality=100, record={}), tmp_path)
    assert again.icc_profile == profiles.display_p3()


def test_sixteen_bit_p3_keeps_depth_and_space(tmp_path: Path) -> None:
    source = original("RGB", 16, icc_profile=profiles.display_p3())
    result = insert(source, np.full((H, W, 3), (255, 0, 0), np.uint8), np.ones((H, W), np.float32))
    assert np.abs(result.pixels[3, 3].astype(int) - np.array((234, 51, 35)) * 257).max() <= 257
    again = read_back(encode.encode(result, "tiff", quality=100, record={}), tmp_path)
    assert np.array_equal(again.pixels, result.pixels) and again.icc_profile == profiles.display_p3()


def test_a_grey_profile_is_honoured_both_ways(tmp_path: Path) -> None:
    pixels = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[None], 4, 0)
    read = read_original(save(tmp_path / "a.png", pixels, icc_profile=profiles.grey(1.8)))
    assert read.icc_profile
    photo = to_photo(read)
    assert photo[0, 13, 0] > pixels[0, 13] + 10  # gamma 1.8 shows a middle grey lighter than sRGB does
    result = insert(read, photo, np.ones(pixels.shape, np.float32))
    assert np.abs(result.pixels.astype(int) - pixels).max() <= 3
    webp = read_back(encode.encode(read, "webp", quality=100, record={}), tmp_path)
    assert webp.icc_profile is None and np.array_equal(webp.pixels, photo)


def test_a_profile_without_a_way_back_is_settled_when_reading(tmp_path: Path) -> None:
    read = read_original(save(tmp_path / "a.png", noise(), icc_profile=profiles.one_way_rgb()))
    assert read.icc_profile is None and not read.bit_exact
    assert np.ptp(read.pixels.astype(int), axis=2).max() <= 2  # that profile knows greys only
    deep = io.BytesIO()
    deep.write(files16.png(noise("RGB", 16), files16.chunk(b"iCCP", b"x\0\0" + zlib.compress(profiles.one_way_rgb()))))
    assert not read_back(deep.getvalue(), tmp_path).bit_exact


@pytest.mark.parametrize("icc", [b"nonsense", profiles.grey(2.2), profiles.cmyk(), profiles.display_p3()[:200]])
def test_a_damaged_or_foreign_profile_is_ignored(tmp_path: Path, icc: bytes) -> None:
    read = read_original(save(tmp_path / "a.png", noise(), icc_profile=icc))
    assert read.icc_profile is None and read.bit_exact
    assert np.array_equal(to_photo(read), noise())


def test_a_profile_too_large_for_a_png_becomes_srgb(tmp_path: Path) -> None:
    icc = profiles.padded(profiles.display_p3(), PngImagePlugin.MAX_TEXT_CHUNK + 1)
    pixels = np.full((16, 16, 3), (234, 51, 35), np.uint8)
    read = read_original(save(tmp_path / "a.tiff", pixels, icc_profile=icc))
    assert read.icc_profile is None and not read.bit_exact
    assert np.abs(read.pixels.astype(int) - (255, 0, 0)).max() <= 6
    assert np.array_equal(read_back(encode.encode(read, "png", quality=100, record={}), tmp_path).pixels, read.pixels)
