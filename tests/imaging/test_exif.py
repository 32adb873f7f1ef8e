"""EXIF: which fields go into a result, and that they come out of it as they went in."""

import io
import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from realfill.imaging import encode
from realfill.imaging.decode import Original, read_original
from realfill.imaging.encode import FORMATS, Format
from realfill.imaging.exif import Resolution, clean, encode_block, open_block, read_resolution, sound_resolution
from tests import files16
from tests.imaging.samples import Entries, exif_block, noise, original, read_back, smooth, tiff

TEXTS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
LENS_SPECIFICATION, LENS_MODEL, DATE, SERIAL, LENS_SERIAL = 0xA432, 0xA434, 0x9003, 0xA431, 0xA435
MAKER_NOTE, UNIQUE_ID, PRIVATE_SERIAL = 0x927C, 0xA420, 0xFDE9


def save(path: Path, pixels: Any, block: bytes, fields: Entries, details: Entries) -> Path:
    """A picture with this EXIF in the format of the path's ending."""
    picture = Image.fromarray(pixels)
    if path.suffix == ".tif":
        path.write_bytes(tiff(pixels, fields, details))
    elif path.suffix == ".png":
        path.write_bytes(files16.png(pixels, files16.chunk(b"eXIf", block.removeprefix(b"Exif\0\0"))))
    elif path.suffix == ".heic":
        pillow_heif.from_pillow(picture).save(path, exif=block)
    else:
        picture.save(path, exif=block)
    return path


def rational(*pairs: tuple[int, int]) -> tuple[int, bytes]:
    return 5, b"".join(struct.pack("<II", *pair) for pair in pairs)


def text(value: str) -> tuple[int, bytes]:
    return 2, value.encode() + b"\0"


KEPT_FIELDS: Entries = {0x010E: text("Straße – 東京"), 0x013B: text("Zoë"), 0x8298: text("© Zoë")}
KEPT_DETAILS: Entries = {
    DATE: text("2024:05:01 10:00:00"), LENS_MODEL: text("50mm ƒ/1.4"), 0x829A: rational((1, 125)),
    LENS_SPECIFICATION: rational((50, 1), (50, 1), (0, 0), (0, 0)), 0x9204: (10, struct.pack("<ii", -1, 3)),
    0x9000: (7, b"0232"), 0x8827: (3, struct.pack("<H", 400)), 0x9286: (7, b"UNICODE\0h\0i\0"),
}  # fmt: skip
SECRET = b"SECRET-4711"
DROPPED: Entries = {
    SERIAL: (2, SECRET + b"\0"), LENS_SERIAL: (2, SECRET + b"\0"), MAKER_NOTE: (7, SECRET), UNIQUE_ID: (2, SECRET * 3),
    PRIVATE_SERIAL: (2, SECRET + b"\0"), 0xA40B: (7, SECRET), 0xA002: (4, struct.pack("<I", 99)),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic"])
@pytest.mark.parametrize("format", FORMATS)
def test_what_a_person_wrote_goes_through_and_what_tells_on_them_does_not(
    tmp_path: Path, suffix: str, format: Format
) -> None:
    place = {0x8825: (4, struct.pack("<I", 8)), 0xC62F: (2, SECRET + b"\0")}  # GPS, and DNG's serial number
    fields, details = {**KEPT_FIELDS, **place}, {**KEPT_DETAILS, **DROPPED}
    read = read_original(save(tmp_path / f"a{suffix}", smooth(), exif_block(fields, details), fields, details))
    assert read.exif is not None
    assert read.exif.fields == KEPT_FIELDS and read.exif.details == KEPT_DETAILS
    data = encode.encode(read, format, quality=90, record={})
    assert SECRET not in data
    again = read_back(data, tmp_path)
    assert again.exif is not None
    assert again.exif.fields == KEPT_FIELDS and again.exif.details == KEPT_DETAILS
    with Image.open(io.BytesIO(data)) as opened:
        others = opened.getexif()
        assert others.get_ifd(0x8825) == {} and others.get(0x0112) == 1
        assert others.get_ifd(0x8769)[DATE] == "2024:05:01 10:00:00"


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40).map(text)
rationals = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=4)
values = st.one_of(
    texts,
    rationals.map(lambda pairs: rational(*pairs)),
    st.binary(min_size=1, max_size=30).map(lambda data: (7, data)),
    st.lists(st.integers(0, 65535), min_size=1, max_size=5).map(lambda all: (3, struct.pack(f"<{len(all)}H", *all))),
)


