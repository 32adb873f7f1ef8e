"""SIFT keypoints by OpenCV (Lowe 2004) with RootSIFT descriptors (Arandjelović and Zisserman 2012), and their matches.

Who looks for points says how many and how faint (`cv2.SIFT`), and how strictly they are matched.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Descriptors, Flags, Indices, Photo, Points32, Vector32

MutualCheck = Literal["none", "choosers", "all"]

_ROWS = 2048  # rows of the table of similarities in memory at one time


@dataclass(frozen=True, eq=False)
class Keypoints:
    """N keypoints in pixels (N, 2) and their unit descriptors (N, 128), both float32.

    A dot product of descriptors compares gradient histograms by Hellinger's distance.
    """

    xy: Points32
    descriptors: Descriptors

    def __getitem__(self, chosen: Flags | Indices) -> "Keypoints":
        return Keypoints(self.xy[chosen], self.descriptors[chosen])


@dataclass(frozen=True, eq=False)
class DescriptorMatches:
    """K matches: numbers of the keypoints, those of the first picture rising, and nearest over second nearest."""

    first: Indices
    second: Indices
    ratio: Vector32  # (K,), 0..1


def detect(sift: cv2.SIFT, photo: Photo, allowed: npt.NDArray[np.uint8] | None = None) -> Keypoints:
    """Keypoints of a photo (H, W, 3), where `allowed` (H, W) is not 0."""
    points, raw = sift.detectAndCompute(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), allowed)
    if not points:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    descriptors = np.asarray(raw, np.float32)
    descriptors = np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-7))
    return Keypoints(np.array([point.pt for point in points], np.float32), descriptors)


def match_descriptors(first: Keypoints, second: Keypoints, *, ratio: float, mutual: MutualCheck) -> DescriptorMatches:
    """The nearest neighbours in `second` of keypoints of `first` that pass Lowe's ratio test (2004, 7.1).

    Args:
        ratio: distance of the nearest over that of the second nearest, below which a match counts.
        mutual: which others of `first` a match must be nearer than: "none", those that "choosers" of the same
            neighbour are, or "all" (mutual nearest neighbours).
    """
    if not len(first.xy) or len(second.xy) < 2:  # the ratio test needs a second nearest
        return DescriptorMatches(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32))
    best, near, far, back = _nearest_two(first.descriptors, second.descriptors, back=mutual == "all")
    close, next_close = (np.sqrt(np.maximum(2 - 2 * cosine, 0)) for cosine in (near, far))
    accepted = close < np.float32(ratio) * next_close
    if mutual == "choosers":
        closest = np.full(len(second.xy), -np.inf, np.float32)
        np.maximum.at(closest, best, near)
        accepted &= near >= closest[best]
    elif mutual == "all":
        accepted &= back[best] == np.arange(len(best))
    rows = np.flatnonzero(accepted)
    ratios = np.asarray(close[rows] / np.maximum(next_close[rows], 1e-7), np.float32)
    return DescriptorMatches(rows, best[rows], ratios)


def _nearest_two(first: Descriptors, second: Descriptors, *, back: bool) -> tuple[Indices, Vector32, Vector32, Indices]:
    """Per row of `first`: its nearest of `second` and the cosines of the nearest and the second nearest.

    With `back` also per row of `second` its nearest of `first`, the first one of equals; else zeros.
    """
    best, near, far = [], [], []
    nearest_back, highest = np.zeros(len(second), np.intp), np.full(len(second), -np.inf, np.float32)
    for start in range(0, len(first), _ROWS):
        cosine = first[start : start + _ROWS] @ second.T
        if back:
            row = cosine.argmax(0)
            value = cosine[row, np.arange(len(second))]
            nearest_back = np.where(value > highest, row + start, nearest_back)
            highest = np.maximum(value, highest)
        rows, index = np.arange(len(cosine)), cosine.argmax(1)
        best.append(index)
        near.append(cosine[rows, index])
        cosine[rows, index] = -np.inf
        far.append(cosine.max(1))
    return np.concatenate(best), np.concatenate(near), np.concatenate(far), nearest_back
