"""One warp a reference out of several candidates: planes, mesh warps, or depth pixel for pixel.

A warp is right at known pixels if it shows what the target shows, and in the hole if another reference, by one of
its own warps, shows the same there (photo-consistency).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import cv2
import numpy as np

from realfill.arrays import Field, Hole, Photo, WarpMap, Weight
from realfill.geometry import plane_sweep
from realfill.geometry.alignment import Alignment, Warp, make_warp
from realfill.geometry.colour_correction import ColourTransform, fit_colour, fit_regions
from realfill.geometry.colour_regions import RegionField, spread_by_region
from realfill.geometry.confidence import (
    REACH,
    Scorer,
    carried_weight,
    contrast,
    difference,
    known_agreement,
    known_structure,
    likeness,
    point_density,
    spread_into_hole,
    support_trust,
)
from realfill.geometry.draft import WarpedReference
from realfill.geometry.occlusion import DepthOrder, depth_order, occluded_pixels, resolve_occlusion
from realfill.geometry.plane_sweep import Cameras, depth_maps
from realfill.geometry.warping import scale_map, warp_photo

COLOURFUL = 5.0  # grey levels between channels by which a target has colours
STYLE = 0.5  # correlation of these differences with a reference's
STRUCTURE = 0.85  # of the trust that equal values give is given to equal structure in another light
CARRIED = 0.4  # what known pixels around say counts so much against what another reference says
# Of two warps that look equally good at scoring size the simpler one is the more exact.
PLAIN = {
    "plane": 1.0,
    "transferred": 0.95,
    "depth": 0.97,
    "mesh": 0.9,
    "learned plane": 0.93,
    "similarity": 0.88,
    "learned mesh": 0.88,
}


@dataclass(frozen=True, eq=False)
class AlignedReference(WarpedReference):
    """A reference in the frame and how it came there: each candidate at scoring size, then the best at the frame's."""

    warp: Warp
    colour: ColourTransform
    valid: Weight  # 1 where the reference has a pixel
    agreement: Weight  # with the known pixels around each
    plain: Photo  # by `colour` alone
    regions: RegionField | None = None  # what `photo` has more than `plain`, by region of colour
    trust: RegionField | None = None  # what known pixels say of each region
    light: float = 1.0  # share of the agreement that values alone give: less in another light


def warp_reference(scorer: Scorer, warp: Warp, photo: Photo) -> AlignedReference:
    """A reference (H, W, 3) by one warp at scoring size; colours are fitted twice, then where the first one agrees."""
    height, width = scorer.target.shape[:2]
    raw, valid = warp_photo(shrink_reference(scorer, photo), scale_map(warp.map, (height, width), scorer.scale))
    both = scorer.known * valid
    colour = fit_colour(raw, scorer.target, both * np.minimum(point_density(scorer, warp.support, 0.02), 3))
    agreement = known_agreement(scorer, colour.apply(raw), valid)
    colour = fit_colour(raw, scorer.target, agreement * (agreement > 0.3))
    warped = colour.apply(raw)
    by_value = known_agreement(scorer, warped, valid)
    agreement = _agreement(scorer, warped, valid)
    light = float(by_value.sum() / max(agreement.sum(), 1e-6))
    trust = spread_into_hole(scorer, agreement, valid, warp.support)
    return AlignedReference(warp.reference, warped, trust, warp, colour, valid, agreement, warped, light=light)


def _agreement(scorer: Scorer, warped: Photo, valid: Weight) -> Weight:
    """By values, or in another light by structure, which says less: something else may be built alike."""
    structure = STRUCTURE * known_structure(scorer, warped, valid)
    return np.asarray(np.maximum(known_agreement(scorer, warped, valid), structure), np.float32)


def correct_regions(scorer: Scorer, one: AlignedReference) -> AlignedReference:
    """A reference at scoring size with the colours, and the trust, of each of its colour regions by itself."""
    known = scorer.known * one.valid
    near = np.minimum(point_density(scorer, one.warp.support, 0.02), 3) / 3
    regions = fit_regions(
        one.plain, scorer.target, np.asarray(known * (one.agreement + 0.1 * near), np.float32), one.valid
    )
    if regions is None:
        return one
    photo = add_regions(one.plain, regions)
    agreement = _agreement(scorer, photo, one.valid)
    weight = carried_weight(scorer, one.valid)
    trust = spread_by_region(regions.regions, one.plain, agreement, weight, reach=REACH * max(known.shape))
    confidence = np.asarray(trust.look_up(one.plain) * one.valid * support_trust(one.warp.support), np.float32)
    return replace(one, photo=photo, confidence=confidence, agreement=agreement, regions=regions, trust=trust)


def add_regions(photo: Photo, regions: RegionField | None, members: Field | None = None) -> Photo:
    """A photo (h, w, 3) in the colours of its regions; `members` as for `RegionField.look_up`."""
    if regions is None:
        return photo
    return np.asarray(np.rint(np.clip(photo + regions.look_up(photo, members=members), 0, 255)), np.uint8)


