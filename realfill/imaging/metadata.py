"""What a file says beside its pixels, taken out before a library decodes it.

Pillow refuses a whole picture for a note whose checksum is wrong, inflates texts that nobody reads, and ends on odd
EXIF. So the decoder gets what it needs for the pixels and nothing else; what counts of the rest is read here, and
what is odd counts as none, as viewers have it. Nothing that belongs to pixels is changed or forgiven.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from realfill.imaging import exif
from realfill.imaging.exif import Exif, Resolution
from realfill.imaging.tiff import Directory, choose_page

_PROFILE_BYTES = 1 << 22  # of an ICC profile; those of printers have some MB
_EXIF_BYTES = 1 << 20
# What a TIFF's pixels are decoded by: size, bits, compression, colours, strips, tiles, tables and channels.
_TIFF_PIXEL_TAGS = frozenset(
    {*range(256, 260), 262, 263, 266, 273, 277, 278, 279, 284, *range(290, 294), 297, 317, 320, *range(322, 326), 332}
    | {334, 336, 338, 339, 347, *range(512, 522), *range(529, 533), 50674}
)
_TIFF_PROFILE = 34675
_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # also where its own is cut: it holds nothing
_PNG_FRAMES = frozenset({b"acTL", b"fcTL", b"fdAT"})
_PNG_NOTES = frozenset({b"cICP", b"cHRM", b"eXIf", b"gAMA", b"iCCP", b"pHYs", b"sRGB"})
# Between JPEG's segments: any marker but stuffed bytes, fill bytes and the restarts inside a scan.
JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SCAN, _APP0, _APP1, _APP2, _APP14, _COMMENT = 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_JPEG_NOTES = frozenset({*range(_APP0, 0xF0), _COMMENT})
JPEG_LENGTHLESS = (0x01, 0xD8, 0xD9)
_WEBP_NOTES = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}  # with their flags in VP8X


class Cicp(NamedTuple):
    """Coding-independent code points of colours (ITU-T H.273)."""

    primaries: int
    transfer: int
    is_full_range: bool = True


@dataclass(frozen=True)
class Metadata:
    """What counts of it; None where the file says nothing, or nothing sensible."""

    exif: Exif | None = None  # what a result keeps of it
    orientation: int = 1  # EXIF's, 1-8
    is_adobe_rgb: bool = False  # by EXIF
    icc_profile: bytes | None = None
    resolution: Resolution | None = None  # dots per inch across and down, as the pixels lie in the file
    cicp: Cicp | None = None
    is_srgb: bool = False
    gamma: float | None = None  # PNG's gAMA: the exponent with which light became values, 0.45455 as a rule
    chromaticities: tuple[float, ...] | None = None  # PNG's cHRM: x, y of white, red, green, blue


def split(data: bytes, pages: Sequence[Directory]) -> tuple[bytes, Metadata]:
    """A picture file for the decoder, without what is no pixel, and what it said beside them.

    `pages` are the directories of a TIFF file (`tiff.read_pages`), of which one is kept; none for other files.
    Files of other kinds come back as they are.

    Raises:
        ValueError: a PNG's pixels do not have their checksum.
    """
    if pages:
        return _split_tiff(choose_page(pages))
    for start, split_known in _SPLITTERS.items():
        if data.startswith(start):
            return split_known(data)
    return data, Metadata()


def read_exif(block: bytes | None) -> Metadata:
    """What an EXIF block says; nothing where it is none or too large."""
    directory = exif.open_block(block) if block and len(block) <= _EXIF_BYTES else None
    return Metadata() if directory is None else _read_directory(directory)


def _read_directory(directory: Directory) -> Metadata:
    return Metadata(
        exif=exif.clean(directory),
        orientation=exif.read_orientation(directory),
        is_adobe_rgb=exif.is_adobe_rgb(directory),
        resolution=exif.read_resolution(directory),
    )


def _split_tiff(page: Directory) -> tuple[bytes, Metadata]:
    metadata = replace(_read_directory(page), icc_profile=page.raw(_TIFF_PROFILE))
    return page.file.keep(page, _TIFF_PIXEL_TAGS), metadata


def _split_png(data: bytes) -> tuple[bytes, Metadata]:
    kept, notes = [data[:8]], dict[bytes, bytes]()
    for kind, begin, end in _png_chunks(data):
        body = memoryview(data)[begin + 8 : end - 4]
        is_whole = zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(data[end - 4 : end], "big") and end <= len(data)
        if kind == b"IEND":
            kept.append(_PNG_END)
            break
        if kind in _PNG_PIXELS and not is_whole:
            raise ValueError(f"the checksum of {kind!r} is wrong")
        if kind in _PNG_PIXELS or not kind[:1].islower() or (kind in _PNG_FRAMES and is_whole):
            kept.append(data[begin:end])
        elif kind in _PNG_NOTES and is_whole and kind not in notes:
            notes[kind] = bytes(body)
    return b"".join(kept), _read_png_notes(notes)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of each chunk, the last one perhaps beyond the data."""
    position = 8
    while position + 8 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], position, end
        position = end


