"""For each reference the warps by which it may come into the frame: its planes, and a mesh warp over them.

Where the planes of two references put what both show in one place of the hole, they are believed. Where they
contradict each other there is parallax, and the places come from `transfer_points` instead.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realfill.arrays import Flags, Hole, Homography, Indices, Points, Vector, WarpMap
from realfill.geometry import homography
from realfill.geometry.correspondences import Pairs, match_keypoints
from realfill.geometry.homography import Plane, find_planes, find_similarity, invert, is_sane, transform_points
from realfill.geometry.mesh_warp import fit_mesh
from realfill.geometry.plane_sweep import Cameras
from realfill.geometry.reconstruction import TransferredPoints, epipolar_inliers, transfer_points
from realfill.geometry.threads import map_threads
from realfill.geometry.warping import homography_map
from realfill.imaging.holes import distance_from_hole
from realfill.matching.rootsift import Keypoints

AGREE = 0.008  # of the longer side, between two references' opinions on one point; with parallax it is 0.02-0.1
NEAR = 0.06  # of the longer side: matches so near to the hole speak for what is in it
CERTAIN = 0.85  # median weight of the points that two references put into the target, for their cameras to be used
LEARNED_LEAST = 30  # inliers where many pairs are a learned matcher's, which finds some in any two photos
OWN_PLANES = 3  # of one reference that are tried

ByPair = Mapping[tuple[int, int], Pairs]  # of two references, the lower index first


@dataclass(frozen=True, eq=False)
class Warp:
    """A candidate: one map of the frame into a reference."""

    reference: int
    kind: str  # a key of `warp_selection.PLAIN`
    map: WarpMap
    support: Points  # (K, 2) of the frame: known points that the map explains
    placed: Points  # (L, 2) of the frame: points in the hole that the map explains, placed there by two references


@dataclass(frozen=True, eq=False)
class _Evidence:
    pairs: Pairs  # target's points and the reference's, those that agree with one epipolar geometry or a plane
    planes: list[Plane]


@dataclass(frozen=True, eq=False)
class _PlacedPoints:
    """Points that a reference shares with another one, placed in the hole by both."""

    other: int  # the other one
    pairs: Pairs
    weight: Vector


@dataclass(frozen=True, eq=False)
class Alignment:
    """All that keypoints say about how the references lie."""

    warps: list[Warp]  # of all references; none for one that shares no plane with the target
    joined: list[Pairs]  # a reference each: the target's known points and the reference's, exact and learned ones
    pairs: list[Pairs]  # those of them that planes and depths are made of
    placed: list[Pairs]  # the same for points in the hole, which other references put there
    cameras: Cameras | None  # of the target and some references, where they are well known


def align_references(
    target: Keypoints, references: Sequence[Keypoints], exact: Sequence[Pairs], learned: Sequence[Pairs], hole: Hole
) -> Alignment:
    """Pairs, warps and cameras of all references.

    Args:
        target: keypoints in known pixels.
        exact: a reference each: its pairs by keypoints, the target's point first (`match_keypoints`).
        learned: pairs that a learned matcher found; those in the hole (h, w) are left out. They are coarser, so
            they make warps of their own, beside those of exact pairs, and stand in where exact ones make none.
    """
    joined = [one.join(more[~is_inside(more.first, hole)]) for one, more in zip(exact, learned, strict=True)]
    couples = list(itertools.combinations(range(len(references)), 2))
    matched = map_threads(lambda couple: match_keypoints(*(references[one] for one in couple)), couples)
    between = dict(zip(couples, matched, strict=True))
    by_exact = map_threads(lambda own: _collect_evidence(own, hole), exact)
    by_all = map_threads(
        lambda both, own: _collect_evidence(both, hole, least=LEARNED_LEAST) if len(both) > len(own) else None,
        joined,
        exact,
    )
    evidence = [own if own.planes or both is None else both for own, both in zip(by_exact, by_all, strict=True)]
    pairs = [joined[index] if own is by_all[index] else exact[index] for index, own in enumerate(evidence)]
    transferred = {}
    for (one, other), shared in between.items():
        points = transfer_points(shared, (pairs[one], pairs[other]), (target, references[one], references[other]))
        if points is not None:
            transferred[one, other] = points
    placed = _place_points(transferred, hole, len(references))

    def list_warps(index: int) -> list[Warp]:
        disputed = _disputed_points(between, evidence, index, placed[index], hole)
        own, more = _candidate_warps(index, evidence[index], disputed, hole), by_all[index]
        return own if more is None else own + _learned_warps(index, more, hole)

    warps = [*itertools.chain.from_iterable(map_threads(list_warps, range(len(references))))]
    useful = {index: evidence[index].pairs for index in sorted({warp.reference for warp in warps})}
    in_hole = [functools.reduce(Pairs.join, [one.pairs for one in own], Pairs.from_points([], [])) for own in placed]
    return Alignment(warps, joined, pairs, in_hole, _find_cameras(transferred, between, useful))


def _learned_warps(index: int, evidence: _Evidence, hole: Hole) -> list[Warp]:
    """The warps of a reference by pairs of which many are a learned matcher's: similarity, planes and mesh."""
    height, width = hole.shape
    own, warps = evidence.pairs, []
    similarity = find_similarity(own, least=LEARNED_LEAST)
    if similarity is not None:
        warps.append(make_warp(index, "similarity", homography_map(similarity, height, width), own, hole))
    for plane in evidence.planes[:OWN_PLANES]:
        warps.append(make_warp(index, "learned plane", homography_map(plane.matrix, height, width), own, hole))
    base = evidence.planes[0].matrix if evidence.planes else similarity
    if base is not None:
        bent = fit_mesh(base, own.first, own.second, np.ones(len(own)), shape=(height, width))
        warps.append(make_warp(index, "learned mesh", bent, own, hole))
    return warps


