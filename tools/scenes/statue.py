"""A stone maiden in a garden; the references are black and white, or faded film. The hole takes its upper half."""

import math

import numpy as np

from tools.scenes import kit, materials, paint, studio, things
from tools.scenes.materials import Surface
from tools.scenes.paint import Rng
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Camera, Quality


def build(rng: Rng) -> None:
    """Lawn, path, hedge, wall, flower beds and the statue."""
    _ground(rng)
    colour, height = paint.bricks(rng, (1024, 1024), 18, 7)
    wall = materials.picture("wall", colour, Surface(rough=0.95, bump=0.3, relief=0.9), height=height, metres=1.5)
    kit.box((9, 0.3, 1.7), (0, 3.6, 0), wall, bevel=0)
    cap = materials.picture("cap", paint.stone(rng, (512, 512), 0.5), Surface(rough=0.9, bump=0.5), metres=0.8)
    for index in range(11):
        kit.box((0.8, 0.42, 0.09), (-4.1 + 0.82 * index, 3.6, 1.7), cap, bevel=0.02)
    _ivy(rng)
    _beds(rng)
    rock = materials.picture(
        "stone", paint.stone(rng, (1024, 1024), 0.22), Surface(rough=0.9, bump=0.5, grain=150), metres=0.7
    )
    _statue(rock)
    studio.sky("#5f97dd", "#eef2f4", 1.0)
    studio.lamp("sun", "SUN", (-1.1, -0.9, 1.3), (0, 0, 0), 4.2, 1.0, "#ffeed2")


def _ground(rng: Rng) -> None:
    lawn = paint.ramp(paint.noise(rng, (900, 900), (30, 30), 6), [(0.1, "#39531f"), (0.5, "#5b7a2f"), (0.9, "#8a9a4a")])
    kit.box(
        (14, 14, 0.2), (0, 2, -0.2), materials.picture("lawn", lawn, Surface(rough=1, bump=0.8), metres=3.0), bevel=0
    )
    ground, dome = paint.cobbles(rng, (900, 900), 14)
    path = materials.picture("path", ground, Surface(rough=0.85, bump=0.2, relief=0.9), height=dome, metres=1.2)
    kit.box((1.5, 4.6, 0.02), (-0.1, -0.6, 0.0), path, bevel=0.005)
    count = 9000
    spots = np.column_stack([rng.uniform(-3.4, 3.4, count), rng.uniform(-1.6, 3.2, count), np.zeros(count)])
    spots = spots[np.abs(spots[:, 0] + 0.1) > 0.72]
    kit.leaves(rng, spots, np.tile([0, 0, 1.6], (len(spots), 1)), 0.07, things.greens("grass"))


def _ivy(rng: Rng) -> None:
    count = 5200
    x = rng.uniform(-4, 4, count)
    top = 1.2 + 0.55 * np.sin(1.3 * x + 1) + 0.2 * np.sin(4.1 * x)
    z = np.minimum(1.68, rng.uniform(0, 1, count) ** 0.8 * np.maximum(0.1, top))
    keep = rng.random(count) < np.where(x > 0.9, 0.95, 0.45)
    points = np.column_stack([x, 3.44 - rng.uniform(0, 0.1, count), z])[keep]
    kit.leaves(rng, points, np.tile([0, -1, -0.5], (len(points), 1)), 0.1, things.greens("leaf"))


def _beds(rng: Rng) -> None:
    kinds = ("bloom", "lilac", "autumn", "grey")
    for index in range(15):
        x = -3.3 + 0.47 * index + float(rng.normal(0, 0.05))
        high = float(rng.uniform(0.22, 0.42))
        kit.bush(rng, (x, 3.0, high * 0.9), (0.28, 0.25, high), 420, 0.085, things.greens("leaf"))
        kit.bush(rng, (x, 2.9, high * 1.3), (0.26, 0.22, high * 0.7), 110, 0.06, things.greens(kinds[index % 4]))
    clay = materials.plain("#a85a3b", Surface(rough=0.85, bump=0.2, worn=0.5), second="#cbb39a")
    for side in (-1, 1):
        at = (side * 1.18 - 0.1, 1.0, 0.0)
        kit.lathe([(0.1, 0), (0.12, 0.03), (0.1, 0.06), (0.19, 0.24), (0.24, 0.34), (0.22, 0.36)], at, clay)
        kit.bush(rng, (at[0], at[1], 0.52), (0.25, 0.25, 0.22), 420, 0.08, things.greens("leaf"))
        kit.bush(
            rng, (at[0], at[1], 0.58), (0.27, 0.27, 0.2), 120, 0.055, things.greens("bloom" if side < 0 else "lilac")
        )
    bark = materials.plain("#5a4632", Surface(rough=0.95, bump=1.0, grain=40))
    for x, y, high, size in ((-2.6, 5.6, 2.6, 1.0), (-0.9, 6.4, 3.1, 1.1), (1.5, 5.4, 2.7, 1.0), (3.2, 6.2, 3.2, 1.3)):
        kit.tube([(x, y, 0), (x + 0.1, y, 0.6 * high), (x, y, high)], [0.16, 0.12, 0.06], bark)
        kit.bush(rng, (x, y, high), (size, size, 0.9 * size), 2200, 0.15, things.greens("leaf" if x < 1 else "autumn"))
    for x, y, size in ((-2.3, 2.1, 0.5), (2.4, 2.2, 0.55), (2.0, 1.2, 0.3), (-2.1, 1.1, 0.28)):
        kit.bush(rng, (x, y, size * 0.9), (size, size, size), 1500, 0.075, things.greens("leaf"))


