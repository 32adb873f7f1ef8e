import numpy as np
import pytest

from realfill.arrays import Points
from realfill.geometry.correspondences import Pairs
from realfill.geometry.laid_reference import lay_rigidly
from tests.geometry.worlds import box, painted, seen, shift

HOLE = box(90, 200, 140, 270)
WORLD = painted(1)
TARGET, REFERENCE = seen(WORLD, shift(80, 60)), seen(WORLD, shift(95, 70))
MOVE = np.array([-15.0, -10.0])  # from the target to the reference


def grid(count: int) -> Points:
    """So many points of the target beside the hole."""
    x, y = np.meshgrid(np.linspace(20, 380, 20), np.linspace(15, 80, 20))
    return np.asarray(np.c_[x.ravel(), y.ravel()][:: 400 // count][:count], np.float64)


def exact(points: Points, move: Points) -> Pairs:
    number = np.arange(len(points))
    return Pairs(points, points + move, number, number)


def learned(points: Points) -> Pairs:
    return Pairs.from_points(points, points + MOVE)


def error(pairs: Pairs) -> float:
    laid = max(lay_rigidly(0, REFERENCE, pairs, TARGET, HOLE), key=lambda one: one.trust)
    return float(np.abs(laid.show(laid.inner).astype(int) - TARGET)[HOLE].mean())


def test_what_a_learned_matcher_found_outweighs_a_dozen_exact_pairs_that_agree_by_chance() -> None:
    chance = exact(grid(14), np.array([40.0, 25.0]))
    wrong = error(chance)
    assert error(chance.join(learned(grid(100)))) < 5 < wrong


def test_exact_pairs_do_without_a_learned_matcher() -> None:
    assert error(exact(grid(40), MOVE)) < 5
    assert error(exact(grid(40), MOVE).join(learned(grid(10)))) < 5  # too few learned ones change nothing


def test_few_pairs_lay_nothing() -> None:
    assert not lay_rigidly(0, REFERENCE, exact(grid(8), MOVE).join(learned(grid(20))), TARGET, HOLE)
    assert not lay_rigidly(0, REFERENCE, Pairs.from_points([], []), TARGET, HOLE)


def test_what_does_not_lie_exactly_says_how_pale_it_became() -> None:
    """Its colours are a regression on what lies beside it, so it has too little contrast."""
    right, shifted = (
        max(lay_rigidly(0, REFERENCE, exact(grid(40), MOVE + off), TARGET, HOLE), key=lambda one: one.trust)
        for off in (0.0, 8.0)
    )
    for laid, low, high in ((right, 1.0, 1.1), (shifted, 1.3, 4.0)):
        shown = laid.show(laid.inner)
        gain = laid.measure_gain(shown, laid.inner)
        assert low <= gain <= high
        source = laid.as_source()
        assert source.fine_gain == pytest.approx(gain, rel=0.1)
