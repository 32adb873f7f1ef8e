"""Pictures of noise and files of them, for the tests of this folder."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from realfill.imaging.decode import Original, read_original
from realfill.seeds import rng
from tests import files16

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


def read_back(data: bytes, folder: Path, name: str = "back") -> Original:
    (folder / name).write_bytes(data)
    return read_original(folder / name)


Entries = Mapping[int, tuple[int, bytes]]  # by tag: TIFF's type and the values in little-endian order
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8, 11: 4, 12: 8, 99: 1}


def exif_block(fields: Entries, details: Entries, interoperability: Entries | None = None) -> bytes:
    """An EXIF block of any fields, the odd ones too, which Pillow would not write."""
    first, second, third = dict(fields), dict(details), dict(interoperability or {})
    if third:
        second[0xA005] = (4, bytes(4))
    if second:
        first[0x8769] = (4, bytes(4))
        place = 8 + len(_directory(first, 8))
        if third:
            second[0xA005] = (4, struct.pack("<I", place + len(_directory(second, place))))
        first[0x8769] = (4, struct.pack("<I", place))
    data = b"II*\0\x08\0\0\0"
    for directory in (first, second, third):
        data += _directory(directory, len(data)) if directory or directory is first else b""
    return b"Exif\0\0" + data


def tiff(
    pixels: Array, fields: Entries | None = None, details: Entries | None = None,
    interoperability: Entries | None = None,
) -> bytes:  # fmt: skip
    """An uncompressed TIFF of (H, W) or (H, W, C) with any further tags, the odd ones too."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    size = pixels.dtype.itemsize
    numbers = {
        256: pixels.shape[1], 257: pixels.shape[0], 259: 1, 262: 2 if channels > 1 else 1, 273: 0, 277: channels,
        278: pixels.shape[0], 279: pixels.nbytes, 339: {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind],
    }  # fmt: skip
    tags = {tag: (4, struct.pack("<I", number)) for tag, number in numbers.items()}
    tags |= {258: (3, struct.pack(f"<{channels}H", *[8 * size] * channels)), **(fields or {})}
    place = len(exif_block(tags, details or {}, interoperability)) - 6
    tags[273] = (4, struct.pack("<I", place))
    return exif_block(tags, details or {}, interoperability)[6:] + pixels.tobytes()


def _directory(entries: Entries, place: int) -> bytes:
    rows, values = struct.pack("<H", len(entries)), b""
    begin = place + 2 + 12 * len(entries) + 4
    for tag, (kind, data) in sorted(entries.items()):
        inline = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", begin + len(values))
        rows += struct.pack("<HHI", tag, kind, len(data) // _TYPE_BYTES[kind]) + inline
        values += data + bytes(len(data) % 2) if len(data) > 4 else b""
    return rows + bytes(4) + values


def phone_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x013B], exif[0x0112] = "Maker", "Ada", 6
    details = exif.get_ifd(0x8769)
    details[0x9003], details[0x927C], details[0x829A] = "2024:05:01 10:00:00", b"secret place", 0.01
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (48.0, 51.0, 24.0)
    return exif.tobytes()
