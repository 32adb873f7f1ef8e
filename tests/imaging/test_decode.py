"""Files in: every accepted kind, and every refusal."""

import io
import itertools
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps, TiffImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from realfill.errors import SceneError
from realfill.imaging import encode
from realfill.imaging.decode import (
    ACCEPTED,
    SUFFIXES,
    read_original,
    rotate_upright,
    to_eight_bits,
)
from realfill.imaging.encode import FORMATS
from realfill.imaging.limits import MOST_SCANS, count_scans
from realfill.imaging.photo import to_photo
from realfill.seeds import rng
from tests import files16
from tests.imaging.samples import Array, H, W, noise, read_back, save, smooth, tiff


@pytest.mark.parametrize(("suffix", "mode", "depth"), [
    (".png", "L", 8), (".png", "RGB", 8), (".png", "RGBA", 8), (".png", "L", 16), (".png", "RGB", 16),
    (".png", "RGBA", 16), (".tif", "L", 8), (".tif", "RGB", 8), (".tif", "RGBA", 8), (".tif", "L", 16),
    (".tif", "RGB", 16), (".tif", "RGBA", 16), (".webp", "RGB", 8), (".webp", "RGBA", 8),
])  # fmt: skip
def test_lossless_files_are_read_value_for_value(tmp_path: Path, suffix: str, mode: str, depth: int) -> None:
    pixels = noise(mode, depth)
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    read = read_original(save(tmp_path / f"a{suffix}", pixels, **options))
    assert read.pixels.dtype == pixels.dtype
    assert np.array_equal(read.pixels, pixels)
    assert read.mode == mode
    assert read.bit_exact
    assert (read.height, read.width) == (H, W)


