"""What a reference cannot show because something nearer stands before it there.

Two pixels of the target may come to lie on one pixel of a reference. Only the nearer one is seen; at the other the
reference shows the wrong thing, a second copy of what stands in front. Cameras known up to a projective transform
do not say which is the nearer one: both orders fit. A rough guess of the focal length decides it, since only
a sign is asked for (Hartley and Zisserman, ch. 21: a reconstruction and its mirror image in depth).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Field, Hole, Indices, Matrix, Photo, Points, Vector, Weight
from realfill.geometry import confidence
from realfill.geometry.confidence import Scorer
from realfill.geometry.correspondences import Pairs
from realfill.geometry.plane_sweep import Cameras, depth_maps, depth_values

Floats = npt.NDArray[np.float64]  # of any shape

FAR = 1e6  # distances between the two cameras: what is farther is at infinity
FOCAL = 1.0  # of the longer side: between a phone's wide lens (0.7) and a short telephoto lens (1.4)
EPIPOLAR = 2.0  # pixels
LEAST = 30  # points from which the order is taken
CERTAIN = 0.3  # correlation below which the order is not known
APART = 3.0  # scoring pixels: two points of the target so far apart on one pixel of a reference are two layers
FINER = 2  # pixels of the field for one of the reference's, in each direction, so that the nearer layer has no holes


def relative_depth(cameras: Cameras, index: int, xy: Floats, mu: Floats) -> Floats:
    """For pixels xy (..., 2) of the target with μ (...): a measure that, on one pixel of a reference, orders by depth.

    Inverse depth in that reference up to a factor, which may be negative, and what is affine in its pixels.
    """
    target, reference = cameras.target, cameras.references[index]
    back, centre = np.linalg.pinv(target), np.linalg.svd(target)[2][-1]
    through = back + np.outer(centre, cameras.plane)
    pixels = np.concatenate([xy, np.ones((*xy.shape[:-1], 1))], -1)
    space = pixels @ through.T + mu[..., None] * centre
    with np.errstate(divide="ignore", invalid="ignore"):
        space = space / (space @ reference[2])[..., None]
    return np.asarray(space @ np.linalg.svd(reference)[2][-1])


@dataclass(frozen=True)
class DepthOrder:
    """Which of two depths is the nearer one: 1 the larger value, -1 the smaller one, 0 where it is not known."""

    reference: int  # of `relative_depth`, on one pixel of the reference
    target: int  # of μ, on one pixel of the target


def depth_order(cameras: Cameras, index: int, pairs: Pairs, shape: tuple[int, int]) -> DepthOrder:
    """The order of depths by known points of the target and a reference's, in a frame of `shape` (h, w)."""
    depths = _inverse_depths(pairs, shape)
    if depths is None:
        return DepthOrder(0, 0)
    chosen, near_target, near_reference = depths
    own = pairs[chosen]
    mu = depth_values(cameras.epipolar_maps()[index], own)
    near = relative_depth(cameras, index, own.first, mu)
    return DepthOrder(
        _correlation_sign(near, near_reference, own.second), _correlation_sign(mu, near_target, own.first)
    )


def _correlation_sign(one: Vector, other: Vector, xy: Points) -> int:
    """Whether two values rise together, once what is affine in pixels xy (K, 2) is taken from both."""
    affine = np.c_[xy, np.ones(len(xy))]
    low_high = [np.percentile(value, [5, 95]) for value in (one, other)]  # small errors make wild depths
    tamed = [np.clip(value, *limits) for value, limits in zip((one, other), low_high, strict=True)]
    rest = [value - affine @ np.linalg.lstsq(affine, value, rcond=None)[0] for value in tamed]
    scale = float(np.linalg.norm(rest[0]) * np.linalg.norm(rest[1]))
    alike = float(rest[0] @ rest[1]) / scale if scale > 0 else 0.0
    return int(np.sign(alike)) if abs(alike) > CERTAIN else 0


def _inverse_depths(pairs: Pairs, shape: tuple[int, int]) -> tuple[Indices, Vector, Vector] | None:
    """Which pairs fit one essential matrix, and their inverse depth in both pictures; None: too few."""
    if len(pairs) < LEAST:
        return None
    focal = FOCAL * max(shape)
    camera: Matrix = np.array([[focal, 0, shape[1] / 2], [0, focal, shape[0] / 2], [0, 0, 1.0]])
    essential, good = cv2.findEssentialMat(pairs.first, pairs.second, camera, cv2.USAC_MAGSAC, 0.9999, EPIPOLAR)
    if essential is None or essential.shape != (3, 3):
        return None
    _, turn, step, good, space = cv2.recoverPose(
        essential, pairs.first, pairs.second, camera, distanceThresh=FAR, mask=good
    )
    chosen = np.flatnonzero(good.ravel() > 0)
    if len(chosen) < LEAST:
        return None
    points = space[:3, chosen] / space[3:, chosen]
    here, there = points[2], (turn @ points + step)[2]
    return chosen, 1 / np.maximum(here, 1 / FAR), 1 / np.maximum(there, 1 / FAR)


