"""How far a warped reference can be trusted, from known pixels around the hole and from other references within it.

A reference is right where it predicts known pixels: its error there is small against the error of plain
inpainting, which is measured on pseudo-holes in the known area. What known pixels say is carried into the hole.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realfill.arrays import Confidence, Field, Hole, Photo, Points, Weight
from realfill.geometry.smoothing import spread_smoothly, window_mean
from realfill.geometry.structure import correlate

SIDE = 256  # longest side at which errors are measured: a shift of 2 of 1024 px is forgiven, one of 8 is not
BLOCK = 20  # side of a pseudo-hole there
FLOOR = 5.0  # grey levels of error that noise, sharpness and light make
SHARE = 0.45  # an error of so much of inpainting's, on top of the floor, halves the trust or so
STRUCTURE = (11, 11)  # scoring pixels of the window in which structure is compared
ALIKE = (0.3, 0.8)  # correlation from which structure counts, and at which it counts whole
SUPPORT = 20.0  # matches on which two thirds of the trust rest
AROUND = (41, 41)  # scoring pixels in which contrast and light are measured
LIGHT = 40.0  # grey levels that other light may make; merging evens out as much
SMOOTH = 6.0  # scoring pixels over which two references' likeness is averaged
OUTVOTED = 0.9  # of its trust is what a reference loses where two others agree on something else
REACH = 0.03  # of the longer side: what is known so near is followed closely


@dataclass(frozen=True, eq=False)
class Scorer:
    """The known pixels at scoring size and how well plain inpainting would have guessed them."""

    target: Photo  # (h, w, 3)
    known: Weight  # (h, w), 1 where every pixel of the footprint is known
    plain: Field  # (h, w), grey levels: inpainting's mean error around a known pixel
    size: tuple[int, int]  # of the frame: height, width

    @property
    def scale(self) -> float:
        """Scoring pixels for one of the frame's."""
        return float(self.target.shape[1] / self.size[1])


def make_scorer(target: Photo, hole: Hole) -> Scorer:
    """The scorer for a target (H, W, 3) in the frame and its hole (H, W)."""
    height, width = hole.shape
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(target, size, interpolation=cv2.INTER_AREA), np.uint8)
    missing = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    known = (~missing).astype(np.float32)
    return Scorer(small, known, _inpainting_error(small, missing), (height, width))


def _inpainting_error(target: Photo, missing: Hole) -> Field:
    """Error of Telea inpainting in pseudo-holes: every block of a chequered pattern, in four rounds."""
    height, width = missing.shape
    y, x = np.mgrid[:height, :width] // BLOCK
    total, count = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for round_ in range(4):
        block = ((y % 2) * 2 + x % 2 == round_) & ~missing
        guess = cv2.inpaint(target, (block | missing).astype(np.uint8), 3, cv2.INPAINT_TELEA)
        error = np.abs(guess.astype(np.float32) - target).mean(2)
        total[block], count[block] = error[block], 1
    return window_mean(total, count, 2 * BLOCK + 1)[0]


def known_agreement(scorer: Scorer, warped: Photo, valid: Weight) -> Weight:
    """(h, w) 0..1 at scoring size: how well a warped reference (h, w, 3) predicts the known pixels around each.

    0 where nothing is known or the reference, `valid` (h, w), shows nothing.
    """
    error = np.abs(warped.astype(np.float32) - scorer.target).mean(2)
    both = scorer.known * valid
    mean, share = window_mean(error, both, 9)
    limit = FLOOR + SHARE * scorer.plain
    return np.asarray(np.exp(-((mean / limit) ** 2)) * (share > 0.02) * both, np.float32)


