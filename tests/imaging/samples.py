"""Pictures of noise and files of them, for the tests of this folder."""

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


def phone_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x013B], exif[0x0112] = "Maker", "Ada", 6
    details = exif.get_ifd(0x8769)
    details[0x9003], details[0x927C], details[0x829A] = "2024:05:01 10:00:00", b"secret place", 0.01
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (48.0, 51.0, 24.0)
    return exif.tobytes()
