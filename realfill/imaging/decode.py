"""Picture files in: what is accepted, and how it becomes upright code values in the file's own depth.

The header is checked before any pixel is decoded. Pillow decodes; OpenCV only decodes 16-bit colour,
which Pillow cuts to 8 bits, and only bytes that Pillow has decoded without complaint before.
"""

import functools
import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from realfill.arrays import Pixels
from realfill.errors import SceneError
from realfill.humanize import alternatives
from realfill.imaging import colour_spaces, exif, raw
from realfill.imaging.exif import Exif, Resolution
from realfill.imaging.icc import is_reversible, profile_space, to_srgb
from realfill.imaging.limits import MEGABYTES, MEGAPIXELS, check_header, check_pages, check_size
from realfill.imaging.metadata import Cicp, Metadata, read_exif, split
from realfill.imaging.tiff import STARTS as TIFF_STARTS
from realfill.imaging.tiff import Directory, read_pages

Mode = Literal["L", "RGB", "RGBA"]
Value = TypeVar("Value", bound=np.generic)


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

_LIMIT_ERRORS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow, libheif and OpenCV raise on hostile or damaged bytes, as seen by flipping and cutting them.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError,
    OverflowError, RuntimeError, struct.error, zlib.error, cv2.error,
)  # fmt: skip
_NO_MEMORY = -4  # of cv2.error, which OpenCV raises in place of a MemoryError
_BAND = 256  # rows that are converted at once, so that a conversion takes little more than its result


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
    format: str  # Pillow's name: "PNG", "JPEG", "TIFF", "WEBP", "HEIF", "BMP"; or "RAW"
    exif: Exif | None  # a few fields; no place, no thumbnail
    bit_exact: bool
    orientation: int = 1  # the EXIF orientation (1-8) that was undone to make it upright
    resolution: Resolution | None = None  # dots per inch across and down
    cicp: Cicp | None = None  # of colours that no profile tells (`colour_spaces.is_beyond_profiles`)

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
    pages = read_pages(data)
    if raw.is_camera_raw(data, pages, name):
        return _develop(data, pages, name)
    check_pages(pages, name)
    try:
        data, metadata = split(data, pages)
        del pages  # they hold the file as it was
        image = _open(data, name)
        check_header(image, data, name)
        metadata = _read_heif_metadata(image) if image.format == "HEIF" else metadata
        image.load()
        deep = _deep_pixels(image, data)
        original = _build_original(image, data, metadata, name) if deep is None else _build_deep(deep, image, metadata)
    except _DAMAGE as error:
        if isinstance(error, cv2.error) and error.code == _NO_MEMORY:
            raise MemoryError from error
        raise SceneError("{name} is damaged or cut off; copy it again from where it came from.", name=name) from error
    return _turn_upright(original, image, metadata)


def stored_suffix(format: str) -> str:
    """The ending that we give a file of an `Original`'s format."""
    return raw.STORED_SUFFIX if format == raw.FORMAT else ACCEPTED[format].suffixes[0]


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
        raise SceneError("{name} does not exist or is not a file; check its path.", name=path.name)
    try:
        size = path.stat().st_size
        if size == 0:
            raise SceneError("{name} is empty (0 bytes); copy it again from where it came from.", name=path.name)
        if size > MEGABYTES * 2**20:
            raise SceneError(
                "{name} is larger than {megabytes} MB; save it smaller first.", name=path.name, megabytes=MEGABYTES
            )
        return path.read_bytes()
    except OSError as error:
        raise SceneError(
            "{name} cannot be read ({reason}); check its permissions.", name=path.name, reason=error.strerror
        ) from error


def _develop(data: bytes, pages: Sequence[Directory], name: str) -> Original:
    """A camera raw, where rawpy is there."""
    pixels, orientation = raw.develop(data, name, most_pixels=MEGAPIXELS * 1_000_000)
    fields = exif.clean(pages[0]) if pages else None
    mode: Mode = "L" if pixels.ndim == 2 else "RGB"
    return Original(pixels, mode, None, raw.FORMAT, fields, bit_exact=False, orientation=orientation)


