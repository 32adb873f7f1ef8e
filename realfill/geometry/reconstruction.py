"""Where points that two references share would lie in the target, also inside the hole: projective geometry.

Two references fix their points in space up to a projective transform (Hartley and Zisserman, Multiple View
Geometry, 2nd ed., ch. 9-10). Those of the points that the target shows in known pixels fix its camera (ch. 7),
and the camera says where the others lie. Parallax is thereby solved where it cannot be seen.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realfill import seeds
from realfill.arrays import (
    CameraMatrix,
    Flags,
    FundamentalMatrix,
    Homography,
    Indices,
    Matrix,
    Points,
    SpacePoints,
    Vector,
)
from realfill.geometry.correspondences import Pairs
from realfill.geometry.homography import invert, transform_points
from realfill.matching.epipolar import fundamental_matrix
from realfill.matching.rootsift import Keypoints

ThreeKeypoints = tuple[Keypoints, Keypoints, Keypoints]

EPIPOLAR = 1.5  # pixels from the epipolar line
RESECTION = 3.0  # pixels between a known point and where the camera puts it
LEAST = 14  # points that must agree on the camera, which has 11 unknowns
DRAWS = 600  # of six points each
SEARCH = (12.0, 6.0, 4.0)  # pixels around where the camera expects a point, round after round
ALIKE = 0.8  # least cosine of two descriptors there
UNSURE = 16.0  # standard deviation in pixels beyond which a transferred point is dropped


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A projective space of two references: what they share, where it is, and three cameras into pixels."""

    shared: Pairs
    points: SpacePoints  # of `shared`
    first: CameraMatrix
    second: CameraMatrix
    target: CameraMatrix

    def resect(self, to_first: Pairs, to_second: Pairs) -> CameraMatrix | None:
        """The camera of one more picture, by its pairs with the two; None where they do not fix it."""
        rows, at = _locate_known(self.shared, to_first, to_second)
        camera = _resect(self.points[rows], at, None) if len(rows) >= LEAST else None
        return None if camera is None else camera.in_pixels()


@dataclass(frozen=True, eq=False)
class TransferredPoints:
    """K points of two references and where they lie in the target's frame, (K, 2) each, with weights (K,)."""

    target: Points
    first: Points
    second: Points
    weight: Vector  # 1: as good as a match, towards 0 with the uncertainty of the camera
    reconstruction: Reconstruction  # the cameras behind it


def epipolar_inliers(pairs: Pairs) -> Flags:
    """Which pairs (K,) agree with one epipolar geometry; none where there are too few."""
    fundamental = _estimate_fundamental(pairs)
    return np.zeros(len(pairs), np.bool_) if fundamental is None else fundamental[1]


def transfer_points(between: Pairs, pairs: tuple[Pairs, Pairs], keypoints: ThreeKeypoints) -> TransferredPoints | None:
    """Points of `between` two references in the target, by the target's pairs with the first and the second.

    The pairs of the target serve where their keypoint in a reference is one of `between`; once there is a camera,
    it says where to look for more.

    Args:
        keypoints: of the target, the first and the second reference, as numbered in the pairs.

    Returns:
        None where the target's camera cannot be found.
    """
    fundamental = _estimate_fundamental(between)
    if fundamental is None:
        return None
    matrix, good = fundamental
    shared = between[good]
    space, cameras = _triangulate(shared, matrix)
    known, at = _locate_known(shared, *pairs)
    camera = _resect(space[known], at, None) if len(known) >= LEAST else None
    similarity = None if camera is None else _descriptor_similarity(shared, keypoints)
    for radius in SEARCH:
        if camera is None or similarity is None:
            return None
        known, at = _search_near(camera.project(space)[0], keypoints[0], similarity, radius)
        camera = _resect(space[known], at, camera) if len(known) >= LEAST else None
    if camera is None:
        return None
    moved, spread = camera.project(space)
    sure = np.isfinite(moved).all(1) & (spread < UNSURE)
    weight = 1 / (1 + (spread[sure] / 2) ** 2)
    reconstruction = Reconstruction(shared, space, *cameras, camera.in_pixels())
    return TransferredPoints(moved[sure], shared.first[sure], shared.second[sure], weight, reconstruction)


