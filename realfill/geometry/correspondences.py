"""Points that match between target and references, as many as can be had: SIFT at working size.

The ranking's SIFT counts evidence in soft candidates; this one locates it in photos: twice the points, and
masked by the hole, so that no paint makes a corner.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Flags, Hole, Indices, Photo, Points
from realfill.matching.rootsift import Keypoints, detect, match_descriptors

KEYPOINTS = 6000  # strongest ones kept in each picture
CONTRAST = 0.01  # a quarter of OpenCV's default: soft photos and shaded walls keep points
RATIO = 0.8  # Lowe's; models are robust to what slips through
MARGIN = 3  # pixels between a keypoint and the hole


@dataclass(frozen=True, eq=False)
class Pairs:
    """K points of one picture and what they are in another, (K, 2) in working pixels each, and their keypoints."""

    first: Points
    second: Points
    first_index: Indices  # (K,) number of the keypoint; -1 where a point is nobody's keypoint
    second_index: Indices

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, chosen: Flags | Indices) -> "Pairs":
        return Pairs(self.first[chosen], self.second[chosen], self.first_index[chosen], self.second_index[chosen])

    def swap(self) -> "Pairs":
        """The same, the other picture first."""
        return Pairs(self.second, self.first, self.second_index, self.first_index)

    @classmethod
    def from_points(cls, first: npt.ArrayLike, second: npt.ArrayLike) -> "Pairs":
        """Pairs that come from elsewhere and have no keypoints."""
        one, other = np.asarray(first, np.float64).reshape(-1, 2), np.asarray(second, np.float64).reshape(-1, 2)
        none = np.full(len(one), -1, np.intp)
        return cls(one, other, none, none)

    def join(self, more: "Pairs") -> "Pairs":
        """These and more."""
        return Pairs(
            np.concatenate([self.first, more.first]),
            np.concatenate([self.second, more.second]),
            np.concatenate([self.first_index, more.first_index]),
            np.concatenate([self.second_index, more.second_index]),
        )


def draft_keypoints(photo: Photo, hole: Hole | None = None) -> Keypoints:
    """SIFT keypoints (Lowe 2004) with RootSIFT descriptors; none in `hole` (h, w) or within MARGIN of it."""
    sift = cv2.SIFT.create(nfeatures=KEYPOINTS, contrastThreshold=CONTRAST, enable_precise_upscale=True)
    allowed = None
    if hole is not None:
        allowed = np.where(hole, 0, 255).astype(np.uint8)
        allowed = cv2.erode(allowed, np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8), borderValue=255)
    return detect(sift, photo, allowed)


def match_keypoints(first: Keypoints, second: Keypoints) -> Pairs:
    """Matches, each the best of those that chose its neighbour, without repeated points."""
    matches = match_descriptors(first, second, ratio=RATIO, mutual="choosers")
    rows, neighbours = matches.first, matches.second
    both = np.concatenate([first.xy[rows], second.xy[neighbours]], 1).astype(np.float64)
    if len(rows):  # a keypoint with two orientations is one point
        once = np.sort(np.unique(np.rint(both * 2), axis=0, return_index=True)[1])
        rows, neighbours, both = rows[once], neighbours[once], both[once]
    return Pairs(both[:, :2], both[:, 2:], rows, neighbours)
