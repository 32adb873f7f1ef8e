"""Books, standing in rows and lying in stacks."""

import math

import numpy as np

from tools.scenes import kit, materials, printed
from tools.scenes.kit import Object, Point
from tools.scenes.materials import Surface
from tools.scenes.paint import Array, Rng

PAPER = Surface(rough=0.85, bump=0.03, worn=0.1)


def book(rng: Rng, at: Point, size: Point, *, turn: Point = (0, 0, 0), cover: Array | None = None) -> Object:
    """A book that stands with its spine to -y; size is thickness, depth, height. `cover`: a picture on its right."""
    spine = printed.spine(rng, (max(60, int(size[0] * 2400)), int(size[2] * 2400)))
    cloth = np.median(spine.reshape(-1, 3), 0)
    side = materials.plain(
        "#" + "".join(f"{int(255 * channel):02x}" for channel in cloth), Surface(rough=0.7, grain=500)
    )
    stripes = np.broadcast_to(rng.uniform(0.72, 0.93, (1, 160, 1)), (64, 160, 3)) * np.array([1, 0.97, 0.88])
    pages = materials.picture("pages", stripes.astype(np.float32), PAPER)
    faces = {
        "front": materials.picture("spine", spine, Surface(rough=0.6, bump=0.1, grain=600)),
        "top": pages,
        "back": pages,
    }
    if cover is not None:
        faces["right"] = faces["left"] = materials.picture("cover", cover, Surface(rough=0.5, bump=0.05))
    return kit.box(size, at, side, turn=turn, bevel=min(0.004, size[0] / 5), faces=faces)


def row_of_books(
    rng: Rng, at: Point, width: float, *, height: tuple[float, float] = (0.19, 0.26), lean: bool = True
) -> None:
    """Books side by side from `at` (left front corner) to the right; the last may lean."""
    x = 0.0
    while x < width - 0.02:
        size = (float(rng.uniform(0.018, 0.045)), float(rng.uniform(0.14, 0.18)), float(rng.uniform(*height)))
        push = float(rng.uniform(0, 0.02))
        angle = 0.0
        if lean and x + 2.2 * size[0] > width:
            angle = -9.0
        book(
            rng,
            (at[0] + x + size[0] / 2 + (0.016 if angle else 0), at[1] + size[1] / 2 + push, at[2]),
            size,
            turn=(0, angle, 0),
        )
        x += size[0] + 0.0015


def stack_of_books(rng: Rng, at: Point, count: int, *, turn: float = 0.0, cover: Array | None = None) -> float:
    """Books that lie on each other, spines to -y; returns the height of the stack."""
    z = 0.0
    for index in range(count):
        size = (float(rng.uniform(0.02, 0.04)), float(rng.uniform(0.15, 0.17)), float(rng.uniform(0.21, 0.25)))
        skew = turn + float(rng.normal(0, 4))
        top = cover if index == count - 1 else None
        # Lying: the spine stays in front, the book's height runs along x.
        made = book(rng, (0, 0, 0), size, cover=None if top is None else np.rot90(top, 1))
        angle = math.radians(skew)
        half = size[2] / 2  # turned so that titles stand upright
        kit.place(
            made,
            (at[0] + half * math.cos(angle), at[1] + half * math.sin(angle), at[2] + z + size[0] / 2),
            (0, -90, skew),
        )
        z += size[0] + 0.0005
    return z
