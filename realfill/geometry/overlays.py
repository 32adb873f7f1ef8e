"""What lies over all photos in one place: printed frames, captions, date stamps.

It is not of the scene. Points on it say that nothing moved, and hold the references still; so it neither votes for how
they lie nor is copied from them (COLMAP leaves watermarks out of its matches for the same reason).
"""

from collections.abc import Sequence

import cv2
import numpy as np

from realfill.arrays import Hole, Photo, WarpMap
from realfill.geometry.correspondences import Pairs

EQUAL = 6  # grey levels by which an overlay differs between two photos: JPEG's errors
SHARP = 60.0  # grey levels of the Laplacian at the edge of a frame or a letter; what is smooth may be equal by chance
LEAST_SHARP = 20  # such pixels in each part of an overlay
SHARE = (0.02, 0.6)  # of the known pixels; where more is equal the camera stood still, and the photos are of one place
ASPECT = 0.01  # by which the photos' shapes may differ
SPECK = 5  # pixels; what is equal only here and there is so by chance
MARGIN = 7  # pixels around an overlay that still show of it
MOVED = 3.0  # pixels by which the scene must have moved below it


def find_overlay(target: Photo, hole: Hole, photos: Sequence[Photo]) -> Hole:
    """Which pixels (h, w) of a target lie under an overlay that the photos of the same shape show, too.

    Args:
        target: (h, w, 3), its known pixels outside `hole` (h, w).
        photos: the references at their working sizes.
    """
    height, width = hole.shape
    alike = [photo for photo in photos if has_shape(photo, hole)]
    none = np.zeros(hole.shape, np.bool_)
    if not alike:
        return none
    smooth, equal = cv2.blur(target, (3, 3)), ~hole
    for photo in alike:
        other = cv2.blur(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), (3, 3))
        equal &= cv2.absdiff(smooth, other).max(2) <= EQUAL
    equal = cv2.morphologyEx(equal.astype(np.uint8), cv2.MORPH_OPEN, np.ones((SPECK, SPECK), np.uint8)) > 0
    low, high = SHARE
    edges = np.abs(cv2.Laplacian(cv2.cvtColor(target, cv2.COLOR_RGB2GRAY), cv2.CV_32F)) > SHARP
    _, part = cv2.connectedComponents(equal.astype(np.uint8))
    equal &= np.bincount(part[equal & edges], minlength=int(part.max()) + 1)[part] >= LEAST_SHARP
    if not low < equal[~hole].mean() < high:
        return none
    grown = cv2.dilate(equal.astype(np.uint8), np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)) > 0
    return np.asarray(grown & ~hole)


def has_shape(photo: Photo, hole: Hole) -> bool:
    """Whether a photo (H, W, 3) has the shape of the target's frame (h, w) but for its size."""
    return bool(abs(photo.shape[1] * hole.shape[0] / (photo.shape[0] * hole.shape[1]) - 1) < ASPECT)


def has_moved(pairs: Pairs, photo: Photo, hole: Hole) -> bool:
    """Whether most points of the target lie elsewhere in a photo (H, W, 3) of the same shape."""
    if not len(pairs):
        return False
    scale = np.array([hole.shape[1] / photo.shape[1], hole.shape[0] / photo.shape[0]])
    return bool(np.median(np.linalg.norm(pairs.first - pairs.second * scale, axis=1)) > MOVED)


def hide_overlay(warp_map: WarpMap, overlay: Hole, photo: Photo) -> WarpMap:
    """A map (h, w, 2) of the frame into a photo, nan where it leads under the overlay (h, w) that both show."""
    height, width = overlay.shape
    scale = np.array([width / photo.shape[1], height / photo.shape[0]], np.float32)
    at = np.asarray(np.nan_to_num(warp_map, nan=-10.0) * scale, np.float32)
    under = cv2.remap(overlay.astype(np.uint8), at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT) > 0
    return np.asarray(np.where(under[:, :, None], np.float32(np.nan), warp_map), np.float32)
