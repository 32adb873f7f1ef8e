"""A whole reference laid over the frame by one rigid model, in the target's colours."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from realfill.arrays import Colours, Hole, Homography, Matrix, Photo, Vector
from realfill.geometry.alignment import LEARNED_LEAST
from realfill.geometry.colour_correction import fit_regions
from realfill.geometry.colour_regions import Box, RegionField
from realfill.geometry.correspondences import Pairs
from realfill.geometry.homography import find_planes, invert, is_sane
from realfill.geometry.patch_fill import PatchSource
from realfill.geometry.structure import scoring_size, shrink, structure_similarity
from realfill.imaging.holes import bounding_box, distance_from_hole

TOLERANCE = 8.0  # pixels of the frame between a point and where a similarity puts it: things are not flat
LEAST_INLIERS = 12  # unrelated photos reach 8; of a learned matcher's pairs LEARNED_LEAST are needed
HALF = 0.5  # of the pairs: from there on they count as a learned matcher's
BEYOND = 0.5  # of the frame's sides: so far beyond it a laid reference gives patches
NEAR = 0.075  # of the frame's longer side: known pixels so near to the hole tell a reference's colours
UNLIKE = 0.02  # of a pixel's say in a region's colours where the structure is another
RIDGE = 30.0  # variance in CIELAB from which known pixels decide a channel's gain
LEAST_SHOWN = 300  # pixels that a laid reference must show of the hole, and of what is known
SUPPORT = 20.0  # inliers on which two thirds of a laid reference's trust rest

Part = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True, eq=False)
class AffineColours:
    """An affine change of CIELAB: out = matrix · in + offset."""

    matrix: Matrix  # (3, 3)
    offset: Vector  # (3,)

    def apply(self, photo: Photo) -> Photo:
        """The photo (h, w, 3) in the new colours."""
        changed = cv2.transform(_to_lab(photo), np.c_[self.matrix, self.offset])
        return np.asarray(np.clip(cv2.cvtColor(changed, cv2.COLOR_LAB2RGB) * 255, 0, 255), np.uint8)


@dataclass(frozen=True, eq=False)
class LaidColours:
    """What brings a laid reference to the target's colours: an affine change of CIELAB, then one a colour region."""

    whole: AffineColours
    regions: RegionField | None  # over the whole laid picture

    def apply(self, photo: Photo, box: Box) -> Photo:
        """A box of the laid picture, at any size (h, w, 3), in the target's colours."""
        changed = self.whole.apply(photo)
        if self.regions is None:
            return changed
        return np.asarray(np.clip(changed + self.regions.look_up(changed, box), 0, 255), np.uint8)


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
        down, across = self.margin
        return slice(down, self.valid.shape[0] - down), slice(across, self.valid.shape[1] - across)

    def show(self, part: Part, *, small: bool = False) -> Photo:
        """A part of it in the target's colours, (h, w, 3), or `small`, as `shrink` makes it."""
        (rows, columns), (height, width) = part, self.valid.shape
        box = columns.start / width, rows.start / height, columns.stop / width, rows.stop / height
        return self.colours.apply(shrink(self.raw[part]) if small else self.raw[part], box)

    def as_source(self) -> PatchSource:
        """What it shows, as patches that lie over the frame and around it."""
        left, top, right, bottom = bounding_box(self.valid)
        part = np.s_[top:bottom, left:right]
        return PatchSource(self.show(part), self.valid[part], left - self.margin[1], top - self.margin[0])


def lay_rigidly(index: int, photo: Photo, pairs: Pairs, target: Photo, hole: Hole) -> list[LaidReference]:
    """The reference (H, W, 3) by its best similarity and its best plane, those that are believable.

    Args:
        pairs: the frame's points first, and where the reference has them.
    """
    learned = len(pairs) > 0 and float((pairs.first_index < 0).mean()) > HALF
    least = LEARNED_LEAST if learned else LEAST_INLIERS
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
    return [
        laid
        for kind, inliers, matrix in models
        if inliers >= least and is_sane(matrix, first)
        for laid in _lay(index, kind, inliers, photo, matrix, target, hole)
    ]


def _lay(
    index: int, kind: str, inliers: int, photo: Photo, matrix: Homography, target: Photo, hole: Hole
) -> Iterator[LaidReference]:
    """The reference by a homography from the frame, with its surroundings; nothing where it is not over the hole."""
    height, width = hole.shape
    down, across = round(BEYOND * height), round(BEYOND * width)
    shift = np.array([[1.0, 0, across], [0, 1, down], [0, 0, 1]])
    size = width + 2 * across, height + 2 * down
    forward = shift @ invert(matrix)
    laid = np.asarray(cv2.warpPerspective(photo, forward, size, flags=cv2.INTER_AREA), np.uint8)
    valid = cv2.warpPerspective(np.ones(photo.shape[:2], np.uint8), forward, size, flags=cv2.INTER_NEAREST) > 0
    inner = np.s_[down : down + height, across : across + width]
    both = valid[inner] & ~hole
    near = both & (distance_from_hole(hole) < NEAR * max(hole.shape))
    if (valid[inner] & hole).sum() < LEAST_SHOWN or both.sum() < LEAST_SHOWN:
        return
    both = near if near.sum() >= LEAST_SHOWN else both
    agrees = float(structure_similarity(laid[inner], target)[both].mean())
    trust = max(0.0, agrees) * support(inliers)
    colours = _fit_colours(laid, np.asarray(valid), target, both, inner)
    yield LaidReference(index, kind, inliers, trust, laid, np.asarray(valid), (down, across), colours)


def support(inliers: int) -> float:
    """0..1: how far so many inliers are to be believed."""
    return 1 - math.exp(-inliers / SUPPORT)


def _fit_colours(laid: Photo, valid: Hole, target: Photo, both: Hole, inner: Part) -> LaidColours:
    """What brings a laid reference (H, W, 3) to the target's colours, so that sky is like its sky.

    Args:
        valid: (H, W), where the reference shows something.
        both: (h, w), known pixels of the target that tell its colours; they say more where the structure is the same.
        inner: the frame's part of the reference.
    """
    whole = _fit_lab(laid[inner][both], target[both])
    size = scoring_size(laid.shape)
    weight, aim = np.zeros(valid.shape, np.float32), np.zeros_like(laid)
    alike = structure_similarity(whole.apply(shrink(laid[inner])), shrink(target))
    weight[inner] = both * np.maximum(cv2.resize(alike, both.shape[::-1], interpolation=cv2.INTER_LINEAR), UNLIKE)
    aim[inner] = target
    small, aim, weight, shown = (
        cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (laid, aim, weight, valid.astype(np.float32))
    )
    return LaidColours(whole, fit_regions(whole.apply(small), aim, weight, shown))


def _fit_lab(given: Photo, wanted: Photo) -> AffineColours:
    """The change of colours (N, 3) that are given into those that are wanted, by ridge regression."""
    x, y = (_to_lab(colours[None])[0].astype(np.float64) for colours in (given, wanted))
    middle, aim = x.mean(0), y.mean(0)
    square, cross = (x - middle).T @ (x - middle), (x - middle).T @ (y - aim)
    ridge = RIDGE * len(x) * np.eye(3)
    matrix = np.linalg.solve(square + ridge, cross + ridge).T
    return AffineColours(matrix, aim - matrix @ middle)


def _to_lab(photo: Photo) -> Colours:
    return np.asarray(cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
