"""What a file says beside its pixels: what is odd counts as none, what is damage of the pixels is still refused."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.errors import SceneError
from realfill.imaging.decode import read_original
from realfill.imaging.metadata import split
from realfill.imaging.tiff import read_pages
from tests import files16, profiles
from tests.files16 import chunk
from tests.imaging.samples import Array, exif_block, noise, read_back, smooth, tiff

IHDR_END, PIXELS = 33, noise()
MEGABYTE = 1 << 20


def bad_sum(kind: bytes, data: bytes) -> bytes:
    whole = chunk(kind, data)
    return whole[:-1] + bytes([whole[-1] ^ 1])


def png(*chunks: bytes, end: Sequence[bytes] = ()) -> bytes:
    """With chunks before the pixels, and behind them."""
    data = files16.png(PIXELS, *chunks)
    return data[:-12] + b"".join(end) + data[-12:]


def bomb() -> bytes:
    return zlib.compress(bytes(64 * MEGABYTE))


ODD_PNGS: dict[str, Callable[[], bytes]] = {
    "text with a wrong checksum": lambda: png(bad_sum(b"tEXt", b"Comment\0hello")),
    "text behind the pixels with a wrong checksum": lambda: png(end=[bad_sum(b"iTXt", b"Comment\0\0\0\0\0hello")]),
    "time with a wrong checksum": lambda: png(bad_sum(b"tIME", bytes(7))),
    "text without an end": lambda: png(chunk(b"tEXt", b"x" * 100)),
    "compressed text of 64 MB": lambda: png(chunk(b"zTXt", b"Comment\0\0" + bomb())),
    "international text of 64 MB": lambda: png(chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb())),
    "a profile of 64 MB": lambda: png(chunk(b"iCCP", b"x\0\0" + bomb())),
    "a profile cut off": lambda: png(chunk(b"iCCP", b"x\0\0" + zlib.compress(profiles.display_p3())[:-9])),
    "a profile that is none": lambda: png(chunk(b"iCCP", b"x")),
    "compressed text that is none": lambda: png(chunk(b"zTXt", b"Comment\0\0nonsense")),
    "text in an unknown method": lambda: png(chunk(b"zTXt", b"Comment\0\x09" + zlib.compress(b"hello"))),
    "ten thousand texts": lambda: png(*[chunk(b"tEXt", b"k\0v")] * 10_000),
    "65 texts of a megabyte": lambda: png(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(MEGABYTE)))] * 65),
    "EXIF that is none": lambda: png(chunk(b"eXIf", b"nonsense")),
    "EXIF of nothing": lambda: png(chunk(b"eXIf", b"")),
    "EXIF with a wrong checksum": lambda: png(bad_sum(b"eXIf", exif_block({0x0112: (3, b"\6\0")}, {})[6:])),
    "EXIF that begins anywhere": lambda: png(chunk(b"eXIf", b"II*\0" + struct.pack("<I", 10**9))),
    "EXIF of 2 MB": lambda: png(chunk(b"eXIf", b"II*\0\x08\0\0\0" + bytes(2 * MEGABYTE))),
    "pHYs cut": lambda: png(chunk(b"pHYs", b"\0")),
    "gAMA cut": lambda: png(chunk(b"gAMA", b"\0")),
    "cHRM cut": lambda: png(chunk(b"cHRM", bytes(8))),
    "cICP cut": lambda: png(chunk(b"cICP", b"\x0c")),
    "sBIT of 200 bits": lambda: png(chunk(b"sBIT", bytes([200] * 3))),
    "a background of another mode": lambda: png(chunk(b"bKGD", b"\0")),
    "a chunk nobody knows": lambda: png(chunk(b"prVt", bytes(99))),
    "an animation of one frame": lambda: png(
        chunk(b"acTL", struct.pack(">II", 1, 0)),
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, PIXELS.shape[1], PIXELS.shape[0], 0, 0, 1, 10, 0, 0)),
    ),
    "an animation with a wrong checksum": lambda: png(bad_sum(b"acTL", struct.pack(">II", 7, 0))),
    "something behind its end": lambda: png() + b"<html>" * 99,
    "its end cut": lambda: png()[:-4],
    "no end": lambda: png()[:-12],
}


@pytest.mark.parametrize("case", ODD_PNGS)
def test_a_png_whose_notes_are_odd_is_its_pixels(tmp_path: Path, case: str) -> None:
    data = ODD_PNGS[case]()
    tracemalloc.start()
    read = read_back(data, tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(read.pixels, PIXELS) and read.bit_exact
    assert read.exif is None and read.icc_profile is None and read.orientation == 1
    assert most < 24 * MEGABYTE + 2 * len(data), "something was inflated"


@pytest.mark.parametrize("depth", [8, 16])
def test_sound_notes_among_odd_ones_count(tmp_path: Path, depth: int) -> None:
    stored = noise("RGB", depth)
    chunks = (
        bad_sum(b"tEXt", b"a\0b"), chunk(b"eXIf", exif_block({0x0112: (3, b"\6\0")}, {})[6:]),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(profiles.display_p3())), bad_sum(b"pHYs", bytes(9)),
        chunk(b"pHYs", struct.pack(">IIB", 11_811, 5_906, 1)),
    )  # fmt: skip
    read = read_back(files16.png(stored, *chunks), tmp_path)
    assert read.orientation == 6 and read.icc_profile == profiles.display_p3()
    assert read.resolution == (150.0, 300.0)  # upright
    assert np.array_equal(np.rot90(read.pixels), stored)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGED: dict[str, Callable[[], bytes]] = {
    "the checksum of the pixels": lambda: flipped(png(), len(png()) - 13),
    "a pixel": lambda: flipped(png(), len(png()) - 60),
    "the checksum of the header": lambda: flipped(png(), IHDR_END - 1),
    "the checksum of the transparent colour": lambda: png(bad_sum(b"tRNS", bytes(6))),
    "cut in the pixels": lambda: png()[:-40],
    "cut before the pixels": lambda: png()[: IHDR_END + 5],
    "pixels that go on behind the file": lambda: png()[:IHDR_END] + struct.pack(">I", 10**6) + png()[IHDR_END + 4 :],
    "no pixels": lambda: png()[:IHDR_END] + chunk(b"IEND", b""),
    "cut jpeg": lambda: jpeg()[:-200],
    "cut webp": lambda: webp()[:-20],
    "cut tiff": lambda: tiff(PIXELS)[:-20],
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_pixels_are_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "a.png").write_bytes(DAMAGED[case]())
    with pytest.raises(SceneError, match=r"^a\.png is (damaged or cut off; copy|not a picture that can be read)"):
        read_original(tmp_path / "a.png")


# ── JPEG ──


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """With segments behind its first marker."""
    file = io.BytesIO()
    Image.fromarray(smooth()).save(file, "JPEG", quality=95)
    return file.getvalue()[:2] + b"".join(map(segment, segments)) + file.getvalue()[2:]


def segment(given: tuple[int, bytes], length: int | None = None) -> bytes:
    marker, body = given
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2 if length is None else length) + body


def profile_part(number: int, of: int, data: bytes) -> tuple[int, bytes]:
    return 0xE2, b"ICC_PROFILE\0" + bytes((number, of)) + data


TURNED = exif_block({0x0112: (3, b"\6\0")}, {})
P3 = profiles.display_p3()

ODD_JPEGS: dict[str, Callable[[], bytes]] = {
    "EXIF that is none": lambda: jpeg((0xE1, b"Exif\0\0nonsense")),
    "EXIF cut": lambda: jpeg((0xE1, TURNED[:15])),
    "EXIF of nothing": lambda: jpeg((0xE1, b"Exif\0\0")),
    "a segment of nothing": lambda: jpeg((0xE1, b"")),
    "a segment that is shorter than its length": lambda: jpeg()[:2] + b"\xff\xe5\0\0" + jpeg()[2:],
    "a first part of a profile": lambda: jpeg(profile_part(1, 2, P3[:100])),
    "a profile's part twice": lambda: jpeg(profile_part(1, 2, P3), profile_part(1, 2, P3)),
    "a profile's part 0": lambda: jpeg(profile_part(0, 1, P3)),
    "a profile's part cut": lambda: jpeg((0xE2, b"ICC_PROFILE\0")),
    "a depth map's list cut": lambda: jpeg((0xE2, b"MPF\0II*\0")),
    "a depth map's list of a million": lambda: jpeg(
        (0xE2, b"MPF\0" + exif_block({0xB001: (4, struct.pack("<I", 10**6)), 0xB002: (7, bytes(16))}, {})[6:])
    ),
    "Photoshop's block cut": lambda: jpeg((0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\xff\xff\xff\xff")),
    "Adobe's block cut": lambda: jpeg((0xE0, b"JFIF"), (0xEC, b"Ducky")),
    "bytes between segments": lambda: jpeg()[:20] + b"\0\0\0" + jpeg()[20:],
    "fill bytes": lambda: jpeg()[:2] + b"\xff\xff\xff" + jpeg()[2:],
    "a long comment": lambda: jpeg((0xFE, b"\xff\xda" * 30_000)),
    "something behind its end": lambda: jpeg() + b"\xff\xd8\xff" * 99,
}


@pytest.mark.parametrize("case", ODD_JPEGS)
def test_a_jpeg_whose_notes_are_odd_is_its_pixels(tmp_path: Path, case: str) -> None:
    read = read_back(ODD_JPEGS[case](), tmp_path)
    assert np.array_equal(read.pixels, read_back(jpeg(), tmp_path).pixels)
    assert read.exif is None and read.icc_profile is None and read.orientation == 1 and read.format == "JPEG"


def test_a_jpegs_notes_in_several_segments_are_one(tmp_path: Path) -> None:
    details = {0x9286: (7, b"x" * 9_000)}
    block = exif_block({0x0112: (3, b"\6\0")}, details)
    parts = ((0xE1, block[:2_000]), (0xE1, b"Exif\0\0" + block[2_000:]), profile_part(2, 2, P3[200:]),
             profile_part(1, 2, P3[:200]))  # fmt: skip
    read = read_back(jpeg(*parts), tmp_path)
    assert read.icc_profile == P3 and read.orientation == 6
    assert read.exif is not None and read.exif.details == details


def test_many_tags_that_share_their_bytes_take_no_memory(tmp_path: Path) -> None:
    """65,535 tags of all the file's bytes, 4 GB in all, if they were read."""
    for wrap in (lambda block: jpeg((0xE1, b"Exif\0\0" + block[:60_000])), lambda block: block):
        rows = b"".join(struct.pack("<HHII", 60_000 - at, 7, 50_000, 8) for at in range(4_900))
        block = b"II*\0\x08\0\0\0" + struct.pack("<H", 4_900) + rows + bytes(4)
        (tmp_path / "a").write_bytes(wrap(block))
        tracemalloc.start()
        try:
            read_original(tmp_path / "a")
        except SceneError:
            assert wrap(block) == block
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 16 * MEGABYTE