def depth_warps(
    scorer: Scorer,
    alignment: Alignment,
    candidates: Sequence[AlignedReference],
    references: Mapping[int, Photo],
    hole: Hole,
) -> list[Warp]:
    """Warps by depth, pixel for pixel, of the references whose cameras are known.

    Args:
        candidates: by other warps; the best of them gives each reference's colours.
        references: at working size.
    """
    if alignment.cameras is None:
        return []
    photos, styled = {}, False
    for index in alignment.cameras.references:
        own = [one for one in candidates if one.reference == index]
        if own:
            best = max(own, key=lambda one: float(one.agreement.sum()))
            photos[index] = best.colour.apply(shrink_reference(scorer, references[index]))
            styled |= in_other_style(scorer, best)
    if len(photos) < 2:
        return []
    cameras = replace(alignment.cameras, references={index: alignment.cameras.references[index] for index in photos})
    known = {index: alignment.pairs[index].join(alignment.placed[index]) for index in photos}
    xy, mu = plane_sweep.point_depths(cameras, known)
    depth = plane_sweep.sweep_depth(cameras, scorer, photos, xy, mu, styled=styled)
    if depth is None:
        return []
    maps = _visible_maps(cameras, scorer, photos, depth, alignment, styled=styled)
    return [make_warp(index, "depth", warp_map, known[index], hole) for index, warp_map in maps.items()]


def _visible_maps(
    cameras: Cameras,
    scorer: Scorer,
    photos: Mapping[int, Photo],
    depth: Field,
    alignment: Alignment,
    *,
    styled: bool,
) -> dict[int, WarpMap]:
    """Maps of the frame by depth μ (h, w) at scoring size; nowhere where something else stands before it."""
    orders = {index: depth_order(cameras, index, alignment.pairs[index], scorer.size) for index in photos}
    occluded = _occluded_by_reference(cameras, scorer, photos, depth, orders)
    if len(photos) == 2:
        maps = depth_maps(cameras, depth, scorer.scale)
        looks = {index: plane_sweep.structure(photo) if styled else photo for index, photo in photos.items()}
        one, other = (
            (warp_photo(look, maps[index])[0], np.asarray(~occluded[index], np.float32))
            for index, look in looks.items()
        )
        signs = {order.target for order in orders.values()}
        depth = resolve_occlusion(scorer, one, other, depth, signs.pop() if len(signs) == 1 else 0)
        occluded = _occluded_by_reference(cameras, scorer, photos, depth, orders)
    height, width = scorer.size
    maps = depth_maps(cameras, np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR)))
    for index, warp_map in maps.items():
        hidden = cv2.resize(occluded[index].astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        warp_map[hidden > 0] = np.nan
    return maps


def _occluded_by_reference(
    cameras: Cameras,
    scorer: Scorer,
    photos: Mapping[int, Photo],
    depth: Field,
    orders: Mapping[int, DepthOrder],
) -> dict[int, Hole]:
    return {
        index: occluded_pixels(
            cameras, index, depth, orders[index].reference, scale=scorer.scale, shape=(photo.shape[0], photo.shape[1])
        )
        for index, photo in photos.items()
    }


def in_other_style(scorer: Scorer, one: AlignedReference) -> bool:
    """Whether a reference's colours say nothing about the target's, as in a black-and-white photo."""
    both = (scorer.known > 0) & (one.agreement > 0.05)
    pair = [photo[both].astype(np.float64) for photo in (scorer.target, one.photo)]
    if len(pair[0]) < 100:
        return False
    apart = [np.stack([photo[:, 0] - photo[:, 1], photo[:, 1] - photo[:, 2]]) for photo in pair]
    centred = [channels - channels.mean(1, keepdims=True) for channels in apart]
    spread = [float((channels**2).mean()) for channels in centred]
    alike = float((centred[0] * centred[1]).mean()) / max(np.sqrt(spread[0] * spread[1]), 1e-6)
    return bool(spread[0] > COLOURFUL**2 and alike < STYLE)


def best_warps(scorer: Scorer, candidates: Sequence[AlignedReference]) -> list[AlignedReference]:
    """The best warp of each reference: trusted by known pixels, and in the hole in agreement with other references.

    The best reference comes first. There known pixels say more: two references in the same other light agree, too.
    """
    missing, scores, ranks = scorer.known == 0, [], []
    for one, consistency in zip(candidates, _photo_consistency(candidates), strict=True):
        score = CARRIED * one.confidence + (1 - CARRIED) * consistency
        scores.append(float(score[missing].mean()) * PLAIN[one.warp.kind])
        mean = float(consistency[missing].mean())
        ranks.append(one.light * float(one.confidence[missing].mean()) * (CARRIED + (1 - CARRIED) * mean))
    chosen: dict[int, int] = {}
    for number in sorted(range(len(candidates)), key=lambda number: -scores[number]):
        chosen.setdefault(candidates[number].reference, number)
    return [candidates[number] for number in sorted(chosen.values(), key=lambda number: -ranks[number])]


def _photo_consistency(candidates: Sequence[AlignedReference]) -> list[Weight]:
    """Per candidate (h, w) 0..1: how far some warp of another reference shows the same; of a lone one its own trust."""
    if len({one.reference for one in candidates}) < 2:
        return [one.confidence for one in candidates]
    consistency = [np.zeros_like(one.confidence) for one in candidates]
    varies = [contrast(one.photo) for one in candidates]
    for first, second in combinations(range(len(candidates)), 2):
        if candidates[first].reference == candidates[second].reference:
            continue
        apart = difference(candidates[first].photo, candidates[second].photo)
        for one, other in ((first, second), (second, first)):
            same = likeness(apart, varies[one]) * candidates[other].valid
            trust = CARRIED + (1 - CARRIED) * candidates[other].confidence
            consistency[one] = np.maximum(consistency[one], same * trust)
    return [np.asarray(one * own.valid, np.float32) for one, own in zip(consistency, candidates, strict=True)]


def shrink_reference(scorer: Scorer, reference: Photo) -> Photo:
    """A reference at scoring size."""
    size = max(1, round(reference.shape[1] * scorer.scale)), max(1, round(reference.shape[0] * scorer.scale))
    return np.asarray(cv2.resize(reference, size, interpolation=cv2.INTER_AREA), np.uint8)
