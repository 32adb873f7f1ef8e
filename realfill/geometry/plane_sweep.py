"""Depth for every pixel of the target, also in the hole, by what its neighbours and the references agree on.

With cameras known up to a projective transform, a pixel p of the target lies in a reference at P·(p⁺ + μ·c): p⁺ a
point on its ray, c the target's centre, μ a kind of inverse depth that is affine over every plane. All μ are tried
(plane sweep, Collins 1996): in known pixels the target and the references must look alike, in the hole the
references among themselves; semi-global matching (Hirschmüller 2008) makes neighbours go together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import CameraMatrix, CostVolume, Field, Homography, Photo, Points, Vector, WarpMap, Weight
from realfill.geometry.confidence import Scorer
from realfill.geometry.correspondences import Pairs
from realfill.geometry.smoothing import spread_smoothly
from realfill.geometry.threads import map_threads
from realfill.geometry.warping import warp_photo

LEVELS = 64
MARGIN = 0.25  # of the range of the points' μ, on both sides
EPIPOLAR = 2.5  # pixels that a pair may lie off its epipolar line
WORST = 40.0  # grey levels that a difference counts at most
UNSEEN = 15.0  # grey levels where nothing can be compared
STEP, JUMP = 2.0, 30.0  # grey levels for a neighbour one level away, and farther
ANCHOR = 25.0  # grey levels for passing a known point by

Rays = tuple[npt.NDArray[np.float64], Vector]  # (h, w, 3) and (3,): `_trace_rays`


@dataclass(frozen=True, eq=False)
class Cameras:
    """Cameras (3, 4) of the target and of references, into working pixels, in one projective space."""

    target: CameraMatrix
    references: Mapping[int, CameraMatrix]
    plane: Vector = field(default_factory=lambda: np.zeros(3))  # μ of the plane that counts as 0, per (x, y, 1)

    def epipolar_maps(self) -> Mapping[int, tuple[Homography, Vector]]:
        """Per reference (3, 3) and (3,): a pixel (x, y, 1) of the target lies at first · pixel + μ · second."""
        back, centre = np.linalg.pinv(self.target), np.linalg.svd(self.target)[2][-1]
        through = back + np.outer(centre, self.plane)
        return {index: (np.asarray(one @ through), np.asarray(one @ centre)) for index, one in self.references.items()}

    def flatten(self, pairs: Mapping[int, Pairs]) -> "Cameras":
        """The cameras with the plane that most points lie near to at μ = 0, so that μ varies little."""
        xy, mu = point_depths(self, pairs)
        if len(mu) < 8:
            return self
        pixels, weight, plane = np.c_[xy, np.ones(len(xy))], np.ones(len(xy)), np.zeros(3)
        for _ in range(10):
            plane = np.linalg.lstsq(pixels * weight[:, None], mu * weight, rcond=None)[0]
            error = np.abs(mu - pixels @ plane)
            weight = 1 / (1 + error / max(float(np.median(error)), 1e-12))
        return replace(self, plane=self.plane + plane)


def point_depths(cameras: Cameras, pairs: Mapping[int, Pairs]) -> tuple[Points, Vector]:
    """Points (K, 2) of the target and their μ (K,), by pairs of the target with references; misfits are left out."""
    points: list[Points] = []
    depths: list[Vector] = []
    for index, (first, second) in cameras.epipolar_maps().items():
        pair, mu = pairs[index], depth_values((first, second), pairs[index])
        at = np.c_[pair.first, np.ones(len(pair))] @ first.T + mu[:, None] * second
        with np.errstate(divide="ignore", invalid="ignore"):
            good = np.linalg.norm(at[:, :2] / at[:, 2:] - pair.second, axis=1) < EPIPOLAR
        points.append(pair.first[good])
        depths.append(mu[good])
    return np.concatenate(points), np.concatenate(depths)


def depth_values(epipolar_map: tuple[Homography, Vector], pair: Pairs) -> Vector:
    """The μ (K,) of pairs of the target with a reference, by its entry of `Cameras.epipolar_maps`."""
    first, second = epipolar_map
    at = np.c_[pair.first, np.ones(len(pair))] @ first.T
    # The pair's x times the third row is the first row, and so for y: two equations for μ.
    slope, right = second[:2] - pair.second * second[2], pair.second * at[:, 2:] - at[:, :2]
    return np.asarray((slope * right).sum(1) / np.maximum((slope**2).sum(1), 1e-12))


def depth_maps(cameras: Cameras, mu: Field, scale: float = 1.0) -> dict[int, WarpMap]:
    """Maps into the references for a field of μ (h, w), all pictures `scale` times as large as the cameras'."""
    shape = mu.shape[0], mu.shape[1]
    return {index: _map_at_depth(rays, mu, scale) for index, rays in _trace_rays(cameras, shape, scale).items()}


