"""What stands in a hole before anything is known about it."""

import numpy as np
import pytest

from realfill import seeds
from realfill.arrays import Hole, Photo
from realfill.imaging import fill
from realfill.imaging.fill import nearest_known

H, W = 50, 70


def noise() -> Photo:
    return seeds.rng(3).integers(0, 256, (H, W, 3)).astype(np.uint8)


def hole_of(kind: str) -> Hole:
    hole = np.zeros((H, W), np.bool_)
    if kind == "inside":
        hole[12:30, 20:55] = True
        hole[18:22, 30:33] = False  # an island of known pixels
    elif kind == "at an edge":
        hole[:25, 40:] = True
    elif kind == "everything but a corner":
        hole[:, :] = True
        hole[-3:, :2] = False
    elif kind == "specks":
        hole = seeds.rng(5).random((H, W)) < 0.3
    return hole


@pytest.mark.parametrize("kind", ["inside", "at an edge", "everything but a corner", "specks", "none"])
def test_the_hole_gets_a_nearest_known_colour_and_the_rest_stays(kind: str) -> None:
    photo, hole = noise(), hole_of(kind)
    filled = nearest_known(np.where(hole[..., None], np.uint8(255), photo), hole)
    assert np.array_equal(filled[~hole], photo[~hole])
    ways = np.argwhere(~hole)
    for row, column in np.argwhere(hole)[::7]:
        apart = np.hypot(*(ways - (row, column)).T)
        near = ways[apart <= apart.min() + 1]  # OpenCV's distances are no better than that
        assert (photo[near[:, 0], near[:, 1]] == filled[row, column]).all(1).any()


def test_looking_at_the_holes_surroundings_alone_changes_nothing() -> None:
    photo = noise()
    for kind in ("inside", "at an edge", "everything but a corner", "specks"):
        hole = hole_of(kind)
        assert np.array_equal(nearest_known(photo, hole), fill._nearest_known(photo, hole))


def test_where_nothing_is_known_it_is_grey() -> None:
    assert (nearest_known(noise(), np.ones((H, W), np.bool_)) == 127).all()
