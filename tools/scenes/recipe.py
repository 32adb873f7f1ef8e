"""What an example scene is made of: a build, shots, a hole, and words about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from tools.scenes.paint import Array, Rng, hexa, noise
from tools.scenes.studio import Camera, Quality

Polygon = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Shot:
    """One photo: camera, quality, the state of the scene, and how it is developed."""

    camera: Camera
    quality: Quality = field(default_factory=Quality)
    state: str = ""
    look: str = "colour"  # colour · mono · warm · cool


@dataclass(frozen=True)
class Recipe:
    """A scene. `build` fills an empty Blender file, `arrange` brings it into a shot's state."""

    name: str
    title: str
    tests: str
    shows: str
    seed: int
    build: Callable[[Rng], None]
    arrange: Callable[[str], None]
    target: Shot
    references: tuple[Shot, ...]
    hole: tuple[Polygon, ...]  # corners as shares of width and height; rounded and roughened if `brush`
    brush: bool = True
    paint: str = "#ffffff"  # what the target file shows in the hole
    suffix: str = ".png"  # of target and truth

    def shots(self) -> dict[str, Shot]:
        """All photos by name, the truth first."""
        return {"gt": self.target, **{f"ref{index}": shot for index, shot in enumerate(self.references)}}


def hole(recipe: Recipe, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The hole at (width, height), True = missing; with `brush` it looks painted by hand."""
    width, height = size
    drawn = np.zeros((height, width), np.uint8)
    for polygon in recipe.hole:
        corners = np.round(np.array(polygon) * [width, height]).astype(np.int32)
        cv2.fillPoly(drawn, [corners], 255)
    if not recipe.brush:
        return drawn > 0
    soft = cv2.GaussianBlur(drawn, (0, 0), width * 0.016).astype(np.float32) / 255
    rng = np.random.default_rng(recipe.seed)
    return np.asarray(soft + 0.2 * (noise(rng, (height, width), (9, 12), 2) - 0.5) > 0.5)


def develop(picture: Array, look: str, rng: Rng) -> Array:
    """A rendered picture as a camera would give it: falling light to the corners, grain, and the look's colours."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    made = picture * (1 - 0.11 * (x**2 + y**2))[..., None]
    grain = {"colour": 0.004, "mono": 0.014, "warm": 0.009, "cool": 0.006}[look]
    if look == "mono":
        grey = made @ np.array([0.35, 0.5, 0.15], np.float32)
        made = np.repeat(_contrast(grey, 1.25)[..., None], 3, 2)
    elif look == "warm":
        faded = 0.06 + 0.9 * _contrast(made, 0.95)
        made = faded * np.array([1.08, 0.99, 0.8], np.float32) + np.asarray(hexa("#140a06"), np.float32)
    elif look == "cool":
        made = _contrast(made, 1.1) * np.array([0.9, 0.99, 1.1], np.float32)
    plate = rng.normal(0, 1, (height, width, 1 if look == "mono" else 3)).astype(np.float32)
    size = max(0.45, width / 1800)  # grain covers the same share of the photo at any size
    plate = cv2.GaussianBlur(plate, (0, 0), size).reshape(height, width, -1) * size * 2.6
    return np.asarray(np.clip(made + grain * plate, 0, 1), np.float32)


def _contrast(values: Array, gain: float) -> Array:
    centred = np.clip(values, 0, 1)
    return np.asarray(centred**gain / (centred**gain + (1 - centred) ** gain * 0.95), np.float32)