def test_big_endian_and_white_is_zero_tiffs(tmp_path: Path) -> None:
    for mode in ("L", "RGB", "RGBA"):
        assert np.array_equal(read_back(files16.tiff(noise(mode, 16), big=True), tmp_path).pixels, noise(mode, 16))
    inverted = files16.tiff(65535 - noise("L", 16), white_is_zero=True)
    assert np.array_equal(read_back(inverted, tmp_path).pixels, noise("L", 16))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    """Our reading agrees with Pillow's exif_transpose for 8 bits, and with ours on plain arrays for 16."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(smooth())
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
        picture.save(tmp_path / f"a{suffix}", exif=exif, **options)
        with Image.open(tmp_path / f"a{suffix}") as opened:
            expected = np.array(ImageOps.exif_transpose(opened))
        read = read_original(tmp_path / f"a{suffix}")
        assert np.array_equal(read.pixels, expected)
        assert read.orientation == orientation
        assert read.height == (64 if orientation >= 5 else 48)
    for mode in ("L", "RGB", "RGBA"):
        deep = noise(mode, 16)
        eight = np.array(Image.fromarray(files16_to_eight(deep)))
        turned = np.array(ImageOps.exif_transpose(with_orientation(eight, orientation)))
        from_png = read_back(files16.png(deep, files16.orientation_chunk(orientation)), tmp_path)
        from_tiff = read_back(files16.tiff(deep, orientation=orientation), tmp_path)
        assert np.array_equal(from_png.pixels, rotate_upright(deep, orientation))
        assert np.array_equal(from_tiff.pixels, rotate_upright(deep, orientation))
        assert np.array_equal(files16_to_eight(from_png.pixels), turned)


def files16_to_eight(pixels: Array) -> Array:
    return (pixels >> 8).astype(np.uint8)


def with_orientation(pixels: Array, orientation: int) -> Image.Image:
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return image


def test_heic_is_read_and_announced_as_re_encoded(tmp_path: Path) -> None:
    pillow_heif.from_pillow(Image.fromarray(smooth())).save(tmp_path / "a.heic", quality=95)
    read = read_original(tmp_path / "a.heic")
    assert read.format == "HEIF" and read.mode == "RGB" and not read.bit_exact
    assert np.abs(read.pixels.astype(int) - smooth()).mean() < 3


@pytest.mark.parametrize(("mode", "expected"), [
    ("1", "L"), ("LA", "RGBA"), ("P", "RGB"), ("PA", "RGBA"), ("CMYK", "RGB"), ("L", "L"),
])  # fmt: skip
def test_other_modes_become_grey_or_colour(tmp_path: Path, mode: str, expected: str) -> None:
    source = Image.fromarray(smooth()).convert("RGB" if mode != "LA" else "L")
    if mode == "PA":  # a palette with one transparent entry
        image = source.quantize(32)
        image.info["transparency"] = 3
    else:
        image = source.quantize(32) if mode == "P" else source.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    read = read_original(path)
    assert read.mode == expected
    assert read.pixels.dtype == np.uint8
    assert read.bit_exact == (mode != "CMYK")
    assert to_photo(read).shape == (48, 64, 3)
    if mode in ("P", "PA"):
        assert np.array_equal(to_photo(read), np.array(image.convert("RGB")))


def test_grey_with_alpha_in_sixteen_bits_keeps_its_values(tmp_path: Path) -> None:
    deep = rng(5).integers(0, 65536, (H, W, 2)).astype(np.uint16)
    read = read_back(files16.png(deep), tmp_path)
    assert read.mode == "RGBA" and read.pixels.dtype == np.uint16
    assert np.array_equal(read.pixels[:, :, [0, 3]], deep)
    assert np.array_equal(read.pixels[:, :, 1], deep[:, :, 0])


def test_transparent_colour_of_a_png_becomes_alpha(tmp_path: Path) -> None:
    pixels = noise()
    read = read_back(files16.png(pixels, files16.chunk(b"tRNS", struct.pack(">3H", *pixels[2, 3]))), tmp_path)
    assert read.mode == "RGBA"
    assert np.array_equal(read.pixels[:, :, :3], pixels)
    assert read.pixels[2, 3, 3] == 0 and read.pixels[0, 0, 3] == 255


def test_only_lossless_webp_is_exact(tmp_path: Path) -> None:
    for lossless, before in itertools.product((True, False), (0, 100, 101)):  # chunks before it, padded and not
        Image.fromarray(smooth()).save(tmp_path / "a.webp", lossless=lossless, icc_profile=bytes(before))
        assert read_original(tmp_path / "a.webp").bit_exact == lossless


def test_a_phone_jpeg_with_a_second_picture_is_its_first(tmp_path: Path) -> None:
    first, second = Image.fromarray(smooth()), Image.new("RGB", (64, 48))
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second], quality=95)
    read = read_original(tmp_path / "a.jpg")
    assert read.format == "JPEG" and not read.bit_exact
    assert np.abs(read.pixels.astype(int) - smooth()).mean() < 3


def test_a_tiff_with_a_thumbnail_page_is_its_first_page(tmp_path: Path) -> None:
    thumbnail = Image.fromarray(smooth()).resize((8, 6))
    reduced = ImageFileDirectory_v2()
    reduced[254] = 1
    thumbnail.encoderinfo = {"tiffinfo": reduced}
    Image.fromarray(smooth()).save(tmp_path / "a.tif", save_all=True, append_images=[thumbnail])
    assert np.array_equal(read_original(tmp_path / "a.tif").pixels, smooth())


def frames() -> list[Image.Image]:
    return [Image.fromarray(noise(seed=seed)) for seed in range(3)]


def animated(kind: str) -> bytes:
    file = io.BytesIO()
    first, *others = frames()
    first.save(file, kind, save_all=True, append_images=others)
    return file.getvalue()


def encoded(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(smooth(200, 300)).save(file, kind, **options)
    return file.getvalue()


def halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


def png_header(width: int, height: int, depth: int, colour: int) -> bytes:
    """A PNG that says how large it is and holds no pixel."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = (files16.chunk(kind, data) for kind, data in ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def over_by_one_row() -> bytes:
    return png_header(10_000, 5_001, depth=1, colour=0)