# ── WebP, TIFF, BMP ──


def webp(*chunks: tuple[bytes, bytes], flags: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "WEBP", lossless=True)
    if not chunks:
        return file.getvalue()
    size = b"".join((side - 1).to_bytes(3, "little") for side in PIXELS.shape[1::-1])
    header = b"VP8X" + struct.pack("<I", 10) + bytes((flags, 0, 0, 0)) + size
    body = b"WEBP" + header + file.getvalue()[12:]
    body += b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


ODD_WEBPS: dict[str, Callable[[], bytes]] = {
    "EXIF that is none": lambda: webp((b"EXIF", b"nonsense"), flags=8),
    "EXIF cut": lambda: webp((b"EXIF", TURNED[:15]), flags=8),
    "EXIF cut by the file's end": lambda: webp((b"EXIF", TURNED), flags=8)[:-9],
    "EXIF without its flag": lambda: webp((b"EXIF", exif_block({}, {}))),
    "a flag without EXIF": lambda: webp((b"XMP ", b""), flags=0x2C),
    "XMP that is none": lambda: webp((b"XMP ", b"\0\xff<"), flags=4),
    "a profile that is none": lambda: webp((b"ICCP", b"nonsense"), flags=0x20),
    "a chunk nobody knows": lambda: webp((b"ABCD", b"123"), flags=0),
}


