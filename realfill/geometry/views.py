"""The photos at working size: what matching, warping and merging look at."""

from dataclasses import dataclass

import cv2
import numpy as np

from realfill.fit import Fit
from realfill.images import Photo
from realfill.masks import Hole


@dataclass(frozen=True, eq=False)
class View:
    """A photo at working size, (fit.height, fit.width, 3), and where its pixels lie in the photo."""

    fit: Fit
    photo: Photo


def view(photo: Photo, size: int) -> View:
    """The whole photo with its longest side at `size`; a smaller photo stays as it is."""
    fit = frame_of(photo.shape[0], photo.shape[1], size)
    small = photo if (fit.width, fit.height) == (photo.shape[1], photo.shape[0]) else fit.photo_in(photo)
    return View(fit, small)


def frame_of(height: int, width: int, size: int) -> Fit:
    """The fit of a whole photo with its longest side at most `size`; sides are rounded to whole pixels."""
    scale = min(1.0, size / max(height, width))
    sides = max(1, round(width * scale)), max(1, round(height * scale))
    return Fit((0.0, 0.0, float(width), float(height)), *sides, photo_width=width, photo_height=height)


def nearest_known(photo: Photo, hole: Hole) -> Photo:
    """The photo (h, w, 3) with each missing pixel in the colour of a nearest known one; grey if none is known.

    So what lies in the hole is a function of the known pixels and nothing else.
    """
    if hole.all():
        return np.full_like(photo, 127)
    kind = cv2.DIST_LABEL_PIXEL
    _, labels = cv2.distanceTransformWithLabels(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=kind)
    colours = np.zeros((int(labels.max()) + 1, 3), np.uint8)
    colours[labels[~hole]] = photo[~hole]
    return np.asarray(np.where(hole[:, :, None], colours[labels], photo), np.uint8)