def with_scans(count: int) -> bytes:
    """A progressive JPEG with its last scan again and again, `count` scans in all."""
    data = encoded("JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (count - count_scans(data)) + b"\xff\xd9"


def wide_tiles() -> bytes:
    """A TIFF of 16×16 pixels that wants them decoded into a tile of 900 megapixels."""
    tags = TiffImagePlugin.ImageFileDirectory_v2(ifh=b"II\x2a\x00\x00\x00\x00\x00")
    tags[256], tags[257], tags[258], tags[259], tags[262] = 16, 16, (8, 8, 8), 5, 2
    tags[277], tags[322], tags[323], tags[324], tags[325] = 3, 30_000, 30_000, (0,), 4
    file = io.BytesIO()
    tags.save(file)
    return file.getvalue() + bytes(4)


def float_tiff() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(file, "TIFF")
    return file.getvalue()


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is empty"),
    "text": (lambda: b"hello, I am a letter\n" * 50, "is not a picture"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a picture"),
    "eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture"),
    "gif": (lambda: encoded("GIF"), "is not a picture"),
    "header only": (lambda: encoded("PNG")[:20], "is damaged or cut off"),
    "cut png": (lambda: encoded("PNG")[:-400], "is damaged or cut off"),
    "cut jpeg": (lambda: encoded("JPEG")[:-600], "is damaged or cut off"),
    "cut webp": (lambda: halved(encoded("WEBP")), "damaged"),
    "cut tiff": (lambda: halved(encoded("TIFF", compression="tiff_lzw")), "damaged"),
    "cut deep png": (lambda: files16.png(noise("RGB", 16))[:-400], "is damaged or cut off"),
    "cut deep tiff": (lambda: files16.tiff(noise("RGB", 16))[:-400], "damaged"),
    "bomb": (lambda: png_header(13_300, 13_300, depth=8, colour=2), "megapixels"),
    "just too large": (over_by_one_row, "50.0 megapixels"),
    "animated png": (lambda: animated("PNG"), "holds 3 frames"),
    "animated webp": (lambda: animated("WEBP"), "holds 3 frames"),
    "pages": (lambda: animated("TIFF"), "holds 3 frames"),
    "float": (float_tiff, "has 32-bit floating-point colours; export it with 8 or 16 bits."),
    "many scans": (lambda: with_scans(MOST_SCANS + 1), "of over 100 scans"),
    "wide tiles": (wide_tiles, "too much memory in its tiles"),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_sentence_that_names_the_file(tmp_path: Path, case: str) -> None:
    make, part = REFUSED[case]
    (tmp_path / "holiday.png").write_bytes(make())
    with pytest.raises(SceneError) as caught:
        read_original(tmp_path / "holiday.png")
    sentence = str(caught.value)
    assert sentence.startswith("holiday.png ") and sentence.endswith(".") and "\n" not in sentence
    assert part in sentence
    assert "; " in sentence  # what to do follows
    assert str(tmp_path) not in sentence


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "no.png", tmp_path):
        with pytest.raises(SceneError, match=r"does not exist or is not a file; check"):
            read_original(path)


def test_the_size_is_refused_before_any_pixel_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(self: Image.Image) -> None:
        pytest.fail("pixels were decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", decode)
    (tmp_path / "a.png").write_bytes(over_by_one_row())
    with pytest.raises(SceneError):
        read_original(tmp_path / "a.png")


@pytest.mark.parametrize("make", [lambda: with_scans(MOST_SCANS + 1), wide_tiles])
def test_what_is_dear_to_decode_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], bytes]
) -> None:
    def decode(self: Image.Image) -> None:
        pytest.fail("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", decode)
    (tmp_path / "a.jpg").write_bytes(make())
    with pytest.raises(SceneError):
        read_original(tmp_path / "a.jpg")


