"""A whole reference laid over the frame by one rigid model, in the target's colours."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from realfill.arrays import Hole, Homography, Photo
from realfill.geometry.alignment import LEARNED_LEAST
from realfill.geometry.colour_transfer import LaidColours, Part, fit_colours, part_box
from realfill.geometry.correspondences import Pairs
from realfill.geometry.homography import find_planes, invert, is_sane
from realfill.geometry.patch_fill import PatchSource
from realfill.geometry.structure import shrink, structure_similarity
from realfill.imaging.holes import bounding_box, distance_from_hole

TOLERANCE = 8.0  # pixels of the frame between a point and where a similarity puts it: things are not flat
LEAST_INLIERS = 12  # unrelated photos reach 8; of a learned matcher's pairs LEARNED_LEAST are needed
BEYOND = 0.5  # of the frame's sides: so far beyond it a laid reference gives patches
NEAR = 0.075  # of the frame's longer side: known pixels so near to the hole tell a reference's colours
LEAST_SHOWN = 300  # pixels that a laid reference must show of the hole, and of what is known
SUPPORT = 20.0  # inliers on which two thirds of a laid reference's trust rest


@dataclass(frozen=True, eq=False)
class LaidReference:
    """A reference laid over the frame by one rigid model; its colours are made when asked for, which is dear."""

    reference: int
    kind: str  # "similarity" or "plane"
    inliers: int
    trust: float  # 0..1: how far its structure agrees with known pixels around the hole, and its inliers
    raw: Photo  # (h + 2 m, w + 2 m, 3) in its own colours: the frame with BEYOND of its sides around
    valid: Hole  # (h + 2 m, w + 2 m), True where it shows something
    margin: tuple[int, int]  # down, across
    colours: LaidColours

    @property
    def inner(self) -> Part:
        """The frame's part of it."""
        return _inner_part(self.margin, self.valid.shape)

    def show(self, part: Part, *, small: bool = False) -> Photo:
        """A part of it in the target's colours, (h, w, 3), or `small`, as `shrink` makes it."""
        shown = shrink(self.raw[part]) if small else self.raw[part]
        return self.colours.apply(shown, part_box(part, self.valid.shape))

    def as_source(self) -> PatchSource:
        """What it shows, as patches that lie over the frame and around it."""
        left, top, right, bottom = bounding_box(self.valid)
        part = np.s_[top:bottom, left:right]
        return PatchSource(self.show(part), self.valid[part], left - self.margin[1], top - self.margin[0])


def lay_rigidly(index: int, photo: Photo, pairs: Pairs, target: Photo, hole: Hole) -> list[LaidReference]:
    """The reference (H, W, 3) by its best similarity and its best plane, those that are believable.

    Exact pairs and a learned matcher's are asked by themselves and together: either may have what the other lacks, and
    a dozen exact ones agree by chance where light or viewpoint differ much.

    Args:
        pairs: the frame's points first, and where the reference has them; a learned matcher's have no keypoints.
    """
    learned = pairs.first_index < 0
    models = _fit_models(pairs[~learned], LEAST_INLIERS)
    if learned.any():
        models += _fit_models(pairs, LEARNED_LEAST) + _fit_models(pairs[learned], LEARNED_LEAST)
    best: dict[str, _Placement] = {}
    for kind, inliers, matrix in models:
        for one in _place(kind, inliers, photo, matrix, target, hole):
            if kind not in best or one.trust > best[kind].trust:
                best[kind] = one
    return [_colour(index, one, target) for one in best.values()]


def _fit_models(pairs: Pairs, least: int) -> list[tuple[str, int, Homography]]:
    """The similarity and the plane that explain most pairs, each with its kind and its inliers, `least` or more."""
    if len(pairs) < least:
        return []
    first, second = np.ascontiguousarray(pairs.first), np.ascontiguousarray(pairs.second)
    models: list[tuple[str, int, Homography]] = []
    cv2.setRNGSeed(0)
    similarity, inside = cv2.estimateAffinePartial2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=20000
    )
    if similarity is not None:
        models.append(("similarity", int(inside.sum()), np.vstack([similarity, [0.0, 0.0, 1.0]])))
    planes = find_planes(Pairs.from_points(first, second), most=1)
    models += [("plane", int(plane.inliers.sum()), plane.matrix) for plane in planes]
    return [(kind, inliers, matrix) for kind, inliers, matrix in models if inliers >= least and is_sane(matrix, first)]


@dataclass(frozen=True, eq=False)
class _Placement:
    """A laid reference in its own colours; see `LaidReference`."""

    kind: str
    inliers: int
    trust: float
    raw: Photo
    valid: Hole
    margin: tuple[int, int]
    known: Hole  # (h, w): known pixels of the target that it shows too, those near the hole where there are enough


def _place(
    kind: str, inliers: int, photo: Photo, matrix: Homography, target: Photo, hole: Hole
) -> Iterator[_Placement]:
    """The reference by a homography from the frame, with its surroundings; nothing where it is not over the hole."""
    height, width = hole.shape
    down, across = round(BEYOND * height), round(BEYOND * width)
    shift = np.array([[1.0, 0, across], [0, 1, down], [0, 0, 1]])
    size = width + 2 * across, height + 2 * down
    forward = shift @ invert(matrix)
    raw = np.asarray(cv2.warpPerspective(photo, forward, size, flags=cv2.INTER_AREA), np.uint8)
    valid = cv2.warpPerspective(np.ones(photo.shape[:2], np.uint8), forward, size, flags=cv2.INTER_NEAREST) > 0
    inner = _inner_part((down, across), valid.shape)
    known = valid[inner] & ~hole
    near = known & (distance_from_hole(hole) < NEAR * max(hole.shape))
    if (valid[inner] & hole).sum() < LEAST_SHOWN or known.sum() < LEAST_SHOWN:
        return
    known = near if near.sum() >= LEAST_SHOWN else known
    agrees = float(structure_similarity(raw[inner], target)[known].mean())
    trust = max(0.0, agrees) * support(inliers)
    yield _Placement(kind, inliers, trust, raw, np.asarray(valid), (down, across), known)


def _colour(index: int, one: _Placement, target: Photo) -> LaidReference:
    colours = fit_colours(one.raw, one.valid, target, one.known, _inner_part(one.margin, one.valid.shape))
    return LaidReference(index, one.kind, one.inliers, one.trust, one.raw, one.valid, one.margin, colours)


def _inner_part(margin: tuple[int, int], shape: tuple[int, ...]) -> Part:
    (down, across), (height, width) = margin, shape
    return slice(down, height - down), slice(across, width - across)


def support(inliers: int) -> float:
    """0..1: how far so many inliers are to be believed."""
    return 1 - math.exp(-inliers / SUPPORT)