@pytest.mark.parametrize("case", ODD_WEBPS)
def test_a_webp_whose_notes_are_odd_is_its_pixels(tmp_path: Path, case: str) -> None:
    read = read_back(ODD_WEBPS[case](), tmp_path)
    assert np.array_equal(read.pixels, PIXELS) and read.bit_exact
    assert read.exif is None and read.icc_profile is None and read.orientation == 1


SHORT, LONG, RATIONAL = 3, 4, 5
ODD_TAGS: dict[str, tuple[int, tuple[int, bytes]]] = {
    "an unknown type": (0x010F, (99, b"abcdef")),
    "a title of numbers": (0x0131, (12, struct.pack("<d", 1))),
    "a profile that is none": (34675, (7, b"nonsense")),
    "a profile of longs": (34675, (LONG, bytes(400))),
    "Photoshop's resources cut": (34377, (7, b"8BIM\x04")),
    "XMP in numbers": (700, (LONG, bytes(40))),
    "an orientation of text": (0x0112, (2, b"top\0")),
    "a resolution of text": (0x011A, (2, b"300\0")),
    "a resolution of nothing": (0x011A, (RATIONAL, bytes(8))),
    "an Exif directory of itself": (0x8769, (LONG, struct.pack("<I", 8))),
    "an Exif directory outside": (0x8769, (LONG, struct.pack("<I", 10**8))),
    "an Exif directory of text": (0x8769, (2, b"here\0")),
    "a private tag": (65_000, (7, b"\xff" * 99)),
    "GPS that is none": (0x8825, (2, b"nowhere\0")),
}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("case", ODD_TAGS)
def test_a_tiff_whose_tags_are_odd_is_its_pixels(tmp_path: Path, case: str, depth: int) -> None:
    tag, value = ODD_TAGS[case]
    stored = noise("RGB", depth)
    read = read_back(tiff(stored, {tag: value}), tmp_path)
    assert np.array_equal(read.pixels, stored) and read.bit_exact
    assert read.icc_profile is None and read.resolution is None and read.orientation == 1


def test_a_profile_in_a_bmp_counts(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "BMP")
    data = file.getvalue()
    rows, place = data[54:], 14 + 124
    header = struct.pack("<I", 124) + data[18:54] + bytes(124 - 40)
    header = header[:56] + b"DEBM" + header[60:112] + struct.pack("<II", 124 + len(rows), len(P3)) + bytes(4)
    start = b"BM" + struct.pack("<IHHI", place + len(rows) + len(P3), 0, 0, place)
    read = read_back(start + header + rows + P3, tmp_path)
    assert np.array_equal(read.pixels, PIXELS) and read.icc_profile == P3
    assert read_back(start + header + rows, tmp_path).icc_profile is None


def test_a_file_without_notes_is_handed_on_as_it_is(tmp_path: Path) -> None:
    for data in (png(), webp(), jpeg()):
        assert split(data, read_pages(data))[0] == data


def test_every_kind_of_array_is_what_the_helper_wrote() -> None:
    pixels: Array = noise("RGBA", 16)
    with pytest.raises(ValueError, match="checksum"):
        split(flipped(files16.png(pixels), IHDR_END - 1), ())
