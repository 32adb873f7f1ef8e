"""Holes filled with patches: sharp, reproducible, from where the texture is, and without the library too."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from realfill.arrays import Hole, Photo
from realfill.geometry import patch_fill
from realfill.geometry.patch_fill import PatchSource, _Seed, fill_from_patches
from realfill.geometry.unsharp_mask import fine_energy
from tests.geometry.worlds import box, painted, seen, shift

HOLE = box(60, 110, 80, 150, height=160, width=240)


def whole(photo: Photo, left: float = 0, top: float = 0) -> PatchSource:
    return PatchSource(photo, np.ones(photo.shape[:2], np.bool_), left, top)


def view(x: float = 60, y: float = 60, *, height: int = 160, width: int = 240) -> Photo:
    return seen(painted(5), shift(x, y), height, width)


def with_hole(photo: Photo, hole: Hole = HOLE) -> Photo:
    return np.where(hole[..., None], np.uint8(255), photo)


def fill(
    target: Photo, hole: Hole, sources: Sequence[PatchSource], *, seed: int, nearness: float = 0.0, whole: bool = False
) -> Photo:
    return fill_from_patches(target, hole, sources, seed=seed, nearness=nearness, whole=whole).photo


def error(made: Photo, truth: Photo, hole: Hole = HOLE) -> float:
    return float(np.abs(made.astype(int) - truth)[hole].mean())


def test_what_a_source_shows_fills_the_hole_and_known_pixels_stay() -> None:
    truth = view()
    made = fill(with_hole(truth), HOLE, [whole(view(75, 50))], seed=1)
    assert np.array_equal(made[~HOLE], truth[~HOLE])
    assert error(made, truth) < 0.6 * error(fill(with_hole(truth), HOLE, [], seed=1), truth)


def test_on_a_canvas_of_whole_photos_what_a_source_shows_is_found_too() -> None:
    truth = view()
    made = fill(with_hole(truth), HOLE, [whole(view(75, 50))], seed=1, whole=True)
    assert np.array_equal(made[~HOLE], truth[~HOLE])
    assert error(made, truth) < 0.6 * error(fill(with_hole(truth), HOLE, [], seed=1), truth)


def test_the_hole_holds_nothing_and_equal_seeds_give_equal_fills() -> None:
    truth, sources = view(), [whole(view(300, 200))]
    first = fill(with_hole(truth), HOLE, sources, seed=1)
    again = fill(truth, HOLE, sources, seed=1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, fill(truth, HOLE, sources, seed=2))


def test_fills_side_by_side_are_those_that_come_one_after_another() -> None:
    truth, sources = view(), [whole(view(300, 200))]
    seeds = (1, 1, 2, 1, 2, 2)
    alone = {seed: fill(with_hole(truth), HOLE, sources, seed=seed) for seed in set(seeds)}
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda seed: fill(with_hole(truth), HOLE, sources, seed=seed), seeds))
    assert all(np.array_equal(made, alone[seed]) for made, seed in zip(beside, seeds, strict=True))


def test_a_seed_is_held_by_many_and_another_one_waits() -> None:
    seed, held, let_go, changed = _Seed(), threading.Barrier(3), threading.Event(), threading.Event()

    def hold(number: int) -> bool:
        with seed.hold(number):
            if number == 1:
                held.wait()
                let_go.wait()
            else:
                changed.set()
            return changed.is_set()

    with ThreadPoolExecutor(3) as pool:
        first = [pool.submit(hold, 1), pool.submit(hold, 1)]
        held.wait()  # both have it
        other = pool.submit(hold, 2)
        assert not changed.is_set()
        let_go.set()
        assert other.result()
        assert not any(one.result() for one in first)


def test_what_a_source_does_not_show_is_not_copied() -> None:
    truth = view()
    source = np.full_like(truth, (255, 0, 255))
    source[:80] = view(75, 50)[:80]
    valid = np.zeros(truth.shape[:2], np.bool_)
    valid[:80] = True
    made = fill(with_hole(truth), HOLE, [PatchSource(source, valid)], seed=1)
    assert not (np.abs(made.astype(int) - (255, 0, 255)).max(2) < 40).any()


def test_places_on_the_canvas_are_those_in_the_frame() -> None:
    """As the library wants them: no two may be farther apart than a half, where its distances turn round."""
    pictures = [whole(view(height=40, width=60), 10, 20), whole(view(height=80, width=30), -40, 0)]
    shrunk = [patch_fill._resize_source(one, 0.5) for one in pictures]
    corners = patch_fill._congruent_corners(pictures, shrunk, 0.5)
    (first, second), alignment = corners, patch_fill.ALIGNMENT
    assert (
        (first == 0).all()
        and ((second - first - (-10, -25)) % alignment == 0).all()
        and (second[1] >= 30 or second[0] >= 20)
    )
    places = patch_fill._places(pictures, patch_fill._lay_side_by_side(shrunk, corners), 0.5)
    assert places.min() == 0 and places.max() == 0.5
    unit = (places[19, 0, 0] - places[0, 0, 0]) / 38  # of a pixel of the frame
    assert places[second[0], second[1], 1] + 50 * unit == pytest.approx(places[0, 0, 1])
    assert places[second[0], second[1], 0] + 20 * unit == pytest.approx(places[0, 0, 0])


def test_a_patch_of_the_same_place_is_preferred_where_places_count() -> None:
    """The whole truth lies over the target, and in a second source far away: a jump between the two costs."""
    truth = view()
    sources = [whole(truth, 900, 700), whole(truth)]
    near = fill(with_hole(truth), HOLE, sources, seed=1, nearness=0.02)
    assert error(near, truth) < 0.6 * error(fill(with_hole(truth), HOLE, [], seed=1), truth)


def test_a_fill_that_was_made_small_is_as_sharp_as_its_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_fill, "SIDE", 128)
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (320, 480, 3)).astype(np.float32), (0, 0), 1.0)
    truth = np.clip(128 + grain, 0, 255).astype(np.uint8)
    hole = box(120, 200, 160, 300, height=320, width=480)
    made = fill(with_hole(truth, hole), hole, [], seed=1)
    inside = cv2.erode(hole.astype(np.uint8), np.ones((9, 9))) > 0
    sharpness = [float(np.abs(cv2.Laplacian(photo.astype(np.float32), -1))[inside].mean()) for photo in (made, truth)]
    assert 0.6 < sharpness[0] / sharpness[1] < 1.4
    monkeypatch.setattr(patch_fill, "_add_detail", lambda filled, hole, canvas, pictures, scale: (
        np.asarray(cv2.resize(filled, pictures[0].valid.shape[::-1], interpolation=cv2.INTER_CUBIC)), 0
    ))  # fmt: skip
    plain = fill(with_hole(truth, hole), hole, [], seed=1)
    assert float(np.abs(cv2.Laplacian(plain.astype(np.float32), -1))[inside].mean()) < 0.6 * sharpness[0]


def test_it_says_how_strong_the_texture_is_that_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_fill, "SIDE", 128)
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (320, 480, 3)).astype(np.float32), (0, 0), 1.0)
    truth, hole = np.clip(128 + grain, 0, 255).astype(np.uint8), box(120, 200, 160, 300, height=320, width=480)
    flat = np.full_like(truth, 128)
    made = [
        fill_from_patches(with_hole(one.photo, hole), hole, [one], seed=1, nearness=0.02)
        for one in (whole(flat), whole(truth), replace(whole(truth), fine_gain=2.0))
    ]
    inside = cv2.erode(hole.astype(np.uint8), np.ones((31, 31))) > 0
    none, plain, twice = (float(one.energy[inside].mean()) for one in made)
    assert none < 1e-6 and all(one.energy[~hole].max() == 0 for one in made)
    assert 0.8 < plain / float(fine_energy(truth)[inside].mean()) < 1.25
    assert twice == pytest.approx(4 * plain, rel=0.1)


@pytest.mark.parametrize("shape", [(20, 30), (160, 12), (30, 1400)])
def test_what_is_too_small_for_patches_is_inpainted(shape: tuple[int, int]) -> None:
    hole = np.zeros(shape, np.bool_)
    hole[5:9, 4 : shape[1] - 4] = True
    photo = np.full((*shape, 3), 90, np.uint8)
    made = fill(with_hole(photo, hole), hole, [], seed=1)
    assert np.abs(made.astype(int) - 90).max() < 3


def test_a_hole_at_the_photos_corner_is_filled() -> None:
    """Where the window is cut off by the photo's edge."""
    hole = np.zeros((160, 240), np.bool_)
    hole[-3:, -5:] = True
    truth = view()
    made = fill(with_hole(truth, hole), hole, [], seed=1)
    assert np.array_equal(made[~hole], truth[~hole]) and error(made, truth, hole) < 60


def test_a_hole_over_everything_is_filled_from_the_sources() -> None:
    hole = np.ones((64, 96), np.bool_)
    source = view(height=100, width=140)
    made = fill(np.zeros((64, 96, 3), np.uint8), hole, [whole(source)], seed=1)
    assert made.std() > 0.3 * source.std()


def test_without_the_library_it_says_so_once_and_inpaints(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise ImportError("no wheel for this machine")

    monkeypatch.setattr(patch_fill, "_library", missing)
    patch_fill.is_available.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            made = [fill(with_hole(view()), HOLE, [], seed=seed) for seed in (1, 2)]
        assert np.array_equal(made[0], made[1]) and made[0][HOLE].max() < 255
        assert [record.message.count("pip install pypatchmatch") for record in caplog.records] == [1]
    finally:
        patch_fill.is_available.cache_clear()
