"""Which of several complete proposals for a hole is to be believed: what speaks for each, in one score.

The paper ranks by matches alone (§3.4), since its candidates all come from one model. Proposals differ in kind: a
collage of patches finds most matches of all, wherever they lie. So the score also asks whether a proposal shows what
each laid reference shows in that place; what the other proposals show, since families that know nothing of one another
err differently (the choice of least expected error, minimum Bayes risk, Kumar and Byrne 2004); whether the border of
the hole is seen; and whether such texture occurs in the scene, which haze and double edges do not (the coherence of
Simakov et al. 2008).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from realfill.arrays import Confidence, Field, Hole, Photo
from realfill.geometry.laid_reference import NEAR, support
from realfill.geometry.nearest_patches import Patches, PrincipalAxes, find_nearest
from realfill.geometry.proposals import Sources
from realfill.geometry.structure import WINDOW, scoring_size, shrink, structure_similarity
from realfill.imaging.crop import CropTransform
from realfill.imaging.holes import distance_from_hole
from realfill.matching import sift
from realfill.matching.rootsift import Keypoints, match_descriptors
from realfill.matching.selection import is_in_hole

CONSENSUS_WEIGHT, MATCHES_WEIGHT, SEAM_WEIGHT, NOVELTY_WEIGHT = 0.25, 0.14, 0.1, 0.2  # agreement: 1
MATCHED = 512  # longest side at which matches are counted
FLAT, BUSY = 2.0, 80.0  # grey levels of deviation: what a flat place has to say, and the most of one picture
LEAST_NEAR = 20  # pixels at SIDE beside the hole by which a laid reference is judged; with fewer all known ones
PATCH, STEPS = 7, (2, 3)  # pixels at SIDE of a patch, and between those of the scene and of a proposal
MOST_PATCHES = 60_000  # of the scene
DIMENSIONS = 24  # principal components of a patch that are compared
SMOOTH = 6.0  # pixels at SIDE over which it is asked whether two references show the same
View = tuple[Photo, Confidence]  # a reference over the target at SIDE, and the trust in each of its pixels
_PARTS = ("agreement", "consensus", "seam", "novelty")


@dataclass(frozen=True)
class ProposalScore:
    """What speaks for a proposal; `total` is what proposals are ordered by, the largest first."""

    matches: int  # with the references, landing in the hole (§3.4)
    agreement: float  # -1..1 with laid references where they are trusted; 0 where none is
    consensus: float  # -1..1: likeness in structure to the proposals of other families; 0 where there are none
    seam: float  # log of the step at the hole's border against steps next to it; 0: it is not seen
    novelty: float  # log of the grey levels by which its patches differ from the nearest ones of the scene; 0: hardly

    @property
    def total(self) -> float:
        """The weighted sum; the weights were fitted to scenes with truth (docs/geometry.md)."""
        return (
            self.agreement
            + CONSENSUS_WEIGHT * self.consensus
            + MATCHES_WEIGHT * math.log1p(self.matches)
            - SEAM_WEIGHT * max(self.seam, 0.0)
            - NOVELTY_WEIGHT * self.novelty
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """What `to_json` gave, also before all parts were there."""
        return cls(int(data["matches"]), *(float(data.get(name, 0.0)) for name in _PARTS))

    def to_json(self) -> dict[str, float]:
        """The values, rounded, and their total."""
        parts = {name: round(getattr(self, name), 4) for name in _PARTS}
        return {"matches": self.matches, **parts, "total": round(self.total, 4)}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a scene's proposals are compared with, at SIDE."""

    hole: Hole  # (h, w)
    views: tuple[View, ...]  # of all references that lie over the target
    patches: "PatchIndex"  # of all that the scene shows


