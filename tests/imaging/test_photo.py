"""Files in and out: every accepted kind, every refusal, and bit-identity of what is not generated."""

import io
import itertools
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image, ImageOps, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from realfill.errors import OptionError, SceneError
from realfill.imaging import encode
from realfill.imaging.decode import Original, read_original, rotate_upright
from realfill.imaging.photo import blend, insert, read_photo, save_photo, to_photo
from realfill.seeds import rng
from tests import files16, profiles

H, W = 21, 34
SHAPES = {"L": (H, W), "RGB": (H, W, 3), "RGBA": (H, W, 4)}
Array = npt.NDArray[Any]


def noise(mode: str = "RGB", depth: int = 8, seed: int = 0) -> Array:
    return rng(seed, depth).integers(0, 2**depth, SHAPES[mode]).astype(np.uint8 if depth == 8 else np.uint16)


def smooth(height: int = 48, width: int = 64) -> Array:
    ys, xs = np.mgrid[:height, :width]
    return np.stack([xs * 3, ys * 4, 200 - xs], 2).astype(np.uint8)


def save(path: Path, pixels: Array, **options: Any) -> Path:
    if pixels.dtype == np.uint16:
        path.write_bytes(files16.tiff(pixels) if path.suffix == ".tif" else files16.png(pixels))
    else:
        Image.fromarray(pixels).save(path, **options)
    return path


def original(mode: str, depth: int = 8, **changes: Any) -> Original:
    fields: dict[str, Any] = {
        "pixels": noise(mode, depth), "mode": mode, "icc_profile": None, "format": "PNG", "exif": None,
        "bit_exact": True,
    }  # fmt: skip
    return Original(**(fields | changes))


def back(data: bytes, folder: Path, name: str = "back") -> Original:
    (folder / name).write_bytes(data)
    return read_original(folder / name)


# ---- reading


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
        assert np.array_equal(back(files16.tiff(noise(mode, 16), big=True), tmp_path).pixels, noise(mode, 16))
    inverted = files16.tiff(65535 - noise("L", 16), white_is_zero=True)
    assert np.array_equal(back(inverted, tmp_path).pixels, noise("L", 16))


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
        from_png = back(files16.png(deep, files16.orientation_chunk(orientation)), tmp_path)
        from_tiff = back(files16.tiff(deep, orientation=orientation), tmp_path)
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
    read = back(files16.png(deep), tmp_path)
    assert read.mode == "RGBA" and read.pixels.dtype == np.uint16
    assert np.array_equal(read.pixels[:, :, [0, 3]], deep)
    assert np.array_equal(read.pixels[:, :, 1], deep[:, :, 0])


def test_transparent_colour_of_a_png_becomes_alpha(tmp_path: Path) -> None:
    pixels = noise()
    read = back(files16.png(pixels, files16.chunk(b"tRNS", struct.pack(">3H", *pixels[2, 3]))), tmp_path)
    assert read.mode == "RGBA"
    assert np.array_equal(read.pixels[:, :, :3], pixels)
    assert read.pixels[2, 3, 3] == 0 and read.pixels[0, 0, 3] == 255


def test_a_cmyk_jpeg_is_read_through_its_profile(tmp_path: Path) -> None:
    Image.new("CMYK", (32, 32), (255, 0, 0, 0)).save(tmp_path / "a.jpg", icc_profile=profiles.cmyk(), quality=100)
    read = read_original(tmp_path / "a.jpg")
    assert read.mode == "RGB" and read.icc_profile is None and not read.bit_exact
    assert np.ptp(read.pixels[5, 5].astype(int)) <= 2  # the test profile knows no colour; without it, cyan
    assert abs(int(read.pixels[5, 5, 0]) - 162) <= 3


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


# ---- refusals


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


def huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 13_300, 13_300, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + files16.chunk(b"IHDR", header)
        + files16.chunk(b"IDAT", b"")
        + files16.chunk(b"IEND", b"")
    )