def _statue(rock: materials.Material) -> None:
    y = 1.7
    for size, z in (((0.66, 0.66, 0.12), 0.0), ((0.54, 0.54, 0.4), 0.12), ((0.6, 0.6, 0.07), 0.52)):
        kit.box(size, (-0.1, y, z), rock, bevel=0.012)
    at = (-0.1, y, 0.59)

    def folds(angle: float, share: float) -> float:
        depth = 0.1 * max(0.0, 1 - 1.5 * share) + 0.02
        return (
            1
            + depth * math.sin(9 * angle + 2.5 * share)
            + 0.5 * depth * math.sin(17 * angle - 4 * share)
            - 0.1 * math.sin(angle) ** 2
        )

    robe = [
        (0.2, 0),
        (0.19, 0.1),
        (0.15, 0.35),
        (0.125, 0.52),
        (0.105, 0.62),
        (0.1, 0.68),
        (0.125, 0.78),
        (0.128, 0.84),
        (0.1, 0.9),
        (0.045, 0.935),
        (0.04, 0.97),
    ]
    kit.lathe(robe, at, rock, folds=folds, segments=120, smooth=6)

    def here(x: float, dy: float, z: float) -> kit.Point:
        return at[0] + x, at[1] + dy, at[2] + z

    kit.ball((0.066, 0.076, 0.092), here(0.005, -0.012, 1.05), rock, turn=(12, 0, 8))
    kit.ball((0.08, 0.084, 0.075), here(0.005, 0.012, 1.085), rock)
    kit.ball((0.046, 0.046, 0.042), here(0.005, 0.09, 1.1), rock)
    kit.ball((0.013, 0.02, 0.02), here(0.01, -0.088, 1.04), rock)  # nose
    for x in (-0.027, 0.03):  # brows, eyes
        kit.ball((0.022, 0.012, 0.008), here(x + 0.003, -0.071, 1.079), rock, cells=12)
        kit.ball((0.012, 0.009, 0.008), here(x + 0.003, -0.07, 1.058), rock, cells=12)
    kit.ball((0.02, 0.01, 0.008), here(0.01, -0.074, 1.006), rock, cells=12)  # mouth
    for index in range(9):  # curls around the face
        angle = math.pi * (0.05 + 0.9 * index / 8)
        kit.ball(
            (0.024, 0.026, 0.026),
            here(0.005 + 0.07 * math.cos(angle), -0.045, 1.06 + 0.075 * math.sin(angle)),
            rock,
            cells=12,
        )
    jar = here(0.15, -0.1, 0.72)
    kit.lathe(
        [(0.03, 0), (0.06, 0.05), (0.075, 0.12), (0.05, 0.19), (0.03, 0.22), (0.045, 0.25), (0.03, 0.24)],
        jar,
        rock,
        turn=(14, 16, 0),
    )
    arms = (
        ((-0.115, 0, 0.86), (-0.17, -0.03, 0.72), (-0.08, -0.14, 0.66), (0.09, -0.16, 0.74)),
        ((0.115, 0, 0.86), (0.2, 0.0, 0.76), (0.24, -0.08, 0.72), (0.19, -0.16, 0.8)),
    )
    for arm in arms:
        kit.tube([here(*point) for point in arm], [0.05, 0.042, 0.034, 0.024], rock)
    kit.tube(
        [here(-0.12, -0.05, 0.88), here(0.0, -0.14, 0.77), here(0.1, -0.1, 0.64), here(0.12, 0.06, 0.56)],
        [0.03, 0.035, 0.03, 0.03],
        rock,
    )


def arrange(state: str) -> None:
    """Nothing moves here."""


SCENE = Recipe(
    name="statue",
    title="The stone maiden",
    tests="image style: one reference is black and white, one is faded warm film, the target has plain colours",
    shows="A stone head; one other photo is black and white, one an old warm print.",
    seed=53,
    build=build,
    arrange=arrange,
    target=Shot(Camera((-0.05, -2.2, 1.3), (-0.05, 1.7, 1.18), 56, 8, (-0.1, 1.7, 1.2)), Quality(640, 480, 28)),
    references=(
        Shot(
            Camera((-0.7, -2.1, 1.35), (-0.08, 1.7, 1.2), 57, 8, (-0.1, 1.7, 1.2)), Quality(640, 480, 28), look="mono"
        ),
        Shot(Camera((0.6, -2.0, 1.2), (-0.05, 1.7, 1.2), 55, 8, (-0.1, 1.7, 1.2)), Quality(640, 480, 28), look="warm"),
    ),
    hole=(((0.38, 0.12), (0.50, 0.05), (0.62, 0.14), (0.70, 0.40), (0.62, 0.62), (0.42, 0.66), (0.32, 0.40)),),
    suffix=".jpg",
)
