import numpy as np

from realfill.arrays import Photo
from realfill.geometry.confidence import joint_confidence, known_agreement, known_structure, make_scorer
from tests.geometry.worlds import box, painted, seen, shift

HOLE = box(60, 120, 80, 150, height=192, width=256)


def photo(seed: int = 1) -> Photo:
    return seen(painted(seed), shift(80, 60), 192, 256)


def test_structure_is_the_same_in_another_light_and_not_of_another_thing() -> None:
    scorer, whole = make_scorer(photo(), HOLE), np.ones((192, 256), np.float32)
    known = scorer.known > 0
    dark = np.asarray(np.rint(photo() * 0.4 + 60), np.uint8)
    assert known_structure(scorer, dark, whole)[known].mean() > 0.5
    assert known_agreement(scorer, dark, whole)[known].mean() < 0.1
    assert known_structure(scorer, photo(2), whole)[known].mean() < 0.12
    assert known_structure(scorer, dark, whole)[~known].max() == 0


def test_flat_pixels_have_no_structure() -> None:
    flat = np.full((192, 256, 3), 120, np.uint8)
    noise = np.asarray(flat + np.random.default_rng(0).integers(-1, 2, flat.shape), np.uint8)
    assert known_structure(make_scorer(flat, HOLE), noise, np.ones((192, 256), np.float32)).max() < 0.2


def test_what_only_one_of_three_references_shows_loses() -> None:
    same, passer_by = photo(), photo()
    passer_by[70:110, 90:130] = (250, 20, 20)
    trust = [np.full((192, 256), 0.7, np.float32) for _ in range(3)]
    valid = [np.ones((192, 256), np.float32) for _ in range(3)]
    joint = joint_confidence([passer_by, same, same], valid, trust)
    assert joint[0][90, 110] < 0.2
    assert joint[1][90, 110] > 0.6
    assert joint[0][20, 20] > 0.7  # elsewhere all agree
    two = joint_confidence([passer_by, same], valid[:2], trust[:2])
    assert two[0][90, 110] > 0.2  # of two, nobody knows which