def over_by_one_row() -> bytes:
    header = struct.pack(">IIBBBBB", 10_000, 5_001, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + files16.chunk(b"IHDR", header)
        + files16.chunk(b"IDAT", b"")
        + files16.chunk(b"IEND", b"")
    )


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
    "header only": (lambda: encoded("PNG")[:20], "is not a picture"),
    "cut png": (lambda: encoded("PNG")[:-400], "is damaged or cut off"),
    "cut jpeg": (lambda: encoded("JPEG")[:-600], "is damaged or cut off"),
    "cut webp": (lambda: halved(encoded("WEBP")), "damaged"),
    "cut tiff": (lambda: halved(encoded("TIFF", compression="tiff_lzw")), "damaged"),
    "cut deep png": (lambda: files16.png(noise("RGB", 16))[:-400], "is damaged or cut off"),
    "cut deep tiff": (lambda: files16.tiff(noise("RGB", 16))[:-400], "damaged"),
    "bomb": (huge_png, "megapixels"),
    "just too large": (over_by_one_row, "50.0 megapixels"),
    "animated png": (lambda: animated("PNG"), "holds 3 frames"),
    "animated webp": (lambda: animated("WEBP"), "holds 3 frames"),
    "pages": (lambda: animated("TIFF"), "holds 3 frames"),
    "float": (float_tiff, "stores its colours as F"),
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


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    """Cuts and flips at random places: a picture or a SceneError, nothing else."""
    sources = [
        encoded("PNG"), encoded("JPEG", exif=phone_exif()), encoded("WEBP"), encoded("TIFF", compression="tiff_lzw"),
        encoded("BMP"), files16.png(noise("RGBA", 16), files16.orientation_chunk(6)), files16.tiff(noise("RGB", 16)),
    ]  # fmt: skip
    heif = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(smooth())).save(heif)
    refused = 0
    for number, source in enumerate([*sources, heif.getvalue()]):
        random = rng(number)
        for _ in range(40):
            data = bytearray(source)
            for _ in range(int(random.integers(1, 4))):
                data[int(random.integers(0, min(len(data), 600)))] = int(random.integers(0, 256))
            cut = len(data) if random.random() < 0.5 else int(random.integers(1, len(data)))
            try:
                assert back(bytes(data[:cut]), tmp_path).pixels.size
            except SceneError:
                refused += 1
    assert refused > 50


# ---- metadata


def phone_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x013B], exif[0x0112] = "Maker", "Ada", 6
    details = exif.get_ifd(0x8769)
    details[0x9003], details[0x927C], details[0x829A] = "2024:05:01 10:00:00", b"secret place", 0.01
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (48.0, 51.0, 24.0)
    return exif.tobytes()


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_place_and_orientation_are_dropped_and_author_kept(tmp_path: Path, suffix: str, format: encode.Format) -> None:
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


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_the_file_says_it_was_made_with_ai_and_how(format: encode.Format) -> None:
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


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_is_left_out(tmp_path: Path) -> None:
    read = back(files16.png(noise(), files16.chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + bytes(30))), tmp_path)
    assert np.array_equal(read.pixels, noise())
    assert encode.encode(read, "tiff", quality=90, record={})


# ---- colour


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
    again = back(encode.encode(result, "png", quality=100, record={}), tmp_path)
    assert again.icc_profile == profiles.display_p3()


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_the_profile_is_in_every_export(format: encode.Format) -> None:
    source = original("RGB", icc_profile=profiles.display_p3())
    with Image.open(io.BytesIO(encode.encode(source, format, quality=90, record={}))) as image:
        assert image.info["icc_profile"] == profiles.display_p3()


def test_sixteen_bit_p3_keeps_depth_and_space(tmp_path: Path) -> None:
    source = original("RGB", 16, icc_profile=profiles.display_p3())
    result = insert(source, np.full((H, W, 3), (255, 0, 0), np.uint8), np.ones((H, W), np.float32))
    assert np.abs(result.pixels[3, 3].astype(int) - np.array((234, 51, 35)) * 257).max() <= 257
    again = back(encode.encode(result, "tiff", quality=100, record={}), tmp_path)
    assert np.array_equal(again.pixels, result.pixels) and again.icc_profile == profiles.display_p3()


def test_a_grey_profile_is_honoured_both_ways(tmp_path: Path) -> None:
    pixels = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[None], 4, 0)
    read = read_original(save(tmp_path / "a.png", pixels, icc_profile=profiles.grey(1.8)))
    assert read.icc_profile
    photo = to_photo(read)
    assert photo[0, 13, 0] > pixels[0, 13] + 10  # gamma 1.8 shows a middle grey lighter than sRGB does
    result = insert(read, photo, np.ones(pixels.shape, np.float32))
    assert np.abs(result.pixels.astype(int) - pixels).max() <= 3
    webp = back(encode.encode(read, "webp", quality=100, record={}), tmp_path)
    assert webp.icc_profile is None and np.array_equal(webp.pixels, photo)


