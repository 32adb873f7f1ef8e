import numpy as np
import pytest

from realfill.arrays import Hole, Photo
from realfill.config import SelectConfig
from realfill.geometry.colour_correction import fit_colour, fit_regions
from realfill.geometry.colour_regions import find_regions, spread_by_region
from realfill.geometry.make_draft import make_draft
from realfill.geometry.warp_selection import add_regions
from realfill.matching.registry import load_matcher
from tests.geometry.test_make_draft import error
from tests.geometry.worlds import box, painted, scene, seen, shift, tilted

HOLE = box(90, 200, 140, 270)
SKY = np.arange(300)[:, None] < 150  # the upper half, across the hole
GREY_SKY, BLUE_SKY = np.array([150, 152, 158]), np.array([70, 130, 225])


def place(sky: np.ndarray, stone: float) -> Photo:
    """A wall of brown stones before a plain sky, in a light of its own."""
    stones = seen(painted(1), shift(80, 60)).mean(2, keepdims=True) * np.array([1.0, 0.75, 0.5])
    wall = np.clip(stones * stone, 0, 255)
    return np.asarray(np.where((SKY & np.ones(400, np.bool_))[:, :, None], sky, wall), np.uint8)


def corrected(reference: Photo, target: Photo) -> tuple[Photo, Photo]:
    """By the colours of the whole alone, and by region; known pixels are those outside the hole."""
    known = (~HOLE).astype(np.float32)
    plain = fit_colour(reference, target, known).apply(reference)
    return plain, add_regions(plain, fit_regions(plain, target, known, np.ones(HOLE.shape, np.float32)))


@pytest.mark.parametrize("stone", [1.0, 0.6])
def test_sky_is_corrected_by_sky_and_stone_by_stone(stone: float) -> None:
    target = place(GREY_SKY, 1.0)
    plain, regional = corrected(place(BLUE_SKY, stone), target)
    parts = HOLE & SKY, HOLE & ~SKY
    assert max(error(plain, target, part) for part in parts) > 15  # one change of all colours cannot do both
    assert max(error(regional, target, part) for part in parts) < 9


def test_a_grey_reference_gets_the_colours_of_what_surrounds_the_hole() -> None:
    target = np.zeros((300, 400, 3), np.uint8)
    target[:] = np.where(SKY[:, :, None], np.array([90, 140, 230]), np.array([120, 90, 40]))
    grey = np.repeat(np.rint(target @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[:, :, None], 3, 2)
    regional = corrected(grey, target)[1]
    assert error(regional, target, HOLE) < 4
    assert error(grey, target, HOLE) > 25


def test_what_is_known_of_one_region_is_not_said_of_another() -> None:
    photo = place(BLUE_SKY, 1.0)
    regions = find_regions(photo, np.ones(HOLE.shape, np.bool_))
    values = np.where(SKY, 0.0, 1.0).astype(np.float32) * np.ones(400, np.float32)
    field = spread_by_region(regions, photo, values, (~HOLE).astype(np.float32), reach=20.0)
    spread = field.look_up(photo)
    near_edge = HOLE & (abs(np.arange(300)[:, None] - 150) < 15)
    assert spread[near_edge & SKY].max() < 0.25 and spread[near_edge & ~SKY].min() > 0.6
    assert field.look_up(photo[::2, ::2].copy()).shape == (150, 200)


def few(hole: Hole, photo: Photo) -> float:
    return float(photo[hole].astype(float).mean())


def test_a_reference_three_stops_darker_fills_the_hole() -> None:
    world = painted(1)
    truth = seen(world, shift(80, 60))
    dark = np.asarray(np.rint(seen(world, tilted(95, 50)) * 0.3), np.uint8)
    made = make_draft(scene(truth, HOLE, dark), load_matcher(SelectConfig(matcher="sift")))
    assert few(HOLE, dark) < 0.4 * few(HOLE, truth)
    assert error(made.photo, truth, HOLE) < 6
    assert (made.confidence[HOLE] > 0.5).mean() > 0.9
