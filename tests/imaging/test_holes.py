import numpy as np
import pytest

from realfill.imaging import holes
from realfill.seeds import rng


def test_a_random_hole_is_never_empty_and_never_full() -> None:
    for height, width in ((2, 1), (2, 2), (2, 9), (16, 16), (40, 64)):
        for seed in range(60):
            hole = holes.random_hole(height, width, rng(seed, height, width))
            assert hole.shape == (height, width)
            assert hole.dtype == np.bool_
            assert hole.any()
            assert not hole.all()


def test_the_same_key_draws_the_same_hole_and_another_key_another() -> None:
    one, same, other = (holes.random_hole(64, 64, rng(7, key)) for key in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_union_and_complement_are_drawn_alike_often() -> None:
    """Half of the draws are complements (§3.4), so over many draws half of all pixels are missing."""
    shares = [holes.random_hole(48, 48, rng(3, key)).mean() for key in range(400)]
    assert abs(np.mean(shares) - 0.5) < 0.05
    assert np.std(shares) > 0.15  # and not half of each


def test_distance_is_the_euclidean_distance_to_the_nearest_missing_pixel() -> None:
    hole = rng(4).random((23, 31)) < 0.02
    ys, xs = np.nonzero(hole)
    grid_y, grid_x = np.mgrid[:23, :31]
    expected = np.sqrt((grid_y[..., None] - ys) ** 2 + (grid_x[..., None] - xs) ** 2).min(-1)
    np.testing.assert_allclose(holes.distance_from_hole(hole), expected, atol=1e-3)


def test_an_empty_hole_is_infinitely_far() -> None:
    assert np.isinf(holes.distance_from_hole(np.zeros((3, 4), np.bool_))).all()


def test_bounding_box_holds_every_missing_pixel_and_touches_each_side() -> None:
    for key in range(30):
        hole = rng(5, key).random((17, 29)) < 0.02
        if not hole.any():
            continue
        left, top, right, bottom = holes.bounding_box(hole)
        assert hole[top:bottom, left:right].sum() == hole.sum()
        assert hole[top].any() and hole[bottom - 1].any() and hole[:, left].any() and hole[:, right - 1].any()


def test_an_empty_hole_has_no_bounding_box() -> None:
    with pytest.raises(ValueError, match="empty"):
        holes.bounding_box(np.zeros((3, 4), np.bool_))
