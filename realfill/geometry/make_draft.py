"""The instant draft: the hole filled from the references by geometry alone, with a map of how far to trust it.

The paper leaves the references' geometry unused; here points that match between known pixels of the target and
each reference give warps from one to the other, the references are warped over the hole, brought to the target's
colours, cut along seams and blended. Known pixels around the hole say how well that works.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from realfill.arrays import Colours, Confidence, Hole, Labels, Photo, Weight
from realfill.geometry.alignment import Alignment, Warp, align_references
from realfill.geometry.blending import blend, choose_sources, match_border, remove_islands
from realfill.geometry.colour_correction import match_greyness
from realfill.geometry.confidence import Scorer, hole_confidence, joint_confidence, make_scorer
from realfill.geometry.correspondences import Pairs, draft_keypoints, match_keypoints
from realfill.geometry.detail import is_worthwhile, render_detail
from realfill.geometry.draft import Draft, Fine, WarpedReference
from realfill.geometry.flow_refinement import refine_warp
from realfill.geometry.overlays import Overlay, locate_overlay
from realfill.geometry.reconstruction import epipolar_inliers
from realfill.geometry.threads import map_threads
from realfill.geometry.warp_selection import (
    AlignedReference,
    add_regions,
    best_warps,
    correct_regions,
    depth_warps,
    warp_reference,
)
from realfill.geometry.warping import warp_photo
from realfill.imaging.crop import CropTransform, crop_longest, crop_window
from realfill.imaging.fill import nearest_known
from realfill.imaging.holes import bounding_box
from realfill.matching.matcher import Matcher, Matches
from realfill.matching.registry import DRAFT_MATCHER, load_draft_matcher
from realfill.matching.rootsift import Keypoints
from realfill.scene.scene import Scene
from realfill.sentences import Sentence

PLENTY = 200  # SIFT pairs of one epipolar geometry, from which no learned ones are needed
SHARPER = 2.0  # times the trust at scoring size: so much may a region's own differ at its edge
CONTEXT = 4.0  # times the hole's longer side: how much of a large target is looked at
ROOM = 1.0  # references are looked at so much larger than the target: they may show the hole from farther away
SEED = 0.45  # a reference must have this trust somewhere in the hole
LEAST = 0.12  # where it has, it is preferred to plain inpainting down to this
ISLAND = 0.01  # of the hole: smaller patches of references are left to inpainting
PLAIN = 512  # longest side at which the rest is inpainted
NO_GEOMETRY = Sentence(
    "No reference lies over the target in one consistent way, so the draft only continues what is around the hole."
)


def make_draft(scene: Scene, matcher: Matcher, *, size: int = 1024) -> Draft:
    """The draft of a scene, in a frame whose longest side has `size` pixels at most.

    The frame is the whole target, or of a target much larger than its hole a window around that. Reads known pixels
    of the target and the references only. Never raises for want of geometry.
    """
    began, scene = time.monotonic(), match_greyness(scene)
    frame = crop_window(scene.hole, longest=size, context=CONTEXT)
    hole = frame.crop_hole(scene.hole)
    target = nearest_known(frame.crop_photo(scene.target), hole)
    fits = [crop_longest(*photo.shape[:2], longest=round(size * ROOM)) for photo in scene.references]
    photos = map_threads(CropTransform.crop_photo, fits, scene.references)

    overlay = locate_overlay(scene, frame, photos, size=size)
    own, keypoints = _detect_keypoints(target, hole, photos, overlay)
    exact = map_threads(partial(match_keypoints, own), keypoints)
    if overlay and not any(overlay.has_moved(pairs, photo) for pairs, photo in zip(exact, photos, strict=True)):
        overlay = Overlay.nowhere(overlay.whole, frame)  # the camera stood still, and what is equal is the place
        own, keypoints = _detect_keypoints(target, hole, photos, overlay)
        exact = map_threads(partial(match_keypoints, own), keypoints)
    learned = _learned_pairs(matcher, target, photos, exact)
    exact, learned = ([*map(overlay.drop, pairs, photos)] for pairs in (exact, learned))
    alignment = align_references(own, keypoints, exact, learned, hole)
    scorer = make_scorer(target, hole | overlay.in_frame)
    chosen = _choose_warps(scorer, alignment, photos, hole, overlay)
    aligned = [
        one
        for one in _align_at_frame_size(scorer, chosen, photos, target, hole)
        if (one.confidence[hole] >= LEAST).any()  # learned pairs may agree by chance
    ]
    photo, confidence, label = _blend_references(aligned, target, hole)

    fine = None
    if is_worthwhile(frame, fits, aligned, label):
        box = bounding_box(scene.hole)
        fine = Fine(box[0], box[1], render_detail(photo, frame, scene.references, fits, aligned, label, box))
    warped = tuple(WarpedReference(one.reference, one.photo, one.confidence) for one in aligned)
    matches = tuple(
        Pairs(pairs.first, fit.to_photo(pairs.second), pairs.first_index, pairs.second_index)
        for pairs, fit in zip(alignment.joined, fits, strict=True)
    )
    reason = "" if (confidence[hole] > 0).any() else NO_GEOMETRY
    return Draft(frame, photo, confidence, warped, reason, time.monotonic() - began, fine, matches=matches)


def _detect_keypoints(
    target: Photo, hole: Hole, photos: Sequence[Photo], overlay: Overlay
) -> tuple[Keypoints, list[Keypoints]]:
    """Keypoints of the target's known pixels, and of each reference, none of them on an overlay."""
    hidden = [hole | overlay.in_frame, *map(overlay.in_photo, photos)]
    own, *references = map_threads(draft_keypoints, [target, *photos], hidden)
    return own, references


