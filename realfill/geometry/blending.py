"""Warped references into one picture: an offset to the hole's border, a choice of source a pixel, bands blended."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from realfill.arrays import Colours, Confidence, Hole, Labels, Photo, Weight
from realfill.geometry.smoothing import spread_smoothly
from realfill.imaging.holes import bounding_box, distance_from_hole

BAND = 6  # pixels of known border that the offset looks at
SOFT = 6  # pixels that a softened one takes after
MOST_OFFSET = 40.0  # grey levels
LEVELS = 5  # of the pyramid; seams are blended over up to 2^5 pixels in the lowest band
FINENESS = 64  # steps for a grey level: OpenCV blends whole numbers of 16 bits and cuts off what is below one
SEAMS = 384  # longest side at which seams are cut
ALIKE = 0.4  # mean difference of two sources that show the same, as a share of the contrast
CLOSE = 0.3  # so much more trust takes a pixel from a better reference; patchwork costs sharpness
ROOM = 0.04  # of the longer side: how far a seam may run beside the edge of what is taken


def match_border(warped: Photo, valid: Weight, target: Photo, hole: Hole, agreement: Weight) -> Colours:
    """The warped reference (h, w, 3) with a smooth offset that meets the known pixels along the hole's border.

    Looks at known pixels next to the hole only, and there at those where there is `agreement` (h, w): where the
    reference shows something else, its colours must not be bent.
    """
    distance = distance_from_hole(hole)
    left, top, right, bottom = bounding_box(distance <= BAND + SOFT)  # nothing beyond is looked at
    part = slice(top, bottom), slice(left, right)
    near = distance[part]
    border = ((near <= BAND) & (valid[part] > 0)).astype(np.float32)
    soft = [cv2.GaussianBlur(photo[part].astype(np.float32), (0, 0), 1.5) for photo in (target, warped)]
    apart = np.clip(soft[0] - soft[1], -MOST_OFFSET, MOST_OFFSET)
    weight = border * agreement[part] ** 2 * (near > 2)
    result = warped.astype(np.float32)
    if weight.sum() >= 20:
        result[part] += spread_smoothly(apart, weight, reach=3.0)
    return result


def choose_sources(pictures: Sequence[Colours], trust: Sequence[Confidence], hole: Hole, least: float) -> Labels:
    """Per pixel (h, w) the number of the source to take, best first; -1 where none has a trust of `least`.

    A source takes what the ones before it leave. Where it shows the same as they do, it also takes what it is
    trusted for much more, and the seam is cut nearby where they look alike (graph cut, Kwatra et al. 2003); where it
    shows something else, a patchwork would be wrong in any case.
    """
    height, width = hole.shape
    scale = min(1.0, SEAMS / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    missing = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    label = np.full(size[::-1], -1, np.int8)
    shown_trust, shown = np.zeros(size[::-1], np.float32), np.zeros((size[1], size[0], 3), np.float32)
    for number, (full, one) in enumerate(zip(pictures, trust, strict=True)):
        picture = np.asarray(cv2.resize(full, size, interpolation=cv2.INTER_AREA), np.float32)
        own = np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32) * missing
        takes = _pixels_to_take(shown, shown_trust, picture, own, least)
        label[takes], shown_trust[takes], shown[takes] = number, own[takes], picture[takes]
    large = cv2.resize(label.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int8)
    for number, one in enumerate(trust):  # at full size a source may end a pixel earlier
        large[(large == number) & (one <= 0)] = -1
    return np.asarray(large)


def _pixels_to_take(shown: Colours, shown_trust: Confidence, picture: Colours, own: Confidence, least: float) -> Hole:
    """Where a new source takes the place of what is shown."""
    there, new = shown_trust >= least, own >= least
    takes = np.asarray(new & ~there)
    both = new & there
    if not both.any() or np.abs(shown - picture).mean(2)[both].mean() > ALIKE * _contrast(shown[both]):
        return takes
    better = both & (own > shown_trust + CLOSE)
    takes |= better
    side = 2 * round(ROOM * max(both.shape)) + 1
    near = cv2.dilate(takes.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    open_ = both & near & ~better
    rest = there & ~better & ~open_
    if not open_.any() or not takes.any() or not rest.any():
        return takes
    first, second = (np.where(mask, 255, 0).astype(np.uint8) for mask in (rest | open_, takes | open_))
    finder: Any = cv2.detail.GraphCutSeamFinder("COST_COLOR")  # OpenCV's stubs know of no arrays here
    chosen = finder.find([shown, picture], [(0, 0), (0, 0)], [first, second])[1]
    return np.asarray((takes | open_) & ((chosen.get() if isinstance(chosen, cv2.UMat) else chosen) > 0))


def _contrast(colours: Colours) -> float:
    return float(np.abs(colours - colours.mean(0)).mean())


def remove_islands(label: Labels, hole: Hole, trust: Sequence[Confidence], *, seed: float, least: float) -> Labels:
    """The labels (h, w) without connected patches that are small or nowhere well trusted.

    A patch is measured against the connected part of the hole that it lies in: a mask may have many parts.

    Args:
        seed: trust that a patch must have in a twentieth of it.
        least: share of its part of the hole that a patch must have.
    """
    own = np.zeros(hole.shape, np.float32)
    for number, one in enumerate(trust):
        own = np.where(label == number, one, own)
    taken = hole & (label >= 0)
    _, part, parts, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8), connectivity=4)
    count, patch, patches, _ = cv2.connectedComponentsWithStats(taken.astype(np.uint8), connectivity=4)
    part_of = np.zeros(count, np.intp)
    part_of[patch[taken]] = part[taken]
    area, room = patches[:, cv2.CC_STAT_AREA], parts[part_of, cv2.CC_STAT_AREA]
    trusted = np.bincount(patch[taken & (own >= seed)], minlength=count)
    dropped = (area < least * room) | (trusted < area / 20)
    return np.asarray(np.where(taken & dropped[patch], -1, label), np.int8)


def blend(pictures: Sequence[Colours], valid: Sequence[Weight], label: Labels, hole: Hole, target: Photo) -> Photo:
    """Sources put together by `label` (h, w), band by band (Burt and Adelson 1983); known pixels are the target's.

    The bands are those of OpenCV's `MultiBandBlender`.

    Args:
        pictures: (h, w, 3) each, one for each number in `label`.
        valid: (h, w) each, over 0 where the picture shows something.
        label: 0 or more in the whole hole.
    """
    hard = target.astype(np.float32)
    for number, picture in enumerate(pictures):
        chosen = hole & (label == number)
        hard[chosen] = picture[chosen]
    used = [number for number in range(len(pictures)) if (hole & (label == number)).any()]
    if len(used) < 2:
        return _restore_known(hard, hole, target)
    grown = _extend_labels(label, hole)
    blender: Any = cv2.detail.MultiBandBlender(0, LEVELS)  # OpenCV's stubs know of no arrays here
    blender.prepare((0, 0, hole.shape[1], hole.shape[0]))
    for number in used:
        whole = np.where(valid[number][:, :, None] > 0, pictures[number], hard)
        mask = np.where(grown == number, 255, 0).astype(np.uint8)
        blender.feed(np.rint(whole * FINENESS).astype(np.int16), mask, (0, 0))
    blended = blender.blend(None, None)[0]
    steps = blended.get() if isinstance(blended, cv2.UMat) else blended
    return _restore_known(np.asarray(steps / np.float32(FINENESS), np.float32), hole, target)


def _extend_labels(label: Labels, hole: Hole) -> Labels:
    """Labels of the hole carried outwards to all pixels."""
    kind = cv2.DIST_LABEL_PIXEL
    _, nearest = cv2.distanceTransformWithLabels(
        np.where(hole, 0, 255).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=kind
    )
    table = np.zeros(int(nearest.max()) + 1, np.int8)
    table[nearest[hole]] = label[hole]
    return np.asarray(np.where(hole, label, table[nearest]), np.int8)


def _restore_known(picture: Colours, hole: Hole, target: Photo) -> Photo:
    whole = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    return np.asarray(np.where(hole[:, :, None], whole, target), np.uint8)
