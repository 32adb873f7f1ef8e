"""Which of several complete proposals for a hole is to be believed: what speaks for each, in one score.

The paper ranks by matches alone (§3.4), since its candidates all come from one model. Proposals differ in kind: a
collage of patches finds most matches of all, wherever they lie. So the score asks first what references show and what
the other proposals show as well: ways that know nothing of one another err differently, and what they agree on is
most likely so, the choice of least expected error (minimum Bayes risk, Kumar and Byrne 2004).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np

from realfill.arrays import Confidence, Field, Hole, Photo
from realfill.geometry.proposals import Sources, scoring_size, shrink, structure_similarity
from realfill.imaging.crop import CropTransform
from realfill.imaging.holes import distance_from_hole
from realfill.matching import sift
from realfill.matching.rootsift import Keypoints, match_descriptors
from realfill.matching.selection import is_in_hole

AGREEMENT_WEIGHT, MATCHES_WEIGHT, SEAM_WEIGHT, BLUR_WEIGHT, NOISE_WEIGHT = 0.3, 0.02, 0.15, 0.05, 0.02  # others: 1
MATCHED = 512  # longest side at which matches are counted
AROUND = 24  # pixels at SIDE around the hole whose sharpness is expected in it
_PARTS = ("agreement", "seam", "sharpness", "shown", "consensus")


@dataclass(frozen=True)
class ProposalScore:
    """What speaks for a proposal; `total` is what proposals are ordered by, the largest first."""

    matches: int  # with the references, landing in the hole (§3.4)
    agreement: float  # -1..1 with laid references where they are trusted; 0 where none is
    seam: float  # log of the step at the hole's border against steps next to it; 0: it is not seen
    sharpness: float  # log of the gradient energy in the hole against that around it
    shown: float = 0.0  # mean confidence in the hole: of two that look alike, the one that references show
    consensus: float = 0.0  # -1..1: likeness to the proposals made in other ways

    @property
    def total(self) -> float:
        """The weighted sum; the weights were fitted to scenes with truth (docs/geometry.md)."""
        blurred, noisy = min(self.sharpness, 0.0), max(self.sharpness, 0.0)
        return (
            self.consensus
            + self.shown
            + AGREEMENT_WEIGHT * self.agreement
            + MATCHES_WEIGHT * math.log1p(self.matches)
            - SEAM_WEIGHT * max(self.seam, 0.0)
            + BLUR_WEIGHT * blurred
            - NOISE_WEIGHT * noisy
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave, also before there was a consensus."""
        return cls(int(data["matches"]), *(float(data.get(name, 0.0)) for name in _PARTS))

    def to_json(self) -> dict[str, float]:
        """The values, rounded, and their total."""
        parts = {name: round(getattr(self, name), 4) for name in _PARTS}
        return {"matches": self.matches, **parts, "total": round(self.total, 4)}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a scene's proposals are compared with, at SIDE."""

    hole: Hole  # (h, w)
    near: Hole  # (h, w), known pixels around the hole
    views: tuple[tuple[Photo, Confidence], ...]  # references over the target and the trust in each of their pixels


def gather_evidence(sources: Sources) -> Evidence:
    """The laid references of a scene and how far each is trusted."""
    hole = shrink_hole(sources.hole)
    near = ~hole & (distance_from_hole(hole) <= AROUND)
    views = [(shrink(one.photo), _shrink_field(one.confidence)) for one in sources.draft.warped]
    for one in sources.laid:
        valid = _shrink_field(one.valid[one.inner].astype(np.float32))
        views.append((one.show(one.inner, small=True), np.where(valid == 1, one.trust, 0).astype(np.float32)))
    return Evidence(hole, near, tuple(views))