def _learned_pairs(matcher: Matcher, target: Photo, photos: Sequence[Photo], exact: Sequence[Pairs]) -> list[Pairs]:
    """What learned matchers find besides SIFT, in working pixels: the draft's own, and the run's where it is another.

    The draft's own is asked where SIFT has fewer than PLENTY pairs that agree: where it has more, its pairs say all
    that there is to say, and more exactly.
    """
    found = [Pairs.from_points([], []) for _ in photos]
    if matcher.name not in ("sift", DRAFT_MATCHER):
        found = [_to_pairs(matches) for matches in matcher.match(photos, [target])[0]]
    asked = [index for index, pairs in enumerate(exact) if epipolar_inliers(pairs).sum() < PLENTY]
    own = load_draft_matcher() if asked else None  # its libraries take seconds to load
    if own is not None:  # at the photos' working size: what is small already is not enlarged
        references = [own.extract(photos[index]) for index in asked]
        for index, matches in zip(asked, own.pair(references, own.extract(target)), strict=True):
            found[index] = found[index].join(_to_pairs(matches))
    return found


def _to_pairs(matches: Matches) -> Pairs:
    return Pairs.from_points(matches.target_xy, matches.reference_xy)


def _choose_warps(
    scorer: Scorer, alignment: Alignment, photos: Sequence[Photo], hole: Hole, overlay: Overlay
) -> list[AlignedReference]:
    """The best warp of each reference at scoring size, the best reference first; none leads under an overlay."""

    def warp_references(warps: Sequence[Warp]) -> list[AlignedReference]:
        def warp_one(one: Warp) -> AlignedReference:
            photo = photos[one.reference]
            return warp_reference(scorer, replace(one, map=overlay.hide(one.map, photo)), photo)

        return map_threads(warp_one, warps)

    candidates = warp_references(alignment.warps)
    deep = depth_warps(scorer, alignment, candidates, dict(enumerate(photos)), hole)
    return best_warps(scorer, candidates + warp_references(deep))


def _align_at_frame_size(
    scorer: Scorer, chosen: Sequence[AlignedReference], photos: Sequence[Photo], target: Photo, hole: Hole
) -> list[AlignedReference]:
    """The references at the frame's size, best first, each refined by known pixels and by those before it."""
    chosen = map_threads(partial(correct_regions, scorer), chosen)
    alone = [hole_confidence(scorer, one.confidence, one.valid, one.warp.placed) for one in chosen]
    trusts = joint_confidence([one.photo for one in chosen], [one.valid for one in chosen], alone)
    shown, rest, aligned = target.copy(), hole.copy(), []
    for one, trust in zip(chosen, trusts, strict=True):
        reference = photos[one.reference]
        warp = refine_warp(one.warp, one.colour.apply, reference, shown, rest)
        raw, valid = warp_photo(reference, warp.map)
        plain = one.colour.apply(raw)
        members = None if one.regions is None else one.regions.regions.memberships(plain)
        photo = add_regions(plain, one.regions, members)
        agreement, confidence = (_enlarge(field, hole.shape) * valid for field in (one.agreement, trust))
        if one.trust is not None:  # along the edges of regions at the frame's size
            sharper = one.trust.look_up(plain, members=members) / np.maximum(
                _enlarge(one.trust.look_up(one.plain), hole.shape), 0.05
            )
            confidence = np.asarray(np.clip(confidence * np.minimum(sharper, SHARPER), 0, 1), np.float32)
        aligned.append(AlignedReference(one.reference, photo, confidence, warp, one.colour, valid, agreement, plain))
        new = rest & (confidence >= LEAST)
        shown[new], rest[new] = photo[new], False
    return aligned


def _enlarge(field: Weight, shape: tuple[int, ...]) -> Weight:
    return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _blend_references(
    aligned: Sequence[AlignedReference], target: Photo, hole: Hole
) -> tuple[Photo, Confidence, Labels]:
    """The filled target, its confidence and the number of the reference in each pixel of the hole."""
    pictures = [match_border(one.photo, one.valid, target, hole, one.agreement) for one in aligned]
    trust = [one.confidence for one in aligned]
    label = choose_sources(pictures, trust, hole, LEAST)
    label = remove_islands(label, hole, trust, seed=SEED, least=ISLAND)
    confidence, shown = np.ones(hole.shape, np.float32), target.copy()
    confidence[hole] = 0
    for number, picture in enumerate(pictures):
        here = hole & (label == number)
        shown[here], confidence[here] = np.clip(picture[here], 0, 255), trust[number][here]
    plain: Colours = inpaint(shown, hole & (label < 0)).astype(np.float32)
    label[label < 0] = len(pictures)
    everywhere = np.ones(hole.shape, np.float32)
    return blend([*pictures, plain], [*trust, everywhere], label, hole, target), confidence, label


def inpaint(photo: Photo, missing: Hole) -> Photo:
    """The photo (h, w, 3) with its missing pixels by Telea's inpainting, at a small size: they are smooth anyway."""
    if not missing.any():
        return photo
    height, width = missing.shape
    scale = min(1.0, PLAIN / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    hole = cv2.resize(missing.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    small = cv2.inpaint(small, hole.astype(np.uint8), 5, cv2.INPAINT_TELEA)
    filled = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.where(missing[:, :, None], filled, photo), np.uint8)
