"""Colour profiles: from a picture's own colour space to sRGB and back, by LittleCMS in 8 bits.

Both ways use the relative colorimetric intent, so that a colour that exists in both spaces comes back
as it was. Only `decode`, `encode` and `photo` call this; everything later sees sRGB.
"""

import io
from typing import Literal

from PIL import Image, ImageCms

Space = Literal["RGB", "GRAY", "CMYK"]
_SPACES: dict[str, Space] = {"RGB ": "RGB", "GRAY": "GRAY", "CMYK": "CMYK"}
_PILLOW = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def profile_space(icc: bytes | None) -> Space | None:
    """The kind of colours a profile describes; None for no profile, a damaged one or another kind."""
    if not icc:
        return None
    try:
        return _SPACES.get(str(_profile(icc).profile.xcolor_space))
    except (ImageCms.PyCMSError, OSError):
        return None


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """An RGB image in sRGB from an L, RGB or CMYK image in the space of `icc`.

    Without a profile, or with one for another kind of colours or one that cannot be used, the plain
    conversion of the mode: grey and RGB values are then taken to be sRGB already.
    """
    space = profile_space(icc)
    if icc is None or space is None or _PILLOW[space] != image.mode:
        return image.convert("RGB")
    try:
        transform = ImageCms.buildTransform(_profile(icc), _srgb(), image.mode, "RGB", _INTENT, _FLAGS)
    except ImageCms.PyCMSError:
        return image.convert("RGB")
    return _apply(image, transform)


def from_srgb(image: Image.Image, icc: bytes | None, mode: str) -> Image.Image:
    """An image of `mode` ("L" or "RGB") in the space of `icc`, from an RGB image in sRGB.

    Raises:
        ImageCms.PyCMSError: the profile works in one direction only; `is_reversible` tells beforehand.
    """
    space = profile_space(icc)
    if icc is None or space is None or _PILLOW[space] != mode:
        return image.convert(mode)
    return _apply(image, ImageCms.buildTransform(_srgb(), _profile(icc), "RGB", mode, _INTENT, _FLAGS))


def is_reversible(icc: bytes, mode: str) -> bool:
    """Whether colours of `mode` go from this profile to sRGB and back; many scanner profiles cannot go back."""
    space = profile_space(icc)
    if space is None or _PILLOW[space] != mode:
        return False
    try:
        ImageCms.buildTransform(_profile(icc), _srgb(), mode, "RGB", _INTENT, _FLAGS)
        ImageCms.buildTransform(_srgb(), _profile(icc), "RGB", mode, _INTENT, _FLAGS)
    except ImageCms.PyCMSError:
        return False
    return True


def _apply(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    result = ImageCms.applyTransform(image, transform)
    if result is None:  # only in-place calls return nothing
        raise ValueError("the colour transform returned no picture")
    return result


def _profile(icc: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
