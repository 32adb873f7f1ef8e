"""Holes: bool arrays of shape (H, W), True = missing (the paper's M = 1).

Random training holes follow §3.4: several random rectangles, their union or the complement of the
union. The paper gives neither number nor size; what is chosen here is written at `random_hole`.
"""

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Hole

RECTANGLES = (1, 30)  # how many a draw may have, ends included
SIDE = (0.03, 0.4)  # a rectangle's sides as shares of the image's


def random_hole(height: int, width: int, rng: np.random.Generator) -> Hole:
    """One random hole (H, W): the union of 1-30 rectangles, or, half of the time, its complement (§3.4).

    Sides are drawn log-uniformly between 3 % and 40 % of the image's sides, so a draw is a few large
    areas or many small ones. Never empty and never full.
    """
    hole = np.zeros((height, width), np.bool_)
    for _ in range(int(rng.integers(RECTANGLES[0], RECTANGLES[1] + 1))):
        share = np.exp(rng.uniform(np.log(SIDE[0]), np.log(SIDE[1]), size=2))
        h = max(1, round(height * share[0]))
        w = max(1, round(width * share[1]))
        top = int(rng.integers(0, height - h + 1))
        left = int(rng.integers(0, width - w + 1))
        hole[top : top + h, left : left + w] = True
    if rng.random() < 0.5:
        hole = ~hole
    if hole.all() or not hole.any():  # rare: thirty rectangles that cover a tiny image
        hole = np.zeros((height, width), np.bool_)
        hole[: max(1, height // 2)] = True
    return hole


def distance_from_hole(hole: Hole) -> npt.NDArray[np.float32]:
    """Euclidean distance in pixels from each pixel (H, W) to the nearest hole pixel's centre; 0 inside.

    An empty hole is infinitely far away.
    """
    if not hole.any():
        return np.full(hole.shape, np.inf, np.float32)
    known = np.where(hole, 0, 255).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(known, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def bounding_box(hole: Hole) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the hole, right and bottom exclusive.

    Raises:
        ValueError: the hole is empty.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    if rows.size == 0:
        raise ValueError("an empty hole has no bounding box")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
