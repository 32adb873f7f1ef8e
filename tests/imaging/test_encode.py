"""Files out: bit for bit where a format can, with profile, author and the mark of AI work."""

import io
import json
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from realfill.errors import OptionError
from realfill.imaging import encode
from realfill.imaging.decode import read_original
from realfill.imaging.encode import FORMATS, Format
from realfill.imaging.photo import to_photo
from realfill.seeds import rng
from tests import profiles
from tests.imaging.samples import SHAPES, Array, noise, original, phone_exif, read_back, save, smooth


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_place_and_orientation_are_dropped_and_author_kept(tmp_path: Path, suffix: str, format: Format) -> None:
    Image.fromarray(smooth()).save(tmp_path / f"a{suffix}", exif=phone_exif())
    read = read_original(tmp_path / f"a{suffix}")
    assert read.exif is not None
    data = encode.encode(read, format, quality=90, record={})
    assert b"secret place" not in data
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        assert exif.get_ifd(0x8825) == {}
        assert exif.get(0x0112, 1) == 1
        assert exif[0x013B] == "Ada"
        assert exif.get_ifd(0x8769)[0x9003] == "2024:05:01 10:00:00"
        assert image.size == (48, 64)


@pytest.mark.parametrize("format", FORMATS)
def test_the_file_says_it_was_made_with_ai_and_how(format: Format) -> None:
    record = {"base": "mini", "prompt": 'a <photo> & "more" ünd', "seed": 17}
    data = encode.encode(original("RGB"), format, quality=90, record=record)
    with Image.open(io.BytesIO(data)) as image:
        raw = image.tag_v2[700] if format == "tiff" else image.info["xmp"]  # type: ignore[attr-defined]
        packet = raw.decode() if isinstance(raw, bytes) else raw
    fields = {element.tag: element.text for element in ElementTree.fromstring(packet).iter()}
    source = fields["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"]
    assert source == "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    assert json.loads(fields["{urn:realfill:settings:1}settings"] or "") == record


def test_a_record_too_long_for_a_file_is_a_defect() -> None:
    with pytest.raises(ValueError, match="60000"):
        encode.encode(original("RGB"), "jpeg", quality=90, record={"long": "x" * 60_001})


@pytest.mark.parametrize("format", FORMATS)
def test_the_profile_is_in_every_export(format: Format) -> None:
    source = original("RGB", icc_profile=profiles.display_p3())
    with Image.open(io.BytesIO(encode.encode(source, format, quality=90, record={}))) as image:
        assert image.info["icc_profile"] == profiles.display_p3()


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize(("format", "depth"), [("png", 8), ("png", 16), ("tiff", 8), ("tiff", 16), ("webp", 8)])
def test_lossless_exports_come_back_bit_for_bit(tmp_path: Path, mode: str, format: Format, depth: int) -> None:
    source = original(mode, depth)
    read = read_back(encode.encode(source, format, quality=100, record={"a": 1}), tmp_path)
    assert read.bit_exact
    assert read.pixels.dtype == source.pixels.dtype
    if format == "webp" and mode == "L":
        assert all(np.array_equal(read.pixels[:, :, channel], source.pixels) for channel in range(3))
    elif format == "webp" and mode == "RGBA":
        assert np.array_equal(read.pixels, source.pixels)
    else:
        assert read.mode == mode
        assert np.array_equal(read.pixels, source.pixels)


def test_a_tiff_of_many_strips_is_read_by_pillow_and_opencv(tmp_path: Path) -> None:
    tall = rng(1).integers(0, 65536, (1500, 200, 3)).astype(np.uint16)
    data = encode.encode(original("RGB", pixels=tall), "tiff", quality=100, record={})
    assert np.array_equal(read_back(data, tmp_path).pixels, tall)  # OpenCV's reader
    with Image.open(io.BytesIO(data)) as image:  # Pillow's, to 8 bits
        assert len(image.tag_v2[273]) > 1  # type: ignore[attr-defined]
        assert np.array_equal(np.array(image), (tall >> 8).astype(np.uint8))


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_lossy_exports_look_alike(tmp_path: Path, mode: str, depth: int, format: Format) -> None:
    pixels: Array = np.dstack([smooth(), np.full((48, 64), 255, np.uint8)])
    pixels = {"L": pixels[:, :, 0], "RGB": pixels[:, :, :3], "RGBA": pixels}[mode]
    if depth == 16:
        pixels = pixels.astype(np.uint16) * np.uint16(257)
    read = read_back(encode.encode(original(mode, pixels=pixels), format, quality=90, record={}), tmp_path)
    assert not read.bit_exact
    expected = to_photo(original(mode, pixels=pixels))
    assert np.abs(to_photo(read).astype(int) - expected).mean() < 3


def test_transparency_is_laid_on_white_in_jpeg(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    read = read_back(encode.encode(original("RGBA", pixels=pixels), "jpeg", quality=95, record={}), tmp_path)
    assert read.pixels.min() > 250


def test_sides_and_formats_that_do_not_exist_are_refused() -> None:
    wide = original("L", pixels=np.zeros((1, 16_384), np.uint8))
    with pytest.raises(OptionError, match=r"webp cannot hold sides over 16383 pixels; export as png or tiff\."):
        encode.encode(wide, "webp", quality=90, record={})
    with pytest.raises(OptionError, match="no export format 'gif'; use png"):
        encode.encode(wide, "gif", quality=90, record={})  # type: ignore[arg-type]


def test_every_format_has_its_name_in_the_type_and_its_endings_alone() -> None:
    assert tuple(FORMATS) == get_args(Format)
    for name, known in FORMATS.items():
        for suffix in known.suffixes:
            assert encode.find_format(Path(f"holiday{suffix.upper()}")) == name
    with pytest.raises(OptionError, match=r"'a\.gif' does not say a format; end it in \.png, \.jpg, \.jpeg"):
        encode.find_format(Path("a.gif"))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("depth", [8, 16])
def test_a_format_that_says_so_is_lossless_at_any_quality(tmp_path: Path, format: Format, depth: int) -> None:
    source = original("RGB", depth)
    read = read_back(encode.encode(source, format, quality=1, record={}), tmp_path)
    assert np.array_equal(read.pixels, source.pixels) == FORMATS[format].lossless


@pytest.mark.parametrize("format", FORMATS)
def test_quality_changes_the_file_where_the_format_says_so(format: Format) -> None:
    low, high = (encode.encode(original("RGB"), format, quality=quality, record={}) for quality in (10, 90))
    assert (low != high) == bool(FORMATS[format].quality)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("mode", SHAPES)
def test_a_tiff_of_any_size_keeps_text_exposure_and_values(tmp_path: Path, mode: str, width: int) -> None:
    """Odd sizes too: the Exif directory behind the page begins at an even place."""
    source = read_original(save(tmp_path / "a.jpg", smooth(), exif=phone_exif()))
    for height in (1, 3, 4):
        pixels = noise(mode)[:height, :width]
        deflated = encode.encode(original(mode, pixels=pixels, exif=source.exif), "tiff", quality=1, record={})
        again = read_back(deflated, tmp_path)
        assert again.mode == mode and np.array_equal(again.pixels, pixels)
        assert again.exif == source.exif
        assert not again.icc_profile
