"""EXIF: what is read of a block, and the fields of it that go into a result.

A block is a TIFF file without pictures (Exif 3.0, 4.5). Fields keep their bytes, so that a text in UTF-8 or an
aperture of 0/0 comes out as it went in. Each is taken or left by itself: one that is odd spoils no other.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from realfill.imaging.tiff import Directory, read_pages, type_bytes

Resolution = tuple[float, float]  # dots per inch, across and down
Fields = Mapping[int, tuple[int, bytes]]  # by tag: TIFF's type, and the values in little-endian order

ORIENTATION, POINTER, COLOUR_SPACE = 0x0112, 0x8769, 0xA001
_INTEROPERABILITY_POINTER = 0xA005
_ADOBE_RGB, _UNCALIBRATED, _SRGB = 2, 0xFFFF, 1  # of ColorSpace; 2 is not of the standard, but cameras write it
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_SHORT, _LONG, _RATIONAL = 3, 4, 5
_KEPT = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)  # title, camera, software, date, author, rights
# Exposure, dates, lens and the like. Of the standard's fields these are left out: maker note and device settings
# (may hold places and numbers), sizes, pointers, serial numbers (0xA431, 0xA435) and the file's own id (0xA420).
_KEPT_DETAILS = frozenset(
    {0x829A, 0x829D, 0x8822, 0x8824, 0x8827, *range(0x8830, 0x8836), 0x9000, 0x9003, 0x9004, *range(0x9010, 0x9013)}
    | {0x9101, 0x9102, *range(0x9201, 0x920B), 0x9214, 0x9286, *range(0x9290, 0x9293), *range(0x9400, 0x9406)}
    | {0xA000, 0xA001, 0xA20B, 0xA20E, 0xA20F, 0xA210, 0xA215, 0xA217, 0xA300, 0xA301, 0xA302, *range(0xA401, 0xA40B)}
    | {0xA40C, 0xA432, 0xA433, 0xA434, 0xA460, 0xA461, 0xA462, 0xA500}
)
_MOST_BYTES = 60_000  # of a block; a JPEG segment holds 65,533
_FIELD_BYTES = 16_000  # of one field; texts longer than that are a program's, not a person's
_FEWEST_DOTS, _MOST_DOTS = 1, 65_535  # per inch; JFIF counts in 16 bits
_INCH = 0.0254  # metres


@dataclass(frozen=True)
class Exif:
    """Fields that a result keeps: no place, no serial number, no thumbnail, orientation 1."""

    fields: Fields  # of the first directory
    details: Fields  # of the Exif directory


def open_block(data: bytes) -> Directory | None:
    """The first directory of an EXIF block, with or without "Exif" before it; None where it is none."""
    while data.startswith(b"Exif\0\0"):
        data = data[6:]
    pages = read_pages(data)
    return pages[0] if pages else None


def read_orientation(directory: Directory) -> int:
    """1-8; what is out of range, or no whole number, counts as 1."""
    return sound_orientation(directory.integer(ORIENTATION, 1))


def sound_orientation(value: int | None) -> int:
    """The orientation that a number means: 1 unless it is 1-8."""
    return value if value in range(1, 9) and value is not None else 1


def read_resolution(directory: Directory) -> Resolution | None:
    """Dots per inch, from inches (the unit that is meant where none is told) or centimetres."""
    unit = directory.integer(_RESOLUTION_UNIT, 2)
    across, down = (directory.read(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    if unit not in (2, 3) or not isinstance(across, tuple) or not isinstance(down, tuple):
        return None
    per_metre = {2: 1 / _INCH, 3: 100.0}[unit]
    return sound_resolution(float(across[0]) * per_metre, float(down[0]) * per_metre)


def sound_resolution(across: float, down: float) -> Resolution | None:
    """Dots per inch from dots per metre; None where that is no resolution.

    PNG counts whole dots per metre: what is half of one from a whole number of dots per inch is that number.
    """
    values = tuple(value * _INCH for value in (across, down))
    if not all(_FEWEST_DOTS <= value <= _MOST_DOTS for value in values):  # NaN too
        return None
    near = [round(value) if abs(value - round(value)) <= _INCH / 2 else value for value in values]
    return float(near[0]), float(near[1])


def is_adobe_rgb(directory: Directory) -> bool:
    """Whether the values are Adobe RGB (1998): DCF 2.0's option file R03, or ColorSpace 2."""
    details = _follow(directory, POINTER)
    if details is None:
        return False
    space = details.integer(COLOUR_SPACE, _SRGB)
    pointed = _follow(details, _INTEROPERABILITY_POINTER)
    return space == _ADOBE_RGB or (space == _UNCALIBRATED and pointed is not None and pointed.read(1) == "R03")


