"""Picture files out: PNG, TIFF, JPEG and WebP with profile, cleaned EXIF and the mark of AI work.

The mark is XMP: IPTC's digital source type for pictures that were completed by a trained model, and the
settings that made it, so that the file tells how it came about.
"""

import io
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Literal
from xml.sax.saxutils import escape

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin

from realfill.arrays import Pixels
from realfill.errors import OptionError
from realfill.imaging import icc
from realfill.imaging.decode import Original, swap_red_and_blue, to_eight_bits

Format = Literal["png", "jpeg", "tiff", "webp"]
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_LONGEST = {"jpeg": 65_500, "webp": 16_383}  # the most pixels a side may have
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


def encode(original: Original, format: Format, *, quality: int, record: Mapping[str, Any]) -> bytes:
    """A picture file of `original`'s values, marked as made with AI.

    PNG and TIFF keep every value, 16 bits too, and so does WebP with `quality` 100 for 8 bits; JPEG and WebP
    have 8 bits and `quality` 1-100. JPEG has no transparency: it is laid on white.
    `record` goes into the file as JSON.

    Raises:
        OptionError: the format does not exist or cannot hold a picture of this size.
        ValueError: `record` is longer than 60,000 bytes as JSON.
    """
    limit = _LONGEST.get(format)
    if limit and max(original.height, original.width) > limit:
        raise OptionError(f"{format} cannot hold sides over {limit} pixels; export as png or tiff.")
    xmp = _xmp(record)
    match format:
        case "png":
            return _png(original, xmp)
        case "tiff":
            return _tiff(original, xmp)
        case "jpeg":
            return _jpeg(original, xmp, quality)
        case "webp":
            return _webp(original, xmp, quality)
    raise OptionError(f"There is no export format '{format}'; use png, jpeg, tiff or webp.")


def encode_png(pixels: Pixels) -> bytes:
    """A bare PNG of (H, W) or (H, W, 3 or 4) values of 8 or 16 bits."""
    # OpenCV, because Pillow cannot write 16-bit colour.
    done, data = cv2.imencode(".png", swap_red_and_blue(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise ValueError("OpenCV could not write a PNG")
    return data.tobytes()


def encode_lossless(original: Original) -> bytes:
    """A PNG of every value of `original`, with its profile and EXIF and without the mark: for what is no result."""
    return _png(original, None)


def _xmp(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, sort_keys=True)  # ASCII only, so no character that XML forbids
    if len(text) > _RECORD_BYTES:
        raise ValueError(f"the record has {len(text)} bytes, over {_RECORD_BYTES}")
    return _XMP.format(source=SOURCE_TYPE, record=escape(text)).encode()


def _png(original: Original, xmp: bytes | None) -> bytes:
    data = encode_png(original.pixels)
    header, rest = data[:33], data[33:]  # signature and IHDR, then the others
    chunks = [] if xmp is None else [_chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + xmp)]
    if original.icc_profile:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(original.icc_profile)))
    if original.exif:
        chunks.append(_chunk(b"eXIf", original.exif.removeprefix(b"Exif\0\0")))
    return header + b"".join(chunks) + rest


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _tiff(original: Original, xmp: bytes) -> bytes:
    """One deflated page. Pillow lays out the directory; it cannot write 16-bit colour pixels, so we do."""
    pixels = original.pixels
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = max(1, (1 << 20) // (pixels[0].nbytes or 1))
    strips = [_strip(pixels[top : top + rows]) for top in range(0, original.height, rows)]
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in _exif_tags(original.exif).items():
        directory[tag] = value
    directory[256], directory[257] = original.width, original.height
    directory[258] = (8 * pixels.dtype.itemsize,) * channels
    directory[259] = 8  # deflate
    directory[262] = 1 if channels == 1 else 2  # black is zero, or RGB
    directory[277] = channels
    directory[278] = rows
    directory[317] = 2  # differences between neighbours
    if channels == 4:
        directory[338] = 2  # straight alpha
    directory[700] = xmp
    if original.icc_profile:
        directory[34675] = original.icc_profile
    directory[279] = tuple(len(strip) for strip in strips)
    # Offsets from the end of the directory; Pillow adds where that lies.
    directory[273] = tuple(sum(len(strip) for strip in strips[:index]) for index in range(len(strips)))
    file = io.BytesIO()
    directory.save(file)
    return file.getvalue() + b"".join(strips)


def _strip(rows: Pixels) -> bytes:
    differences = rows.copy()
    np.subtract(rows[:, 1:], rows[:, :-1], out=differences[:, 1:])  # wraps round, as the format wants
    return zlib.compress(differences.astype(rows.dtype.newbyteorder("<"), copy=False).tobytes())


def _exif_tags(exif: bytes | None) -> dict[int, Any]:
    if not exif:
        return {}
    source = Image.Exif()
    source.load(exif)
    tags: dict[int, Any] = {tag: value for tag, value in source.items() if tag != ExifTags.IFD.Exif}
    details = source.get_ifd(ExifTags.IFD.Exif)
    return {**tags, ExifTags.IFD.Exif: details} if details else tags


def _jpeg(original: Original, xmp: bytes, quality: int) -> bytes:
    image = _eight_bit_image(original)
    if image.mode == "RGBA":
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=0, optimize=True, xmp=xmp, **_metadata(original))
    return file.getvalue()


def _webp(original: Original, xmp: bytes, quality: int) -> bytes:
    image, extra = _eight_bit_image(original), _metadata(original)
    if image.mode == "L":  # WebP has no grey, and a grey profile would not fit
        image = icc.to_srgb(image, extra.pop("icc_profile", None))
    file = io.BytesIO()
    # exact: values under full transparency stay; quality of a lossless file only sets how hard it tries.
    lossless = quality == 100
    image.save(file, "WEBP", lossless=lossless, quality=50 if lossless else quality, exact=True, xmp=xmp, **extra)
    return file.getvalue()


def _eight_bit_image(original: Original) -> Image.Image:
    pixels: npt.NDArray[np.uint8] = to_eight_bits(original.pixels)
    return Image.fromarray(pixels)


def _metadata(original: Original) -> dict[str, bytes]:
    fields = {"icc_profile": original.icc_profile, "exif": original.exif}
    return {name: value for name, value in fields.items() if value}


FORMATS: Mapping[str, Format] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
}


SUFFIXES: Mapping[Format, str] = {FORMATS[suffix]: suffix for suffix in reversed(list(FORMATS))}
