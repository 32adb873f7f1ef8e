"""A whole reference laid over the frame by one rigid model, in the target's colours."""

import math
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
from realfill.geometry.unsharp_mask import fine_energy, fine_gain
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
    known: Hole  # (h, w), known pixels of the frame that it shows too, those near the hole where there are enough
    energy: float  # mean `fine_energy` of the target there

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
        shown, left, top = self.show(part), left - self.margin[1], top - self.margin[0]
        return PatchSource(shown, self.valid[part], left, top, self.measure_gain(shown, part))

    def measure_gain(self, shown: Photo, part: Part) -> float:
        """By how much the finest texture of a part in the target's colours (h, w, 3) is weaker than the target's.

        A regression of colours makes pale what does not lie exactly.
        """
        known = np.zeros(self.valid.shape, np.bool_)
        known[self.inner] = self.known
        found = fine_energy(shown)[known[part]].mean()
        return float(fine_gain(np.float32(self.energy), found))


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
    near = distance_from_hole(hole) < NEAR * max(hole.shape)
    placed = [one for model in models if (one := _place(model, photo, target, hole, near)) is not None]
    best: dict[str, _Placement] = {}
    for one in sorted(placed, key=lambda one: -one.trust):
        best.setdefault(one.model.kind, one)
    return [_lay(index, one, photo, target) for one in best.values()]


@dataclass(frozen=True, eq=False)
class _Model:
    """A rigid model from the frame into a reference."""

    kind: str  # "similarity" or "plane"
    inliers: int
    matrix: Homography


def _fit_models(pairs: Pairs, least: int) -> list[_Model]:
    """The similarity and the plane that explain most pairs, `least` or more."""
    if len(pairs) < least:
        return []
    first, second = np.ascontiguousarray(pairs.first), np.ascontiguousarray(pairs.second)
    models: list[_Model] = []
    cv2.setRNGSeed(0)
    similarity, inside = cv2.estimateAffinePartial2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=TOLERANCE, maxIters=20000
    )
    if similarity is not None:
        models.append(_Model("similarity", int(inside.sum()), np.vstack([similarity, [0.0, 0.0, 1.0]])))
    planes = find_planes(Pairs.from_points(first, second), most=1)
    models += [_Model("plane", int(plane.inliers.sum()), plane.matrix) for plane in planes]
    return [model for model in models if model.inliers >= least and is_sane(model.matrix, first)]


@dataclass(frozen=True, eq=False)
class _Placement:
    """A model that is believable, and how far."""

    model: _Model
    trust: float
    known: Hole  # as of a `LaidReference`


def _place(model: _Model, photo: Photo, target: Photo, hole: Hole, near: Hole) -> _Placement | None:
    """The model, if by it the reference shows something of the hole and of what is known; `near` the hole (h, w)."""
    shown, valid = _warp(photo, model.matrix, hole.shape, (0, 0))
    known = valid & ~hole
    if (valid & hole).sum() < LEAST_SHOWN or known.sum() < LEAST_SHOWN:
        return None
    known = known & near if (known & near).sum() >= LEAST_SHOWN else known
    agrees = float(structure_similarity(shown, target)[known].mean())
    return _Placement(model, max(0.0, agrees) * support(model.inliers), known)


def _warp(photo: Photo, matrix: Homography, shape: tuple[int, ...], margin: tuple[int, int]) -> tuple[Photo, Hole]:
    """The reference by a homography from the frame (h, w), with a margin down and across, and where it shows it."""
    (down, across), (height, width) = margin, shape
    size = width + 2 * across, height + 2 * down
    forward = np.array([[1.0, 0, across], [0, 1, down], [0, 0, 1]]) @ invert(matrix)
    shown = np.asarray(cv2.warpPerspective(photo, forward, size, flags=cv2.INTER_AREA), np.uint8)
    valid = cv2.warpPerspective(np.ones(photo.shape[:2], np.uint8), forward, size, flags=cv2.INTER_NEAREST) > 0
    return shown, np.asarray(valid)


def _lay(index: int, one: _Placement, photo: Photo, target: Photo) -> LaidReference:
    shape = target.shape[:2]
    margin = round(BEYOND * shape[0]), round(BEYOND * shape[1])
    raw, valid = _warp(photo, one.model.matrix, shape, margin)
    inner = _inner_part(margin, valid.shape)
    colours = fit_colours(raw, valid, target, one.known, inner)
    energy = float(fine_energy(target)[one.known].mean())
    model = one.model
    return LaidReference(index, model.kind, model.inliers, one.trust, raw, valid, margin, colours, one.known, energy)


def _inner_part(margin: tuple[int, int], shape: tuple[int, ...]) -> Part:
    (down, across), (height, width) = margin, shape
    return slice(down, height - down), slice(across, width - across)


def support(inliers: int) -> float:
    """0..1: how far so many inliers are to be believed."""
    return 1 - math.exp(-inliers / SUPPORT)
