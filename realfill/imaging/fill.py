"""What stands in a hole before anything is known about it: the nearest known pixels, or averages of them."""

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole, Photo
from realfill.imaging.holes import bounding_box

BESIDE = 2  # pixels; OpenCV's mask of distances reaches so far


def nearest_known(photo: Photo, hole: Hole) -> Photo:
    """The photo (H, W, 3) with each missing pixel in the colour of a nearest known one; grey where nothing is known.

    So what a file holds in the hole adds nothing: the result is a function of the known pixels.
    """
    if hole.all():
        return np.full_like(photo, 127)
    result = photo.copy()
    if hole.any():  # what is nearest to a pixel of the hole's box lies in the box or beside it
        left, top, right, bottom = bounding_box(hole)
        part = np.s_[max(0, top - BESIDE) : bottom + BESIDE, max(0, left - BESIDE) : right + BESIDE]
        result[part] = _nearest_known(photo[part], hole[part])
    return result


def _nearest_known(photo: Photo, hole: Hole) -> Photo:
    _, labels = cv2.distanceTransformWithLabels(
        hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    known = ~hole
    colours[labels[known]] = photo[known]
    return np.asarray(np.where(known[:, :, None], photo, colours[labels]), np.uint8)


Floats = npt.NDArray[np.float32]


def fill_from_known(photo: Photo, hole: Hole) -> Photo:
    """The photo (H, W, 3) with its hole filled by ever wider averages of the known pixels around it.

    A smooth guess, so that the autoencoder sees no edge where the hole begins. Depends on known pixels only.
    """
    if not hole.any():
        return photo
    known = (~hole).astype(np.float32)
    if not known.any():
        return np.full_like(photo, 128)
    levels = [(photo.astype(np.float32) * known[..., None], known)]
    while max(levels[-1][1].shape) > 1:
        colour, weight = levels[-1]
        size = (max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2))
        levels.append((average_areas(colour, size), average_areas(weight, size)))
    guess = _divide(*levels[-1])
    for colour, weight in reversed(levels[:-1]):
        wider = cv2.resize(guess, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        trust = np.minimum(weight, 1)[..., None]
        guess = trust * _divide(colour, weight) + (1 - trust) * wider
    return np.where(hole[..., None], np.clip(np.rint(guess), 0, 255), photo).astype(np.uint8)


def average_areas(values: Floats, size: tuple[int, int]) -> Floats:
    """Averages over areas; size is (width, height)."""
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _divide(colour: Floats, weight: Floats) -> Floats:
    """Mean colour (h, w, 3) of what is known; black where nothing is."""
    return np.asarray(colour / np.maximum(weight, 1e-6)[..., None], np.float32)