@given(
    st.dictionaries(st.sampled_from(TEXTS), texts),
    st.dictionaries(st.sampled_from([DATE, LENS_MODEL, 0x829A, 0x9286, 0x9204, 0xA432, 0xA000]), values),
    st.sampled_from(list(FORMATS)),
)
def test_any_fields_come_out_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, fields: Entries, details: Entries, format: Format
) -> None:
    directory = open_block(exif_block(fields, details))
    assert directory is not None
    source = original("RGB", exif=clean(directory), resolution=(300.0, 72.5))
    again = read_back(encode.encode(source, format, quality=90, record={}), tmp_path_factory.getbasetemp())
    assert again.exif == source.exif
    if source.exif is not None:
        assert again.exif is not None and again.exif.fields == fields and again.exif.details == details


def test_big_endian_values_are_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.endian = ">"
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769).update({0x829A: IFDRational(1, 100), 0x8827: 400})
    block = exif.tobytes()
    assert block[6:8] == b"MM"
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=block)
    read = read_original(tmp_path / "a.jpg")
    assert read.exif is not None
    assert read.exif.details[0x8827] == (3, struct.pack("<H", 400))
    assert read.exif.details[0x829A] == rational((1, 100))


def test_a_colour_space_is_true_for_the_values_beside_it() -> None:
    directory = open_block(exif_block({}, {0xA001: (3, struct.pack("<H", 2))}))
    assert directory is not None
    for has_profile, space in ((True, 65_535), (False, 1)):
        block = open_block(encode_block(clean(directory), None, has_profile=has_profile))
        assert block is not None
        details = block.file.directory(block.integer(0x8769, 0))
        assert details is not None and details.integer(0xA001, 0) == space


def test_more_than_a_file_can_hold_is_left_out() -> None:
    long = {tag: (2, b"x" * 15_000 + b"\0") for tag in TEXTS}
    directory = open_block(exif_block(long, {}))
    assert directory is not None and clean(directory) is None
    longer = open_block(exif_block({**KEPT_FIELDS, 0x0131: (2, b"x" * 20_000 + b"\0")}, {}))
    assert longer is not None
    kept = clean(longer)
    assert kept is not None and kept.fields == KEPT_FIELDS


# ── orientation and resolution ──

