"""What lies over all photos in one place: printed frames, captions, date stamps, watermarks.

It is not of the scene. Points on it say that nothing moved, and hold the references still; so it neither votes for how
they lie nor is copied from them (COLMAP leaves watermarks out of its matches for the same reason).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from realfill.arrays import Field, Hole, Photo, Points, Vector, WarpMap
from realfill.geometry.alignment import is_inside
from realfill.geometry.correspondences import Pairs
from realfill.geometry.draft import crop_in_frame
from realfill.geometry.threads import map_threads
from realfill.imaging.crop import CropTransform, crop_longest
from realfill.imaging.fill import nearest_known
from realfill.scene.scene import Scene

EQUAL = 6  # grey levels by which an opaque overlay differs between two photos: JPEG's errors
SHARP = 60.0  # grey levels of the Laplacian at the edge of a frame or a letter; what is smooth may be equal by chance
LEAST_SHARP = 20  # such pixels in each part of an overlay
SHARE = (0.02, 0.6)  # of the known pixels; where more is equal the camera stood still, and the photos are of one place
ASPECT = 0.01  # by which the photos' shapes may differ
SPECK = 5  # pixels; what is equal only here and there is so by chance
MARGIN = 7  # pixels around an overlay that still show of it
WINDOW = (13, 13)  # pixels in which edges are compared
FAINT = 2.0  # grey levels a pixel: edges that say nothing
STILL = (0.6, 0.45)  # correlation of two photos' edges under an overlay, and the mean one of several photos'
CERTAIN = 0.7  # least correlation of all photos' edges that speaks for an overlay
BY_CHANCE = (3.0, 0.0005)  # times the share of such pixels among displaced photos, and share more, that are one
UNMOVED = 0.9  # of the pixels with edges; where more lie still nothing has moved
STEP = (17, 29)  # pixels by which they are displaced
MOVED = 3.0  # pixels by which the scene must have moved below it
HELD = 1.5  # pixels by which a pair on it may have moved


@dataclass(frozen=True, eq=False)
class Overlay:
    """Where an overlay lies in the whole target at its working size, `shown` (H, W), and in the frame, (h, w)."""

    shown: Hole
    in_frame: Hole
    whole: CropTransform
    frame: CropTransform

    @classmethod
    def nowhere(cls, whole: CropTransform, frame: CropTransform) -> Self:
        """No overlay."""
        shown, in_frame = (np.zeros((one.height, one.width), np.bool_) for one in (whole, frame))
        return cls(shown, in_frame, whole, frame)

    def __bool__(self) -> bool:
        return bool(self.shown.any())

    def moves(self, pairs: Pairs, photo: Photo) -> Vector:
        """By how many pixels (K,) points of the frame lie elsewhere in a photo (H, W, 3) of the target's shape."""
        at = self.whole.to_working(self.frame.to_photo(pairs.first))
        return np.asarray(np.linalg.norm(at - pairs.second * self._scale(photo), axis=1))

    def has_moved(self, pairs: Pairs, photo: Photo) -> bool:
        """Whether most points lie elsewhere in a photo of the target's shape."""
        return has_shape(photo, self.shown) and len(pairs) > 0 and bool(np.median(self.moves(pairs, photo)) > MOVED)

    def drop(self, pairs: Pairs, photo: Photo) -> Pairs:
        """The pairs without those on the overlay."""
        if not self or not has_shape(photo, self.shown):
            return pairs
        return pairs[~is_inside(pairs.first, self.in_frame) & (self.moves(pairs, photo) > HELD)]

    def in_photo(self, photo: Photo) -> Hole | None:
        """Where a photo (H, W, 3) has the overlay; None where it has none."""
        if not self or not has_shape(photo, self.shown):
            return None
        size = photo.shape[1], photo.shape[0]
        return np.asarray(cv2.resize(self.shown.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)

    def hide(self, warp_map: WarpMap, photo: Photo) -> WarpMap:
        """A map (h, w, 2) of the frame into a photo, nan where it leads under the overlay there."""
        if not self or not has_shape(photo, self.shown):
            return warp_map
        at = np.asarray(np.nan_to_num(warp_map, nan=-10.0) * self._scale(photo), np.float32)
        shown = self.shown.astype(np.uint8)
        under = cv2.remap(shown, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT) > 0
        return np.asarray(np.where(under[:, :, None], np.float32(np.nan), warp_map), np.float32)

    def _scale(self, photo: Photo) -> Points:
        return np.array([self.whole.width / photo.shape[1], self.whole.height / photo.shape[0]])


def locate_overlay(scene: Scene, frame: CropTransform, photos: Sequence[Photo], *, size: int) -> Overlay:
    """The overlay of a scene, looked for in the whole target with its longest side at most `size`.

    `photos` are the references at their working sizes.
    """
    whole = crop_longest(*scene.hole.shape, longest=size)
    if not any(has_shape(photo, scene.hole) for photo in photos):
        return Overlay.nowhere(whole, frame)
    hole = whole.crop_hole(scene.hole)
    shown = find_overlay(nearest_known(whole.crop_photo(scene.target), hole), hole, photos)
    return Overlay(shown, crop_in_frame(whole, frame).crop_hole(shown), whole, frame)


def find_overlay(target: Photo, hole: Hole, photos: Sequence[Photo]) -> Hole:
    """Which pixels (h, w) of a target lie under an overlay that the photos of the same shape show, too.

    Opaque parts are equal in all, with sharp edges; through a watermark the scene is seen, but its edges lie where
    they lie in all others. In the hole two photos at least say so, because the target does not.

    Args:
        target: (h, w, 3), its known pixels outside `hole` (h, w).
        photos: the references at their working sizes.
    """
    height, width = hole.shape
    alike = [
        np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        for photo in photos
        if has_shape(photo, hole)
    ]
    if not alike:
        return np.zeros_like(hole)
    equal, still = map_threads(lambda find: find(target, hole, alike), (_find_equal, _find_still))
    return np.asarray(equal | still)


def _find_equal(target: Photo, hole: Hole, photos: Sequence[Photo]) -> Hole:
    """Known pixels under what is opaque."""
    smooth, equal = cv2.blur(target, (3, 3)), ~hole
    for photo in photos:
        equal &= cv2.absdiff(smooth, cv2.blur(photo, (3, 3))).max(2) <= EQUAL
    equal = cv2.morphologyEx(equal.astype(np.uint8), cv2.MORPH_OPEN, np.ones((SPECK, SPECK), np.uint8)) > 0
    low, high = SHARE
    edges = np.abs(cv2.Laplacian(cv2.cvtColor(target, cv2.COLOR_RGB2GRAY), cv2.CV_32F)) > SHARP
    _, part = cv2.connectedComponents(equal.astype(np.uint8))
    equal &= np.bincount(part[equal & edges], minlength=int(part.max()) + 1)[part] >= LEAST_SHARP
    if not low < equal[~hole].mean() < high:
        return np.zeros_like(hole)
    grown = cv2.dilate(equal.astype(np.uint8), np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)) > 0
    return np.asarray(grown & ~hole)


