"""Flips, cuts and inserts bytes in small files of every accepted kind and decodes them, in bounded memory and time.

`python -m tests.imaging.fuzz FOLDER FIRST COUNT` does so in a process of its own, whose death is the finding: what it
was decoding stands in FOLDER. It prints how many files were pictures and how many were refused.
"""

import faulthandler
import io
import json
import resource
import signal
import struct
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from realfill.errors import SceneError
from realfill.imaging.decode import read_original
from realfill.imaging.photo import to_photo
from realfill.seeds import rng
from tests import files16, profiles
from tests.imaging.raws import dng
from tests.imaging.samples import exif_block, noise, phone_exif, smooth, tiff

MOST_BYTES, MOST_SECONDS = 1 << 30, 20
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def sources() -> dict[str, bytes]:
    """Small valid files with all that is read of them: profile, EXIF, resolution, text, tables, transparency."""
    icc, exif = profiles.display_p3(), phone_exif()
    notes = (
        files16.chunk(b"iCCP", b"x\0\0" + zlib.compress(icc)), files16.chunk(b"eXIf", exif[6:]),
        files16.chunk(b"pHYs", struct.pack(">IIB", 11_811, 11_811, 1)), files16.chunk(b"cICP", bytes((9, 16, 0, 1))),
        files16.chunk(b"tEXt", b"Comment\0hello"), files16.chunk(b"gAMA", struct.pack(">I", 45_455)),
    )  # fmt: skip
    tags = {34675: (7, icc), 0x0112: (3, struct.pack("<H", 6)), 0x010E: (2, b"title\0")}
    details = {0xA001: (3, b"\xff\xff"), 0x9003: (2, b"2024:05:01 10:00:00\0")}
    adobe = {1: (2, b"R03\0")}
    heic = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(smooth())).save(heic, exif=exif)
    return {
        "png": files16.png(noise("RGBA"), *notes), "deep png": files16.png(noise("RGB", 16), *notes),
        "palette": _encode("PNG", smooth(), palette=True), "grey png": files16.png(noise("L", 16)),
        "jpeg": _encode("JPEG", smooth(), exif=exif, icc_profile=icc, dpi=(300, 300)),
        "progressive": _encode("JPEG", smooth(), progressive=True, exif=exif_block({}, details, adobe)),
        "cmyk": _encode("JPEG", np.dstack([smooth(), smooth()[:, :, :1]]), mode="CMYK", icc_profile=profiles.cmyk()),
        "webp": _encode("WEBP", smooth(), exif=exif, icc_profile=icc),
        "lossless webp": _encode("WEBP", noise("RGBA"), lossless=True),
        "tiff": tiff(noise(), tags, details, adobe), "deep tiff": tiff(noise("RGBA", 16), tags, details, adobe),
        "big tiff": files16.tiff(noise("L", 16), big=True), "lzw": _encode("TIFF", smooth(), compression="tiff_lzw"),
        "jpeg in tiff": _encode("TIFF", smooth(), compression="jpeg"),
        "fax": _encode("TIFF", smooth()[:, :, 0], mode="1", compression="group4"),
        "bmp": _encode("BMP", smooth()), "heic": heic.getvalue(), "dng": dng(),
    }  # fmt: skip


def _encode(kind: str, pixels: Any, *, palette: bool = False, mode: str | None = None, **options: Any) -> bytes:
    image = Image.fromarray(pixels, "CMYK") if mode == "CMYK" else Image.fromarray(pixels)
    image = image.quantize(32) if palette else image.convert(mode) if mode == "1" else image
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def damage(data: bytes, number: int) -> bytes:
    """The bytes with a few of them changed, taken out, put in or cut off; the same for the same number."""
    random, damaged = rng(number), bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        if not damaged:
            break
        reach = len(damaged) if random.random() < 0.5 else min(len(damaged), 400)  # headers more often than pixels
        place, length = int(random.integers(reach)), int(random.integers(1, 9))
        match int(random.integers(6)):
            case 0:
                damaged[place] = int(random.integers(256))
            case 1:
                damaged[place] ^= 1 << int(random.integers(8))
            case 2:
                damaged[place : place + length] = bytes([random.choice(_INTERESTING)]) * length
            case 3:
                del damaged[place : place + length]
            case 4:
                damaged[place:place] = random.bytes(length)
            case _ if random.random() < 0.3:
                del damaged[place:]
            case _:
                damaged[place:place] = damaged[place : place + 50]
    return bytes(damaged)


def main(folder: Path, first: int, count: int) -> None:
    """Decodes `count` damaged files of each kind."""
    warnings.simplefilter("ignore")
    given = sources()
    for data in given.values():  # what libraries take once and for all is not the files' fault
        _decode(folder / "sound", data)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES,) * 2)
    faulthandler.register(signal.SIGPROF, chain=True)  # says where it hangs, then dies
    counts, slowest = {"pictures": 0, "refused": 0}, 0.0
    for number in range(first, first + count):
        for kind, (name, data) in enumerate(given.items()):
            signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)  # processor time: other work does not count
            began = time.process_time()
            counts[_decode(folder / f"{name} {number}", damage(data, 100 * number + kind))] += 1
            slowest = max(slowest, time.process_time() - began)
    print(json.dumps({**counts, "slowest": slowest}))  # noqa: T201


def _decode(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    try:
        to_photo(read_original(path))
        result = "pictures"
    except SceneError:
        result = "refused"
    path.unlink()  # what ends in any other way stays
    return result


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
