"""Outpainting: a target with room around it. What was there keeps its values; what is new is all hole.

The paper outpaints by the same means as it inpaints (§4): the target is placed on a larger canvas and the
canvas is the hole. Nothing is resized.
"""

from dataclasses import dataclass, replace

import numpy as np

from realfill.arrays import Hole, Pixels
from realfill.errors import SceneError
from realfill.imaging.decode import Original
from realfill.imaging.limits import MEGAPIXELS


@dataclass(frozen=True)
class Extension:
    """How many pixels a picture grows on each side; all at least 0."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        if min(self.left, self.top, self.right, self.bottom) < 0:
            raise SceneError("A photo can only grow; give each side 0 pixels or more.")

    def __bool__(self) -> bool:
        return any((self.left, self.top, self.right, self.bottom))

    def sides(self) -> list[int]:
        """Left, top, right and bottom, as the constructor takes them."""
        return [self.left, self.top, self.right, self.bottom]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of a picture that has grown."""
        return height + self.top + self.bottom, width + self.left + self.right

    def inner_slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Where the old (height, width) picture lies in the grown one."""
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def hole(self, inner: Hole) -> Hole:
        """The hole of the grown picture: `inner` (H, W) in its place, True all around."""
        grown = np.ones(self.size(*inner.shape), np.bool_)
        grown[self.inner_slices(*inner.shape)] = inner
        return grown


NOT_EXTENDED = Extension()


def check(height: int, width: int, extension: Extension) -> None:
    """Refuses what would not be read again.

    Raises:
        SceneError: the grown picture has more than `limits.MEGAPIXELS` million pixels.
    """
    grown_height, grown_width = extension.size(height, width)
    if grown_height * grown_width > MEGAPIXELS * 1_000_000:
        raise SceneError(
            "Extended to {width}×{height} the photo has {megapixels} megapixels and the "
            "most accepted is {most}; extend it less.",
            width=grown_width,
            height=grown_height,
            megapixels=f"{grown_height * grown_width / 1000000.0:.0f}",
            most=MEGAPIXELS,
        )


def take_back(original: Original, extension: Extension) -> Original:
    """The picture that `extend` made `original` of, bit for bit.

    Raises:
        SceneError: it is no larger than the extension.
    """
    height = original.height - extension.top - extension.bottom
    width = original.width - extension.left - extension.right
    if min(height, width) < 1:
        raise SceneError("The photo is no larger than what was added to it; choose it again.")
    return replace(original, pixels=original.pixels[extension.inner_slices(height, width)])


def extend(original: Original, extension: Extension) -> Original:
    """`original` with room around it; every value that was there is there, bit for bit.

    The new part is transparent where the mode has transparency, else middle grey.

    Raises:
        SceneError: as `check`.
    """
    check(original.height, original.width, extension)
    if not extension:
        return original
    size = extension.size(original.height, original.width)
    middle = 0 if original.mode == "RGBA" else (int(np.iinfo(original.pixels.dtype).max) + 1) // 2
    grown: Pixels = np.full((*size, *original.pixels.shape[2:]), middle, original.pixels.dtype)
    grown[extension.inner_slices(original.height, original.width)] = original.pixels
    return replace(original, pixels=grown, orientation=1)
