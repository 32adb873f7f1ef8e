"""Things that stand in several example scenes: mugs, jars, pots with plants, frames, papers, crates, windows."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from tools.scenes import artwork, kit, materials, paint
from tools.scenes.kit import Object, Point
from tools.scenes.materials import Material, Surface
from tools.scenes.paint import Array, Rng

PAPER = Surface(rough=0.85, bump=0.03, worn=0.1)
GLAZE = Surface(rough=0.18, bump=0.02, worn=0.3, grain=25)
WOOD = Surface(rough=0.45, bump=0.12, grain=220, worn=0.2)


def window_light(x: float, y: tuple[float, float], z: tuple[float, float], *, bars: tuple[int, int] = (2, 3)) -> None:
    """A wall at `x` with a window in it (the sun falls through): y and z from, to; panes across and up."""
    wall = materials.plain("#cfc9bd")
    for size, at in (
        ((0.05, 4.0, 3.0), (x, y[1] + 2.0, z[0] - 1.0)),
        ((0.05, 4.0, 3.0), (x, y[0] - 2.0, z[0] - 1.0)),
        ((0.05, y[1] - y[0], 2.0), (x, sum(y) / 2, z[1])),
        ((0.05, y[1] - y[0], 2.0), (x, sum(y) / 2, z[0] - 2.0)),
    ):
        kit.box(size, at, wall, bevel=0)
    for index in range(1, bars[0]):
        kit.box((0.04, 0.05, z[1] - z[0]), (x, y[0] + (y[1] - y[0]) * index / bars[0], z[0]), wall, bevel=0)
    for index in range(1, bars[1]):
        kit.box((0.04, y[1] - y[0], 0.05), (x, sum(y) / 2, z[0] + (z[1] - z[0]) * index / bars[1]), wall, bevel=0)


def mug(
    at: Point, pattern: Material, inside: Material, *, turn: float = 0.0, height: float = 0.1, radius: float = 0.042
) -> Object:
    """A mug with its handle towards +x (turned by `turn` degrees)."""
    r, h = radius, height
    wall = [(0.86 * r, 0), (0.97 * r, 0.012 * h), (r, 0.08 * h), (r, 0.5 * h), (r, 0.97 * h), (0.985 * r, h)]
    hollow = [(0.985 * r, h), (0.93 * r, 0.985 * h), (0.9 * r, 0.9 * h), (0.88 * r, 0.12 * h), (0.0, 0.08 * h)]
    kit.lathe(hollow, at, inside, turn=(0, 0, turn))
    kit.lathe(
        [(0, 0.62 * h), (0.89 * r, 0.62 * h)], at, materials.plain("#2a1609", Surface(rough=0.08, bump=0.0)), smooth=0
    )
    grip = [
        (0.95 * r, 0, 0.82 * h),
        (1.5 * r, 0, 0.8 * h),
        (1.75 * r, 0, 0.55 * h),
        (1.5 * r, 0, 0.26 * h),
        (0.95 * r, 0, 0.2 * h),
    ]
    kit.tube(grip, 0.13 * r, inside, at=at, turn=(0, 0, turn))
    return kit.lathe(wall, at, pattern, turn=(0, 0, turn), segments=64)


def mug_pattern(rng: Rng, kind: int, inks: Sequence[str]) -> Array:
    """What goes around a mug: flowers, boats or a lattice."""
    wide, high = 1200, 460
    picture, pen = artwork.canvas((wide, high), inks[0])
    for edge in (0.06, 0.9):
        pen.rectangle((0, high * edge, wide, high * edge + 14), fill=inks[1])
    for index in range(10):
        x, y = wide * (index + 0.5) / 10, high * (0.3 if index % 2 else 0.66)
        if kind == 0:
            for petal in range(7):
                t = petal * 2 * math.pi / 7 + index
                a, b = x + 44 * math.cos(t), y + 44 * math.sin(t)
                pen.ellipse((a - 27, b - 27, a + 27, b + 27), fill=inks[1 + index % 3])
            pen.ellipse((x - 20, y - 20, x + 20, y + 20), fill=inks[4])
            pen.arc((x - 10, y + 20, x + 90, y + 130), 180, 270, fill=inks[3], width=9)
        elif kind == 1:
            pen.polygon([(x - 50, y), (x + 50, y), (x + 30, y + 32), (x - 30, y + 32)], fill=inks[1 + index % 3])
            pen.polygon([(x - 4, y - 8), (x - 4, y - 86), (x + 42, y - 8)], fill=inks[2])
            pen.polygon([(x - 10, y - 8), (x - 10, y - 66), (x - 42, y - 8)], fill=inks[4])
            for wave in range(5):
                pen.arc((x - 60 + 24 * wave, y + 36, x - 36 + 24 * wave, y + 54), 0, 180, fill=inks[3], width=6)
        else:
            pen.regular_polygon((x, y, 66), 4, 0, fill=inks[1 + index % 3])
            pen.regular_polygon((x, y, 38), 4, 45, fill=inks[4])
            pen.regular_polygon((x, y, 20), 6, 0, fill=inks[1])
    drawn = artwork.array(picture)
    return np.clip(drawn * (0.93 + 0.1 * paint.noise(rng, drawn.shape[:2], (5, 12), 4)[..., None]), 0, 1)


def framed_picture(
    picture: Array, at: Point, width: float, *, turn: Point = (0, 0, 0), wood: str = "#3a2a1e", mount: float = 0.0
) -> None:
    """A framed picture on a wall that faces -y; `at` is the middle of its lower edge."""
    high = width * picture.shape[0] / picture.shape[1]
    edge = materials.plain(wood, Surface(rough=0.35, bump=0.2, grain=180))
    face = materials.picture("framed", picture, Surface(rough=0.25, bump=0.0, worn=0.05))
    x, y, z = at
    kit.panel((width, high), (x, y - 0.008, z), face, turn=turn)
    if mount:
        kit.panel(
            (width + 2 * mount, high + 2 * mount),
            (x, y - 0.006, z - mount),
            materials.plain("#efeae0", PAPER),
            turn=turn,
        )
    bar, w, h = 0.02, width + 2 * mount, high + 2 * mount
    kit.box((w + 2 * bar, 0.025, bar), (x, y - 0.0125, z - mount - bar), edge)
    kit.box((w + 2 * bar, 0.025, bar), (x, y - 0.0125, z - mount + h), edge)
    for side in (-1, 1):
        kit.box((bar, 0.025, h), (x + side * (w + bar) / 2, y - 0.0125, z - mount), edge)


def pinned_paper(
    picture: Array, at: Point, width: float, *, tilt: float = 0.0, curl: float = 0.004, pins: bool = True
) -> Object:
    """Paper on a wall that faces -y, slightly curled; `at` is its centre."""
    high = width * picture.shape[0] / picture.shape[1]
    paper = materials.picture("paper", picture, PAPER)

    def shape(u: float, v: float) -> Point:
        lift = curl * (abs(2 * u - 1) ** 3 + 1.5 * max(0.0, 0.5 - v) ** 2 + 0.3 * math.sin(7 * u + 5 * v))
        return (u - 0.5) * width, -abs(lift) - 0.002, (v - 0.5) * high

    made = kit.sheet(shape, paper, at=at, turn=(0, tilt, 0))
    if pins:
        head = materials.plain("#b3202a", Surface(rough=0.2, bump=0.0))
        top = (high / 2 - 0.012) * math.cos(math.radians(tilt))
        kit.ball(
            (0.006, 0.006, 0.006),
            (at[0] + math.sin(math.radians(tilt)) * top, at[1] - 0.008, at[2] + top),
            head,
            cells=12,
        )
    return made


@cache
def greens(kind: str = "leaf") -> tuple[Material, ...]:
    """Leaf materials; they belong to one Blender file, so `forget` comes with a new one."""
    tones = {
        "leaf": ("#3f6b2a", "#587f34", "#2f5524", "#7a9a45"),
        "grey": ("#5f7a63", "#7b9279", "#4c6852"),
        "grass": ("#5d7a2f", "#6d8a3a", "#4b6a28", "#8a9650"),
        "autumn": ("#a3612a", "#c08a35", "#7d6a2c", "#8c3f24"),
        "bloom": ("#c2335b", "#e0708c", "#d94f3d"),
        "lilac": ("#7a5ea8", "#9b84c4", "#5d4790"),
    }[kind]
    return tuple(materials.plain(tone, Surface(rough=0.5, bump=0.0, shine_through=0.35)) for tone in tones)


def forget() -> None:
    """Drops materials kept for the last Blender file."""
    greens.cache_clear()


def plant(
    rng: Rng, at: Point, *, radius: float = 0.07, height: float = 0.11, kind: str = "leaf", pot: str = "#a9583a"
) -> None:
    """A pot with a leafy plant."""
    r, h = radius, height
    clay = materials.plain(pot, Surface(rough=0.85, bump=0.2, grain=150, worn=0.45), second="#c7a58b")
    kit.lathe([(0.68 * r, 0), (0.86 * r, 0.72 * h), (0.88 * r, 0.74 * h)], at, clay)
    kit.lathe([(r * 0.9, 0.74 * h), (r, 0.75 * h), (r, h), (0.9 * r, h), (0.85 * r, 0.86 * h)], at, clay, smooth=2)
    kit.lathe([(0, 0.88 * h), (0.87 * r, 0.87 * h)], at, materials.plain("#2c1f16", Surface(rough=1, bump=1)), smooth=0)
    kit.bush(rng, (at[0], at[1], at[2] + h + 0.9 * r), (1.35 * r, 1.35 * r, 1.3 * r), 260, 0.55 * r, greens(kind))
    stalk = materials.plain("#4c5a2a")
    for _ in range(7):
        x, y = rng.normal(0, 0.4 * r, 2)
        kit.tube([(0, 0, 0.85 * h), (0.5 * x, 0.5 * y, h + 0.4 * r), (x, y, h + r)], 0.03 * r, stalk, at=at)


def jar(
    at: Point, label: Array, filling: Material, *, radius: float = 0.045, height: float = 0.13, turn: float = 0.0
) -> None:
    """A glass jar with a tin lid, a filling and a label that faces -y (turned by `turn`)."""
    r, h = radius, height
    kit.lathe(
        [(0, 0.01), (0.9 * r, 0.01), (0.93 * r, 0.3 * h), (0.93 * r, 0.72 * h), (0, 0.74 * h)], at, filling, smooth=3
    )
    kit.lathe(
        [(0.9 * r, 0), (r, 0.03 * h), (r, 0.8 * h), (0.86 * r, 0.9 * h), (0.86 * r, h)], at, materials.glass(), smooth=3
    )
    tin = materials.plain("#b08b4a", Surface(rough=0.3, metal=0.9, bump=0.15))
    kit.lathe(
        [(0.9 * r, 0.9 * h), (0.92 * r, 0.91 * h), (0.92 * r, 1.03 * h), (0.88 * r, 1.05 * h), (0, 1.05 * h)],
        at,
        tin,
        smooth=2,
    )
    paper_label(at, label, radius=r * 1.01, low=0.14 * h, high=0.66 * h, turn=turn)


def paper_label(at: Point, label: Array, *, radius: float, low: float, high: float, turn: float = 0.0) -> Object:
    """A paper label around a round thing, its middle towards -y."""
    arc = min(5.6, (high - low) * label.shape[1] / label.shape[0] / radius)

    def shape(u: float, v: float) -> Point:
        angle = (u - 0.5) * arc - math.pi / 2
        return radius * math.cos(angle), radius * math.sin(angle), low + (high - low) * v

    return kit.sheet(shape, materials.picture("label", label, PAPER), cells=(48, 2), at=at, turn=(0, 0, turn))


def crate(at: Point, size: Point, *, wood: Material, turn: Point = (0, 0, 0), slats: int = 3) -> None:
    """An open wooden crate, turned about z only."""
    w, d, h = size
    angle = math.radians(turn[2])

    def spot(x: float, y: float, z: float) -> Point:
        return (
            at[0] + x * math.cos(angle) - y * math.sin(angle),
            at[1] + x * math.sin(angle) + y * math.cos(angle),
            at[2] + z,
        )

    kit.box((w, d, 0.012), spot(0, 0, 0), wood, turn=turn)
    step = h / slats
    for index in range(slats):
        for side in (-1, 1):
            kit.box((w, 0.012, step * 0.82), spot(0, side * (d / 2), step * index + 0.01), wood, turn=turn)
            kit.box((0.012, d, step * 0.82), spot(side * (w / 2), 0, step * index + 0.01), wood, turn=turn)
    for x in (-1, 1):
        for y in (-1, 1):
            kit.box((0.024, 0.024, h), spot(x * (w / 2 - 0.016), y * (d / 2 - 0.016), 0.005), wood, turn=turn)