def _descriptor_similarity(shared: Pairs, keypoints: ThreeKeypoints) -> npt.NDArray[np.float32]:
    """(K, T): cosine of each shared point's descriptor with each keypoint of the target, the better of the two."""
    target, first, second = keypoints
    similarity = first.descriptors[shared.first_index] @ target.descriptors.T
    other = second.descriptors[shared.second_index] @ target.descriptors.T
    return np.asarray(np.maximum(similarity, other, out=similarity), np.float32)


def _search_near(
    expected: Points, target: Keypoints, similarity: npt.NDArray[np.float32], radius: float
) -> tuple[Indices, Points]:
    """Which shared points (numbers) have a keypoint of the target that looks alike near where they are expected."""
    x, y = (expected[:, axis, None].astype(np.float32) - target.xy[None, :, axis] for axis in (0, 1))
    alike = np.where(x**2 + y**2 < radius**2, similarity, np.float32(-1))
    best = alike.argmax(1)
    rows = np.flatnonzero(
        (alike[np.arange(len(alike)), best] > ALIKE) & (alike.argmax(0)[best] == np.arange(len(best)))
    )
    return rows, target.xy[best[rows]].astype(np.float64)


def _estimate_fundamental(pairs: Pairs) -> tuple[FundamentalMatrix, Flags] | None:
    if len(pairs) < 12:
        return None
    fundamental = fundamental_matrix(pairs.first, pairs.second, EPIPOLAR, sure=0.9999, draws=10000)
    return None if fundamental is None or np.count_nonzero(fundamental[1]) < 12 else fundamental


def _normalisation(xy: Points) -> Homography:
    """Brings points to mean 0 and a mean square distance of 2 (Hartley 1997)."""
    middle = xy.mean(0)
    scale = np.sqrt(2 / max(((xy - middle) ** 2).sum(1).mean(), 1e-9))
    return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])


def _triangulate(pairs: Pairs, fundamental: FundamentalMatrix) -> tuple[SpacePoints, tuple[CameraMatrix, CameraMatrix]]:
    """Points in a projective space (K, 4), unit length, and both cameras into pixels (9.14).

    Args:
        fundamental: the pairs' matrix, in pixels.
    """
    one, other = _normalisation(pairs.first), _normalisation(pairs.second)
    matrix = np.linalg.inv(other).T @ fundamental @ np.linalg.inv(one)
    left, values, right = np.linalg.svd(matrix)
    epipole = left[:, 2]
    matrix = left[:, :2] @ np.diag(values[:2]) @ right[:2]
    cross = np.array([[0, -epipole[2], epipole[1]], [epipole[2], 0, -epipole[0]], [-epipole[1], epipole[0], 0]])
    second = np.c_[cross @ matrix / values[0], epipole]
    xy = (
        np.ascontiguousarray(transform_points(one, pairs.first).T),
        np.ascontiguousarray(transform_points(other, pairs.second).T),
    )
    space = np.asarray(cv2.triangulatePoints(np.eye(3, 4), second, *xy).T, np.float64)
    unit = space / np.linalg.norm(space, axis=1, keepdims=True)
    return unit, (invert(one) @ np.eye(3, 4), invert(other) @ second)


def _locate_known(shared: Pairs, first: Pairs, second: Pairs) -> tuple[Indices, Points]:
    """Which of the shared points (numbers) the target shows, and where; each once."""
    rows, places, seen = [], [], set()
    for own, pairs in ((shared.first_index, first), (shared.second_index, second)):
        row_of = {int(index): row for row, index in enumerate(own) if index >= 0}
        for index, xy in zip(pairs.second_index, pairs.first, strict=True):
            row = row_of.get(int(index))
            if row is not None and row not in seen:
                seen.add(row)
                rows.append(row)
                places.append(xy)
    return np.array(rows, np.intp), np.array(places, np.float64).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class _Camera:
    matrix: CameraMatrix  # into normalised pixels
    covariance: Matrix  # (12, 12) of its entries, in normalised pixels squared
    normalisation: Homography

    def in_pixels(self) -> CameraMatrix:
        """The camera (3, 4) into pixels."""
        return np.asarray(invert(self.normalisation) @ self.matrix)

    def project(self, space: SpacePoints) -> tuple[Points, Vector]:
        """Points (K, 2) in pixels and their standard deviation (K,) in pixels."""
        with np.errstate(divide="ignore", invalid="ignore"):
            xy, jacobian = _project(self.matrix, space)
            variance = np.einsum("kij,jl,kil->k", jacobian, self.covariance, jacobian)
            spread = np.sqrt(np.maximum(variance, 0)) / self.normalisation[0, 0]
            return transform_points(invert(self.normalisation), xy), np.nan_to_num(spread, nan=np.inf)


