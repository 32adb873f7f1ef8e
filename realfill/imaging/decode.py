"""Picture files in: what is accepted, and how it becomes upright code values in the file's own depth.

The header is checked before any pixel is decoded. Pillow decodes; OpenCV only decodes 16-bit colour,
which Pillow cuts to 8 bits, and only bytes that Pillow has decoded without complaint before.
"""

import functools
import io
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from realfill.arrays import Pixels
from realfill.errors import SceneError
from realfill.humanize import alternatives
from realfill.imaging.icc import is_reversible, profile_space, to_srgb

Mode = Literal["L", "RGB", "RGBA"]
Value = TypeVar("Value", bound=np.generic)

MEGAPIXELS = 50  # largest picture accepted
MEGABYTES = 512  # largest file accepted; 50 megapixels of 16-bit RGBA fit uncompressed
MOST_SCANS = (
    100  # of a progressive JPEG: each costs a pass over all pixels; encoders make about ten, scripts some sixty
)


@dataclass(frozen=True)
class AcceptedFormat:
    """A kind of picture file that is read."""

    label: str
    suffixes: tuple[str, ...]  # all its endings in lower case; the first is the one we give


# By Pillow's names. Never Pillow's whole list: it runs PostScript.
ACCEPTED: Mapping[str, AcceptedFormat] = {
    "JPEG": AcceptedFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif")),
    "PNG": AcceptedFormat("PNG", (".png",)),
    "WEBP": AcceptedFormat("WebP", (".webp",)),
    "TIFF": AcceptedFormat("TIFF", (".tif", ".tiff")),
    "HEIF": AcceptedFormat("HEIC", (".heic", ".heif", ".hif")),
    "BMP": AcceptedFormat("BMP", (".bmp",)),
}
ACCEPTED_NAMES = alternatives([known.label for known in ACCEPTED.values()])
SUFFIXES = frozenset(suffix for known in ACCEPTED.values() for suffix in known.suffixes)
# Files that cameras, viewers and systems leave beside photos.
SIDECARS = frozenset(
    {".json", ".xmp", ".txt", ".md", ".aae", ".thm", ".csv", ".yaml", ".yml", ".ini", ".db", ".log", ".xml"}
)

_LIMIT_ERRORS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow, libheif and OpenCV raise on hostile or damaged bytes, as seen by flipping and cutting them.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError,
    OverflowError, RuntimeError, struct.error, zlib.error, cv2.error,
)  # fmt: skip
_NO_MEMORY = -4  # of cv2.error, which OpenCV raises in place of a MemoryError
_KEPT_EXIF = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)  # title, camera, software, date, author, rights
_DROPPED_DETAILS = (0x927C, 0xA002, 0xA003, 0xA005)  # maker note (may hold places), sizes, pointers
_EXIF_BYTES = 60_000  # a JPEG segment holds 65,533
_PIXEL_BYTES = 8  # of four 16-bit channels, the most that we read
_BAND = 256  # rows that are converted at once, so that a conversion takes little more than its result
# Between JPEG's segments: any marker but stuffed bytes, fill bytes and the restarts inside a scan.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_SCAN, _END, _LENGTHLESS = 0xDA, 0xD9, (0x01, 0xD8)


@dataclass(frozen=True, eq=False)
class Original:
    """A picture in its own code values, upright.

    `bit_exact` says that the file's pixels are exactly these values (PNG, TIFF, BMP and lossless WebP whose
    colours needed no conversion); otherwise the result is a re-encoding of what was decoded (JPEG, HEIC,
    lossy WebP, CMYK).
    """

    pixels: Pixels  # (H, W) or (H, W, C), C = 3 or 4, uint8 or uint16
    mode: Mode
    icc_profile: bytes | None  # fits `mode` and works both ways; None means sRGB
    format: str  # Pillow's name: "PNG", "JPEG", "TIFF", "WEBP", "HEIF", "BMP"
    exif: bytes | None  # a few fields; no place, no thumbnail, orientation 1
    bit_exact: bool
    orientation: int = 1  # the EXIF orientation (1-8) that was undone to make it upright

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.pixels.shape[1])


