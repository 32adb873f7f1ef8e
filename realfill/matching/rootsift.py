"""SIFT keypoints by OpenCV (Lowe 2004) with RootSIFT descriptors (Arandjelović and Zisserman 2012).

Who looks for points says how many and how faint (`cv2.SIFT`); what is made of what is found is the same for all.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Photo


@dataclass(frozen=True, eq=False)
class Keypoints:
    """N keypoints in pixels (N, 2) and their unit descriptors (N, 128), both float32.

    A dot product of descriptors compares gradient histograms by Hellinger's distance.
    """

    xy: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.float32]


def detect(sift: cv2.SIFT, photo: Photo, allowed: npt.NDArray[np.uint8] | None = None) -> Keypoints:
    """Keypoints of a photo (H, W, 3), where `allowed` (H, W) is not 0."""
    points, raw = sift.detectAndCompute(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), allowed)
    if not points:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    descriptors = np.asarray(raw, np.float32)
    descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-7))
    return Keypoints(np.array([point.pt for point in points], np.float32), descriptors)
