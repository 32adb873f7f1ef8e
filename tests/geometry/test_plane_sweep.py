"""Depth by cameras: pairs say μ, μ says where a pixel lies, and a sweep finds it by itself."""

import cv2
import numpy as np

from realfill.geometry import plane_sweep
from realfill.geometry.confidence import make_scorer
from realfill.geometry.correspondences import Pairs
from realfill.geometry.plane_sweep import Cameras, depth_maps
from tests.geometry.test_reconstruction import CAMERAS, seen
from tests.geometry.worlds import box, painted


def cameras() -> Cameras:
    """The cameras of three pictures, in a space that is not the one they were made in."""
    bent = np.random.default_rng(4).normal(0, 0.2, (4, 4)) + np.eye(4)
    target, one, other = (camera @ bent for camera in CAMERAS)
    return Cameras(target, {0: one, 1: other})


def points(count: int = 60) -> tuple[Pairs, Pairs]:
    space = np.random.default_rng(1).uniform([-1.5, -1, 4], [1.5, 1, 9], (count, 3))
    at = [seen(camera, space) for camera in CAMERAS]
    return Pairs.from_points(at[0], at[1]), Pairs.from_points(at[0], at[2])


def test_depths_of_pairs_lead_back_to_the_pairs() -> None:
    first, second = points()
    for made in (cameras(), cameras().flatten({0: first, 1: second})):
        xy, mu = plane_sweep.point_depths(made, {0: first, 1: second})
        assert len(mu) == 120
        assert np.allclose(mu[:60], mu[60:])  # both references say the same depth
        for index, pairs in ((0, first), (1, second)):
            a, b = made.epipolar_maps()[index]
            at = np.c_[xy[:60], np.ones(60)] @ a.T + mu[:60, None] * b
            assert np.abs(at[:, :2] / at[:, 2:] - pairs.second).max() < 1e-3


def test_wrong_pairs_have_no_depth() -> None:
    first, _ = points()
    off = Pairs.from_points(first.first, first.second + np.array([0.0, 25.0]))
    only = Cameras(cameras().target, {0: cameras().references[0]})
    assert len(plane_sweep.point_depths(only, {0: off})[1]) < 6


def test_a_smaller_map_is_the_same_map() -> None:
    made = cameras().flatten(dict(enumerate(points())))
    large = depth_maps(made, np.full((120, 160), 0.01, np.float32))[0]
    small = depth_maps(made, np.full((60, 80), 0.01, np.float32), 0.5)[0]
    middle = large.reshape(60, 2, 80, 2, 2).mean((1, 3))
    assert np.abs((small + 0.5) / 0.5 - 0.5 - middle).max() < 0.02


def test_a_sweep_finds_the_depth_of_what_only_the_references_show() -> None:
    """A wall with a board before it that lies wholly in the hole; shifts of 0-12 pixels are depth."""
    wall, board = painted(4, 112, 168), painted(5, 112, 168)
    hole = box(40, 96, 50, 130, height=112, width=168)

    def view(shift: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        picture = np.roll(wall, shift, 1)
        picture[46:92, 66 + 3 * shift : 114 + 3 * shift] = board[46:92, 66:114]
        return np.ascontiguousarray(picture)

    flat = np.eye(3, 4)
    matrices = {number: flat.copy() for number in range(3)}
    for number, shift in enumerate((2, -2, 4)):
        matrices[number][0, 3] = shift
    made = Cameras(flat, matrices)
    scorer = make_scorer(np.where(hole[:, :, None], np.uint8(0), view(0)), hole)
    far_xy = np.stack(np.meshgrid(np.arange(8, 160, 12), np.arange(4, 36, 8)), 2).reshape(-1, 2)
    near_xy = np.stack(np.meshgrid([70, 110], [50, 58, 66, 74, 82, 88]), 2).reshape(-1, 2)  # at its sides alone
    sign = float(np.sign(made.epipolar_maps()[0][1][0]))
    mu = sign * np.append(np.ones(len(far_xy)), np.full(len(near_xy), 3.0))
    photos = {number: view(shift) for number, shift in enumerate((2, -2, 4))}
    field = plane_sweep.sweep_depth(made, scorer, photos, np.concatenate([far_xy, near_xy]).astype(float), mu)
    assert field is not None
    far, near = field[5:36, 20:148], field[54:84, 76:104]
    assert abs(float(np.median(far)) * sign - 1) < 0.15
    assert abs(float(np.median(near)) * sign - 3) < 0.3


def test_structure_has_neither_light_nor_colour() -> None:
    photo = painted(1, 192, 256)
    dark = np.clip(photo.astype(float) * 0.5 + 10, 0, 255).astype(np.uint8)
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    plain = plane_sweep.structure(photo).astype(int)
    assert np.abs(plane_sweep.structure(dark).astype(int) - plain).mean() < 4
    assert np.abs(plane_sweep.structure(np.asarray(grey, np.uint8)).astype(int) - plain).mean() < 1
    assert np.abs(plane_sweep.structure(painted(2, 192, 256)).astype(int) - plain).mean() > 12
