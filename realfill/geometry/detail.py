"""The draft's hole at the target's own size: the references' detail that the working size has no room for."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Photo
from realfill.geometry.colour_correction import Colour
from realfill.geometry.warping import WarpMap, warp_photo
from realfill.imaging.crop import CropTransform

Weight = npt.NDArray[np.float32]  # (h, w), 0..1

LEAST = 1.1  # times the detail of the working size: less is not worth a second rendering
MOST = 32766  # pixels of a side: OpenCV's remap counts them in 16 bits and refuses to read or write larger pictures


@dataclass(frozen=True, eq=False)
class Part:
    """What a reference gives to the draft."""

    photo: Photo  # (H, W, 3), the reference at its own size
    fit: CropTransform  # how it became the working picture that `map` leads to
    map: WarpMap  # (h, w, 2), of the draft's frame
    colour: Colour
    laid: Photo  # (h, w, 3): the working picture laid by `map`, in the target's colours
    share: Weight  # (h, w): 1 where the draft shows this reference


def is_worthwhile(frame: CropTransform, parts: Sequence[Part]) -> bool:
    """Whether target and a reference that is shown have more pixels than the frame and the working picture.

    A photo with a side over MOST is left at its working size.
    """
    return _has_more(frame) and any(_gives_more(part) for part in parts)


def _has_more(fit: CropTransform) -> bool:
    """Whether a photo has more detail than its working size, and can be looked at for it."""
    return fit.scale * LEAST < 1 and max(fit.photo_width, fit.photo_height) <= MOST


def _gives_more(part: Part) -> bool:
    return _has_more(part.fit) and bool(part.share.any())


def render_detail(draft: Photo, frame: CropTransform, parts: Sequence[Part], box: tuple[int, int, int, int]) -> Photo:
    """The draft (h, w, 3), lying in `frame`, at the target's own size in a box (left, top, right, bottom) of it.

    It is enlarged, and each reference adds, where it is shown, by how much it differs at its own size from what it
    was at the working size. So colours, seams and bands stay as they were merged.
    """
    left, top, right, bottom = box
    x, y = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
    at = frame.to_working(np.stack([x.ravel(), y.ravel()], 1)).reshape(*x.shape, 2).astype(np.float32)
    picture = _at(draft, at, cv2.INTER_CUBIC)
    for part in parts:
        if not _gives_more(part):
            continue
        own = part.fit.to_photo(_at(part.map, at, cv2.INTER_LINEAR).reshape(-1, 2)).reshape(*x.shape, 2)
        full, valid = warp_photo(part.photo, own.astype(np.float32))
        share = _at(part.share, at, cv2.INTER_LINEAR) * valid
        difference = part.colour.apply(full).astype(np.float32) - _at(part.laid, at, cv2.INTER_CUBIC)
        picture += share[..., None] * difference
    return np.asarray(np.rint(np.clip(picture, 0, 255)), np.uint8)


def _at(values: npt.NDArray[np.generic], xy: WarpMap, way: int) -> npt.NDArray[np.float32]:
    """Values (h, w[, C]) looked up at xy (H, W, 2); beyond the edge it goes on."""
    found = cv2.remap(values.astype(np.float32), xy, None, way, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)