SHORT_6, LONG_6, BYTE_6 = (3, struct.pack("<H", 6)), (4, struct.pack("<I", 6)), (1, b"\6")
ODD_ORIENTATIONS = {
    "text": (2, b"6\0"), "nine": (3, struct.pack("<H", 9)), "zero": (3, bytes(2)), "float": (11, struct.pack("<f", 6)),
    "rational": rational((6, 1)), "unknown type": (99, b"\6"), "minus": (4, struct.pack("<i", -6)),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("value", [SHORT_6, LONG_6, BYTE_6], ids=["short", "long", "byte"])
def test_an_orientation_counts_whatever_whole_number_it_is(
    tmp_path: Path, suffix: str, value: tuple[int, bytes]
) -> None:
    fields: Entries = {0x0112: value}
    read = read_original(save(tmp_path / f"a{suffix}", smooth(), exif_block(fields, {}), fields, {}))
    assert read.orientation == 6 and (read.width, read.height) == (48, 64)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic"])
@pytest.mark.parametrize("kind", ODD_ORIENTATIONS)
def test_an_odd_orientation_counts_as_none(tmp_path: Path, suffix: str, kind: str) -> None:
    fields: Entries = {0x0112: ODD_ORIENTATIONS[kind], 0x010F: text("Maker")}
    if (suffix, kind) == (".heic", "unknown type"):
        pytest.skip("pillow-heif writes that as a rotation of the picture itself")
    read = read_original(save(tmp_path / f"a{suffix}", smooth(), exif_block(fields, {}), fields, {}))
    assert read.orientation == 1 and (read.width, read.height) == (64, 48)
    assert read.exif is not None and read.exif.fields == {0x010F: text("Maker")}


INCH, CENTIMETRE = (3, struct.pack("<H", 2)), (3, struct.pack("<H", 3))


def density(across: tuple[int, bytes], down: tuple[int, bytes], unit: tuple[int, bytes] | None) -> Entries:
    return {0x011A: across, 0x011B: down} | ({} if unit is None else {0x0128: unit})


@pytest.mark.parametrize(("fields", "expected"), [
    (density(rational((300, 1)), rational((240, 1)), INCH), (300.0, 240.0)),
    (density(rational((300, 1)), rational((300, 1)), None), (300.0, 300.0)),
    (density(rational((11_811, 100)), rational((100, 1)), CENTIMETRE), (300.0, 254.0)),
    (density(rational((1_000_000, 10_000)), rational((725, 10)), INCH), (100.0, 72.5)),
    (density((3, struct.pack("<H", 300)), (3, struct.pack("<H", 300)), INCH), (300.0, 300.0)),
    (density(rational((0, 0)), rational((300, 1)), INCH), None),
    (density(rational((300, 0)), rational((300, 0)), INCH), None),
    (density(rational((0, 1)), rational((300, 1)), INCH), None),
    (density(rational((2**32 - 1, 1)), rational((300, 1)), INCH), None),
    (density(text("300"), text("300"), INCH), None),
    (density(rational((300, 1)), rational((300, 1)), (3, struct.pack("<H", 1))), None),
    (density(rational((300, 1)), rational((300, 1)), text("inch")), (300.0, 300.0)),  # as without one
    ({0x011A: rational((300, 1))}, None),
])  # fmt: skip
def test_resolution_by_exif(fields: Entries, expected: Resolution | None) -> None:
    directory = open_block(exif_block(fields, {}))
    assert directory is not None and read_resolution(directory) == expected


def jfif(unit: int, across: int, down: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(smooth()).save(file, "JPEG")
    data = file.getvalue()
    return data[:13] + struct.pack(">BHH", unit, across, down) + data[18:]


def physical(across: int, down: int, unit: int) -> bytes:
    return files16.png(smooth(), files16.chunk(b"pHYs", struct.pack(">IIB", across, down, unit)))


def bitmap(across: int, down: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(smooth()).save(file, "BMP")
    data = file.getvalue()
    return data[:38] + struct.pack("<ii", across, down) + data[46:]


RESOLUTIONS: dict[str, tuple[Callable[[], bytes], Resolution | None]] = {
    "png": (lambda: physical(11_811, 5_906, 1), (300.0, 150.0)),
    "png of 72.5": (lambda: physical(2_854, 2_854, 1), (2_854 * 0.0254, 2_854 * 0.0254)),
    "png of nothing": (lambda: physical(0, 0, 1), None),
    "png of more than there is": (lambda: physical(2**32 - 1, 11_811, 1), None),
    "png of a shape": (lambda: physical(2, 1, 0), None),
    "png of an unknown unit": (lambda: physical(11_811, 11_811, 7), None),
    "png cut": (lambda: files16.png(smooth(), files16.chunk(b"pHYs", b"\0\0\x2e")), None),
    "jpeg": (lambda: jfif(1, 300, 150), (300.0, 150.0)),
    "jpeg in centimetres": (lambda: jfif(2, 100, 50), (254.0, 127.0)),
    "jpeg of a shape": (lambda: jfif(0, 300, 300), None),
    "jpeg of nothing": (lambda: jfif(1, 0, 0), None),
    "bmp": (lambda: bitmap(11_811, 5_906), (300.0, 150.0)),
    "bmp upside down": (lambda: bitmap(-11_811, 11_811), None),
    "tiff": (lambda: tiff(smooth(), density(rational((300, 1)), rational((150, 1)), INCH)), (300.0, 150.0)),
    "tiff in centimetres": (
        lambda: tiff(smooth(), density(rational((10_000, 100)), rational((50, 1)), CENTIMETRE)), (254.0, 127.0),
    ),
    "tiff without": (lambda: tiff(smooth()), None),
}  # fmt: skip


@pytest.mark.parametrize("case", RESOLUTIONS)
def test_the_resolution_of_every_format_is_in_every_export(tmp_path: Path, case: str) -> None:
    make, expected = RESOLUTIONS[case]
    read = read_back(make(), tmp_path)
    assert read.resolution == pytest.approx(expected)
    for format in FORMATS:
        assert_resolution_written(read, format, tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".heic"])
def test_the_resolution_that_exif_alone_tells_is_in_every_export(tmp_path: Path, suffix: str) -> None:
    fields = density(rational((300, 1)), rational((150, 1)), INCH)
    read = read_original(save(tmp_path / f"a{suffix}", smooth(), exif_block(fields, {}), fields, {}))
    assert read.resolution == (300.0, 150.0)
    for format in FORMATS:
        assert_resolution_written(read, format, tmp_path)


def assert_resolution_written(source: Original, format: Format, folder: Path) -> None:
    """As our reader and Pillow's read it; what has no resolution says none."""
    data = encode.encode(source, format, quality=90, record={})
    expected = source.resolution
    whole = None if expected is None else tuple(map(round, expected))
    got = read_back(data, folder).resolution
    assert got == pytest.approx(whole if format == "jpeg" else expected, abs=0.02)
    with Image.open(io.BytesIO(data)) as opened:
        tags = opened.getexif()
        if format != "webp" and not (format == "jpeg" and expected is None):  # Pillow makes one up there: 72
            assert opened.info.get("dpi") == pytest.approx(whole if format == "jpeg" else expected, abs=0.02)
        told = (tags.get(0x011A), tags.get(0x011B), tags.get(0x0128))
        if expected is not None:
            assert told == (pytest.approx(expected[0], abs=1e-3), pytest.approx(expected[1], abs=1e-3), 2)
        elif format == "tiff":
            assert told == (1, 1, 1)  # baseline TIFF asks for the tags; the unit is none
        else:
            assert told == (None, None, None)


@given(st.floats(1, 60_000), st.floats(1, 60_000), st.sampled_from(list(FORMATS)))
def test_any_resolution_comes_out_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, across: float, down: float, format: Format
) -> None:
    resolution = sound_resolution(across / 0.0254, down / 0.0254)
    source = original("RGB", pixels=noise()[:4, :4], resolution=resolution)
    again = read_back(encode.encode(source, format, quality=90, record={}), tmp_path_factory.getbasetemp())
    assert again.resolution == pytest.approx(resolution, abs=0.51 if format == "jpeg" else 0.02)


@pytest.mark.parametrize(("orientation", "suffix"), itertools.product((1, 3, 6, 8), (".jpg", ".tif")))
def test_resolution_turns_with_the_picture(tmp_path: Path, orientation: int, suffix: str) -> None:
    fields = {**density(rational((300, 1)), rational((150, 1)), INCH), 0x0112: (3, struct.pack("<H", orientation))}
    read = read_original(save(tmp_path / f"a{suffix}", smooth(), exif_block(fields, {}), fields, {}))
    assert read.resolution == ((300.0, 150.0) if orientation in (1, 3) else (150.0, 300.0))