def test_scans_are_counted_as_the_decoder_sees_them(tmp_path: Path) -> None:
    assert count_scans(encoded("JPEG")) == 1
    assert count_scans(encoded("JPEG", restart_marker_blocks=1)) == 1  # restarts and stuffed bytes are no segments
    assert count_scans(encoded("JPEG", comment=b"\xff\xda" * 300)) == 1  # nor is what a segment holds
    assert 1 < count_scans(encoded("JPEG", progressive=True)) < 20
    assert count_scans(with_scans(2000)) == MOST_SCANS + 1, "counting goes on where the answer is known"
    assert count_scans(b"\xff\xd8\xff") == 0
    assert read_back(with_scans(MOST_SCANS), tmp_path).pixels.shape == (200, 300, 3)


def test_sixteen_bits_are_rounded_to_eight_in_bands(tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(1024, 64)
    assert np.array_equal(to_eight_bits(values), np.rint(values / 257))
    colours = np.stack([values, values[::-1], values[:, ::-1]], 2)
    assert np.array_equal(to_eight_bits(colours), np.rint(colours / 257))


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process by what Linux counts")
@pytest.mark.parametrize(("first", "count"), [
    (0, 12), pytest.param(100, 600, marks=pytest.mark.long),
])  # fmt: skip
def test_damaged_bytes_are_a_picture_or_a_sentence_in_bounded_memory_and_time(
    tmp_path: Path, first: int, count: int
) -> None:
    """In a process of its own, which may not die, nor take more than 1 GB or 20 seconds for a file."""
    command = [sys.executable, "-m", "tests.imaging.fuzz", str(tmp_path), str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{[path.name for path in tmp_path.iterdir()]}: {done.stderr[-2000:]}"
    counts = json.loads(done.stdout)
    assert counts["pictures"] > 3 * count and counts["refused"] > 3 * count


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_is_left_out(tmp_path: Path) -> None:
    read = read_back(files16.png(noise(), files16.chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + bytes(30))), tmp_path)
    assert np.array_equal(read.pixels, noise())
    assert encode.encode(read, "tiff", quality=90, record={})


def test_a_planar_tiff_of_16_bits_is_refused_with_the_cure(tmp_path: Path) -> None:
    pixels = np.arange(H * W * 3, dtype=np.uint16).reshape(H, W, 3) * 7
    (tmp_path / "a.tif").write_bytes(files16.tiff(pixels, planar=True))
    with pytest.raises(SceneError, match="interleaved"):
        read_original(tmp_path / "a.tif")
    eight = (pixels % 256).astype(np.uint8)
    (tmp_path / "b.tif").write_bytes(files16.tiff(eight, planar=True))
    read = read_original(tmp_path / "b.tif")
    assert read.bit_exact and np.array_equal(read.pixels, eight)


def test_a_tiff_that_loses_bits_is_not_called_exact(tmp_path: Path) -> None:
    pixels = np.full((H, W, 4), 40_000, np.uint16)
    (tmp_path / "a.tif").write_bytes(files16.tiff(pixels, alpha=1))
    assert not read_original(tmp_path / "a.tif").bit_exact
    (tmp_path / "b.tif").write_bytes(files16.tiff(pixels, alpha=2))
    assert read_original(tmp_path / "b.tif").bit_exact


def test_an_ending_belongs_to_one_format_and_to_no_sidecar() -> None:
    endings = [suffix for known in ACCEPTED.values() for suffix in known.suffixes]
    assert len(endings) == len(set(endings)) and set(endings) == SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in endings)
    assert {suffix for known in FORMATS.values() for suffix in known.suffixes} <= SUFFIXES, "an export is read again"