def _open(data: bytes, name: str) -> Image.Image:
    """The header only; no pixel is decoded here."""
    _register_heif()
    try:
        image = Image.open(io.BytesIO(data), formats=tuple(ACCEPTED))
    except _LIMIT_ERRORS as error:
        raise SceneError(
            "{name} has over {most} megapixels, the most accepted; save it smaller first.", name=name, most=MEGAPIXELS
        ) from error
    except (UnidentifiedImageError, *_DAMAGE) as error:
        if Path(name).suffix.lower() in raw.SUFFIXES:
            raise SceneError(raw.refusal(name)) from error
        if data.startswith(TIFF_STARTS):
            raise SceneError(
                "{name} is a TIFF of a kind that is not read here, or is damaged; save it as RGB with 8 or 16 bits.",
                name=name,
            ) from error
        raise SceneError(
            "{name} is not a picture that can be read, or is damaged; use {formats}.", name=name, formats=ACCEPTED_NAMES
        ) from error
    check_size(image.width, image.height, name)
    return image


@functools.cache
def _register_heif() -> None:
    # On first use, so that importing this module changes nothing in Pillow.
    pillow_heif.register_heif_opener(thumbnails=False)


def _read_heif_metadata(image: Image.Image) -> Metadata:
    """libheif gives no file without its notes; it tells colours as a profile or as code points ("nclx")."""
    points = image.info.get("nclx_profile")
    cicp = Cicp(points["color_primaries"], points["transfer_characteristics"]) if points else None
    orientation = exif.sound_orientation(image.info.get("original_orientation"))
    told = read_exif(image.info.get("exif"))
    return replace(told, icc_profile=image.info.get("icc_profile"), cicp=cicp, orientation=orientation)


def _turn_upright(original: Original, image: Image.Image, metadata: Metadata) -> Original:
    """With the fields that concern the whole picture: upright, and what EXIF said."""
    orientation, resolution = metadata.orientation, metadata.resolution
    turned = 1 if image.format == "HEIF" else orientation  # libheif has turned it already
    return replace(
        original,
        pixels=cast(Pixels, rotate_upright(original.pixels, turned)),
        exif=metadata.exif,
        orientation=orientation,
        resolution=resolution[::-1] if resolution and orientation >= 5 else resolution,
    )


def _deep_pixels(image: Image.Image, data: bytes) -> npt.NDArray[np.uint16] | None:
    """16-bit pixels (H, W), (H, W, 3) or (H, W, 4) as they lie in the file; None for 8 bits or fewer."""
    if image.mode.startswith("I;16"):
        return _deep_grey(image)
    if image.mode not in ("LA", "RGB", "RGBA"):
        return None
    is_deep_png = image.format == "PNG" and data[24] == 16
    if is_deep_png or (isinstance(image, TiffImagePlugin.TiffImageFile) and _is_deep_tiff(image)):
        return _decode_deep(data)
    return None


