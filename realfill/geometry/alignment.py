"""For each reference the ways in which it may lie over the target: its planes, and a bent sheet over them.

Where the planes of two references put what both show in one place of the hole, they are believed. Where they
contradict each other there is parallax, and the places come from `transfer` instead.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole
from realfill.geometry import homography, reconstruction
from realfill.geometry.correspondences import Pairs, Points, match_keypoints
from realfill.geometry.homography import Matrix, Plane, find_planes, is_sane
from realfill.geometry.mesh_warp import fit_mesh
from realfill.geometry.plane_sweep import Cameras
from realfill.geometry.reconstruction import TransferredPoints, transfer_points
from realfill.geometry.warping import WarpMap, homography_map
from realfill.imaging.holes import distance_from_hole
from realfill.matching.rootsift import Keypoints

AGREE = 0.008  # of the longer side, between two references' opinions on one point; with parallax it is 0.02-0.1
NEAR = 0.06  # of the longer side: matches so near to the hole speak for what is in it
CERTAIN = 0.85  # median weight of the points that two references put into the target, for their cameras to be used
OWN_PLANES = 3  # of one reference that are tried


@dataclass(frozen=True, eq=False)
class Warp:
    """One map of the frame into a reference."""

    reference: int
    kind: str  # "plane", "sheet", "transferred" or "depth"
    map: WarpMap
    support: Points  # (K, 2) of the frame: known points that the map explains
    placed: Points  # (L, 2) of the frame: points in the hole that the map explains, placed there by two references


@dataclass(frozen=True, eq=False)
class _Evidence:
    pairs: Pairs  # target's points and the reference's, those that agree with one epipolar geometry or a plane
    planes: list[Plane]


@dataclass(frozen=True, eq=False)
class _Placed:
    """Points that a reference shares with another one, placed in the hole by both."""

    company: int  # the other one
    pairs: Pairs
    weight: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """All that keypoints say about how the references lie."""

    ways: list[Warp]  # of all references; none for one that shares no plane with the target
    pairs: list[Pairs]  # a reference each: the target's known points and the reference's
    placed: list[Pairs]  # the same for points in the hole, which other references put there
    rigs: list[Cameras]  # cameras of the target and some references; no reference is in two of them


def align(target: Keypoints, references: Sequence[Keypoints], more: Sequence[Pairs], hole: Hole) -> Alignment:
    """Pairs, ways and cameras of all references.

    Args:
        target: keypoints in known pixels.
        more: a reference each: pairs that another matcher found, the target's point first; those in the hole (h, w)
            are left out.
    """
    pairs = [
        match_keypoints(target, reference).join(found[~is_inside(found.first, hole)])
        for reference, found in zip(references, more, strict=True)
    ]
    between = {
        (one, other): match_keypoints(references[one], references[other])
        for one, other in itertools.combinations(range(len(references)), 2)
    }
    evidence = [_evidence(found, hole) for found in pairs]
    moved = {}
    for (one, other), shared in between.items():
        found = transfer_points(shared, (pairs[one], pairs[other]), (target, references[one], references[other]))
        if found is not None:
            moved[one, other] = found
    extra = _placed(moved, hole, len(references))
    ways: list[Warp] = []
    for index, own in enumerate(evidence):
        told = [one for one in extra[index] if not _agree(between, evidence, index, one.company, hole)]
        ways += _ways_of(index, own, told, hole)
    useful = {way.reference for way in ways}
    placed = [functools.reduce(Pairs.join, [one.pairs for one in own], Pairs.from_points([], [])) for own in extra]
    return Alignment(ways, pairs, placed, _rigs(moved, between, {i: evidence[i].pairs for i in sorted(useful)}))


def _rigs(
    moved: Mapping[tuple[int, int], TransferredPoints],
    between: Mapping[tuple[int, int], Pairs],
    pairs: Mapping[int, Pairs],
) -> list[Cameras]:
    """A rig of the two references that share most with each other and the target, and of all that join them.

    None where the cameras are not well known: depths would tear the picture. The same goes for a lone reference,
    with which nothing in the hole can be compared.
    """
    if not moved:
        return []
    (one, other), best = max(moved.items(), key=lambda item: float(item[1].weight.sum()))
    if float(np.median(best.weight)) < CERTAIN:
        return []
    cameras = {one: best.space.first, other: best.space.second}
    for index in sorted(set(pairs) - {one, other}):
        camera = best.space.camera(_between(between, index, one), _between(between, index, other))
        if camera is not None:
            cameras[index] = camera
    rig = Cameras(best.space.target, cameras)
    return [rig.flattened({index: pairs.get(index, Pairs.from_points([], [])) for index in cameras})]


def _between(between: Mapping[tuple[int, int], Pairs], one: int, other: int) -> Pairs:
    return between[one, other] if one < other else between[other, one].swap()


def _evidence(pairs: Pairs, hole: Hole) -> _Evidence:
    found = find_planes(pairs)
    agree = reconstruction.epipolar(pairs)
    for plane in found:
        agree |= plane.inliers
    near = _near(pairs.first, hole)
    found.sort(key=lambda plane: -float(plane.inliers.sum() + 2 * (plane.inliers & near).sum()))
    return _Evidence(pairs[agree], found)


def _placed(moved: Mapping[tuple[int, int], TransferredPoints], hole: Hole, count: int) -> list[list[_Placed]]:
    """Per reference the points in the hole that its company puts there."""
    extra: list[list[_Placed]] = [[] for _ in range(count)]
    for (one, other), found in moved.items():
        inside = is_inside(found.target, hole)
        place, weight = found.target[inside], found.weight[inside]
        extra[one].append(_Placed(other, Pairs.from_points(place, found.first[inside]), weight))
        extra[other].append(_Placed(one, Pairs.from_points(place, found.second[inside]), weight))
    return extra


def _agree(
    between: Mapping[tuple[int, int], Pairs], evidence: Sequence[_Evidence], one: int, other: int, hole: Hole
) -> bool:
    """Whether two references' planes put most of what both show inside the hole in one place."""
    if not evidence[one].planes or not evidence[other].planes:
        return False
    shared = _between(between, one, other)
    first = homography.apply(homography.inverse(evidence[one].planes[0].matrix), shared.first)
    second = homography.apply(homography.inverse(evidence[other].planes[0].matrix), shared.second)
    apart = np.linalg.norm(first - second, axis=1)[is_inside(first, hole) | is_inside(second, hole)]
    return len(apart) >= 8 and float(np.median(apart)) < AGREE * max(hole.shape)