def known_structure(scorer: Scorer, warped: Photo, valid: Weight) -> Weight:
    """(h, w) 0..1 at scoring size: how far a warped reference has the known pixels' structure, whatever its light.

    Normalised cross-correlation of grey levels in a window, which no gain and no offset changes; 0 where nothing is
    known, and where one of the two is flat.
    """
    both = scorer.known * valid
    one, other = (_grey(photo) for photo in (scorer.target, warped))
    share = cv2.blur(both, STRUCTURE, borderType=cv2.BORDER_CONSTANT)

    def mean(values: Field) -> Field:
        shown = cv2.blur(values * both, STRUCTURE, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(shown / np.maximum(share, 1e-6), np.float32)

    correlation = correlate(one, other, mean)
    low, high = ALIKE
    return np.asarray(np.clip((correlation - low) / (high - low), 0, 1) * (share > 0.1) * both, np.float32)


def carried_weight(scorer: Scorer, valid: Weight) -> Weight:
    """(h, w): how much known pixels say about the hole; those that inpainting fails on say most."""
    return np.asarray(scorer.known * valid * (scorer.plain + 0.5 * FLOOR), np.float32)


def spread_into_hole(scorer: Scorer, agreement: Weight, valid: Weight, support: Points) -> Confidence:
    """(h, w) 0..1 at scoring size: trust in a warped reference in every pixel that it shows.

    What known pixels say (`agreement`, of `known_agreement`) is carried into the hole, where pixels that inpainting
    fails on say most. Few known points `support` (K, 2) of the frame that the alignment explains are little trusted.
    """
    carried = spread_smoothly(agreement, carried_weight(scorer, valid), reach=REACH * max(scorer.known.shape))
    return np.asarray(carried * valid * support_trust(support), np.float32)


def support_trust(support: Points) -> float:
    """0..1: how far an alignment is trusted that explains so many known points (K, 2)."""
    return float(1 - np.exp(-len(support) / SUPPORT))


def hole_confidence(scorer: Scorer, trust: Confidence, valid: Weight, placed: Points) -> Confidence:
    """The trust (h, w) raised near points (K, 2) of the frame in the hole that two references put in one place."""
    near = 1 - np.exp(-point_density(scorer, placed, 0.05) / 2)
    return np.asarray(trust + near * np.maximum(0.85 - trust, 0) * valid, np.float32)


def point_density(scorer: Scorer, xy: Points, reach: float) -> Field:
    """(h, w) at scoring size: how many of the frame's points (K, 2) lie within about `reach` longer sides."""
    height, width = scorer.known.shape
    count = np.zeros((height, width), np.float32)
    at = np.rint((xy + 0.5) * scorer.scale - 0.5).astype(int).clip(0, [width - 1, height - 1])
    np.add.at(count, (at[:, 1], at[:, 0]), 1)
    sigma = reach * max(height, width)
    blurred = cv2.GaussianBlur(count, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred * np.float32(2 * np.pi * sigma**2), np.float32)


def contrast(photo: Photo) -> Field:
    """(h, w) grey levels: how much a warped reference (h, w, 3) varies around each pixel, for `similarity`."""
    difference = cv2.absdiff(photo, cv2.GaussianBlur(photo, (0, 0), 12))
    return np.asarray(cv2.blur(_grey(difference), AROUND), np.float32)


def similarity(one: Photo, other: Photo, varies: Field) -> Weight:
    """(h, w) 0..1: how far two warped references (h, w, 3) show the same around each pixel, given the `contrast`."""
    return likeness(cv2.blur(_grey(cv2.absdiff(one, other)), (9, 9)), varies)


def difference(one: Photo, other: Photo) -> Field:
    """(h, w) grey levels by which two warped references (h, w, 3) differ around each pixel, apart from their light.

    A smooth difference of up to LIGHT is other light, not another thing.
    """
    apart = one.astype(np.float32) - other
    light = np.clip(cv2.blur(apart, AROUND), -LIGHT, LIGHT)
    return np.asarray(cv2.blur(_grey(np.abs(apart - light)), (9, 9)), np.float32)


def likeness(difference: Field, varies: Field) -> Weight:
    """(h, w) 0..1 for a difference (h, w) in grey levels, where pictures have a `contrast` of `varies`."""
    return np.asarray(np.exp(-((difference / (FLOOR + SHARE * varies)) ** 2)), np.float32)


def _grey(photo: Photo | Field) -> Field:
    """The mean of the channels (h, w, 3) → (h, w)."""
    return np.asarray(cv2.transform(photo, np.full((1, 3), 1 / 3)), np.float32)


def joint_confidence(photos: Sequence[Photo], valid: Sequence[Weight], trust: Sequence[Confidence]) -> list[Confidence]:
    """Trusts of references that see each other: raised where another one shows the same, lowered where not.

    What only one shows, a passer-by or a twig, loses against two that agree without it.
    """
    same = _photo_likeness(photos)
    result = []
    for one, own in enumerate(trust):
        support, against, outvoted = (np.zeros_like(own) for _ in range(3))
        others = [number for number in range(len(trust)) if number != one]
        for other in others:
            alike = same[one, other]
            support = np.maximum(support, trust[other] * alike * valid[other])
            against = np.maximum(against, trust[other] * (1 - alike) * valid[other])
        for first, second in itertools.combinations(others, 2):
            together = np.minimum(trust[first] * valid[first], trust[second] * valid[second]) * same[first, second]
            outvoted = np.maximum(outvoted, together * (1 - same[one, first]) * (1 - same[one, second]))
        raised = 1 - (1 - own) * (1 - 0.6 * support)
        lowered = (1 - 0.6 * against * (1 - support)) * (1 - OUTVOTED * outvoted)
        result.append(np.asarray(raised * lowered * valid[one], np.float32))
    return result


def _photo_likeness(photos: Sequence[Photo]) -> dict[tuple[int, int], Weight]:
    """By pair of references (one, other): how far they show the same, by what `one` varies."""
    varies = [contrast(photo) for photo in photos]
    return {
        (one, other): np.asarray(
            cv2.GaussianBlur(similarity(photos[one], photos[other], varies[one]), (0, 0), SMOOTH), np.float32
        )
        for one, other in itertools.permutations(range(len(photos)), 2)
    }
