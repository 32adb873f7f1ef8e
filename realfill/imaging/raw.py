"""Camera raws: told from pictures by what they hold, and developed where `rawpy` (LibRaw) is installed.

Most are TIFF files whose first page is a thumbnail, so that a reader of TIFF would take that for the photo.
"""

import io
import re
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from realfill.errors import SceneError
from realfill.imaging.tiff import STARTS, Directory
from realfill.sentences import Sentence

Values = npt.NDArray[np.uint16]

FORMAT = "RAW"  # beside Pillow's names
STORED_SUFFIX = ".dng"  # for all of them: what a file holds says which
SUFFIXES = frozenset(
    {
        ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef",
        ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
    }
)  # fmt: skip
# What files begin with: Olympus, Panasonic, Fujifilm, Sigma, Minolta and the older Canon.
_STARTS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR")
_CR3 = b"ftypcrx "  # at 4
_TIFF_MARK = re.compile(rb"CR\x02\0|IIII.waR|MMMMRaw", re.DOTALL)  # at 8 of a TIFF file: Canon's CR2, Phase One
_DNG_VERSION, _SUB_DIRECTORIES = 50706, 330
_PHOTOMETRICS = (32803, 34892)  # colour filter array, linear raw (TIFF/EP, DNG 1.7)
_COMPRESSIONS = (32767, 32770, 34713, 65535)  # Sony, Samsung, Nikon, Pentax
_ORIENTATIONS = {3: 3, 5: 8, 6: 6}  # EXIF's, by LibRaw's "flip"
_SRGB_GAMMA = (2.4, 12.92)  # exponent and slope near black, as dcraw wants them
_MOST_SUB_DIRECTORIES = 16


def is_camera_raw(data: bytes, pages: Sequence[Directory], name: str) -> bool:
    """Whether a file is a camera raw by its content; a TIFF file whose content does not tell is one by its ending.

    `pages` are the directories of a TIFF file (`tiff.read_pages`), none for other files.
    """
    if data.startswith(_STARTS) or data[4:12] == _CR3:
        return True
    if not data.startswith(STARTS):
        return False
    by_ending = PurePath(name).suffix.lower() in SUFFIXES
    return by_ending or _TIFF_MARK.match(data, 8) is not None or any(map(_is_raw_page, pages))


def refusal(name: str) -> Sentence:
    """The sentence for a camera raw that is not developed here."""
    return Sentence("{name} is a camera raw file; save it as TIFF or JPEG first.", name=name)


def develop(data: bytes, name: str, *, most_pixels: int) -> tuple[Values, int]:
    """A camera raw as upright sRGB code values, and the EXIF orientation that was undone.

    LibRaw's own development with the camera's white balance, (H, W, 3) or (H, W) uint16. Its size is looked at
    before anything is decoded.

    Raises:
        SceneError: rawpy is not installed, LibRaw cannot develop it, or it is too large.
        MemoryError: it takes more memory than there is.
    """
    try:
        import rawpy
    except ImportError as error:
        raise SceneError(refusal(name)) from error
    try:
        with rawpy.RawPy() as opened:
            opened.open_buffer(io.BytesIO(data))
            sizes = opened.sizes
            pixels = max(sizes.raw_width * sizes.raw_height, sizes.iwidth * sizes.iheight)
            if pixels > most_pixels:
                raise SceneError(
                    "{name} has {megapixels} megapixels and the most accepted is {most}; save it as a "
                    "smaller TIFF or JPEG first.",
                    name=name,
                    megapixels=f"{pixels / 1000000.0:.1f}",
                    most=most_pixels // 1_000_000,
                )
            orientation = _ORIENTATIONS.get(sizes.flip, 1)
            opened.unpack()
            developed = opened.postprocess(
                use_camera_wb=True, output_color=rawpy.ColorSpace.sRGB, gamma=_SRGB_GAMMA, output_bps=16
            )
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError from error
    except (rawpy.LibRawError, rawpy.NotSupportedError, ValueError) as error:
        raise SceneError(
            "{name} is a camera raw file that cannot be developed here; save it as TIFF or JPEG first.", name=name
        ) from error
    values = np.asarray(developed, np.uint16)
    return values[:, :, 0] if values.shape[2] == 1 else values, orientation


def _is_raw_page(page: Directory) -> bool:
    # What was developed from a DNG may still have its version among its tags (darktable's TIFF).
    if _holds_sensor_values(page) or (page.is_accessory and _DNG_VERSION in page):
        return True
    width, height = page.size
    places = page.integers(_SUB_DIRECTORIES)[:_MOST_SUB_DIRECTORIES]
    pages = [sub for sub in map(page.file.directory, places) if sub is not None]
    larger = any(not sub.is_accessory and sub.size[0] * sub.size[1] > width * height for sub in pages)
    return larger or any(map(_holds_sensor_values, pages))


def _holds_sensor_values(page: Directory) -> bool:
    return page.integer(262, 0) in _PHOTOMETRICS or page.integer(259, 1) in _COMPRESSIONS