def read_original(path: Path) -> Original:
    """Decodes a picture file.

    Raises:
        SceneError: the file is missing, not a picture, damaged, animated, too large or too slow; one sentence.
        MemoryError: it takes more memory than there is.
    """
    name = path.name
    data = _read_bytes(path)
    image = _open(data, name)
    try:
        _refuse_scans(image, data, name)
        _refuse_frames(image, name)
        _refuse_tiles(image, name)
        orientation = _orientation(image)
        exif = _clean_exif(image)
        image.load()
        deep = _deep_pixels(image, data, orientation)
        if deep is not None:
            original = _build_deep_original(deep, image)
        else:
            original = _build_original(_turn_upright(image), image, data, name)
    except _DAMAGE as error:
        if isinstance(error, cv2.error) and error.code == _NO_MEMORY:
            raise MemoryError from error
        raise SceneError(f"{name} is damaged or cut off; copy it again from where it came from.") from error
    return replace(original, exif=exif, orientation=orientation)


def rotate_upright(pixels: npt.NDArray[Value], orientation: int) -> npt.NDArray[Value]:
    """Undoes an EXIF orientation (1-8) of an array (H, W, …); 5-8 swap the sides."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def swap_red_and_blue(pixels: Pixels) -> Pixels:
    """RGB(A) to the BGR(A) that OpenCV's codecs speak, and back; the only place where BGR exists."""
    if pixels.ndim == 2:
        return pixels
    code = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return cast(Pixels, cv2.cvtColor(pixels, code))


