"""Camera raws: told from pictures by their content, refused with what to do, developed where rawpy is installed."""

import io
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from realfill.errors import SceneError
from realfill.imaging import raw
from realfill.imaging.decode import read_original
from realfill.imaging.photo import to_photo
from realfill.scene import scene
from tests.imaging.raws import LONG, SHORT, THUMBNAIL, dng
from tests.imaging.samples import Array, noise, read_back, smooth, tiff


def below(larger: Array, *, first: int) -> bytes:
    """A TIFF whose first page has another one below it."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(THUMBNAIL, photometric="rgb", subfiletype=first, subifds=1, metadata=None)
        writer.write(larger, photometric="rgb", subfiletype=0, metadata=None)
    return file.getvalue()


def cr2() -> bytes:
    data = tiff(THUMBNAIL)
    rows = data[8:]
    return data[:4] + struct.pack("<I", 16) + b"CR\2\0" + bytes(4) + rows


RAWS: dict[str, Callable[[], bytes]] = {
    "a.dng": dng,
    "a.tif": dng,
    "a.nef": lambda: below(noise(), first=1),
    "a.arw": lambda: below(noise(), first=0),
    "a.pef": lambda: tiff(noise("L", 16), {259: (SHORT, struct.pack("<H", 65_535))}),
    "a.srw": lambda: tiff(noise("L", 16), {259: (SHORT, struct.pack("<H", 32_770))}),
    "linear.tif": lambda: tiff(noise("RGB", 16), {262: (SHORT, struct.pack("<H", 34_892))}),
    "a.cr2": cr2,
    "cr2.jpg": cr2,
    "a.orf": lambda: b"IIRO" + tiff(THUMBNAIL)[4:],
    "orf.tif": lambda: b"IIRS" + tiff(THUMBNAIL)[4:],
    "a.rw2": lambda: b"IIU\0" + tiff(THUMBNAIL)[4:],
    "a.raf": lambda: b"FUJIFILMCCD-RAW 0201" + bytes(200),
    "a.x3f": lambda: b"FOVb" + bytes(200),
    "a.mrw": lambda: b"\0MRM" + bytes(200),
    "a.crw": lambda: b"II\x1a\0\0\0HEAPCCDR" + bytes(200),
    "a.cr3": lambda: b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(200),
    "cr3.heic": lambda: b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(200),
    "a.iiq": lambda: tiff(THUMBNAIL)[:8] + b"IIIITwaR" + tiff(THUMBNAIL)[16:],
    "by its ending.NEF": lambda: tiff(THUMBNAIL),
    "unreadable.3fr": lambda: b"something else altogether",
}


@pytest.fixture
def without_rawpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)


@pytest.mark.usefixtures("without_rawpy")
@pytest.mark.parametrize("name", RAWS)
def test_a_camera_raw_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(RAWS[name]())
    with pytest.raises(SceneError) as caught:
        read_original(tmp_path / name)
    assert str(caught.value) == f"{name} is a camera raw file; save it as TIFF or JPEG first."


def pages(*all_pages: tuple[Array, int]) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for pixels, kind in all_pages:
            colours = "mask" if kind == 4 else "rgb"
            writer.write(pixels, photometric=colours, subfiletype=kind, metadata=None)
    return file.getvalue()


def pyramid() -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        options: dict[str, Any] = {"photometric": "rgb", "tile": (16, 16), "metadata": None}
        writer.write(smooth(), subifds=1, **options)
        writer.write(smooth()[::2, ::2], subfiletype=1, **options)
    return file.getvalue()


PICTURES: dict[str, Callable[[], bytes]] = {
    "with a smaller page behind it": lambda: pages((smooth(), 0), (THUMBNAIL, 1)),
    "with a smaller page before it": lambda: pages((THUMBNAIL, 1), (smooth(), 0)),
    "with a mask": lambda: pages((smooth(), 0), (smooth()[:, :, 0] > 60, 4)),
    "a pyramid of tiles": pyramid,
    "developed from a DNG, with its tags": lambda: tiff(smooth(), {50706: (1, b"\1\4\0\0")}),
    "a pyramid of pages": lambda: pages((smooth(), 0), (smooth()[::2, ::2], 1), (smooth()[::4, ::4], 1)),
}


@pytest.mark.usefixtures("without_rawpy")
@pytest.mark.parametrize("case", PICTURES)
def test_an_ordinary_tiff_is_no_raw(tmp_path: Path, case: str) -> None:
    read = read_back(PICTURES[case](), tmp_path, "a.tif")
    assert np.array_equal(read.pixels, smooth()) and read.bit_exact


@pytest.mark.usefixtures("without_rawpy")
def test_grey_pixels_may_look_like_a_raws_mark(tmp_path: Path) -> None:
    """Phase One writes IIII behind the header, and so does who begins with pixels of 73."""
    pixels = np.full((48, 64), ord("I"), np.uint8)
    numbers = {256: 64, 257: 48, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 48, 279: pixels.size}
    rows = b"".join(struct.pack("<HHII", tag, LONG, 1, number) for tag, number in numbers.items())
    start = b"II*\0" + struct.pack("<I", 8 + pixels.size)
    data = start + pixels.tobytes() + struct.pack("<H", len(numbers)) + rows + bytes(4)
    assert np.array_equal(read_back(data, tmp_path, "a.tif").pixels, pixels)


@pytest.mark.usefixtures("without_rawpy")
def test_two_whole_pages_are_still_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="holds 2 frames or pages"):
        read_back(pages((smooth(), 0), (smooth(), 0)), tmp_path)


@pytest.mark.usefixtures("without_rawpy")
def test_a_picture_with_a_raws_ending_is_a_picture(tmp_path: Path) -> None:
    Image.fromarray(smooth()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.nef")
    assert np.array_equal(read_original(tmp_path / "a.nef").pixels, smooth())


# ── developed ──


def test_a_raw_is_developed_from_the_sensors_values(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    read = read_back(dng(), tmp_path, "a.dng")
    assert read.format == "RAW" and read.mode == "RGB" and not read.bit_exact
    assert read.pixels.dtype == np.uint16 and (read.width, read.height) == (128, 96)
    left, right = (to_photo(read)[8:-8, part].mean((0, 1)) for part in (slice(8, 56), slice(72, 120)))
    assert left[0] > left[2] + 60 and right[2] > right[0] + 60
    assert read.exif is not None and read.exif.fields[271] == (2, b"Maker\0")


def test_a_raw_is_turned_upright(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    read = read_back(dng(orientation=6), tmp_path, "a.dng")
    assert read.orientation == 6 and (read.width, read.height) == (96, 128)
    top, bottom = to_photo(read)[8:56].mean((0, 1)), to_photo(read)[72:120].mean((0, 1))
    assert top[0] > top[2] + 60 and bottom[2] > bottom[0] + 60


def test_a_raws_size_is_looked_at_before_its_pixels() -> None:
    pytest.importorskip("rawpy")
    with pytest.raises(SceneError, match=r"^a\.dng has 0\.0 megapixels and the most accepted is 0; save it"):
        raw.develop(dng()[:-20_000], "a.dng", most_pixels=1_000)


@pytest.mark.parametrize("cut", [200, 4_000])
def test_a_raw_that_cannot_be_developed_says_so(tmp_path: Path, cut: int) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "a.dng").write_bytes(dng()[:cut])
    with pytest.raises(SceneError, match=r"^a\.dng is a camera raw file that cannot be developed here; save it as"):
        read_original(tmp_path / "a.dng")


def test_a_scene_of_raws_is_stored_and_loaded_again(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    (tmp_path / "one.dng").write_bytes(dng())
    hole = np.zeros((96, 128), np.bool_)
    hole[40:60, 40:60] = True
    scene.assemble(tmp_path / "scene", [tmp_path / "one.dng"], tmp_path / "one.dng", hole)
    assert (tmp_path / "scene" / "target" / "target.dng").read_bytes() == dng()
    read = scene.load(tmp_path / "scene")
    assert read.target.shape == (96, 128, 3) and read.original.format == "RAW"
    assert any("target.dng (RAW) cannot be written back" in sentence for sentence in read.notices)