class MatchCounter:
    """Counts the matches of pictures with references that land in the hole, as the ranking does.

    By SIFT: it is on every machine, and the order is the same. The references are looked at once.
    """

    def __init__(self, references: Sequence[Photo]) -> None:
        self._matcher = sift.load(size=MATCHED)
        self._references = [self._extract(photo)[0] for photo in references]

    def count(self, photo: Photo, hole: Hole) -> int:
        """Matches of a picture (H, W, 3) in its hole (H, W) with all references."""
        keypoints, crop = self._extract(photo)
        inside = is_in_hole(crop.to_photo(keypoints.xy), hole)
        own, others = keypoints[inside], keypoints[~inside]
        return sum(self._count_matches(own, others, reference) for reference in self._references)

    @staticmethod
    def _count_matches(own: Keypoints, others: Keypoints, reference: Keypoints) -> int:
        """Mutual matches of keypoints in the hole; what a keypoint elsewhere is nearer to is its own match."""
        matches = match_descriptors(own, reference, ratio=sift.RATIO, mutual="all")
        theirs = reference.descriptors[matches.second]
        near = (own.descriptors[matches.first] * theirs).sum(1)
        nearer = (theirs @ others.descriptors.T).max(1, initial=-1.0)
        return int((near >= nearer).sum())

    def _extract(self, photo: Photo) -> tuple[Keypoints, CropTransform]:
        crop = self._matcher.working_crop(photo)
        return self._matcher.extract(crop.crop_photo(photo)), crop


def score_photo(evidence: Evidence, photo: Photo, matches: int, shown: float = 0.0) -> ProposalScore:
    """The score of a picture (H, W, 3) in the draft's frame, given its matches and mean confidence in the hole."""
    small, hole = shrink(photo), evidence.hole
    return ProposalScore(
        matches, _agreement(evidence, small), _seam(small, hole), _sharpness(small, hole, evidence.near), shown
    )


def measure_consensus(photo: Photo, others: Sequence[Photo], hole: Hole) -> float:
    """How far a small picture (h, w, 3) looks like others in structure in the hole (h, w), -1..1; 0 without any."""
    likeness = [structure_similarity(photo, other)[hole].mean() for other in others]
    return float(np.mean(likeness)) if likeness else 0.0


def _agreement(evidence: Evidence, photo: Photo) -> float:
    """Mean over the hole of how far the laid references look alike in structure, each as far as it is trusted there.

    In each pixel Σ trust² · likeness / Σ trust: a reference that is not trusted says little, and a scene of which none
    is has little to say at all.
    """
    if not evidence.views:
        return 0.0
    squares = [trust**2 * structure_similarity(view, photo) for view, trust in evidence.views]
    total = np.sum([trust for _, trust in evidence.views], axis=0)
    return float((np.sum(squares, axis=0) / np.maximum(total, 1e-6))[evidence.hole].mean())


def _seam(photo: Photo, hole: Hole) -> float:
    """How much more neighbours differ across the hole's border than near it."""
    near = cv2.dilate(hole.astype(np.uint8), np.ones((9, 9))) > 0
    across, beside = [], []
    values = photo.astype(np.float32)
    for shift in (np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1]):
        step = np.abs(values[shift[0]] - values[shift[1]]).mean(2)
        one, other = hole[shift[0]], hole[shift[1]]
        across.append(step[one != other])
        beside.append(step[~one & ~other & near[shift[0]]])
    parts = [np.concatenate(part) for part in (across, beside)]
    if not all(part.size for part in parts):
        return 0.0
    return float(np.log((parts[0].mean() + 1) / (parts[1].mean() + 1)))


def _sharpness(photo: Photo, hole: Hole, near: Hole) -> float:
    inside = cv2.erode(hole.astype(np.uint8), np.ones((3, 3))) > 0
    if not inside.any() or not near.any():
        return 0.0
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    energy = cv2.Sobel(grey, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(grey, cv2.CV_32F, 0, 1) ** 2
    return float(np.log((energy[inside].mean() + 1) / (energy[near].mean() + 1)))


def shrink_hole(hole: Hole) -> Hole:
    """A hole (H, W) as large as `shrink` makes pictures; missing where any pixel of the footprint is."""
    return np.asarray(cv2.resize(hole.astype(np.float32), scoring_size(hole.shape), interpolation=cv2.INTER_AREA) > 0)


def _shrink_field(field: Field) -> Field:
    return np.asarray(cv2.resize(field, scoring_size(field.shape), interpolation=cv2.INTER_AREA), np.float32)
