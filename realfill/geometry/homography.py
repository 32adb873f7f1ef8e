"""Rigid models between target and reference: homographies, one after another, by MAGSAC."""

from dataclasses import dataclass

import cv2
import numpy as np

from realfill.arrays import Flags, Homography, Points
from realfill.geometry.correspondences import Pairs

TOLERANCE = 3.0  # pixels between a point and where a model puts it
LOOSE = 8.0  # the same for a similarity, which is right only nearly
LEAST = 12  # inliers of a model; unrelated photos reach 8
PLANES = 4


@dataclass(frozen=True, eq=False)
class Plane:
    """A homography, target's working pixels → reference's, and which pairs (K,) it explains."""

    matrix: Homography
    inliers: Flags


def find_planes(pairs: Pairs, *, most: int = PLANES, least: int = LEAST) -> list[Plane]:
    """Up to `most` homographies that explain the pairs, the one with most inliers first (sequential MAGSAC)."""
    planes: list[Plane] = []
    left = np.ones(len(pairs), np.bool_)
    while len(planes) < most and left.sum() >= least:
        rest = pairs[left]
        matrix, chosen = cv2.findHomography(rest.first, rest.second, cv2.USAC_MAGSAC, TOLERANCE, None, 5000, 0.9999)
        if matrix is None or int(chosen.sum()) < least:
            break
        inliers = np.zeros(len(pairs), np.bool_)
        inliers[left] = chosen.ravel() > 0
        left &= ~inliers
        if is_sane(np.asarray(matrix), pairs.first[inliers]):
            planes.append(Plane(np.asarray(matrix, np.float64), inliers))
    return planes


def find_similarity(pairs: Pairs, *, least: int = LEAST) -> Homography | None:
    """The similarity (turn, scale, shift) that explains most pairs, as a homography; None: too few agree.

    What moved between two photos, an animal or a toy, has no plane, but often lies right by a similarity.
    """
    if len(pairs) < least:
        return None
    matrix, chosen = cv2.estimateAffinePartial2D(
        pairs.first, pairs.second, method=cv2.RANSAC, ransacReprojThreshold=LOOSE, maxIters=5000, confidence=0.9999
    )
    if matrix is None or int(chosen.sum()) < least:
        return None
    similarity = np.vstack([matrix, [0, 0, 1]]).astype(np.float64)
    return similarity if is_sane(similarity, pairs.first[chosen.ravel() > 0]) else None


def is_sane(matrix: Homography, xy: Points) -> bool:
    """Whether the homography keeps the points (K, 2) on one side of its horizon, upright and at 0.1-10 times size."""
    w = np.c_[xy, np.ones(len(xy))] @ matrix[2]
    if not (np.all(w > 0) or np.all(w < 0)):
        return False
    middle = xy.mean(0)
    step = np.array([[0, 0], [1, 0], [0, 1]]) + middle
    moved = transform_points(matrix, step)
    area = float(np.linalg.det(moved[1:] - moved[0]))
    return bool(0.01 < area < 100)


def invert(matrix: Homography) -> Homography:
    """The homography the other way round."""
    return np.asarray(np.linalg.inv(matrix), np.float64)


def transform_points(matrix: Homography, xy: Points) -> Points:
    """Points (K, 2) through a homography."""
    homogeneous = np.c_[xy, np.ones(len(xy))] @ matrix.T
    moved: Points = homogeneous[:, :2] / homogeneous[:, 2:]
    return moved
