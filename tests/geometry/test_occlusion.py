"""What stands in front hides what is behind it, whichever way a projective space happens to be turned."""

import numpy as np
import pytest

from realfill.arrays import Field, Points, Vector
from realfill.geometry.confidence import make_scorer
from realfill.geometry.correspondences import Pairs
from realfill.geometry.occlusion import DepthOrder, depth_order, occluded_pixels, relative_depth, resolve_occlusion
from realfill.geometry.plane_sweep import Cameras, depth_values
from tests.geometry.test_reconstruction import CAMERAS, seen
from tests.geometry.worlds import box, painted

SIDE = {"height": 192, "width": 256}


def space(count: int = 120) -> Points:
    return np.random.default_rng(1).uniform([-1.5, -1, 4], [1.5, 1, 9], (count, 3))


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("reference", [1, 2])
def test_the_nearer_point_is_known_in_any_space(reference: int, mirror: float) -> None:
    bent = (np.random.default_rng(4).normal(0, 0.2, (4, 4)) + np.eye(4)) @ np.diag([1, 1, 1, mirror])
    cameras = Cameras(CAMERAS[0] @ bent, {0: CAMERAS[reference] @ bent})
    points = space()
    pairs = Pairs.from_points(seen(CAMERAS[0], points), seen(CAMERAS[reference], points))
    order = depth_order(cameras, 0, pairs, (600, 800))
    mu = depth_values(cameras.epipolar_maps()[0], pairs)
    near = relative_depth(cameras, 0, pairs.first, mu)
    depth = (np.c_[points, np.ones(len(points))] @ CAMERAS[reference].T)[:, 2]
    # Of two points on one pixel of the reference the one at a smaller depth is the nearer one.
    farther = points + 0.5 * (points - _centre(reference))
    at = seen(CAMERAS[0], farther)
    behind = depth_values(cameras.epipolar_maps()[0], Pairs.from_points(at, seen(CAMERAS[reference], farther)))
    assert (depth > 0).all()
    assert (order.reference * (near - relative_depth(cameras, 0, at, behind)) > 0).all()
    beyond = points * 1.5  # the target's camera stands at the origin
    further = depth_values(cameras.epipolar_maps()[0], Pairs.from_points(pairs.first, seen(CAMERAS[reference], beyond)))
    assert (order.target * (mu - further) > 0).all()


def _centre(number: int) -> Vector:
    null = np.linalg.svd(CAMERAS[number])[2][-1]
    return np.asarray(null[:3] / null[3])


def test_few_points_and_a_flat_wall_say_nothing_of_the_order() -> None:
    cameras = Cameras(CAMERAS[0], {0: CAMERAS[1]})
    points = space(12)
    few = Pairs.from_points(seen(CAMERAS[0], points), seen(CAMERAS[1], points))
    assert depth_order(cameras, 0, few, (600, 800)) == DepthOrder(0, 0)


def board() -> tuple[Cameras, Field, int]:
    """A reference 8 pixels to the side per μ; a wall at 1, a board at 3 in the middle; the sign of what is near."""
    camera = np.eye(3, 4)
    camera[0, 3] = 8
    cameras = Cameras(np.eye(3, 4), {0: camera})
    direction = float(np.sign(cameras.epipolar_maps()[0][1][0]))
    mu = np.full((192, 256), direction, np.float32)
    mu[60:140, 100:160] = 3 * direction
    near = relative_depth(cameras, 0, np.zeros((2, 2)), direction * np.array([1.0, 3.0]))
    return cameras, mu, int(np.sign(near[1] - near[0]))


def test_a_board_hides_the_wall_beside_it() -> None:
    cameras, mu, sign = board()
    hidden = occluded_pixels(cameras, 0, mu, sign, scale=1.0, shape=(192, 256))
    expected = box(60, 140, 160, 176, **SIDE)  # where the wall lands on the board, 16 pixels further
    assert (hidden & expected).sum() > 0.9 * expected.sum()
    assert (hidden & ~expected).sum() < 0.1 * expected.sum()
    assert not occluded_pixels(cameras, 0, mu, 0, scale=1.0, shape=(192, 256)).any()


@pytest.mark.parametrize("sign", [1, -1])
def test_what_one_reference_alone_sees_lies_behind(sign: int) -> None:
    """Between a near board and a far wall two references show different things, and the depth there is chance."""
    wall, other = painted(4, 192, 256), painted(5, 192, 256)
    scorer = make_scorer(wall, box(10, 182, 10, 246, **SIDE))
    unlike = box(60, 140, 160, 176, **SIDE)
    second = np.where(unlike[:, :, None], other, wall)
    mu = np.where(box(60, 140, 100, 160, **SIDE), 3.0, 1.0).astype(np.float32) * sign
    torn = mu.copy()
    torn[unlike] = np.random.default_rng(0).uniform(0, 6, int(unlike.sum())) * sign
    ones = np.ones(mu.shape, np.float32)
    inside = box(70, 130, 162, 174, **SIDE)
    resolved = resolve_occlusion(scorer, (wall, ones), (second, ones), torn, sign)
    assert np.abs(resolved[inside] - sign).mean() < 0.2 < np.abs(torn[inside] - sign).mean()
    assert np.array_equal(resolved[:50], mu[:50])
    assert resolve_occlusion(scorer, (wall, ones), (second, ones), torn, 0) is torn
