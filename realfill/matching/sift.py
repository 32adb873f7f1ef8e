"""SIFT by OpenCV (Lowe 2004): no weights, no GPU; what ranks where LoFTR's weights cannot be had."""

from collections.abc import Sequence

import cv2

from realfill.arrays import Photo
from realfill.matching.matcher import FeatureMatcher, Matches
from realfill.matching.rootsift import Keypoints, detect, match_descriptors

KEYPOINTS = 4096  # strongest ones kept; bounds the comparison of two photos to 64 MB and about 0.1 s
RATIO = 0.75  # nearest over second nearest distance; at 0.85 even noise finds dozens of matches
# A quarter of OpenCV's default. Candidates of a small base are soft: on truth blurred by 2 of 256 pixels the
# default keeps 8 matches in berry_bowl's hole where this keeps 42, and Telea inpainting stays at 0.
CONTRAST = 0.01


class Sift(FeatureMatcher[Keypoints]):
    """Mutual nearest neighbours that pass the ratio test; confidence is 1 - ratio."""

    name = "sift"
    multiple = 1

    def __init__(self, *, size: int) -> None:
        self.size = size
        # Precise upscaling: without it OpenCV's points are a quarter of a pixel off.
        self._sift = cv2.SIFT.create(nfeatures=KEYPOINTS, contrastThreshold=CONTRAST, enable_precise_upscale=True)

    def extract(self, working: Photo) -> Keypoints:
        """Keypoints and RootSIFT descriptors."""
        return detect(self._sift, working)

    def pair(self, references: Sequence[Keypoints], target: Keypoints) -> list[Matches]:
        """Matches of one target with each reference, in working pixels."""
        return [_compare(reference, target) for reference in references]


def load(*, size: int, confidence: float = 0.0, device: str = "cpu") -> Sift:
    """SIFT for photos of a size; it has no weights, its own ratio test for a confidence, and uses the CPU."""
    return Sift(size=size)


def _compare(reference: Keypoints, target: Keypoints) -> Matches:
    matches = match_descriptors(target, reference, ratio=RATIO, mutual="all")
    return Matches(reference.xy[matches.second], target.xy[matches.first], 1 - matches.ratio)