def _find_cameras(
    transferred: Mapping[tuple[int, int], TransferredPoints], between: ByPair, pairs: Mapping[int, Pairs]
) -> Cameras | None:
    """Cameras of the two references that share most with each other and the target, and of all that join them.

    None where the cameras are not well known: depths would tear the picture. The same goes for a lone reference,
    with which nothing in the hole can be compared.
    """
    if not transferred:
        return None
    (one, other), best = max(transferred.items(), key=lambda item: float(item[1].weight.sum()))
    if float(np.median(best.weight)) < CERTAIN:
        return None
    space = best.reconstruction
    references = {one: space.first, other: space.second}
    for index in sorted(set(pairs) - {one, other}):
        camera = space.resect(_shared_pairs(between, index, one), _shared_pairs(between, index, other))
        if camera is not None:
            references[index] = camera
    none = Pairs.from_points([], [])
    return Cameras(space.target, references).flatten({index: pairs.get(index, none) for index in references})


def _shared_pairs(between: ByPair, one: int, other: int) -> Pairs:
    return between[one, other] if one < other else between[other, one].swap()


def _collect_evidence(pairs: Pairs, hole: Hole, *, least: int = homography.LEAST) -> _Evidence:
    planes = find_planes(pairs, least=least)
    agree = epipolar_inliers(pairs)
    for plane in planes:
        agree |= plane.inliers
    near = _is_near(pairs.first, hole)
    planes.sort(key=lambda plane: -float(plane.inliers.sum() + 2 * (plane.inliers & near).sum()))
    return _Evidence(pairs[agree], planes)


def _place_points(
    transferred: Mapping[tuple[int, int], TransferredPoints], hole: Hole, count: int
) -> list[list[_PlacedPoints]]:
    """Per reference the points in the hole that it and each other one put there."""
    placed: list[list[_PlacedPoints]] = [[] for _ in range(count)]
    for (one, other), points in transferred.items():
        inside = is_inside(points.target, hole)
        place, weight = points.target[inside], points.weight[inside]
        placed[one].append(_PlacedPoints(other, Pairs.from_points(place, points.first[inside]), weight))
        placed[other].append(_PlacedPoints(one, Pairs.from_points(place, points.second[inside]), weight))
    return placed