def gather_evidence(sources: Sources) -> Evidence:
    """The laid references of a scene, how far each is trusted, and the scene's texture."""
    hole, target = shrink_hole(sources.hole), shrink(sources.target)
    references = [one.reference for one in sources.draft.warped] + [one.reference for one in sources.laid]
    views = [(shrink(one.photo), _shrink_field(one.confidence)) for one in sources.draft.warped]
    for one in sources.laid:
        view, valid = one.show(one.inner, small=True), _shrink_field(one.valid[one.inner].astype(np.float32)) == 1
        trust = _compare_where_it_varies(view, target, hole, valid) * support(one.inliers)
        views.append((view, np.where(valid, trust, 0).astype(np.float32)))
    whole = [shrink(one.photo) for one in sources.plain]
    shown = [(target, ~hole), *((photo, np.ones(photo.shape[:2], np.bool_)) for photo in whole)]
    shown += [(view, trust > 0) for view, trust in views]
    return Evidence(hole, tuple(_lower_trust(views, references)), PatchIndex.build(shown))


def _lower_trust(views: Sequence[View], references: Sequence[int]) -> list[View]:
    """The views with less trust where no view of another reference looks alike: there something has moved.

    What no other reference shows keeps its trust.
    """
    alike = [np.full(trust.shape, -1.0, np.float32) for _, trust in views]
    for one, other in combinations(range(len(views)), 2):
        if references[one] != references[other]:
            likeness = _smooth_likeness(views[one][0], views[other][0])
            for own, its in ((one, other), (other, one)):
                alike[own] = np.maximum(alike[own], np.where(views[its][1] > 0, likeness, -1.0))
    return [
        (photo, np.asarray(np.where(seen >= 0, trust * seen, trust), np.float32))
        for (photo, trust), seen in zip(views, alike, strict=True)
    ]


def _smooth_likeness(one: Photo, other: Photo) -> Field:
    """(h, w) 0..1: the likeness of two small pictures (h, w, 3) around each pixel, flat places aside."""
    weight = _deviation(one) + _deviation(other) + FLAT
    likeness = np.maximum(structure_similarity(one, other), 0) * weight
    total, share = (cv2.GaussianBlur(field, (0, 0), SMOOTH) for field in (likeness, weight))
    return np.asarray(total / np.maximum(share, 1e-6), np.float32)


def _compare_where_it_varies(view: Photo, target: Photo, hole: Hole, valid: Hole) -> float:
    """0..1: how far a small laid reference (h, w, 3) has the target's structure beside the hole, flat places aside.

    A wall is like every other wall: where a thing moved before it, it says nothing of where that thing is.
    """
    known = ~hole & valid
    near = known & (distance_from_hole(hole) < NEAR * max(hole.shape))
    there = near if near.sum() >= LEAST_NEAR else known
    if not there.any():
        return 0.0
    return max(0.0, _likeness_where_it_varies(view, target, there))


