"""One way a reference out of several: planes, sheets, or depth pixel for pixel.

A way is right at known pixels if it shows what the target shows, and in the hole if another reference, by one of
its own ways, shows the same there (photo-consistency).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole, Photo
from realfill.geometry import colour_correction, confidence, plane_sweep
from realfill.geometry.alignment import Alignment, Warp, make_warp
from realfill.geometry.colour_correction import fit_colour
from realfill.geometry.confidence import Scorer, difference, known_agreement, point_density, spread_into_hole
from realfill.geometry.occlusion import DepthOrder, depth_order, occluded_pixels, resolve_occlusion
from realfill.geometry.plane_sweep import Cameras, depth_maps
from realfill.geometry.warping import WarpMap, scale_map, warp_photo

Weight = npt.NDArray[np.float32]  # (h, w), 0..1

COLOURFUL = 5.0  # grey levels between channels by which a target has colours
STYLE = 0.5  # correlation of these differences with a reference's
CARRIED = 0.4  # what known pixels around say counts so much against what another reference says
# Of two ways that look equally good at judging size the simpler one is the more exact.
PLAIN = {"plane": 1.0, "transferred": 0.95, "depth": 0.97, "sheet": 0.9}


@dataclass(frozen=True, eq=False)
class LaidReference:
    """One way of a reference at judging size."""

    way: Warp
    colour: colour_correction.Colour
    photo: Photo  # (h, w, 3), in the target's colours
    valid: Weight
    agreement: Weight  # with the known pixels around each
    trust: Weight  # in every pixel shown


def lay_reference(judge: Scorer, way: Warp, reference: Photo) -> LaidReference:
    """A way of a reference (H, W, 3) at judging size; colours are fitted twice, then where the first one agrees."""
    height, width = judge.target.shape[:2]
    raw, valid = warp_photo(shrink_reference(judge, reference), scale_map(way.map, (height, width), judge.scale))
    both = judge.known * valid
    change = fit_colour(raw, judge.target, both * np.minimum(point_density(judge, way.support, 0.02), 3))
    agreement = known_agreement(judge, change.apply(raw), valid)
    change = fit_colour(raw, judge.target, agreement * (agreement > 0.3))
    photo = change.apply(raw)
    agreement = known_agreement(judge, photo, valid)
    carried = spread_into_hole(judge, agreement, valid, way.support)
    return LaidReference(way, change, photo, valid, agreement, carried)


def depth_warps(
    judge: Scorer, found: Alignment, ways: Sequence[LaidReference], references: Mapping[int, Photo], hole: Hole
) -> list[Warp]:
    """Ways by depth, pixel for pixel, of the references that are in a rig.

    Args:
        ways: single ways, whose best gives each reference's colours.
        references: at working size.
    """
    result = []
    for rig in found.rigs:
        photos, styled = {}, False
        for index in rig.references:
            own = [one for one in ways if one.way.reference == index]
            if own:
                best = max(own, key=lambda one: float(one.agreement.sum()))
                photos[index] = best.colour.apply(shrink_reference(judge, references[index]))
                styled |= in_other_style(judge, best)
        rig_ = replace(rig, references={index: rig.references[index] for index in photos})
        if len(photos) < 2:
            continue
        known = {index: found.pairs[index].join(found.placed[index]) for index in photos}
        xy, mu = plane_sweep.depths(rig_, known)
        field = plane_sweep.sweep(rig_, judge, photos, xy, mu, styled=styled)
        if field is None:
            continue
        for index, way in _visible(rig_, judge, photos, field, found, styled=styled).items():
            result.append(make_warp(index, "depth", way, known[index], hole))
    return result


def _visible(
    rig: Cameras,
    judge: Scorer,
    photos: Mapping[int, Photo],
    field: Weight,
    found: Alignment,
    *,
    styled: bool,
) -> dict[int, WarpMap]:
    """Maps of the frame by a field of depth (h, w) at judging size; nowhere where something else stands before it."""
    orders = {index: depth_order(rig, index, found.pairs[index], judge.size) for index in photos}
    covered = _covered(rig, judge, photos, field, orders)
    if len(photos) == 2:
        ways = depth_maps(rig, field, judge.scale)
        looks = {index: plane_sweep.structure(photo) if styled else photo for index, photo in photos.items()}
        one, other = (
            (warp_photo(look, ways[index])[0], np.asarray(~covered[index], np.float32)) for index, look in looks.items()
        )
        signs = {order.target for order in orders.values()}
        field = resolve_occlusion(judge, one, other, field, signs.pop() if len(signs) == 1 else 0)
        covered = _covered(rig, judge, photos, field, orders)
    height, width = judge.size
    wide = np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    ways = depth_maps(rig, wide)
    for index, way in ways.items():
        hidden = cv2.resize(covered[index].astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        way[hidden > 0] = np.nan
    return ways


def _covered(
    rig: Cameras,
    judge: Scorer,
    photos: Mapping[int, Photo],
    field: Weight,
    orders: Mapping[int, DepthOrder],
) -> dict[int, Hole]:
    return {
        index: occluded_pixels(
            rig, index, field, orders[index].reference, scale=judge.scale, shape=(photo.shape[0], photo.shape[1])
        )
        for index, photo in photos.items()
    }


def in_other_style(judge: Scorer, one: LaidReference) -> bool:
    """Whether a reference's colours say nothing about the target's, as in a black-and-white photo."""
    both = (judge.known > 0) & (one.agreement > 0.05)
    pair = [photo[both].astype(np.float64) for photo in (judge.target, one.photo)]
    if len(pair[0]) < 100:
        return False
    apart = [np.stack([photo[:, 0] - photo[:, 1], photo[:, 1] - photo[:, 2]]) for photo in pair]
    middle = [one - one.mean(1, keepdims=True) for one in apart]
    spread = [float((one**2).mean()) for one in middle]
    alike = float((middle[0] * middle[1]).mean()) / max(np.sqrt(spread[0] * spread[1]), 1e-6)
    return bool(spread[0] > COLOURFUL**2 and alike < STYLE)


def best_warps(judge: Scorer, ways: Sequence[LaidReference]) -> list[LaidReference]:
    """The best way of each reference: trusted by known pixels, and in the hole in agreement with other references.

    The best reference comes first. There known pixels say more: two references in the same other light agree, too.
    """
    missing, scores, ranks = judge.known == 0, [], []
    others = len({one.way.reference for one in ways}) > 1
    for one, seen in zip(ways, _seen(ways) if others else [one.trust for one in ways], strict=True):
        score = CARRIED * one.trust + (1 - CARRIED) * seen
        scores.append(float(score[missing].mean()) * PLAIN[one.way.kind])
        ranks.append(float(one.trust[missing].mean()) * (CARRIED + (1 - CARRIED) * float(seen[missing].mean())))
    chosen: dict[int, int] = {}
    for number in sorted(range(len(ways)), key=lambda number: -scores[number]):
        chosen.setdefault(ways[number].way.reference, number)
    return [ways[number] for number in sorted(chosen.values(), key=lambda number: -ranks[number])]


def _seen(ways: Sequence[LaidReference]) -> list[Weight]:
    """Per way (h, w) 0..1: how far some way of another reference shows the same."""
    seen, varies = [np.zeros_like(one.trust) for one in ways], [confidence.contrast(one.photo) for one in ways]
    for first, second in combinations(range(len(ways)), 2):
        if ways[first].way.reference == ways[second].way.reference:
            continue
        apart = difference(ways[first].photo, ways[second].photo)
        for one, other in ((first, second), (second, first)):
            same = confidence.likeness(apart, varies[one]) * ways[other].valid
            seen[one] = np.maximum(seen[one], same * (CARRIED + (1 - CARRIED) * ways[other].trust))
    return [np.asarray(one * way.valid, np.float32) for one, way in zip(seen, ways, strict=True)]


def shrink_reference(judge: Scorer, reference: Photo) -> Photo:
    """A reference at judging size."""
    size = max(1, round(reference.shape[1] * judge.scale)), max(1, round(reference.shape[0] * judge.scale))
    return np.asarray(cv2.resize(reference, size, interpolation=cv2.INTER_AREA), np.uint8)
