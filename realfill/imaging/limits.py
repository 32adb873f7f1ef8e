"""What is refused by its header, before any pixel of it is decoded: too large, too dear, more than one picture, or
values that are none of 8 or 16 bits."""

from collections.abc import Mapping, Sequence

from PIL import Image, TiffImagePlugin

from realfill.errors import SceneError
from realfill.imaging.metadata import JPEG_LENGTHLESS, JPEG_MARKER
from realfill.imaging.tiff import Directory, choose_page
from realfill.sentences import Sentence

MEGAPIXELS = 50  # largest picture accepted
MEGABYTES = 512  # largest file accepted; 50 megapixels of 16-bit RGBA fit uncompressed
MOST_SCANS = (
    100  # of a progressive JPEG: each costs a pass over all pixels; encoders make about ten, scripts some sixty
)
_PIXEL_BYTES = 8  # of four 16-bit channels, the most that we read
_SCAN, _END = 0xDA, 0xD9
# TIFF's SampleFormat and PhotometricInterpretation, those that are not read.
_NUMBERS: Mapping[int, str] = {2: "signed integer ", 3: "floating-point ", 5: "complex integer ", 6: "complex "}
_COLOURS: Mapping[int, str] = {
    4: "a transparency mask", 8: "CIELAB", 9: "ICCLAB", 10: "ITULAB", 32844: "LogL", 32845: "LogLuv",
}  # fmt: skip
_BITS = (1, 2, 4, 8, 16)
_GREYS, _GREY_BITS = (0, 1), 12


def check_size(width: int, height: int, name: str) -> None:
    """At most 50 megapixels, and some.

    Raises:
        SceneError: it is not so; the file's name and what to do.
    """
    if width * height > MEGAPIXELS * 1_000_000:
        raise SceneError(
            "{name} has {megapixels} megapixels and the most accepted is {most}; save it smaller first.",
            name=name,
            megapixels=f"{width * height / 1e6:.1f}",
            most=MEGAPIXELS,
        )
    if width * height == 0:
        raise SceneError("{name} has no pixels; save it again from the program it came from.", name=name)


def check_pages(pages: Sequence[Directory], name: str) -> None:
    """A TIFF's pages: one whole picture, beside smaller copies and masks of it, in code values that are read.

    TIFF 6.0, sections 8 and 19. Other files have no pages.

    Raises:
        SceneError: it is not so; the file's name and what to do.
    """
    if not pages:
        return
    if sum(not page.is_accessory for page in pages) > 1:
        raise SceneError(_describe_frames(name, len(pages)))
    page = choose_page(pages)
    bits, photometric = max(page.integers(258, (1,))), page.integer(262, 0)
    number = _NUMBERS.get(page.integer(339, 1), "integer " if bits > 16 else "")
    if number or not (bits in _BITS or (bits == _GREY_BITS and photometric in _GREYS)):
        raise SceneError(
            "{name} has {bits}-bit {number}colours; export it with 8 or 16 bits.", name=name, bits=bits, number=number
        )
    if photometric in _COLOURS:
        colours = _COLOURS[photometric]
        raise SceneError(
            "{name} stores its colours as {colours}; save it as RGB or grey with 8 or 16 bits.",
            name=name,
            colours=colours,
        )


def check_header(image: Image.Image, data: bytes, name: str) -> None:
    """A picture of bounded cost that stands still; HEIC bursts count as their main picture.

    Raises:
        SceneError: it is not so; the file's name and what to do.
    """
    if image.format == "JPEG" and count_scans(data) > MOST_SCANS:
        raise SceneError(
            "{name} is a JPEG of over {most} scans, which takes too long; save it again as a plain JPEG.",
            name=name,
            most=MOST_SCANS,
        )
    frames = int(getattr(image, "n_frames", 1))
    if image.format in ("PNG", "WEBP") and frames > 1:
        raise SceneError(_describe_frames(name, frames))
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _count_bytes(image) > _PIXEL_BYTES * MEGAPIXELS * 1_000_000:
        raise SceneError(
            "{name} takes too much memory in its tiles or channels; save it again as RGB without tiles.", name=name
        )


def count_scans(data: bytes) -> int:
    """The scans of a JPEG file up to its first end marker, read from its markers (ISO 10918-1, B.1); one over the
    most accepted ends the counting."""
    position, scans = 2, 0
    while scans <= MOST_SCANS and (marker := JPEG_MARKER.search(data, position)) is not None:
        code, position = data[marker.end() - 1], marker.end()
        if code == _END:
            break
        scans += code == _SCAN
        if code not in JPEG_LENGTHLESS:
            position += int.from_bytes(data[position : position + 2], "big")
    return scans


def _count_bytes(image: TiffImagePlugin.TiffImageFile) -> int:
    """A TIFF says itself in which pieces and channels it is decoded, and so how much memory that takes."""
    tags = image.tag_v2
    tile = int(tags.get(322, image.width)) * int(tags.get(323, image.height))
    pixel = int(tags.get(277, 1)) * -(-max(tags.get(258, (1,))) // 8)
    return int(pixel * max(tile, image.width * image.height))


def _describe_frames(name: str, frames: int) -> Sentence:
    return Sentence(
        "{name} holds {frames} frames or pages; save the one you mean as a single still picture.",
        name=name,
        frames=frames,
    )