def _deviation(photo: Photo) -> Field:
    """(h, w): by how many grey levels a picture varies in a window round each pixel, BUSY at most."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    mean = cv2.blur(grey, (WINDOW, WINDOW))
    deviation = np.sqrt(np.maximum(cv2.blur(grey**2, (WINDOW, WINDOW)) - mean**2, 0))
    return np.asarray(np.minimum(deviation, BUSY), np.float32)


@dataclass(frozen=True, eq=False)
class PatchIndex:
    """The patches of a scene in their principal components."""

    axes: PrincipalAxes
    points: Patches  # (N, DIMENSIONS)

    @classmethod
    def build(cls, pictures: Sequence[tuple[Photo, Hole]]) -> Self:
        """All patches of pictures (h, w, 3) that lie in what each shows (h, w), or MOST_PATCHES of them."""
        patches = np.concatenate([_cut_patches(photo, shown, STEPS[0]) for photo, shown in pictures])
        if len(patches) > MOST_PATCHES:
            patches = patches[np.random.default_rng(0).choice(len(patches), MOST_PATCHES, replace=False)]
        axes = PrincipalAxes.fit(patches if len(patches) else np.zeros((1, PATCH * PATCH * 3), np.float32), DIMENSIONS)
        return cls(axes, axes.project(patches))

    def measure_novelty(self, photo: Photo, hole: Hole) -> float:
        """See `ProposalScore.novelty`, for a small picture (h, w, 3) and its hole (h, w); 0 where no patch fits in."""
        around = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3))) > 0
        points = self.axes.project(_cut_patches(photo, around, STEPS[1]))
        if not len(points) or not len(self.points):
            return 0.0
        apart = ((points - self.points[find_nearest(points, self.points)]) ** 2).sum(1)
        levels = np.sqrt(apart / (PATCH * PATCH * 3)).mean()
        return math.log(max(1.0, float(levels)))


def _cut_patches(photo: Photo, shown: Hole, step: int) -> Patches:
    """The patches (N, PATCH · PATCH · 3) of a picture (h, w, 3), `step` pixels apart, that lie in `shown` (h, w)."""
    if min(shown.shape) < PATCH:
        return np.zeros((0, PATCH * PATCH * 3), np.float32)
    windows = sliding_window_view(photo, (PATCH, PATCH, 3))[::step, ::step, 0]
    whole = cv2.erode(shown.astype(np.uint8), np.ones((PATCH, PATCH)), anchor=(0, 0), borderValue=0) > 0
    inside = whole[: shown.shape[0] - PATCH + 1 : step, : shown.shape[1] - PATCH + 1 : step]
    return np.asarray(windows[inside].reshape(-1, PATCH * PATCH * 3), np.float32)


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


def score_photo(evidence: Evidence, photo: Photo, matches: int, consensus: float = 0.0) -> ProposalScore:
    """The score of a picture (H, W, 3) in the draft's frame, given its matches and its consensus with others."""
    small, hole = shrink(photo), evidence.hole
    novelty = evidence.patches.measure_novelty(small, hole)
    return ProposalScore(matches, _agreement(evidence, small), consensus, _seam(small, hole), novelty)


def measure_consensus(photo: Photo, others: Mapping[str, Sequence[Photo]], hole: Hole) -> float:
    """How far a small picture (h, w, 3) looks like others in structure in the hole (h, w), -1..1; 0 without any.

    Args:
        others: by their family; each family counts once, since its members err alike.
    """
    means = [np.mean([_likeness_where_it_varies(photo, one, hole) for one in family]) for family in others.values()]
    return float(np.mean(means)) if means else 0.0


def _likeness_where_it_varies(one: Photo, other: Photo, where: Hole) -> float:
    """-1..1: the likeness of two small pictures (h, w, 3) in structure; flat places say little, being alike anyway."""
    weight = _deviation(one) + _deviation(other) + FLAT
    return float(np.average(structure_similarity(one, other)[where], weights=weight[where]))


def _agreement(evidence: Evidence, photo: Photo) -> float:
    """Mean over the hole of how far the laid references look alike in structure, each as far as it is trusted there.

    In each pixel Σ trust² · likeness / Σ trust: a reference that is not trusted says little, and a scene of which none
    is has little to say at all. Flat places say little, too.
    """
    if not evidence.views:
        return 0.0
    total = np.maximum(np.sum([trust for _, trust in evidence.views], axis=0), 1e-6)
    squares = [trust**2 * structure_similarity(view, photo) for view, trust in evidence.views]
    varies = [trust * _deviation(view) for view, trust in evidence.views]
    weight = np.sum(varies, axis=0) / total + _deviation(photo) + FLAT
    return float(np.average((np.sum(squares, axis=0) / total)[evidence.hole], weights=weight[evidence.hole]))


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


def shrink_hole(hole: Hole) -> Hole:
    """A hole (H, W) as large as `shrink` makes pictures; missing where any pixel of the footprint is."""
    return np.asarray(cv2.resize(hole.astype(np.float32), scoring_size(hole.shape), interpolation=cv2.INTER_AREA) > 0)


def _shrink_field(field: Field) -> Field:
    return np.asarray(cv2.resize(field, scoring_size(field.shape), interpolation=cv2.INTER_AREA), np.float32)
