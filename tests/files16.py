"""Files that Pillow cannot write, put together byte by byte: 16-bit PNG and TIFF of any kind and orientation."""

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels → PNG's colour type


def png(pixels: npt.NDArray[np.generic], *chunks: bytes) -> bytes:
    """PNG of (H, W) or (H, W, C) uint8 or uint16, C = 2 being grey with alpha."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    depth = 8 * pixels.dtype.itemsize
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, PNG_COLOURS[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def orientation_chunk(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))


def tiff(
    pixels: npt.NDArray[np.generic],
    *,
    orientation: int = 1,
    big: bool = False,
    white_is_zero: bool = False,
    planar: bool = False,
    alpha: int = 2,
) -> bytes:
    """Uncompressed TIFF of (H, W) or (H, W, C) in either byte order; `alpha` 1 is premultiplied, 2 is not."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    start = b"MM\x00\x2a\x00\x00\x00\x00" if big else b"II\x2a\x00\x00\x00\x00\x00"
    tags = TiffImagePlugin.ImageFileDirectory_v2(ifh=start)
    tags[256], tags[257], tags[259], tags[274] = pixels.shape[1], pixels.shape[0], 1, orientation
    tags[258] = (8 * pixels.dtype.itemsize,) * channels
    tags[262] = 2 if channels > 1 else 0 if white_is_zero else 1
    tags[277], tags[278], tags[279], tags[273] = channels, pixels.shape[0], pixels.nbytes, (0,)
    if channels == 4:
        tags[338] = alpha
    if planar:
        size = pixels.nbytes // channels
        pixels = np.moveaxis(pixels, 2, 0)
        tags[284], tags[279], tags[273] = 2, (size,) * channels, tuple(size * plane for plane in range(channels))
    file = io.BytesIO()
    tags.save(file)
    return file.getvalue() + pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
