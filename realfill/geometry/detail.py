"""The draft's hole at the target's own size: the references' detail that the working size has no room for."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Field, Labels, Photo, WarpMap, Weight
from realfill.geometry.threads import map_threads
from realfill.geometry.warp_selection import AlignedReference
from realfill.geometry.warping import warp_photo
from realfill.imaging.crop import CropTransform
from realfill.imaging.holes import bounding_box

LEAST = 1.1  # times the detail of the working size: less is not worth a second rendering
MOST = 32766  # pixels of a side: OpenCV's remap counts them in 16 bits and refuses to read or write larger pictures


def is_worthwhile(
    frame: CropTransform, fits: Sequence[CropTransform], aligned: Sequence[AlignedReference], label: Labels
) -> bool:
    """Whether target and a reference that is shown have more pixels than the frame and the working picture.

    A photo with a side over MOST is left at its working size. Arguments as in `render_detail`.
    """
    return _has_more(frame) and any(True for _ in _detailed_references(fits, aligned, label))


def _has_more(fit: CropTransform) -> bool:
    """Whether a photo has more detail than its working size, and can be looked at for it."""
    return fit.scale * LEAST < 1 and max(fit.photo_width, fit.photo_height) <= MOST


def _detailed_references(
    fits: Sequence[CropTransform], aligned: Sequence[AlignedReference], label: Labels
) -> Iterator[tuple[AlignedReference, Weight]]:
    """The references that are shown and have more detail, each with 1 in the pixels (h, w) that show it."""
    for number, one in enumerate(aligned):
        share = (label == number).astype(np.float32)
        if _has_more(fits[one.reference]) and share.any():
            yield one, share


def render_detail(
    draft: Photo,
    frame: CropTransform,
    photos: Sequence[Photo],
    fits: Sequence[CropTransform],
    aligned: Sequence[AlignedReference],
    label: Labels,
    box: tuple[int, int, int, int],
) -> Photo:
    """The draft (h, w, 3), lying in `frame`, at the target's own size in a box (left, top, right, bottom) of it.

    It is enlarged, and each reference adds, where it is shown, by how much it differs at its own size from what it
    was at the working size. So colours, seams and bands stay as they were blended.

    Args:
        photos, fits: the scene's references at their own size (H, W, 3), and how they became the working pictures
            that the warps lead to.
        aligned: at the frame's size.
        label: (h, w), which of `aligned` the draft shows in a pixel.
    """
    left, top, right, bottom = box
    x, y = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    at = frame.to_working(np.stack([x.ravel(), y.ravel()], 1)).reshape(*x.shape, 2).astype(np.float32)
    picture = _interpolate(draft, at, cv2.INTER_CUBIC)

    def add_reference(shown: tuple[AlignedReference, Weight]) -> tuple[tuple[slice, slice], Field]:
        """What a reference adds, and to which part of the box: that in which it is shown."""
        one, share = shown
        weight = _interpolate(share, at, cv2.INTER_LINEAR)
        if not weight.any():
            return np.s_[:0, :0], np.zeros((0, 0, 3), np.float32)
        x0, y0, x1, y1 = bounding_box(weight > 0)
        part = np.s_[y0:y1, x0:x1]
        working = _interpolate(one.warp.map, at[part], cv2.INTER_LINEAR)
        own = fits[one.reference].to_photo(working.reshape(-1, 2)).reshape(working.shape)
        full, valid = warp_photo(photos[one.reference], own.astype(np.float32))
        coarse = cv2.remap(one.plain, at[part], None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        difference = cv2.subtract(one.colour.apply(full), coarse, dtype=cv2.CV_32F)
        return part, np.asarray((weight[part] * valid)[..., None] * difference, np.float32)

    for part, added in map_threads(add_reference, _detailed_references(fits, aligned, label)):
        picture[part] += added
    return np.asarray(np.rint(np.clip(picture, 0, 255)), np.uint8)


def _interpolate(values: npt.NDArray[np.generic], xy: WarpMap, interpolation: int) -> Field:
    """Values (h, w[, C]) looked up at xy (H, W, 2); beyond the edge it goes on."""
    values_at = cv2.remap(values.astype(np.float32), xy, None, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values_at, np.float32)