def _disputed_points(
    between: ByPair, evidence: Sequence[_Evidence], index: int, placed: Sequence[_PlacedPoints], hole: Hole
) -> list[_PlacedPoints]:
    """Those of a reference's placed points that its planes do not put in the same place: there is parallax."""
    return [one for one in placed if not _planes_agree(between, evidence, index, one.other, hole)]


def _planes_agree(between: ByPair, evidence: Sequence[_Evidence], one: int, other: int, hole: Hole) -> bool:
    """Whether two references' planes put most of what both show inside the hole in one place."""
    if not evidence[one].planes or not evidence[other].planes:
        return False
    shared = _shared_pairs(between, one, other)
    first = transform_points(invert(evidence[one].planes[0].matrix), shared.first)
    second = transform_points(invert(evidence[other].planes[0].matrix), shared.second)
    apart = np.linalg.norm(first - second, axis=1)[is_inside(first, hole) | is_inside(second, hole)]
    return len(apart) >= 8 and float(np.median(apart)) < AGREE * max(hole.shape)


def _candidate_warps(index: int, evidence: _Evidence, placed: Sequence[_PlacedPoints], hole: Hole) -> list[Warp]:
    """The warps of a reference by its own pairs and by points in the hole that were placed there."""
    height, width = hole.shape
    own, warps = evidence.pairs, []
    for plane in evidence.planes[:OWN_PLANES]:
        warps.append(make_warp(index, "plane", homography_map(plane.matrix, height, width), own, hole))
    if evidence.planes:
        weight = np.ones(len(own))
        bent = fit_mesh(evidence.planes[0].matrix, own.first, own.second, weight, shape=(height, width))
        warps.append(make_warp(index, "mesh", bent, own, hole))
    if sum(len(one.pairs) for one in placed) < 8:
        return warps
    weight = np.concatenate([np.ones(len(own)), *(one.weight for one in placed)])
    for one in placed:
        own = own.join(one.pairs)
    base = _fit_base(own, hole)
    if base is not None:
        bent = fit_mesh(base, own.first, own.second, weight, shape=(height, width))
        warps.append(make_warp(index, "transferred", bent, own, hole))
    return warps


def _fit_base(own: Pairs, hole: Hole) -> Homography | None:
    """The plane that explains most of what is in the hole and next to it."""
    around = own[is_inside(own.first, hole) | _is_near(own.first, hole)]
    if len(around) < homography.LEAST:
        around = own
    matrix, inliers = cv2.findHomography(around.first, around.second, cv2.USAC_MAGSAC, 8.0, None, 5000, 0.9999)
    if matrix is None or not is_sane(np.asarray(matrix), around.first[inliers.ravel() > 0]):
        return None
    return np.asarray(matrix, np.float64)


def make_warp(index: int, kind: str, warp_map: WarpMap, pairs: Pairs, hole: Hole) -> Warp:
    """A warp with the pairs that its map explains as its support."""
    at = warp_map[tuple(_pixels(pairs.first, (warp_map.shape[0], warp_map.shape[1])).T[::-1])]
    explained = np.linalg.norm(at - pairs.second, axis=1) < homography.TOLERANCE
    placed = is_inside(pairs.first, hole)
    return Warp(index, kind, warp_map, pairs.first[explained & ~placed], pairs.first[explained & placed])


def _pixels(xy: Points, shape: tuple[int, int]) -> Indices:
    """The pixels (K, 2) that points lie in, those beyond the picture moved to its edge."""
    whole: Indices = np.rint(np.nan_to_num(xy, nan=-1)).astype(np.intp)
    return whole.clip(0, np.array([shape[1] - 1, shape[0] - 1]))


def is_inside(xy: Points, hole: Hole) -> Flags:
    """Which points (K, 2) lie in the hole (h, w)."""
    height, width = hole.shape
    inside = (xy > -0.5).all(1) & (xy < [width - 0.5, height - 0.5]).all(1)
    x, y = _pixels(xy, (height, width)).T
    return np.asarray(inside & hole[y, x])


def _is_near(xy: Points, hole: Hole) -> Flags:
    x, y = _pixels(xy, hole.shape).T
    return np.asarray(distance_from_hole(hole)[y, x] < NEAR * max(hole.shape))
