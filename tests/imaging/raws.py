"""Small camera raws, put together as cameras write them."""

import io
import struct
from typing import Any

import numpy as np
import tifffile

from tests.imaging.samples import Array, smooth

BYTE, SHORT, LONG, RATIONAL, SIGNED_RATIONAL = 1, 3, 4, 5, 10
DNG_VERSION = (50706, BYTE, 4, b"\1\4\0\0", True)
THUMBNAIL = smooth(24, 32)


def mosaic(colours: Array) -> Array:
    """What a sensor with a Bayer filter (red, green, green, blue) sees of (H, W, 3) 16-bit colours."""
    seen = colours[:, :, 1].copy()
    seen[::2, ::2], seen[1::2, 1::2] = colours[::2, ::2, 0], colours[1::2, 1::2, 2]
    return seen


def sensor_colours() -> Array:
    colours = np.full((96, 128, 3), 3_000, np.uint16)
    colours[:, :64, 0], colours[:, 64:, 2] = 40_000, 40_000
    return colours


def dng(colours: Array | None = None, orientation: int = 1) -> bytes:
    """A small negative as cameras write them: a thumbnail first, the sensor's values in a directory below it."""
    numbers = struct.pack("<18i", *[value for number in (10_000, 0, 0, 0, 10_000, 0, 0, 0, 10_000)
                                    for value in (number, 10_000)])  # fmt: skip
    camera: list[Any] = [
        DNG_VERSION, (50708, 2, 0, b"Test Camera", True), (274, SHORT, 1, orientation, True),
        (50721, SIGNED_RATIONAL, 9, numbers, True), (50728, RATIONAL, 3, struct.pack("<6I", *[1] * 6), True),
        (50778, SHORT, 1, 21, True), (271, 2, 0, b"Maker", True),
    ]  # fmt: skip
    sensor: list[Any] = [(33421, SHORT, 2, (2, 2), True), (33422, BYTE, 4, bytes((0, 1, 1, 2)), True)]
    sensor += [(50717, LONG, 1, 65_535, True)]
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder="<") as writer:
        common: dict[str, Any] = {"metadata": None, "software": False}
        writer.write(THUMBNAIL, photometric="rgb", subfiletype=1, subifds=1, extratags=camera, **common)
        values = mosaic(sensor_colours() if colours is None else colours)
        writer.write(values, photometric=32803, subfiletype=0, extratags=sensor, **common)
    return file.getvalue()
