"""Light that is not the same everywhere: a bright sky has become a dark one, and dark stone before it bright."""

import numpy as np

from realfill import seeds
from realfill.arrays import Photo
from realfill.geometry.colour_correction import fit_colour
from realfill.geometry.colour_transfer import LaidColours, fit_colours
from realfill.geometry.structure import structure_correlation, structure_similarity
from tests.geometry.worlds import box, painted, seen, shift

HOLE = box(90, 200, 140, 270)
SKY = np.broadcast_to(np.arange(300)[:, None] < 150, (300, 400))
WHOLE = np.s_[0:300, 0:400]
ALL = np.ones((300, 400), np.bool_)


def place(sky: float, stone: float, contrast: float) -> Photo:
    """A sky with faint clouds over a wall of stones, in grey levels; both vary by `contrast` times the same."""
    stones = seen(painted(1), shift(80, 60)).mean(2) - 128
    grey = np.where(SKY, sky + 0.1 * contrast * stones, stone + contrast * stones)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, 2)


TARGET, REFERENCE = place(90, 160, 0.5), place(230, 70, 0.4)


def contrast(photo: Photo) -> float:
    """How far the stones in the hole vary with the target's, as a share of those."""
    inside = HOLE & ~SKY
    own, truth = (one[..., 0][inside].astype(float) - one[..., 0][inside].mean() for one in (photo, TARGET))
    return float((own * truth).mean() / (truth * truth).mean())


def laid(reference: Photo) -> LaidColours:
    return fit_colours(reference, ALL, TARGET, ~HOLE, WHOLE)


def test_stone_keeps_its_contrast_under_another_sky() -> None:
    colours = laid(REFERENCE)
    shown = colours.apply(REFERENCE, (0.0, 0.0, 1.0, 1.0))
    assert 0.7 < contrast(shown) < 1.3
    assert np.abs(shown.astype(int) - TARGET)[HOLE].mean() < 12


def test_a_draft_keeps_it_too() -> None:
    shown = fit_colour(REFERENCE, TARGET, (~HOLE).astype(np.float32)).apply(REFERENCE)
    assert 0.5 < contrast(shown) < 1.5


def test_in_the_same_light_all_pixels_have_one_change() -> None:
    dimmed = np.asarray(TARGET * 0.8, np.uint8)
    gain = laid(dimmed).whole.matrix[0, 0]
    assert 1.05 < gain < 1.4
    assert np.abs(laid(dimmed).apply(dimmed, (0.0, 0.0, 1.0, 1.0)).astype(int) - TARGET)[HOLE].mean() < 4


def test_where_little_is_known_colours_stay() -> None:
    known = np.zeros_like(HOLE)
    known[:5, :5] = True
    assert np.isfinite(fit_colours(REFERENCE, ALL, TARGET, known, WHOLE).whole.matrix).all()


def test_correlation_forgives_light_and_similarity_does_not() -> None:
    rough = seeds.rng(3).integers(0, 256, (60, 80, 1), np.uint8).repeat(3, 2)
    dim = np.asarray(rough * 0.4, np.uint8)
    assert structure_correlation(rough, dim).min() > 0.95
    assert structure_similarity(rough, dim).max() < 0.8
    assert structure_correlation(rough, np.full_like(rough, 90)).max() < 0.01
    assert structure_correlation(rough, 255 - rough).max() < 0.01