def _project(camera: CameraMatrix, space: SpacePoints) -> tuple[Points, Matrix]:
    """Projections (K, 2) and their derivative by the camera's entries (K, 2, 12)."""
    moved = space @ camera.T
    depth = moved[:, 2:]
    xy, slope = moved[:, :2] / depth, space / depth
    jacobian = np.zeros((len(space), 2, 12))
    jacobian[:, 0, 0:4] = jacobian[:, 1, 4:8] = slope
    jacobian[:, :, 8:] = -xy[:, :, None] * slope[:, None, :]
    return xy, jacobian


def _resect(space: SpacePoints, xy: Points, start: _Camera | None) -> _Camera | None:
    """The camera that sees points of space (K, 4) at xy (K, 2); None where they do not fix it."""
    try:
        return _fit_camera(space, xy, start)
    except np.linalg.LinAlgError:  # no point is anywhere near where any camera puts it, so none has a say
        return None


def _fit_camera(space: SpacePoints, xy: Points, start: _Camera | None) -> _Camera | None:
    """`_resect` from `start` or six-point samples by Gauss-Newton.

    Raises:
        numpy.linalg.LinAlgError: the points leave the equations without an answer.
    """
    normalisation = _normalisation(xy)
    places, tolerance = transform_points(normalisation, xy), RESECTION * normalisation[0, 0]
    if start is None:
        camera = _sample_camera(space, places, tolerance)
    else:
        camera = normalisation @ np.linalg.inv(start.normalisation) @ start.matrix
    weight = np.ones(len(xy))
    for _ in range(8):
        at, jacobian = _project(camera, space)
        error = np.linalg.norm(at - places, axis=1)
        weight = np.where(error < 4 * tolerance, 1 / (1 + (error / tolerance) ** 2), 0)
        flat = jacobian.reshape(-1, 12)
        square = flat.T @ (flat * np.repeat(weight, 2)[:, None])
        square += 1e-7 * np.trace(square) * np.eye(12)  # the scale of a camera is free
        change = np.linalg.solve(square, flat.T @ (np.repeat(weight, 2) * (places - at).ravel()))
        camera = camera + change.reshape(3, 4)
        camera = camera / np.linalg.norm(camera)
    at, jacobian = _project(camera, space)
    error = np.linalg.norm(at - places, axis=1)
    agree = error < tolerance
    if not np.isfinite(error).all() or agree.sum() < LEAST or agree.mean() < 0.5:
        return None
    noise = max(float((error[agree] ** 2).sum() / max(2 * agree.sum() - 11, 5)), (0.3 * normalisation[0, 0]) ** 2)
    flat = jacobian[agree].reshape(-1, 12)
    return _Camera(camera, noise * np.linalg.pinv(flat.T @ flat, rcond=1e-12, hermitian=True), normalisation)


def _sample_camera(space: SpacePoints, places: Points, tolerance: float) -> CameraMatrix:
    """The best of many cameras through six points each, by the direct linear transform (7.1)."""
    rng = seeds.rng(len(space))
    chosen = np.argsort(rng.random((DRAWS, len(space))), axis=1)[:, :6]
    points, at = space[chosen], places[chosen]
    rows = np.zeros((DRAWS, 12, 12))
    rows[:, 0::2, 0:4] = rows[:, 1::2, 4:8] = points
    rows[:, 0::2, 8:], rows[:, 1::2, 8:] = -at[:, :, :1] * points, -at[:, :, 1:] * points
    cameras = np.linalg.svd(rows)[2][:, -1].reshape(-1, 3, 4)
    moved = np.einsum("nij,kj->nki", cameras, space)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a wrong camera may put points anywhere
        error = np.linalg.norm(moved[:, :, :2] / moved[:, :, 2:] - places, axis=2)
        cost = np.minimum(np.nan_to_num(error, nan=np.inf) / tolerance, 1).sum(1)
    return np.asarray(cameras[int(cost.argmin())])
