import cv2
import numpy as np
import pytest

from realfill.arrays import Hole, Photo
from realfill.imaging.segment import mark_object


def disc(height: int, width: int, middle: tuple[int, int], radius: int) -> Hole:
    picture = np.zeros((height, width), np.uint8)
    cv2.circle(picture, middle, radius, 1, -1)
    return picture.astype(np.bool_)


@pytest.fixture
def scene() -> tuple[Photo, Hole]:
    """A red ball before a wall of green and grey noise."""
    rng = np.random.default_rng(1)
    photo = rng.integers(60, 120, (300, 400, 3)).astype(np.uint8)
    photo[..., 1] += 60
    ball = disc(300, 400, (210, 140), 45)
    photo[ball] = rng.integers(0, 50, (int(ball.sum()), 3)).astype(np.uint8) + np.array([190, 10, 10], np.uint8)
    return photo, ball


def test_the_thing_in_the_box_is_marked_and_a_little_around_it(scene: tuple[Photo, Hole]) -> None:
    photo, ball = scene
    found = mark_object(photo, (150, 80, 270, 200))
    assert found[ball].mean() > 0.99
    assert not found[~disc(300, 400, (210, 140), 56)].any()
    assert found.sum() > 1.05 * ball.sum()
    assert np.array_equal(found, mark_object(photo, (150, 80, 270, 200)))


def test_a_large_photo_is_looked_at_in_part(scene: tuple[Photo, Hole]) -> None:
    photo, ball = (np.asarray(cv2.resize(part, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)) for part in (
        scene[0], scene[1].astype(np.uint8)))  # fmt: skip
    found = mark_object(photo, (900, 480, 1620, 1200))
    assert found.shape == (1800, 2400)
    assert found[ball > 0].mean() > 0.98 and found.sum() < 1.5 * ball.sum()


def test_without_anything_around_nothing_stands_out(scene: tuple[Photo, Hole]) -> None:
    assert not mark_object(scene[0], (0, 0, 400, 300)).any()
    assert not mark_object(scene[0], (10, 10, 12, 12)).any()