def test_a_profile_without_a_way_back_is_settled_when_reading(tmp_path: Path) -> None:
    read = read_original(save(tmp_path / "a.png", noise(), icc_profile=profiles.one_way_rgb()))
    assert read.icc_profile is None and not read.bit_exact
    assert np.ptp(read.pixels.astype(int), axis=2).max() <= 2  # that profile knows greys only
    deep = io.BytesIO()
    deep.write(files16.png(noise("RGB", 16), files16.chunk(b"iCCP", b"x\0\0" + zlib.compress(profiles.one_way_rgb()))))
    assert not back(deep.getvalue(), tmp_path).bit_exact


@pytest.mark.parametrize("icc", [b"nonsense", profiles.grey(2.2), profiles.cmyk(), profiles.display_p3()[:200]])
def test_a_damaged_or_foreign_profile_is_ignored(tmp_path: Path, icc: bytes) -> None:
    read = read_original(save(tmp_path / "a.png", noise(), icc_profile=icc))
    assert read.icc_profile is None and read.bit_exact
    assert np.array_equal(to_photo(read), noise())


# ---- photos, inserting


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


# ---- writing


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize(("format", "depth"), [("png", 8), ("png", 16), ("tiff", 8), ("tiff", 16), ("webp", 8)])
def test_lossless_exports_come_back_bit_for_bit(tmp_path: Path, mode: str, format: encode.Format, depth: int) -> None:
    source = original(mode, depth)
    read = back(encode.encode(source, format, quality=100, record={"a": 1}), tmp_path)
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
    assert np.array_equal(back(data, tmp_path).pixels, tall)  # OpenCV's reader
    with Image.open(io.BytesIO(data)) as image:  # Pillow's, to 8 bits
        assert len(image.tag_v2[273]) > 1  # type: ignore[attr-defined]
        assert np.array_equal(np.array(image), (tall >> 8).astype(np.uint8))


@pytest.mark.parametrize("mode", SHAPES)
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_lossy_exports_look_alike(tmp_path: Path, mode: str, depth: int, format: encode.Format) -> None:
    pixels: Array = np.dstack([smooth(), np.full((48, 64), 255, np.uint8)])
    pixels = {"L": pixels[:, :, 0], "RGB": pixels[:, :, :3], "RGBA": pixels}[mode]
    if depth == 16:
        pixels = pixels.astype(np.uint16) * np.uint16(257)
    read = back(encode.encode(original(mode, pixels=pixels), format, quality=90, record={}), tmp_path)
    assert not read.bit_exact
    expected = to_photo(original(mode, pixels=pixels))
    assert np.abs(to_photo(read).astype(int) - expected).mean() < 3


def test_transparency_is_laid_on_white_in_jpeg(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    read = back(encode.encode(original("RGBA", pixels=pixels), "jpeg", quality=95, record={}), tmp_path)
    assert read.pixels.min() > 250


def test_sides_and_formats_that_do_not_exist_are_refused() -> None:
    wide = original("L", pixels=np.zeros((1, 16_384), np.uint8))
    with pytest.raises(OptionError, match=r"webp cannot hold sides over 16383 pixels; export as png or tiff\."):
        encode.encode(wide, "webp", quality=90, record={})
    with pytest.raises(OptionError, match="no export format 'gif'; use png"):
        encode.encode(wide, "gif", quality=90, record={})  # type: ignore[arg-type]


def test_saved_photos_are_read_again_value_for_value(tmp_path: Path) -> None:
    save_photo(noise(), tmp_path / "a.png")
    assert np.array_equal(read_photo(tmp_path / "a.png"), noise())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


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


def test_a_profile_too_large_for_a_png_becomes_srgb(tmp_path: Path) -> None:
    icc = profiles.padded(profiles.display_p3(), PngImagePlugin.MAX_TEXT_CHUNK + 1)
    pixels = np.full((16, 16, 3), (234, 51, 35), np.uint8)
    read = read_original(save(tmp_path / "a.tiff", pixels, icc_profile=icc))
    assert read.icc_profile is None and not read.bit_exact
    assert np.abs(read.pixels.astype(int) - (255, 0, 0)).max() <= 6
    assert np.array_equal(back(encode.encode(read, "png", quality=100, record={}), tmp_path).pixels, read.pixels)