def _ways_of(index: int, evidence: _Evidence, extra: list[_Placed], hole: Hole) -> list[Warp]:
    height, width = hole.shape
    own, found = evidence.pairs, []
    for plane in evidence.planes[:OWN_PLANES]:
        found.append(make_warp(index, "plane", homography_map(plane.matrix, height, width), own, hole))
    if evidence.planes:
        weight = np.ones(len(own))
        bent = fit_mesh(evidence.planes[0].matrix, own.first, own.second, weight, shape=(height, width))
        found.append(make_warp(index, "sheet", bent, own, hole))
    if sum(len(one.pairs) for one in extra) < 8:
        return found
    weight = np.concatenate([np.ones(len(own)), *(one.weight for one in extra)])
    for one in extra:
        own = own.join(one.pairs)
    base = _base(own, hole)
    if base is not None:
        bent = fit_mesh(base, own.first, own.second, weight, shape=(height, width))
        found.append(make_warp(index, "transferred", bent, own, hole))
    return found


def _base(own: Pairs, hole: Hole) -> Matrix | None:
    """The plane that explains most of what is in the hole and next to it."""
    around = own[is_inside(own.first, hole) | _near(own.first, hole)]
    if len(around) < homography.LEAST:
        around = own
    matrix, inliers = cv2.findHomography(around.first, around.second, cv2.USAC_MAGSAC, 8.0, None, 5000, 0.9999)
    if matrix is None or not is_sane(np.asarray(matrix), around.first[inliers.ravel() > 0]):
        return None
    return np.asarray(matrix, np.float64)


def make_warp(index: int, kind: str, way: WarpMap, pairs: Pairs, hole: Hole) -> Warp:
    """A way with the pairs that it explains as its support."""
    at = way[tuple(_pixels(pairs.first, (way.shape[0], way.shape[1])).T[::-1])]
    explained = np.linalg.norm(at - pairs.second, axis=1) < homography.TOLERANCE
    placed = is_inside(pairs.first, hole)
    return Warp(index, kind, way, pairs.first[explained & ~placed], pairs.first[explained & placed])


def _pixels(xy: Points, shape: tuple[int, int]) -> npt.NDArray[np.intp]:
    whole: npt.NDArray[np.intp] = np.rint(np.nan_to_num(xy, nan=-1)).astype(np.intp)
    return whole.clip(0, np.array([shape[1] - 1, shape[0] - 1]))


def is_inside(xy: Points, hole: Hole) -> npt.NDArray[np.bool_]:
    """Which points (K, 2) lie in the hole (h, w)."""
    height, width = hole.shape
    inside = (xy > -0.5).all(1) & (xy < [width - 0.5, height - 0.5]).all(1)
    x, y = _pixels(xy, (height, width)).T
    return np.asarray(inside & hole[y, x])


def _near(xy: Points, hole: Hole) -> npt.NDArray[np.bool_]:
    x, y = _pixels(xy, hole.shape).T
    return np.asarray(distance_from_hole(hole)[y, x] < NEAR * max(hole.shape))
