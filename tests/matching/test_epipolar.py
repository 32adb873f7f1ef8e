"""The fundamental matrix, also where OpenCV gives up on it."""

import numpy as np
import numpy.typing as npt
import pytest

from realfill.matching.epipolar import fundamental_matrix

Points = npt.NDArray[np.float64]


def flat_but_two(seed: int) -> tuple[Points, Points]:
    """Points (K, 2) of a plane that hardly moves in two photos, and two pairs that do not belong to it.

    Seeds 49, 116 and 188 are among the few in a thousand on which OpenCV 5.0.0 asserts.
    """
    rng = np.random.default_rng(seed)
    count = int(rng.integers(12, 100))
    wrong = int(rng.integers(0, count // 2))
    first = rng.uniform(0, 1, (count, 2)) * [1000, 700]
    second = first + rng.normal(0, 0.3, (count, 2))
    second[:wrong] += rng.normal(0, 60, (wrong, 2))
    assert wrong == 2
    return first, second


def test_a_movement_is_found_with_the_pairs_that_follow_it() -> None:
    rng = np.random.default_rng(1)
    space = rng.uniform([-2, -2, 4], [2, 2, 9], (60, 3))
    first, second = (500 * (space[:, :2] + [step, 0]) / space[:, 2:] for step in (0.0, 0.7))
    second[:15] += rng.uniform(20, 80, (15, 2))
    found = fundamental_matrix(first, second, 1.5, sure=0.999, draws=2000)
    assert found is not None
    matrix, inlier = found
    assert matrix.shape == (3, 3) and inlier.shape == (60,)
    assert inlier[15:].all() and inlier[:15].sum() < 4
    ends = np.einsum("ki,ij,kj->k", np.c_[second, np.ones(60)], matrix, np.c_[first, np.ones(60)])
    assert np.abs(ends[15:]).max() < 1e-2 * np.abs(matrix).max()


@pytest.mark.parametrize("seed", [49, 116, 188])
def test_where_opencv_asserts_there_is_none(seed: int) -> None:
    assert fundamental_matrix(*flat_but_two(seed), 1.5, sure=0.9999, draws=10000) is None