def _trace_rays(cameras: Cameras, shape: tuple[int, int], scale: float) -> dict[int, Rays]:
    """Per reference (h, w, 3) and (3,): where pixels (h, w) of the target lie at μ = 0, and how they move with μ."""
    y, x = (np.mgrid[: shape[0], : shape[1]] + 0.5) / scale - 0.5
    pixels = np.stack([x, y, np.ones_like(x)], 2)
    return {index: (np.asarray(pixels @ first.T), second) for index, (first, second) in cameras.epipolar_maps().items()}


def _map_at_depth(rays: Rays, mu: Field | float, scale: float) -> WarpMap:
    """The map (h, w, 2) by rays of a reference at μ, a number or one a pixel (h, w)."""
    (x, y, z), (right, down, ahead) = np.moveaxis(rays[0], 2, 0), rays[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = scale / (z + mu * ahead)
        return np.stack([(x + mu * right) * share, (y + mu * down) * share], 2, dtype=np.float32) + np.float32(
            0.5 * scale - 0.5
        )


def sweep_depth(
    cameras: Cameras, scorer: Scorer, photos: Mapping[int, Photo], xy: Points, mu: Vector, *, styled: bool = False
) -> Field | None:
    """μ in every pixel (h, w) at scoring size.

    Args:
        photos: the references at scoring size in the target's colours.
        xy: points (K, 2) of the frame whose `mu` (K,) is known.
        styled: compare structure alone, since one of the photos has colours that cannot be brought to the target's.

    Returns:
        None where too few points say between which μ to look.
    """
    if len(mu) < 20:
        return None
    low, high = (float(value) for value in np.percentile(mu, [1, 99]))
    space = max(high - low, 1e-9) * MARGIN
    levels = np.linspace(low - space, high + space, LEVELS)
    target = scorer.target
    if styled:
        target, photos = structure(target), {index: structure(photo) for index, photo in photos.items()}
    height, width = scorer.known.shape
    cost = np.empty((height, width, LEVELS), np.float32)
    rays = _trace_rays(cameras, (height, width), scorer.scale)

    def compare_at(number: int) -> None:
        maps = {index: _map_at_depth(rays[index], float(levels[number]), scorer.scale) for index in photos}
        cost[:, :, number] = _photo_cost(scorer.known, target, [warp_photo(photos[at], maps[at]) for at in photos])

    map_threads(compare_at, range(LEVELS))
    _anchor_points(cost, scorer, xy, np.interp(mu, levels, np.arange(LEVELS)))
    best = cv2.medianBlur(_best_level(_aggregate_cost(cost)), 5)
    depth = np.asarray(levels[0] + best * (levels[1] - levels[0]), np.float32)
    maps = depth_maps(cameras, depth, scorer.scale)
    compared = _compared_pixels(scorer, [warp_photo(photos[index], one)[1] for index, one in maps.items()])
    smooth = spread_smoothly(depth, compared, reach=2.0)  # what only one reference shows tears if left to chance
    return np.where(compared > 0, depth, smooth)


def _compared_pixels(scorer: Scorer, valid: Sequence[Weight]) -> Weight:
    """(h, w): 1 where a depth rests on two pictures, at least."""
    return np.asarray(sum(valid) + scorer.known >= 2, np.float32)


def structure(photo: Photo) -> Photo:
    """A photo (h, w, 3) without its colours and light: grey, against its surroundings and their contrast."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    apart = grey - cv2.GaussianBlur(grey, (0, 0), 4)
    spread = np.sqrt(cv2.GaussianBlur(apart**2, (0, 0), 8))
    return np.repeat(np.clip(128 + 30 * apart / (spread + 4), 0, 255).astype(np.uint8)[:, :, None], 3, 2)


def _photo_cost(known_pixels: Weight, target: Photo, warped: Sequence[tuple[Photo, Weight]]) -> Field:
    """(h, w) grey levels: how badly warped photos (h, w, 3) agree where they are valid (h, w).

    Half of the comparisons are left out as hidden.
    """
    apart = [(_difference(photo, target), valid) for photo, valid in warped]
    known = _better_half(apart, known_pixels.shape)
    among = [(_difference(one, other), a * b) for (one, a), (other, b) in combinations(warped, 2)]
    hole = _better_half(among, known_pixels.shape)
    return np.where(known_pixels > 0, known, hole)


def _difference(one: Photo, other: Photo) -> Field:
    apart = cv2.transform(cv2.absdiff(one, other), np.full((1, 3), 1 / 3)).astype(np.float32)
    return np.asarray(cv2.blur(np.minimum(apart, WORST), (3, 3)), np.float32)


def _better_half(apart: Sequence[tuple[Field, Weight]], shape: tuple[int, ...]) -> Field:
    """The mean of the lower half of the valid differences (h, w); UNSEEN where there is none."""
    if not apart:
        return np.full(shape, UNSEEN, np.float32)
    stack = np.sort(np.stack([np.where(valid > 0, one, np.inf) for one, valid in apart]), axis=0)
    count = np.maximum((np.isfinite(stack).sum(0) + 1) // 2, 1)
    chosen = np.where(np.arange(len(stack))[:, None, None] < count, stack, 0)
    mean = chosen.sum(0) / count
    return np.asarray(np.where(np.isfinite(mean), mean, UNSEEN), np.float32)


def _anchor_points(cost: CostVolume, scorer: Scorer, xy: Points, level: Vector) -> None:
    """Makes it dear to pass known points by."""
    height, width = cost.shape[:2]
    at = np.rint((xy + 0.5) * scorer.scale - 0.5).astype(int).clip(0, [width - 1, height - 1])
    away = np.minimum(np.abs(np.arange(LEVELS) - level[:, None]) / 2, 1).astype(np.float32)
    cost[at[:, 1], at[:, 0]] = ANCHOR * away


def _aggregate_cost(cost: CostVolume) -> CostVolume:
    """The sum over eight directions of the cheapest paths to each pixel and level (Hirschmüller 2008, eq. 13)."""
    turned = np.ascontiguousarray(cost.transpose(1, 0, 2))

    def scan(way: tuple[CostVolume, int, bool]) -> CostVolume:
        volume, side, upwards = way
        return _scan_down(volume[::-1], side)[::-1] if upwards else _scan_down(volume, side)

    total = np.zeros_like(cost)
    for side in (0, 1, -1):  # no more volumes at a time than are computed
        for one in map_threads(scan, [(cost, side, up) for up in (False, True)]):
            total += one
    for one in map_threads(scan, [(turned, 0, up) for up in (False, True)]):
        total += one.transpose(1, 0, 2)
    return total


def _scan_down(cost: CostVolume, side: int) -> CostVolume:
    """Cheapest paths (h, w, levels) that come from the row above, `side` columns away."""
    result = np.empty_like(cost)
    before = cost[0]
    result[0] = before
    for row in range(1, len(cost)):
        if side:
            before = np.roll(before, side, 0)
        least = before.min(1, keepdims=True)
        path = np.minimum(before, least + JUMP)
        np.minimum(path[:, 1:], before[:, :-1] + STEP, out=path[:, 1:])
        np.minimum(path[:, :-1], before[:, 1:] + STEP, out=path[:, :-1])
        before = cost[row] + path - least
        result[row] = before
    return result


def _best_level(total: CostVolume) -> Field:
    """The cheapest level (h, w), between levels by a parabola."""
    best = total.argmin(2).clip(1, LEVELS - 2)
    rows, columns = np.indices(best.shape)
    left, here, right = (total[rows, columns, best + step] for step in (-1, 0, 1))
    bend = np.maximum(left - 2 * here + right, 1e-3)
    return np.asarray(best + np.clip((left - right) / (2 * bend), -0.5, 0.5), np.float32)
