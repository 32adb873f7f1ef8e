"""How much of the same place two photos show: a quick look before anything is trained.

SIFT (Lowe 2004) on small copies, then only matches that one camera movement explains. No weights, no torch:
it runs in the page's process.
"""

import cv2
import numpy as np

from realfill.arrays import Photo
from realfill.imaging.crop import crop_longest
from realfill.matching.epipolar import fundamental_matrix
from realfill.matching.rootsift import Keypoints, detect, match_descriptors

SIZE = 640  # longest side in pixels of what is looked at
KEYPOINTS = 3000
CONTRAST = 0.02  # half of OpenCV's default: soft and dark photos keep points
RATIO = 0.8  # nearest over second nearest distance; the geometry sorts out the rest
AWAY = 3.0  # pixels from the epipolar line
LITTLE = 10  # fewer is little: of 96 pairs of photos of different places, one had 8 and the others none


def overlap_keypoints(photo: Photo) -> Keypoints:
    """Keypoints of a photo (H, W, 3), in pixels of its small copy."""
    return detect(cv2.SIFT.create(nfeatures=KEYPOINTS, contrastThreshold=CONTRAST), _shrink(photo))


def count_shared(reference: Keypoints, target: Keypoints) -> int:
    """How many points of the target are found in the reference, counting only what one camera movement explains."""
    there = match_descriptors(target, reference, ratio=RATIO, mutual="none")
    back = match_descriptors(reference, target, ratio=RATIO, mutual="none")
    chosen_by = np.full(len(reference.xy), -1, np.intp)
    chosen_by[back.first] = back.second
    both = chosen_by[there.second] == there.first
    if np.count_nonzero(both) < 8:  # what a fundamental matrix needs; fewer say nothing
        return 0
    first, second = reference.xy[there.second[both]], target.xy[there.first[both]]
    movement = fundamental_matrix(first, second, AWAY, sure=0.999, draws=2000)
    if movement is not None:
        return int(np.count_nonzero(movement[1]))
    # Nearly all points on one plane can leave the movement open, and then the plane alone explains them.
    _, inlier = cv2.findHomography(first, second, cv2.USAC_MAGSAC, AWAY, None, 2000, 0.999)
    return 0 if inlier is None else int(np.count_nonzero(inlier))


def is_little(count: int) -> bool:
    """Whether a reference with so many shared points may not show the target's place at all."""
    return count < LITTLE


def _shrink(photo: Photo) -> Photo:
    return crop_longest(*photo.shape[:2], longest=SIZE).crop_photo(photo)
