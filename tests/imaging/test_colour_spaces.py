"""Colours told by EXIF, PNG's chunks and HEIC's code points: seen as they are, and kept so in every export."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from realfill.imaging import encode
from realfill.imaging.colour_spaces import adobe_rgb_profile, cicp_profile, is_known
from realfill.imaging.decode import Original, read_original
from realfill.imaging.encode import FORMATS, Format
from realfill.imaging.icc import is_reversible
from realfill.imaging.metadata import Cicp
from realfill.imaging.photo import insert, to_photo
from realfill.scene import scene
from tests import files16, profiles
from tests.imaging.samples import Array, Entries, exif_block, read_back, smooth, tiff

# sRGB's red, green and blue in other spaces, by their definitions (Lindbloom's calculator gives the same).
PRIMARIES = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]], np.uint8)
IN_ADOBE_RGB = np.array([[(219, 0, 0), (144, 255, 60), (0, 0, 250), (127, 127, 127)]], np.uint8)
IN_P3 = np.array([[(234, 51, 35), (117, 251, 76), (0, 0, 245), (128, 128, 128)]], np.uint8)
IN_BT2020 = np.array([[(207, 74, 34), (155, 246, 84), (59, 28, 243), (128, 128, 128)]], np.uint8)
SRGB_CHUNK = files16.chunk(b"sRGB", b"\0")
GAMMA_22 = files16.chunk(b"gAMA", struct.pack(">I", 45_455))
P3_CHROMATICITIES = (31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000)
SRGB_CHROMATICITIES = (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)


def tall(values: Array) -> Array:
    """Patches that are large enough for lossy formats."""
    return values.repeat(16, 0).repeat(16, 1)


def cicp_chunk(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return files16.chunk(b"cICP", bytes((primaries, transfer, matrix, full)))


def corners_chunk(values: tuple[int, ...]) -> bytes:
    return files16.chunk(b"cHRM", struct.pack(">8I", *values))


def profile_chunk(icc: bytes) -> bytes:
    return files16.chunk(b"iCCP", b"x\0\0" + zlib.compress(icc))


def adobe_exif(space: int = 65_535, index: str = "R03") -> tuple[Entries, Entries, Entries]:
    return {}, {0xA001: (3, struct.pack("<H", space))}, {1: (2, index.encode() + b"\0")}


def adobe_block(space: int = 65_535, index: str = "R03") -> bytes:
    return exif_block(*adobe_exif(space, index))


def assert_seen_as(original: Original, expected: Array, within: int = 2) -> None:
    assert np.abs(to_photo(original).astype(int) - expected).max() <= within


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".heic"])
@pytest.mark.parametrize("exif", [adobe_exif(), adobe_exif(space=2, index="R98")])
def test_adobe_rgb_by_exif_is_seen_so_and_stays_so_in_every_export(
    tmp_path: Path, suffix: str, exif: tuple[Entries, Entries, Entries]
) -> None:
    path, pixels, block = tmp_path / f"a{suffix}", tall(IN_ADOBE_RGB), exif_block(*exif)
    if suffix == ".tif":
        path.write_bytes(tiff(pixels, *exif))
    elif suffix == ".heic":
        pillow_heif.from_pillow(Image.fromarray(pixels)).save(
            path, quality=-1, chroma=444, exif=block, save_nclx_profile=False
        )
    else:
        lossless = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
        Image.fromarray(pixels).save(path, exif=block, **lossless)  # type: ignore[arg-type]
    read = read_original(path)
    assert read.icc_profile == adobe_rgb_profile(is_grey=False)
    assert_seen_as(read, tall(PRIMARIES), within=4 if suffix in (".jpg", ".heic") else 2)
    for format in FORMATS:
        again = read_back(encode.encode(read, format, quality=100, record={}), tmp_path)
        assert again.icc_profile == read.icc_profile
        assert_seen_as(again, to_photo(read), within=3 if format == "jpeg" else 0)


def test_a_filled_part_meets_adobe_rgb_by_exif_in_its_own_values(tmp_path: Path) -> None:
    read = read_back(files16.png(IN_ADOBE_RGB, files16.chunk(b"eXIf", adobe_block()[6:])), tmp_path)
    filled = insert(read, PRIMARIES, np.ones((1, 4), np.float32))
    assert np.abs(filled.pixels.astype(int) - IN_ADOBE_RGB).max() <= 1


@pytest.mark.parametrize("block", [adobe_block(index="R98"), adobe_block(space=1), exif_block({}, {})])
def test_other_exif_is_srgb(tmp_path: Path, block: bytes) -> None:
    read = read_back(files16.png(IN_P3, files16.chunk(b"eXIf", block[6:])), tmp_path)
    assert read.icc_profile is None and np.array_equal(to_photo(read), IN_P3)


def test_grey_of_adobe_rgb_has_its_curve(tmp_path: Path) -> None:
    greys = np.arange(0, 256, 15, dtype=np.uint8)[None]
    read = read_back(files16.png(greys, files16.chunk(b"eXIf", adobe_block()[6:])), tmp_path)
    colour = read_back(files16.png(np.dstack([greys] * 3), files16.chunk(b"eXIf", adobe_block()[6:])), tmp_path)
    assert read.mode == "L" and read.icc_profile == adobe_rgb_profile(is_grey=True)
    assert np.abs(to_photo(read).astype(int) - to_photo(colour)).max() <= 1


@pytest.mark.parametrize(("points", "values"), [
    ((12, 13), IN_P3), ((9, 13), IN_BT2020), ((9, 14), IN_BT2020), ((12, 1), IN_P3), ((1, 13), PRIMARIES),
    ((1, 1), PRIMARIES), ((2, 13), PRIMARIES),
])  # fmt: skip
@pytest.mark.parametrize("depth", [8, 16])
def test_code_points_of_a_png(tmp_path: Path, points: tuple[int, int], values: Array, depth: int) -> None:
    stored = values if depth == 8 else values.astype(np.uint16) * np.uint16(257)
    read = read_back(files16.png(stored, cicp_chunk(*points)), tmp_path)
    assert np.array_equal(read.pixels, stored) and read.bit_exact
    assert (read.icc_profile is None) == (values is PRIMARIES)
    assert_seen_as(read, PRIMARIES, within=3)


def test_the_built_profile_shows_what_a_profile_of_the_same_space_shows(tmp_path: Path) -> None:
    pixels = smooth()
    built = read_back(files16.png(pixels, cicp_chunk(12, 13)), tmp_path)
    given = read_back(files16.png(pixels, profile_chunk(profiles.display_p3())), tmp_path)
    assert np.abs(to_photo(built).astype(int) - to_photo(given)).max() <= 1
    assert np.abs(to_photo(built).astype(int) - pixels).max() > 10


@pytest.mark.parametrize(("chunks", "values"), [
    ((cicp_chunk(12, 13), profile_chunk(profiles.rgb(profiles.SRGB, profiles.gamma_curve(1.0)))), IN_P3),
    ((profile_chunk(profiles.display_p3()), SRGB_CHUNK, GAMMA_22), IN_P3),
    ((SRGB_CHUNK, GAMMA_22, corners_chunk(P3_CHROMATICITIES)), PRIMARIES),
    ((GAMMA_22, corners_chunk(P3_CHROMATICITIES)), IN_P3),
    ((corners_chunk(P3_CHROMATICITIES),), IN_P3),
    ((GAMMA_22, corners_chunk(SRGB_CHROMATICITIES)), PRIMARIES),
    ((GAMMA_22,), PRIMARIES),
    ((cicp_chunk(200, 13), profile_chunk(profiles.display_p3())), IN_P3),  # unknown code points
    ((cicp_chunk(12, 13, matrix=6),), PRIMARIES),  # YCbCr's matrix: not PNG
    ((profile_chunk(b"nonsense"), GAMMA_22, corners_chunk(P3_CHROMATICITIES)), IN_P3),
    ((files16.chunk(b"gAMA", bytes(4)),), PRIMARIES),
    ((files16.chunk(b"gAMA", struct.pack(">I", 2**31)),), PRIMARIES),
    ((corners_chunk((0,) * 8),), PRIMARIES),
    ((corners_chunk((31_270, 32_900, *(30_000, 30_000) * 3)),), PRIMARIES),  # three corners in one place
])  # fmt: skip
def test_what_a_png_says_twice_counts_in_the_standards_order(
    tmp_path: Path, chunks: tuple[bytes, ...], values: Array
) -> None:
    read = read_back(files16.png(values, *chunks), tmp_path)
    assert_seen_as(read, PRIMARIES, within=12)  # a gamma of 2.2 differs from sRGB in the dark
    assert (read.icc_profile is None) == (values is PRIMARIES)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_gamma_of_one_is_light_itself(tmp_path: Path, mode: str) -> None:
    light = np.array([[0, 55, 128, 255]], np.uint8)  # 55/255 of the light is 128 in sRGB, 128/255 is 188
    pixels = light if mode == "L" else np.dstack([light] * 3)
    read = read_back(files16.png(pixels, files16.chunk(b"gAMA", struct.pack(">I", 100_000))), tmp_path)
    assert np.abs(to_photo(read)[0, :, 0].astype(int) - (0, 128, 188, 255)).max() <= 1
    for format in FORMATS:
        again = read_back(encode.encode(read, format, quality=100, record={}), tmp_path)
        assert_seen_as(again, to_photo(read), within=3 if format == "jpeg" else 1)


@pytest.mark.parametrize(("points", "values"), [((12, 13), IN_P3), ((9, 13), IN_BT2020), ((1, 13), PRIMARIES)])
def test_code_points_of_a_heic(tmp_path: Path, points: tuple[int, int], values: Array) -> None:
    save_heic(tmp_path / "a.heic", tall(values), points)
    read = read_original(tmp_path / "a.heic")
    assert (read.icc_profile is None) == (values is PRIMARIES)
    assert_seen_as(read, tall(PRIMARIES), within=6)


def save_heic(path: Path, pixels: Array, points: tuple[int, int]) -> None:
    picture = pillow_heif.from_pillow(Image.fromarray(pixels))
    picture.save(path, quality=-1, chroma=444, color_primaries=points[0], transfer_characteristics=points[1])


@pytest.mark.parametrize(("chunk", "said"), [
    (cicp_chunk(9, 16), r"HDR colours \(PQ\)"), (cicp_chunk(9, 18), r"HDR colours \(HLG\)"),
    (cicp_chunk(12, 13, full=0), "short range"),
])  # fmt: skip
def test_colours_beyond_profiles_stay_in_a_png_and_are_said(tmp_path: Path, chunk: bytes, said: str) -> None:
    pixels = smooth().astype(np.uint16) * np.uint16(257)
    folder = tmp_path / "scene"
    for part in ("ref", "target"):
        (folder / part).mkdir(parents=True)
    (folder / "target" / "target.png").write_bytes(files16.png(pixels, chunk))
    (folder / "ref" / "one.png").write_bytes(files16.png(pixels, chunk))
    hole = np.zeros(pixels.shape[:2], np.uint8)
    hole[10:20, 10:20] = 255
    Image.fromarray(hole).save(folder / "target" / "mask.png")
    read = scene.load(folder)
    for name in ("target.png", "one.png"):
        assert any(sentence.startswith(f"{name} has ") for sentence in read.notices)
    assert all(re.search(said, sentence) for sentence in read.notices if " has " in sentence)
    assert np.array_equal(read.original.pixels, pixels)
    data = encode.encode(read.original, "png", quality=1, record={})
    assert chunk in data
    assert read_back(data, tmp_path).cicp == read.original.cicp


def test_a_pq_heic_is_marked_in_a_png(tmp_path: Path) -> None:
    save_heic(tmp_path / "a.heic", smooth(), (9, 16))
    read = read_original(tmp_path / "a.heic")
    assert read.cicp == Cicp(9, 16)
    assert cicp_chunk(9, 16) in encode.encode(read, "png", quality=1, record={})


def test_every_known_pair_of_code_points_has_a_profile_that_goes_both_ways() -> None:
    known = [Cicp(one, two) for one in range(25) for two in range(20) if is_known(Cicp(one, two))]
    assert len(known) > 50 and not is_known(Cicp(2, 2)) and not is_known(Cicp(3, 13))
    for points in known:
        for mode in ("L", "RGB"):
            icc = cicp_profile(points, is_grey=mode == "L")
            assert icc is None or is_reversible(icc, mode)
    assert cicp_profile(Cicp(9, 8), is_grey=True) is not None  # linear light


@pytest.mark.parametrize("format", FORMATS)
def test_other_readers_open_the_built_profile(format: Format, tmp_path: Path) -> None:
    read = read_back(files16.png(tall(IN_P3), cicp_chunk(12, 13)), tmp_path)
    with Image.open(io.BytesIO(encode.encode(read, format, quality=100, record={}))) as opened:
        assert opened.info["icc_profile"] == read.icc_profile
        profile = ImageCms.ImageCmsProfile(io.BytesIO(opened.info["icc_profile"])).profile
        assert profile.profile_description == "CICP 12/13" and profile.version == 4.3