def _deep_grey(image: Image.Image) -> npt.NDArray[np.uint16]:
    """(H, W), or (H, W, 4) where a PNG says that one of its greys is transparent."""
    grey = np.asarray(image).astype(np.uint16)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if tuple(image.tag_v2.get(258, ())) == (12,):  # 0-4095
            grey = ((grey.astype(np.uint32) * 65535 + 2047) // 4095).astype(np.uint16)
        return 65535 - grey if image.tag_v2.get(262) == 0 else grey
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return grey
    alpha = np.where(grey == transparent, 0, 65535).astype(np.uint16)
    return np.dstack([grey, grey, grey, alpha])


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


def _build_deep(pixels: npt.NDArray[np.uint16], image: Image.Image, metadata: Metadata) -> Original:
    """16 bits: kept as they are."""
    mode: Mode = "L" if pixels.ndim == 2 else "RGB" if pixels.shape[2] == 3 else "RGBA"
    icc, cicp = _find_colours(metadata, mode)
    if icc and not _can_write_back(icc, mode):
        return _convert_to_srgb(Image.fromarray(to_eight_bits(pixels)), icc, str(image.format))
    exact = not (isinstance(image, TiffImagePlugin.TiffImageFile) and max(image.tag_v2.get(258, (16,))) < 16)
    return Original(pixels, mode, icc, str(image.format), None, bit_exact=exact, cicp=cicp)


def _build_original(image: Image.Image, data: bytes, metadata: Metadata, name: str) -> Original:
    """8 bits: L, RGB and RGBA keep their values; other modes become one of these."""
    file_format, profile = str(image.format), metadata.icc_profile
    if image.mode == "CMYK" or (image.mode == "LA" and profile_space(profile) == "GRAY"):
        return _convert_to_srgb(image, profile, file_format)
    mode: Mode = "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"
    icc, cicp = _find_colours(metadata, mode)
    plain = image if image.mode == mode else _scale_palette(image).convert(mode)
    if icc and not _can_write_back(icc, mode):
        return _convert_to_srgb(plain, icc, file_format)
    exact = _is_lossless(image, data) and not _has_other_values(image, name)
    return Original(np.array(plain), mode, icc, file_format, None, bit_exact=exact, cicp=cicp)


def _find_colours(metadata: Metadata, mode: Mode) -> tuple[bytes | None, Cicp | None]:
    """The profile that the values are in (None: sRGB), or code points that no profile tells.

    What a file says twice counts in PNG's order: code points, profile, sRGB, gamma and chromaticities (PNG 3, 4.3).
    A profile that is damaged or describes other colours is ignored, as viewers do.
    """
    is_grey, cicp = mode == "L", metadata.cicp
    if cicp is not None and colour_spaces.is_beyond_profiles(cicp):
        return None, cicp
    if cicp is not None and colour_spaces.is_known(cicp):
        return colour_spaces.cicp_profile(cicp, is_grey=is_grey), None
    if profile_space(metadata.icc_profile) == ("GRAY" if is_grey else "RGB"):
        return metadata.icc_profile, None
    if metadata.is_srgb:
        return None, None
    if metadata.is_adobe_rgb:
        return colour_spaces.adobe_rgb_profile(is_grey=is_grey), None
    return colour_spaces.png_profile(metadata, is_grey=is_grey), None


def _scale_palette(image: Image.Image) -> Image.Image:
    """A TIFF's palette has 16 bits (6.0, section 5); some programs write 8, of which Pillow makes black."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode != "P":
        return image
    colours = image.tag_v2.get(320, ())
    if not colours or max(colours) > 255:
        return image
    scaled = image.copy()
    scaled.putpalette(np.array(colours, np.uint8).reshape(3, -1).T.tobytes())
    return scaled


def _has_other_values(image: Image.Image, name: str) -> bool:
    """Whether what Pillow reads is not what the file holds: YCbCr, premultiplied, or more than 8 bits.

    Raises:
        SceneError: a TIFF stores 16 bits channel by channel, of which Pillow and OpenCV make other colours.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    tags = image.tag_v2
    if tags.get(262) == 6 or 1 in tuple(tags.get(338, ())):
        return True
    if max(tags.get(258, (1,))) <= 8:
        return False
    if tags.get(284, 1) == 2:
        raise SceneError(
            "{name} stores its 16-bit channels one after the other; save it with interleaved channels.", name=name
        )
    return True


def _can_write_back(icc: bytes, mode: Mode) -> bool:
    """Whether pixels can be written in a profile's colours, and the profile beside them into a PNG that opens."""
    return len(icc) <= PngImagePlugin.MAX_TEXT_CHUNK and is_reversible(icc, mode[:3])


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