def _find_still(target: Photo, hole: Hole, photos: Sequence[Photo]) -> Hole:
    """Pixels whose edges lie still, where that is so more often than displaced photos' edges meet by chance."""
    unseen = cv2.dilate(hole.astype(np.uint8), np.ones((SPECK, SPECK), np.uint8)) > 0
    own, *others = map_threads(_even_edges, [target, *photos])
    known = ~unseen
    edges = [own * known[:, :, None], *others]
    displaced = [np.roll(one, (number * STEP[0], number * STEP[1]), (0, 1)) for number, one in enumerate(edges)]
    certain, by_chance = map_threads(lambda one: _least_correlation(one) > CERTAIN, (edges, displaced))
    times, more = BY_CHANCE
    sharp = cv2.blur((edges[0] ** 2).sum(2), WINDOW) > CERTAIN
    share = certain[known].mean()
    if share < times * by_chance[known].mean() + more or share > UNMOVED * sharp[known].mean():
        return np.zeros_like(hole)
    still = _parts_with(_mean_correlation(edges) > STILL[len(edges) > 2], certain) & known
    if len(others) > 1:
        beside = _parts_with(_mean_correlation(others) > STILL[len(others) > 2], _least_correlation(others) > CERTAIN)
        if beside[known].mean() < times * still[known].mean():  # else they show the same place from the same place
            still |= beside & unseen
    return np.asarray(still)


def _parts_with(weak: Hole, certain: Hole) -> Hole:
    """The connected parts (h, w) of what is weak that hold something certain."""
    _, part = cv2.connectedComponents(weak.astype(np.uint8))
    kept = np.bincount(part[weak & certain], minlength=int(part.max()) + 1) > 0
    return np.asarray(kept[part])


def _even_edges(photo: Photo) -> Field:
    """The gradients (h, w, 2) of a photo (h, w, 3) over what they are around each pixel."""
    grey = cv2.GaussianBlur(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    gradient = np.stack([cv2.Scharr(grey, cv2.CV_32F, 1, 0), cv2.Scharr(grey, cv2.CV_32F, 0, 1)], 2) / 32
    energy = cv2.blur((gradient**2).sum(2), WINDOW) + FAINT**2
    return np.asarray(gradient / np.sqrt(energy)[:, :, None], np.float32)


def _least_correlation(edges: Sequence[Field]) -> Field:
    """(h, w): of all photos the least correlation of its edges with the others' around each pixel."""
    total = np.sum(edges, axis=0)
    alike = [cv2.blur((one * (total - one)).sum(2), WINDOW) for one in edges]
    return np.asarray(np.min(alike, axis=0) / (len(edges) - 1), np.float32)


def _mean_correlation(edges: Sequence[Field]) -> Field:
    """(h, w): the mean over all pairs of photos of the correlation of their edges around each pixel."""
    both = (np.sum(edges, axis=0) ** 2).sum(2) - np.sum([(one**2).sum(2) for one in edges], axis=0)
    return np.asarray(cv2.blur(both, WINDOW) / (len(edges) * (len(edges) - 1)), np.float32)


def has_shape(photo: Photo, hole: Hole) -> bool:
    """Whether a photo (H, W, 3) has the shape of a target's hole (h, w) but for its size."""
    return bool(abs(photo.shape[1] * hole.shape[0] / (photo.shape[0] * hole.shape[1]) - 1) < ASPECT)