@pytest.mark.parametrize(("pixels", "words"), [
    (np.zeros((9, 9, 3), np.float16), "16-bit floating-point"),
    (np.zeros((9, 9, 3), np.float32), "32-bit floating-point"),
    (np.zeros((9, 9), np.float64), "64-bit floating-point"), (np.zeros((9, 9, 3), np.uint32), "32-bit integer"),
    (np.zeros((9, 9), np.uint32), "32-bit integer"), (np.zeros((9, 9), np.int32), "32-bit signed integer"),
    (np.zeros((9, 9), np.int16), "16-bit signed integer"),
])  # fmt: skip
def test_numbers_of_a_tiff_that_are_no_code_values_are_named(tmp_path: Path, pixels: Array, words: str) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(pixels))
    with pytest.raises(SceneError) as caught:
        read_original(tmp_path / "a.tif")
    assert str(caught.value) == f"a.tif has {words} colours; export it with 8 or 16 bits."


@pytest.mark.parametrize(("tag", "value", "words"), [
    (262, 8, "stores its colours as CIELAB; save it as RGB"), (262, 9, "stores its colours as ICCLAB; save it"),
    (262, 32845, "stores its colours as LogLuv; save it"), (262, 4, "stores its colours as a transparency mask; save"),
    (258, 12, "has 12-bit colours; export it with 8 or 16 bits"), (258, 10, "has 10-bit colours; export it with"),
    (259, 34927, "is a TIFF of a kind that is not read here, or is damaged; save it as RGB"),
])  # fmt: skip
@pytest.mark.parametrize("depth", [8, 16])
def test_a_tiff_that_is_not_read_says_why(tmp_path: Path, tag: int, value: int, words: str, depth: int) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(noise("RGB", depth), {tag: (3, struct.pack("<H", value))}))
    with pytest.raises(SceneError, match=rf"^a\.tif {words}"):
        read_original(tmp_path / "a.tif")


def test_twelve_bits_of_grey_are_as_light_as_they_are_meant(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2048, 4095]], np.uint16).repeat(2, 0)
    packed = b"".join(struct.pack(">I", (one << 12 | two) << 8)[:3] for one, two in values.reshape(-1, 2).tolist())
    data = tiff(values.astype(np.uint8), {258: (3, struct.pack("<H", 12)), 279: (4, struct.pack("<I", len(packed)))})
    read = read_back(data[: -values.size] + packed, tmp_path)
    assert read.pixels.dtype == np.uint16 and not read.bit_exact
    assert read.pixels.tolist() == [[0, 16, 32776, 65535]] * 2


def test_a_palette_of_eight_bits_is_not_black(tmp_path: Path) -> None:
    """TIFF's palettes have 16 bits; some programs forget it."""
    grey, steps = noise("L"), np.arange(256, dtype=np.uint16)
    for scale in (1, 257):
        colours = np.concatenate([steps, steps[::-1], steps]) * np.uint16(scale)
        palette = {262: (3, struct.pack("<H", 3)), 320: (3, colours.astype("<u2").tobytes())}
        read = read_back(tiff(grey, palette), tmp_path)
        assert np.array_equal(read.pixels, np.dstack([grey, 255 - grey, grey]))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_grey_of_a_png_becomes_alpha(tmp_path: Path, depth: int) -> None:
    pixels = noise("L", depth)
    read = read_back(files16.png(pixels, files16.chunk(b"tRNS", struct.pack(">H", pixels[2, 3]))), tmp_path)
    assert read.mode == "RGBA" and read.pixels.dtype == pixels.dtype and read.bit_exact
    assert np.array_equal(read.pixels[:, :, 1], pixels)
    assert np.array_equal(read.pixels[:, :, 3] == 0, pixels == pixels[2, 3])


def test_premultiplied_values_are_not_called_exact(tmp_path: Path) -> None:
    pixels = np.dstack([noise() // 2, np.full((H, W), 128, np.uint8)])
    read = read_back(tiff(pixels, {338: (3, struct.pack("<H", 1))}), tmp_path)
    assert read.mode == "RGBA" and not read.bit_exact
    assert np.abs(read.pixels[:, :, :3].astype(int) - pixels[:, :, :3] * (255 / 128)).max() <= 2