def _read_png_notes(notes: Mapping[bytes, bytes]) -> Metadata:
    gamma = _unpack(">I", notes.get(b"gAMA"))
    chromaticities = _unpack(">8I", notes.get(b"cHRM"))
    code_points = _unpack(">4B", notes.get(b"cICP"))
    told = read_exif(notes.get(b"eXIf"))
    across, down, unit = _unpack(">IIB", notes.get(b"pHYs")) or (0, 0, 0)
    resolution = exif.sound_resolution(across, down) if unit == 1 else None  # 0: only the shape of a pixel
    return replace(
        told,
        icc_profile=_inflate_profile(notes.get(b"iCCP", b"")),
        resolution=resolution or told.resolution,
        # The third is YCbCr's matrix, which RGB does not have: PNG 3, 11.3.2.6.
        cicp=Cicp(code_points[0], code_points[1], bool(code_points[3])) if code_points and not code_points[2] else None,
        is_srgb=b"sRGB" in notes,
        gamma=gamma[0] / 100_000 if gamma and gamma[0] else None,
        chromaticities=tuple(value / 100_000 for value in chromaticities) if chromaticities else None,
    )


def _unpack(form: str, data: bytes | None) -> tuple[int, ...] | None:
    return struct.unpack(form, data) if data is not None and len(data) == struct.calcsize(form) else None


def _inflate_profile(chunk: bytes) -> bytes | None:
    """The profile of PNG's iCCP chunk: a name, a zero, the method 0, zlib."""
    _, _, rest = chunk.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(rest[1:], _PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if inflate.eof else None


def _split_jpeg(data: bytes) -> tuple[bytes, Metadata]:
    kept, notes, position = [data[:2]], list[tuple[int, bytes]](), 2
    while (marker := JPEG_MARKER.search(data, position)) is not None:
        code, begin, position = data[marker.end() - 1], marker.start(), marker.end()
        if code == _SCAN:
            kept.append(data[begin:])
            return b"".join(kept), _read_jpeg_notes(notes)
        if code not in JPEG_LENGTHLESS:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
        body = data[marker.end() + 2 : position]
        if code in _JPEG_NOTES:
            notes.append((code, body))
        if code not in _JPEG_NOTES or _tells_how_to_decode(code, body):
            kept.append(data[begin:position])
    return data, Metadata()  # it has no pixels


def _tells_how_to_decode(code: int, body: bytes) -> bool:
    """JFIF's segment means YCbCr, and Adobe's says whether it is that, or which way CMYK goes."""
    return len(body) >= 12 and (code, body[:5]) in ((_APP0, b"JFIF\0"), (_APP14, b"Adobe"))


def _read_jpeg_notes(notes: Sequence[tuple[int, bytes]]) -> Metadata:
    blocks = [body[6:] for code, body in notes if code == _APP1 and body.startswith(b"Exif\0\0")]
    told = read_exif(b"".join(blocks))  # a long one is cut into segments
    jfif = next((body for code, body in notes if code == _APP0 and body.startswith(b"JFIF\0")), b"")
    unit, across, down = _unpack(">BHH", jfif[7:12]) or (0, 0, 0)
    per_metre = {1: 1 / 0.0254, 2: 100.0}.get(unit, 0.0)  # dots per inch, per centimetre; 0: the shape of a pixel
    resolution = exif.sound_resolution(across * per_metre, down * per_metre)
    return replace(
        told,
        icc_profile=_join_profile([body for code, body in notes if code == _APP2]),
        resolution=resolution or told.resolution,
    )


def _join_profile(segments: Sequence[bytes]) -> bytes | None:
    """ICC.1:2022, B.4: each segment has its number, from 1, and how many there are."""
    parts = {body[12]: body for body in segments if body.startswith(b"ICC_PROFILE\0") and len(body) > 14}
    if not parts or sorted(parts) != list(range(1, len(parts) + 1)) or parts[1][13] != len(parts):
        return None
    return b"".join(parts[number][14:] for number in sorted(parts))


def _split_webp(data: bytes) -> tuple[bytes, Metadata]:
    if data[8:12] != b"WEBP":
        return data, Metadata()
    kept, notes, flags, position = list[bytes](), dict[bytes, bytes](), None, 12
    while position + 8 <= len(data):
        kind, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 8 + size + size % 2
        if kind in _WEBP_NOTES:
            body = data[position + 8 : position + 8 + size]
            if len(body) == size:
                notes.setdefault(kind, body)
        elif end - size % 2 > len(data):
            return data, Metadata()  # the pixels are cut off
        else:
            kept.append(data[position:end].ljust(end - position, b"\0"))
            flags = len(kept) - 1 if kind == b"VP8X" and flags is None else flags
        position = end
    if flags is not None and len(kept[flags]) > 8:
        chunk = bytearray(kept[flags])
        chunk[8] &= ~sum(_WEBP_NOTES.values()) & 0xFF
        kept[flags] = bytes(chunk)
    body = b"WEBP" + b"".join(kept)
    metadata = replace(read_exif(notes.get(b"EXIF")), icc_profile=notes.get(b"ICCP"))
    return b"RIFF" + struct.pack("<I", len(body)) + body, metadata


def _split_bmp(data: bytes) -> tuple[bytes, Metadata]:
    """The header says dots per metre and, from version 5 on, where a profile stands (BITMAPV5HEADER)."""
    size = int.from_bytes(data[14:18], "little")
    across, down = struct.unpack_from("<ii", data, 38) if size >= 40 and len(data) >= 46 else (0, 0)
    metadata = Metadata(resolution=exif.sound_resolution(across, down))
    if size >= 124 and data[70:74] == b"DEBM":  # PROFILE_EMBEDDED
        begin, length = struct.unpack_from("<II", data, 126)
        metadata = replace(metadata, icc_profile=data[14 + begin : 14 + begin + length])
    return data, metadata


_SPLITTERS: Mapping[bytes, Callable[[bytes], tuple[bytes, Metadata]]] = {
    b"\x89PNG\r\n\x1a\n": _split_png,
    b"\xff\xd8\xff": _split_jpeg,
    b"RIFF": _split_webp,
    b"BM": _split_bmp,
}