def to_eight_bits(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """Code values in 8 bits: 16-bit values are divided by 257 and rounded."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    reduced = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _BAND):
        rows = slice(top, top + _BAND)
        reduced[rows] = (pixels[rows].astype(np.uint32) + 128) // 257
    return reduced


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise SceneError(f"{path.name} does not exist or is not a file; check its path.")
    try:
        size = path.stat().st_size
        if size == 0:
            raise SceneError(f"{path.name} is empty (0 bytes); copy it again from where it came from.")
        if size > MEGABYTES * 2**20:
            raise SceneError(f"{path.name} is larger than {MEGABYTES} MB; save it smaller first.")
        return path.read_bytes()
    except OSError as error:
        raise SceneError(f"{path.name} cannot be read ({error.strerror}); check its permissions.") from error


def _open(data: bytes, name: str) -> Image.Image:
    """The header only; no pixel is decoded here."""
    _register_heif()
    try:
        image = Image.open(io.BytesIO(data), formats=tuple(ACCEPTED))
    except _LIMIT_ERRORS as error:
        raise SceneError(_size_refusal(name, f"over {MEGAPIXELS}")) from error
    except (UnidentifiedImageError, *_DAMAGE) as error:
        raise SceneError(f"{name} is not a picture that can be read, or is damaged; use {ACCEPTED_NAMES}.") from error
    pixels = image.width * image.height
    if pixels > MEGAPIXELS * 1_000_000:
        raise SceneError(_size_refusal(name, f"{pixels / 1e6:.1f}"))
    if pixels == 0:
        raise SceneError(f"{name} has no pixels; save it again from the program it came from.")
    return image


def _size_refusal(name: str, amount: str) -> str:
    return f"{name} has {amount} megapixels and the most accepted is {MEGAPIXELS}; save it smaller first."


@functools.cache
def _register_heif() -> None:
    # On first use, so that importing this module changes nothing in Pillow.
    pillow_heif.register_heif_opener(thumbnails=False)


def count_scans(data: bytes) -> int:
    """The scans of a JPEG file up to its first end marker, read from its markers (ISO 10918-1, B.1); one over the
    most accepted ends the counting."""
    position, scans = 2, 0
    while scans <= MOST_SCANS and (marker := _MARKER.search(data, position)) is not None:
        code, position = data[marker.end() - 1], marker.end()
        if code == _END:
            break
        scans += code == _SCAN
        if code not in _LENGTHLESS:
            position += int.from_bytes(data[position : position + 2], "big")
    return scans


def _refuse_scans(image: Image.Image, data: bytes, name: str) -> None:
    if image.format in ("JPEG", "MPO") and count_scans(data) > MOST_SCANS:
        raise SceneError(
            f"{name} is a JPEG of over {MOST_SCANS} scans, which takes too long; save it again as a plain JPEG."
        )


def _refuse_tiles(image: Image.Image, name: str) -> None:
    """A TIFF says itself in which pieces and channels it is decoded: no more memory for them than for any picture."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    tags = image.tag_v2
    tile = int(tags.get(322, image.width)) * int(tags.get(323, image.height))
    pixel = int(tags.get(277, 1)) * -(-max(tags.get(258, (1,))) // 8)
    if pixel * max(tile, image.width * image.height) > _PIXEL_BYTES * MEGAPIXELS * 1_000_000:
        raise SceneError(f"{name} takes too much memory in its tiles or channels; save it again as RGB without tiles.")


def _refuse_frames(image: Image.Image, name: str) -> None:
    """One still picture only; a phone's JPEG with a depth map and HEIC bursts count as their main picture."""
    frames = int(getattr(image, "n_frames", 1))
    if image.format not in ("PNG", "WEBP", "TIFF") or frames == 1:
        return
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        full = 1
        for page in range(1, min(frames, 100)):
            image.seek(page)
            full += not int(image.tag_v2.get(254, 0)) & 1  # bit 0: a smaller copy of another page
        image.seek(0)
        if full == 1 and frames <= 100:
            return
    raise SceneError(f"{name} holds {frames} frames or pages; save the one you mean as a single still picture.")


def _orientation(image: Image.Image) -> int:
    if "original_orientation" in image.info:  # HEIF: libheif has turned it already
        value = image.info["original_orientation"]
    else:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turn_upright(image: Image.Image) -> Image.Image:
    """As `ImageOps.exif_transpose`, without the copy where there is nothing to turn."""
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    return ImageOps.exif_transpose(image) if turned else image


def _clean_exif(image: Image.Image) -> bytes | None:
    """Author, date, camera and exposure; dropped are the place, maker notes, thumbnails and the rest of a TIFF."""
    try:
        source = image.getexif()
        clean = Image.Exif()
        for tag in _KEPT_EXIF:
            if tag in source:
                clean[tag] = source[tag]
        details = source.get_ifd(ExifTags.IFD.Exif)
        fields = {tag: value for tag, value in details.items() if tag not in _DROPPED_DETAILS}
        if fields:
            clean.get_ifd(ExifTags.IFD.Exif).update(fields)
        if not fields and not len(clean):
            return None
        clean[ExifTags.Base.Orientation] = 1
        data = clean.tobytes()
    except _DAMAGE:
        return None  # damaged EXIF is no reason to refuse a good picture
    return data if len(data) <= _EXIF_BYTES else None


def _deep_pixels(image: Image.Image, data: bytes, orientation: int) -> npt.NDArray[np.uint16] | None:
    """Upright 16-bit pixels (H, W), (H, W, 3) or (H, W, 4), or None where the file has 8 bits or fewer."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(_turn_upright(image)).astype(np.uint16)
        white_is_zero = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0
        return 65535 - grey if white_is_zero else grey
    if image.mode not in ("LA", "RGB", "RGBA"):
        return None
    if image.format == "PNG" and data[24] == 16:
        return rotate_upright(_decode_deep(data), orientation)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _is_deep_tiff(image):
        return _decode_deep(data)  # OpenCV undoes a TIFF's orientation itself, and a PNG's it does not
    return None


def _is_deep_tiff(image: TiffImagePlugin.TiffImageFile) -> bool:
    tags = image.tag_v2
    bits = set(tags.get(258, ()))
    straight_alpha = tuple(tags.get(338, ())) in ((), (2,))
    return bits == {16} and tags.get(262) == 2 and tags.get(284, 1) == 1 and straight_alpha


def _decode_deep(data: bytes) -> npt.NDArray[np.uint16]:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ValueError("not 16 bits")
    return np.asarray(swap_red_and_blue(decoded.astype(np.uint16, copy=False)), np.uint16)


def _build_deep_original(pixels: npt.NDArray[np.uint16], image: Image.Image) -> Original:
    """16 bits: kept as they are."""
    mode: Mode = "L" if pixels.ndim == 2 else "RGB" if pixels.shape[2] == 3 else "RGBA"
    icc = _usable_profile(image, mode)
    if icc and not _can_write_back(icc, mode):
        return _convert_to_srgb(Image.fromarray(to_eight_bits(pixels)), icc, str(image.format))
    return Original(pixels, mode, icc, str(image.format), None, bit_exact=True)


def _build_original(image: Image.Image, source: Image.Image, data: bytes, name: str) -> Original:
    """8 bits: L, RGB and RGBA keep their values; other modes become one of these."""
    if image.mode in ("F", "I", "LAB", "HSV"):
        raise SceneError(f"{name} stores its colours as {image.mode}; save it as RGB or grey with 8 or 16 bits.")
    file_format = "JPEG" if source.format == "MPO" else str(source.format)
    grey_profile = profile_space(source.info.get("icc_profile")) == "GRAY"
    if image.mode == "CMYK" or (image.mode == "LA" and grey_profile):
        return _convert_to_srgb(image, source.info.get("icc_profile"), file_format)
    mode: Mode = "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"
    icc = _usable_profile(source, mode)
    plain = image if image.mode == mode else image.convert(mode)
    if icc and not _can_write_back(icc, mode):
        return _convert_to_srgb(plain, icc, file_format)
    exact = _is_lossless(source, data) and image.mode not in ("RGBa", "YCbCr") and not _has_more_bits(source, name)
    return Original(np.array(plain), mode, icc, file_format, None, bit_exact=exact)


def _has_more_bits(image: Image.Image, name: str) -> bool:
    """Whether a TIFF has more than the 8 bits that Pillow reads of it.

    Raises:
        SceneError: it stores them channel by channel, of which Pillow and OpenCV make other colours.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or max(image.tag_v2.get(258, (1,))) <= 8:
        return False
    if image.tag_v2.get(284, 1) == 2:
        raise SceneError(f"{name} stores its 16-bit channels one after the other; save it with interleaved channels.")
    return True


def _can_write_back(icc: bytes, mode: Mode) -> bool:
    """Whether pixels can be written in a profile's colours, and the profile beside them into a PNG that opens."""
    return len(icc) <= PngImagePlugin.MAX_TEXT_CHUNK and is_reversible(icc, mode[:3])


def _usable_profile(image: Image.Image, mode: Mode) -> bytes | None:
    """The file's profile, or None where it is damaged or describes other colours: viewers ignore it, so do we."""
    icc: bytes | None = image.info.get("icc_profile")
    return icc if profile_space(icc) == ("GRAY" if mode == "L" else "RGB") else None


def _convert_to_srgb(image: Image.Image, icc: bytes | None, file_format: str) -> Original:
    """In sRGB for good: for colours that cannot be written back in their own space."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert(image.mode[:-1]) if alpha is not None else image
    rgb = to_srgb(colours, icc)
    if alpha is not None:
        rgb.putalpha(alpha)
    mode: Mode = "RGB" if alpha is None else "RGBA"
    return Original(np.array(rgb), mode, None, file_format, None, bit_exact=False)


def _is_lossless(image: Image.Image, data: bytes) -> bool:
    if image.format == "WEBP":
        return _webp_is_lossless(data)
    lossy_tiff = image.format == "TIFF" and str(image.info.get("compression", "")) in ("jpeg", "tiff_jpeg", "webp")
    return image.format in ("PNG", "TIFF", "BMP") and not lossy_tiff


def _webp_is_lossless(data: bytes) -> bool:
    """Looks for the picture's own chunk: "VP8L" is lossless, "VP8 " is not."""
    position = 12
    while position + 8 <= len(data):
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if name in (b"VP8L", b"VP8 "):
            return name == b"VP8L"
        position += 8 + size + size % 2
    return False
