"""Pictures of made-up places: planes with paint on them, seen through known homographies."""

import cv2
import numpy as np

from realfill import seeds
from realfill.arrays import Hole, Homography, Photo
from realfill.imaging.decode import Original
from realfill.scene.scene import Scene


def painted(seed: int, height: int = 420, width: int = 560) -> Photo:
    """A plane with many shapes of many colours over smooth noise (height, width, 3)."""
    rng = seeds.rng(seed)
    coarse = rng.integers(40, 216, (height // 24, width // 24, 3), np.uint8)
    photo = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(height * width // 900):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        a, b, angle = (int(value) for value in rng.integers(3, 14, 3))
        colour = tuple(int(value) for value in rng.integers(20, 236, 3))
        cv2.ellipse(photo, (x, y), (a, b), 13 * angle, 0, 360, colour, -1, cv2.LINE_AA)
    return np.asarray(photo, np.uint8)


def seen(world: Photo, matrix: Homography, height: int = 300, width: int = 400) -> Photo:
    """The world (H, W, 3) through a homography from world pixels to a picture's."""
    return np.asarray(cv2.warpPerspective(world, matrix, (width, height), flags=cv2.INTER_AREA), np.uint8)


def shift(x: float, y: float) -> Homography:
    return np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]])


def tilted(x: float, y: float, *, turn: float = 0.05, perspective: float = 1e-4) -> Homography:
    """A view that is turned, shifted and seen at an angle."""
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [perspective, -perspective / 2, 1]])
    return np.asarray(turned @ shift(x, y), np.float64)


def box(top: int, bottom: int, left: int, right: int, *, height: int = 300, width: int = 400) -> Hole:
    hole = np.zeros((height, width), np.bool_)
    hole[top:bottom, left:right] = True
    return hole


def scene(truth: Photo, hole: Hole, *references: Photo, paint: int = 255) -> Scene:
    """A scene in memory; the target's hole is painted in one grey level."""
    target = np.where(hole[:, :, None], np.uint8(paint), truth)
    original = Original(target, "RGB", None, "PNG", None, bit_exact=True)
    return Scene(tuple(references), target, hole, original, "made up", (), truth)
