"""Picture files out: PNG, TIFF, JPEG and WebP with profile, cleaned EXIF and the mark of AI work.

The mark is XMP: IPTC's digital source type for pictures that were completed by a trained model, and the
settings that made it, so that the file tells how it came about.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from realfill.arrays import Pixels
from realfill.errors import OptionError
from realfill.humanize import alternatives
from realfill.imaging import exif, icc
from realfill.imaging.decode import Original, swap_red_and_blue, to_eight_bits

Format = Literal["png", "jpeg", "tiff", "webp"]
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_XMP_TAG = 700
_BYTE, _SHORT, _LONG = 1, 3, 4  # TIFF's types of values
_INCH = 0.0254  # metres
_RECORD_BYTES = 60_000  # a JPEG segment holds 65,533
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:realfill="urn:realfill:settings:1">
<xmp:CreatorTool>RealFill Studio</xmp:CreatorTool>
<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
<realfill:settings>{record}</realfill:settings>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True)
class ExportFormat:
    """A kind of file that results are written as; a new one is an entry of `FORMATS` and a name in `Format`."""

    label: str
    suffixes: tuple[str, ...]  # endings of a file name that mean it; the first is the one we give
    write: Callable[[Original, bytes, int], bytes]  # of the values, the XMP packet and the quality
    lossless: bool  # keeps every value, 16 bits too, whatever the quality
    quality: str = ""  # what a quality of 1-100 sets; empty: nothing
    longest: int | None = None  # the most pixels a side may have


def encode(original: Original, format: Format, *, quality: int, record: Mapping[str, Any]) -> bytes:
    """A picture file of `original`'s values, marked as made with AI.

    PNG and TIFF keep every value, 16 bits too, and so does WebP with `quality` 100 for 8 bits; JPEG and WebP
    have 8 bits and `quality` 1-100. JPEG has no transparency: it is laid on white.
    `record` goes into the file as JSON.

    Raises:
        OptionError: the format does not exist or cannot hold a picture of this size.
        ValueError: `record` is longer than 60,000 bytes as JSON.
    """
    if format not in FORMATS:
        raise OptionError(
            "There is no export format '{format}'; use {formats}.", format=format, formats=alternatives(list(FORMATS))
        )
    limit = FORMATS[format].longest
    if limit and max(original.height, original.width) > limit:
        others = alternatives([name for name, other in FORMATS.items() if other.longest is None])
        raise OptionError(
            "{format} cannot hold sides over {limit} pixels; export as {others}.",
            format=format,
            limit=limit,
            others=others,
        )
    return FORMATS[format].write(original, _xmp(record), quality)


def find_format(path: Path) -> Format:
    """The export format that the ending of a file's name says, in upper or lower case.

    Raises:
        OptionError: the name ends in none of the formats' endings.
    """
    suffix = path.suffix.lower()
    for name, known in FORMATS.items():
        if suffix in known.suffixes:
            return name
    endings = ", ".join(suffix for known in FORMATS.values() for suffix in known.suffixes)
    raise OptionError("'{name}' does not say a format; end it in {endings}.", name=path.name, endings=endings)


def encode_png(pixels: Pixels) -> bytes:
    """A bare PNG of (H, W) or (H, W, 3 or 4) values of 8 or 16 bits."""
    # OpenCV, because Pillow cannot write 16-bit colour.
    encoded, data = cv2.imencode(".png", swap_red_and_blue(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not encoded:
        raise ValueError("OpenCV could not write a PNG")
    return data.tobytes()


def encode_lossless(original: Original) -> bytes:
    """A PNG of every value of `original`, with its profile and EXIF and without the mark: for what is no result."""
    return _build_png(original, None)


def _xmp(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, sort_keys=True)  # ASCII only, so no character that XML forbids
    if len(text) > _RECORD_BYTES:
        raise ValueError(f"the record has {len(text)} bytes, over {_RECORD_BYTES}")
    return _XMP.format(source=SOURCE_TYPE, record=escape(text)).encode()


def _write_png(original: Original, xmp: bytes, quality: int) -> bytes:
    return _build_png(original, xmp)


def _build_png(original: Original, xmp: bytes | None) -> bytes:
    data = encode_png(original.pixels)
    header, rest = data[:33], data[33:]  # signature and IHDR, then the others
    chunks = [] if xmp is None else [_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp)]
    if original.cicp is not None:
        points = (original.cicp.primaries, original.cicp.transfer, 0, original.cicp.is_full_range)
        chunks.append(_chunk(b"cICP", bytes(map(int, points))))
    if original.icc_profile:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(original.icc_profile)))
    if original.resolution is not None:
        across, down = (round(dots / _INCH) for dots in original.resolution)
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", across, down, 1)))
    block = _exif_block(original)
    if block:
        chunks.append(_chunk(b"eXIf", block.removeprefix(b"Exif\0\0")))
    return header + b"".join(chunks) + rest


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _write_tiff(original: Original, xmp: bytes, quality: int) -> bytes:
    """One deflated page, little-endian, strips of about 256 kB."""
    import tifffile  # here, so that only who writes a TIFF waits for it

    fields = original.exif.fields if original.exif else {}
    details = exif.tell_colour_space(original.exif, has_profile=bool(original.icc_profile)) if original.exif else {}
    tags: list[Any] = [(tag, kind, exif.count(kind, data), data, True) for tag, (kind, data) in fields.items()]
    tags += [(exif.ORIENTATION, _SHORT, 1, 1, True)] if original.exif else []
    tags += [("ExifTag", _LONG, 1, 0, True)] if details else []
    tags += [(_XMP_TAG, _BYTE, len(xmp), xmp, True)]
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder="<") as writer:
        writer.write(
            original.pixels,
            photometric="minisblack" if original.mode == "L" else "rgb",
            planarconfig=None if original.mode == "L" else "contig",
            extrasamples=["unassalpha"] if original.mode == "RGBA" else None,
            compression="zlib",
            predictor=True,
            iccprofile=original.icc_profile,
            resolution=original.resolution or (1, 1),  # baseline TIFF asks for one
            resolutionunit="INCH" if original.resolution else "NONE",
            software=False,
            metadata=None,
            extratags=tags,
        )
    return _append_exif(file.getvalue(), details) if details else file.getvalue()


def _append_exif(page: bytes, details: exif.Fields) -> bytes:
    """A TIFF file with the Exif directory behind its page; tifffile writes the tag, but no directory it points to."""
    page += bytes(len(page) % 2)  # directories begin at even places
    pointer = struct.Struct("<HHII")
    empty, full = (pointer.pack(exif.POINTER, _LONG, 1, place) for place in (0, len(page)))
    return page.replace(empty, full, 1) + exif.encode_directory(details, len(page))


def _write_jpeg(original: Original, xmp: bytes, quality: int) -> bytes:
    image = _eight_bit_image(original)
    if image.mode == "RGBA":
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    file, density = io.BytesIO(), original.resolution
    dpi = {} if density is None else {"dpi": (round(density[0]), round(density[1]))}  # JFIF counts in whole dots
    image.save(file, "JPEG", quality=quality, subsampling=0, optimize=True, xmp=xmp, **dpi, **_metadata(original))
    return file.getvalue()


def _write_webp(original: Original, xmp: bytes, quality: int) -> bytes:
    image = _eight_bit_image(original)
    if image.mode == "L":  # WebP has no grey, and a grey profile would not fit
        image, original = icc.to_srgb(image, original.icc_profile), replace(original, icc_profile=None)
    file = io.BytesIO()
    # exact: values under full transparency stay; quality of a lossless file only sets how hard it tries.
    lossless = quality == 100
    image.save(
        file, "WEBP", lossless=lossless, quality=50 if lossless else quality, exact=True, xmp=xmp, **_metadata(original)
    )
    return file.getvalue()


def _eight_bit_image(original: Original) -> Image.Image:
    pixels: npt.NDArray[np.uint8] = to_eight_bits(original.pixels)
    return Image.fromarray(pixels)


def _exif_block(original: Original) -> bytes:
    return exif.encode_block(original.exif, original.resolution, has_profile=bool(original.icc_profile))


def _metadata(original: Original) -> dict[str, bytes]:
    fields = {"icc_profile": original.icc_profile, "exif": _exif_block(original)}
    return {name: value for name, value in fields.items() if value}


FORMATS: Mapping[Format, ExportFormat] = {
    "png": ExportFormat("PNG", (".png",), _write_png, lossless=True),
    "jpeg": ExportFormat("JPEG", (".jpg", ".jpeg"), _write_jpeg, lossless=False, quality="fidelity", longest=65_500),
    "tiff": ExportFormat("TIFF", (".tif", ".tiff"), _write_tiff, lossless=True),
    "webp": ExportFormat(
        "WebP", (".webp",), _write_webp, lossless=False, quality="fidelity; 100 is lossless in 8 bits", longest=16_383
    ),
}
