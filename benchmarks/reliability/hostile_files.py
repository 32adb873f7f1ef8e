"""Files that arrive where photos are expected: small to send, and wrong, damaged or dear to decode."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping

from PIL import Image


def _png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def deep_png(side: int = 7000) -> bytes:
    """16 bits, RGBA, one colour: some hundred kilobytes for hundreds of megabytes of pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + 8 * side)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return _png(side, side, 16, 6, rows)


def bomb_png() -> bytes:
    """A header that promises 900 megapixels."""
    return _png(30_000, 30_000, 8, 2, zlib.compress(bytes(1000)))


def webp(side: int = 7000) -> bytes:
    """One colour, lossless: two kilobytes for 49 megapixels."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 90)).save(out, "WEBP", lossless=True, method=0)
    return out.getvalue()


def many_scans(scans: int = 2000, side: int = 1500) -> bytes:
    """A progressive JPEG with the same scan again and again: minutes of work for a decoder that does not count them."""
    out = io.BytesIO()
    Image.new("L", (side, side), 128).save(out, "JPEG", progressive=True, quality=30)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:-2] + scan * scans + b"\xff\xd9"


def cut_jpeg() -> bytes:
    """The first half of a photo."""
    out = io.BytesIO()
    Image.effect_noise((600, 400), 60).save(out, "JPEG")
    return out.getvalue()[: len(out.getvalue()) // 2]


FILES: Mapping[str, Callable[[], bytes]] = {
    "deep.png": deep_png,
    "bomb.png": bomb_png,
    "plain.webp": webp,
    "scans.jpg": many_scans,
    "cut.jpg": cut_jpeg,
    "words.png": lambda: b"this is no picture" * 100,
    "page.png": lambda: b"<html><script>alert(1)</script></html>",
    "nothing.tif": lambda: b"",
    "deep.json": lambda: b"[" * 100_000,
}
