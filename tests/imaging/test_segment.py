import cv2
import numpy as np
import pytest

from realfill.arrays import Hole, Photo
from realfill.imaging.segment import fit_to_edges, mark_at, mark_object


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


@pytest.mark.parametrize("times", [1, 4])
def test_the_thing_at_a_point_is_marked_whole(scene: tuple[Photo, Hole], times: int) -> None:
    photo, ball = (np.asarray(cv2.resize(part, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)) for part in (
        scene[0], scene[1].astype(np.uint8)))  # fmt: skip
    for x, y in ((210, 140), (190, 120)):
        found = mark_at(photo, x * times, y * times)
        assert found[ball > 0].mean() > 0.97 and found.sum() < 1.6 * ball.sum()


def test_a_point_at_the_edge_of_the_photo_marks_something(scene: tuple[Photo, Hole]) -> None:
    for x, y in ((0, 0), (399, 299)):
        found = mark_at(scene[0], x, y)
        assert found.shape == (300, 400) and found[y, x] and not found[scene[1]].any()


def test_rough_marks_are_fitted_to_the_edges_each_by_itself(scene: tuple[Photo, Hole]) -> None:
    photo, ball = scene[0].copy(), scene[1]
    cube = np.zeros_like(ball)
    cube[200:260, 40:110] = True
    photo[cube] = np.array([20, 30, 220], np.uint8)
    rough = disc(300, 400, (205, 145), 52) | disc(300, 400, (75, 230), 44)
    fitted = fit_to_edges(photo, rough)
    things = ball | cube
    assert fitted[things].mean() > 0.98
    grown = np.asarray(cv2.dilate(things.astype(np.uint8), np.ones((13, 13), np.uint8))) > 0
    assert fitted[~grown].sum() < 0.1 * rough[~grown].sum()


def test_marks_under_which_nothing_stands_out_stay(scene: tuple[Photo, Hole]) -> None:
    everything = np.ones((300, 400), np.bool_)
    assert np.array_equal(fit_to_edges(scene[0], everything), everything)
    many = np.zeros((300, 400), np.bool_)
    many[::20, ::20] = True
    assert np.array_equal(fit_to_edges(scene[0], many), many)