def clean(directory: Directory) -> Exif | None:
    """The fields that a result keeps; None where there are none, or more than a file can hold."""
    details = _follow(directory, POINTER)
    exif = Exif(_take(directory, _KEPT), {} if details is None else _take(details, _KEPT_DETAILS))
    if not exif.fields and not exif.details:
        return None
    return exif if len(encode_block(exif, None, has_profile=True)) <= _MOST_BYTES else None


def encode_block(exif: Exif | None, resolution: Resolution | None, *, has_profile: bool) -> bytes:
    """An EXIF block, "Exif" before it, of these fields and this resolution; empty where there is neither."""
    if exif is None and resolution is None:
        return b""
    fields = {**(exif.fields if exif else {}), ORIENTATION: (_SHORT, struct.pack("<H", 1))}
    if resolution is not None:
        fields |= {_X_RESOLUTION: _rational(resolution[0]), _Y_RESOLUTION: _rational(resolution[1])}
        fields[_RESOLUTION_UNIT] = (_SHORT, struct.pack("<H", 2))
    details = {} if exif is None else tell_colour_space(exif, has_profile=has_profile)
    head = b"II*\0\x08\0\0\0"
    if not details:
        return b"Exif\0\0" + head + encode_directory(fields, len(head))
    fields[POINTER] = (_LONG, bytes(4))
    place = len(head) + len(encode_directory(fields, len(head)))
    fields[POINTER] = (_LONG, struct.pack("<I", place))
    return b"Exif\0\0" + head + encode_directory(fields, len(head)) + encode_directory(details, place)


def encode_directory(fields: Fields, place: int) -> bytes:
    """A little-endian TIFF directory that stands at `place`, an even number, with its values behind it."""
    rows, values = b"", b""
    begin = place + 2 + 12 * len(fields) + 4
    for tag, (kind, data) in sorted(fields.items()):
        rows += struct.pack("<HHI", tag, kind, count(kind, data))
        rows += data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", begin + len(values))
        values += data + bytes(len(data) % 2) if len(data) > 4 else b""
    return struct.pack("<H", len(fields)) + rows + bytes(4) + values


def count(kind: int, data: bytes) -> int:
    """How many values of a TIFF type these bytes are."""
    return len(data) // type_bytes(kind)


def tell_colour_space(exif: Exif, *, has_profile: bool) -> Fields:
    """The Exif directory's fields, with a ColorSpace, where there is one, that is true for the values beside it."""
    if COLOUR_SPACE not in exif.details:
        return exif.details
    space = _UNCALIBRATED if has_profile else _SRGB
    return {**exif.details, COLOUR_SPACE: (_SHORT, struct.pack("<H", space))}


def _follow(directory: Directory, pointer: int) -> Directory | None:
    place = directory.integer(pointer, 0)
    return directory.file.directory(place) if place else None


def _take(directory: Directory, tags: Iterable[int]) -> Fields:
    found = {tag: directory.little_endian(tag) for tag in tags}
    return {tag: value for tag, value in found.items() if value is not None and len(value[1]) <= _FIELD_BYTES}


def _rational(value: float) -> tuple[int, bytes]:
    ratio = Fraction(value).limit_denominator(10_000)
    return _RATIONAL, struct.pack("<II", ratio.numerator, ratio.denominator)