def occluded_pixels(
    cameras: Cameras, index: int, mu: Field, sign: int, *, scale: float, shape: tuple[int, int]
) -> Hole:
    """(h, w): which pixels of the target a reference cannot show, since another one lies before them there.

    Args:
        mu: (h, w), at `scale` of the frame.
        sign: of `DepthOrder.reference`; with 0 nothing counts as hidden.
        shape: the reference's height and width at that scale.
    """
    height, width = mu.shape
    if not sign:
        return np.zeros(mu.shape, np.bool_)
    fine = cv2.resize(mu, (width * FINER, height * FINER), interpolation=cv2.INTER_NEAREST)
    warp_map = depth_maps(cameras, fine, scale * FINER)[index] / FINER
    y, x = (np.mgrid[: height * FINER, : width * FINER] + 0.5) / FINER - 0.5
    near = sign * relative_depth(cameras, index, (np.stack([x, y], 2) + 0.5) / scale - 0.5, fine.astype(np.float64))
    at = np.rint(np.nan_to_num(warp_map, nan=-1)).astype(np.intp)
    inside = ((at >= 0) & (at < [shape[1], shape[0]])).all(2) & np.isfinite(near)
    cell = at[inside][:, 1] * shape[1] + at[inside][:, 0]
    rising = np.argsort(near[inside], kind="stable")
    place = np.full((shape[0] * shape[1], 2), np.nan)
    place[cell[rising]] = np.stack([x[inside], y[inside]], 1)[rising]  # the last one written, the nearest, stays
    away = np.zeros(fine.shape, np.float64)
    away[inside] = np.linalg.norm(place[cell] - np.stack([x[inside], y[inside]], 1), axis=1)
    covered = (away > APART).astype(np.float32)
    layer = cv2.resize(covered, (width, height), interpolation=cv2.INTER_AREA) > 0.5
    return np.asarray(cv2.medianBlur(layer.astype(np.uint8), 5) > 0)  # without specks, which are errors of the depth


def resolve_occlusion(
    scorer: Scorer, one: tuple[Photo, Weight], other: tuple[Photo, Weight], mu: Field, sign: int
) -> Field:
    """A field of μ (h, w) by two references, with what only one of them sees put behind what both see.

    Where the two, as `mu` warps them, show different things in the hole, there was nothing to find a depth by. Mostly
    one of them does not see what is there, and then it is the background that goes on: of the nearest good values in
    eight directions the second farthest is taken (Hirschmüller 2008, 2.6).

    Args:
        one, other: the two references, warped (h, w, 3), and 1 in the pixels (h, w) that each can show.
        sign: of `DepthOrder.target`; with 0 the field stays as it is.
    """
    apart = cv2.blur(np.abs(one[0].astype(np.float32) - other[0]).mean(2), (5, 5))
    limit = confidence.FLOOR + confidence.SHARE * np.minimum(confidence.contrast(one[0]), confidence.contrast(other[0]))
    good = (scorer.known > 0) | ((apart < limit) & (one[1] > 0) & (other[1] > 0))
    around = np.sort(sign * _nearest_by_direction(np.where(good, mu, np.nan)), axis=0)  # nan comes last
    count = np.isfinite(around).sum(0)
    second = sign * np.where(count > 1, around[1], around[0])
    filled = np.where(good | (count == 0) | (sign == 0), mu, second).astype(np.float32)
    return np.asarray(cv2.medianBlur(filled, 5)) if sign else mu


def _nearest_by_direction(values: Field) -> Field:
    """(8, h, w): per pixel (h, w) the nearest value that is not nan, in each of eight directions."""
    turned = values.T
    nearest = [_carry_down(values, side) for side in (0, 1, -1)]
    nearest += [_carry_down(values[::-1], side)[::-1] for side in (0, 1, -1)]
    return np.stack([*nearest, _carry_down(turned, 0).T, _carry_down(turned[::-1], 0)[::-1].T])


def _carry_down(values: Field, side: int) -> Field:
    """Values (h, w) carried downwards over nan, `side` columns a row."""
    result, before = values.copy(), values[0]
    for row in range(1, len(values)):
        if side:
            before = np.roll(before, side)
            before[0 if side > 0 else -1] = np.nan
        before = np.where(np.isnan(values[row]), before, values[row])
        result[row] = before
    return result
