"""Points in space, seen by three cameras: where two of them show a point, it is transferred in the third."""

import numpy as np
import numpy.typing as npt
import pytest

from realfill.geometry.correspondences import Pairs
from realfill.geometry.reconstruction import epipolar_inliers, transfer_points
from realfill.matching.rootsift import Keypoints
from tests.matching.test_epipolar import flat_but_two

Array = npt.NDArray[np.float64]


def camera(turn: float, *place: float) -> Array:
    cos, sin = np.cos(turn), np.sin(turn)
    rotation = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    inner = np.array([[800.0, 0, 400], [0, 800, 300], [0, 0, 1]])
    return np.asarray(inner @ np.c_[rotation, -rotation @ np.array(place)])


def seen(matrix: Array, space: Array) -> Array:
    moved = np.c_[space, np.ones(len(space))] @ matrix.T
    return np.asarray(moved[:, :2] / moved[:, 2:])


@pytest.fixture
def space() -> Array:
    return np.random.default_rng(1).uniform([-2, -1.5, 4], [2, 1.5, 9], (160, 3))


CAMERAS = (camera(0.0, 0, 0, 0), camera(0.15, 1.0, 0.1, 0.2), camera(-0.1, -0.8, -0.2, 0.1))


def views(space: Array, noise: float) -> list[Keypoints]:
    rng = np.random.default_rng(2)
    descriptors = rng.random((len(space), 128)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    positions = [seen(one, space) + rng.normal(0, noise, (len(space), 2)) for one in CAMERAS]
    return [Keypoints(xy.astype(np.float32), descriptors) for xy in positions]


def pairs(first: Keypoints, second: Keypoints, rows: npt.NDArray[np.intp]) -> Pairs:
    return Pairs(first.xy[rows].astype(float), second.xy[rows].astype(float), rows, rows)


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_unseen_points_are_put_in_place(space: Array, noise: float) -> None:
    """The target's pairs cover the left half alone; the right half comes from the references."""
    target, one, other = views(space, noise)
    left = np.flatnonzero(target.xy[:, 0] < 420)
    everything = np.arange(len(space))
    # Only the left half has keypoints in the target.
    known = Keypoints(target.xy[left], target.descriptors[left])
    to_one = Pairs(target.xy[left].astype(float), one.xy[left].astype(float), np.arange(len(left)), left)
    to_other = Pairs(target.xy[left].astype(float), other.xy[left].astype(float), np.arange(len(left)), left)
    transferred = transfer_points(pairs(one, other, everything), (to_one, to_other), (known, one, other))
    assert transferred is not None
    row = [int(np.argmin(np.abs(one.xy - xy).sum(1))) for xy in transferred.first]
    apart = np.linalg.norm(transferred.target - seen(CAMERAS[0], space[row]), axis=1)
    unseen = transferred.target[:, 0] > 420
    assert unseen.sum() > 30
    assert np.median(apart[unseen]) < 0.1 + 3 * noise
    assert (transferred.weight[~unseen] > 0.5).mean() > 0.9


def test_a_flat_world_vouches_for_nothing_off_its_plane(space: Array) -> None:
    """All known points on one plane leave the camera open; points off it must not be called certain."""
    flat = space.copy()
    left = seen(CAMERAS[0], space)[:, 0] < 420
    flat[left, 2] = 6.0
    target, one, other = views(flat, 0.3)
    rows = np.flatnonzero(left)
    known = Keypoints(target.xy[rows], target.descriptors[rows])
    link = [
        Pairs(target.xy[rows].astype(float), ref.xy[rows].astype(float), np.arange(len(rows)), rows)
        for ref in (one, other)
    ]
    transferred = transfer_points(pairs(one, other, np.arange(len(flat))), (link[0], link[1]), (known, one, other))
    if transferred is not None:
        row = [int(np.argmin(np.abs(one.xy - xy).sum(1))) for xy in transferred.first]
        apart = np.linalg.norm(transferred.target - seen(CAMERAS[0], flat[row]), axis=1)
        wrong = apart > 20
        assert not (transferred.weight[wrong] > 0.3).any()


def test_too_few_points_give_nothing() -> None:
    none = Pairs.from_points(np.zeros((5, 2)), np.zeros((5, 2)))
    empty = Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    assert transfer_points(none, (none, none), (empty, empty, empty)) is None
    assert not epipolar_inliers(none).any()


def test_a_plane_on_which_opencv_asserts_gives_nothing() -> None:
    given = Pairs.from_points(*flat_but_two(49))
    none = Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    assert not epipolar_inliers(given).any()
    assert transfer_points(given, (given, given), (none, none, none)) is None


@pytest.mark.parametrize("seed", [1, 3, 4, 8])
def test_one_reference_twice_and_a_target_of_another_place_give_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = np.arange(40)
    xy = rng.uniform(0, 500, (40, 2))
    descriptors = rng.random((40, 128)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    reference = Keypoints(xy.astype(np.float32), descriptors)
    target = Keypoints(rng.uniform(0, 500, (40, 2)).astype(np.float32), descriptors)
    link = pairs(target, reference, rows)
    transferred = transfer_points(pairs(reference, reference, rows), (link, link), (target, reference, reference))
    assert transferred is None
