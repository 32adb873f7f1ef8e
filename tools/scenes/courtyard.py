"""A courtyard with windows under changing light: evening in the target, morning and clouds in the references."""

import math

import bpy
import numpy as np

from tools.scenes import artwork, kit, materials, paint, printed, studio, things
from tools.scenes.materials import Material, Surface
from tools.scenes.paint import Rng
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Camera, Quality


def build(rng: Rng) -> None:
    """Facade, side wall, pavement, well, pots."""
    plaster = materials.picture(
        "plaster", paint.plaster(rng, (1200, 1500), "#d9a45f", 0.55), Surface(rough=0.9, bump=0.4, grain=70)
    )
    kit.panel((7.6, 5.2), (0, 0, 0), plaster)
    rose = materials.picture(
        "rose", paint.plaster(rng, (1000, 1000), "#c98d74", 0.5), Surface(rough=0.9, bump=0.4, grain=70)
    )
    kit.panel((6.0, 5.2), (-3.3, -3.0, 0), rose, turn=(0, 0, 90))
    ground, dome = paint.cobbles(rng, (1400, 1400), 20)
    paving = materials.picture("paving", ground, Surface(rough=0.75, bump=0.2, relief=0.9), height=dome, metres=2.4)
    kit.box((12, 9, 0.2), (0, -4.3, -0.2), paving, bevel=0)
    stone = materials.picture("stone", paint.stone(rng, (900, 900), 0.2), Surface(rough=0.9, bump=0.4), metres=0.9)
    for index in range(10):
        kit.box((0.77, 0.06, 0.42), (-3.5 + 0.78 * index, -0.03, 0), stone, bevel=0.012)
    kit.box((7.6, 0.12, 0.12), (0, -0.05, 2.36), stone, bevel=0.02)
    green = _paint_material(rng, "#3e6b57")
    for x in (-2.0, 0.05, 2.1):
        _window(rng, (x, 0.0, 2.75), stone, green)
    _window(rng, (-1.9, 0.0, 0.95), stone, _paint_material(rng, "#2f5f86"))
    _door(rng, stone)
    _details(rng, stone)
    studio.sky("#7fa6d8", "#dfe3e6", 0.6)


def _paint_material(rng: Rng, colour: str) -> Material:
    wood = paint.wood(rng, (300, 300), "grey")
    worn = np.clip((paint.noise(rng, (300, 300), (7, 7), 5) - 0.62) * 9, 0, 1)
    base = np.asarray(paint.hexa(colour), np.float32) * (
        0.85 + 0.25 * paint.noise(rng, (300, 300), (3, 60), 3)[..., None]
    )
    return materials.picture(
        "painted", paint.blend(base.astype(np.float32), wood, worn), Surface(rough=0.5, bump=0.3, grain=100), metres=0.9
    )


def _window(rng: Rng, at: kit.Point, stone: Material, shutter: Material) -> None:
    x, _, z = at
    wide, high = 0.86, 1.25
    for size, spot in (
        ((wide + 0.3, 0.1, 0.14), (x, -0.03, z + high)),
        ((wide + 0.4, 0.2, 0.09), (x, -0.06, z - 0.09)),
        ((0.12, 0.08, high), (x - wide / 2 - 0.05, -0.03, z)),
        ((0.12, 0.08, high), (x + wide / 2 + 0.05, -0.03, z)),
    ):
        kit.box(size, spot, stone, bevel=0.012)
    kit.panel(
        (wide, high), (x, -0.006, z), materials.plain("#1a1f24", Surface(rough=0.05, bump=0.02, grain=3, worn=0.1))
    )
    lace = paint.cloth(rng, (200, 300), "gingham", ["#e9e4d8", "#cfc8b6"], 8)
    kit.sheet(
        lambda u, v: ((u - 0.5) * wide, -0.012 - 0.008 * math.sin(26 * u), v * high * 0.55),
        materials.picture("lace", lace, Surface(rough=0.6)),
        at=(x, 0, z + high * 0.42),
        cells=(40, 2),
    )
    white = materials.plain("#e3ddcf", Surface(rough=0.5, bump=0.4, grain=60), second="#c9bea6")
    for dx in (-wide / 2 + 0.03, 0, wide / 2 - 0.03):
        kit.box((0.06, 0.05, high), (x + dx, -0.025, z), white)
    for dz in (0.0, high * 0.36, high * 0.68, high - 0.05):
        kit.box((wide, 0.045, 0.045), (x, -0.025, z + dz), white)
    for side in (-1, 1):
        turn = side * float(rng.uniform(4, 16))
        hinge = x + side * (wide / 2 + 0.1)
        reach = math.radians(turn)
        for dz in (0.0, high * 0.48, high - 0.08):
            kit.box(
                (0.44, 0.03, 0.08),
                (hinge + side * 0.22 * math.cos(reach), -0.06 - 0.22 * abs(math.sin(reach)), z + dz),
                shutter,
                turn=(0, 0, -turn),
            )
        for share in (0.03, 0.41):
            kit.box(
                (0.06, 0.03, high),
                (hinge + side * share * math.cos(reach), -0.06 - share * abs(math.sin(reach)), z),
                shutter,
                turn=(0, 0, -turn),
            )
        for index in range(17):
            kit.box(
                (0.36, 0.012, 0.062),
                (hinge + side * 0.22 * math.cos(reach), -0.06 - 0.22 * abs(math.sin(reach)), z + 0.06 + index * 0.068),
                shutter,
                turn=(28, 0, -turn),
                bevel=0,
            )
    clay = materials.plain("#a4573a", Surface(rough=0.9, bump=0.2), second="#c99f85")
    kit.box((0.8, 0.17, 0.15), (x, -0.14, z), clay, bevel=0.01)
    kit.bush(rng, (x, -0.16, z + 0.2), (0.42, 0.14, 0.13), 420, 0.07, things.greens("leaf"))
    kit.bush(
        rng,
        (x, -0.2, z + 0.2),
        (0.42, 0.12, 0.14),
        110,
        0.05,
        things.greens("bloom" if rng.random() < 0.7 else "lilac"),
    )


def _door(rng: Rng, stone: Material) -> None:
    x, wide, high = 0.3, 1.1, 1.95
    for side in (-1, 1):
        for index in range(4):
            kit.box((0.2, 0.12, 0.48), (x + side * (wide / 2 + 0.1), -0.04, 0.49 * index), stone, bevel=0.015)
    kit.box((wide + 0.5, 0.14, 0.22), (x, -0.04, high), stone, bevel=0.015)
    kit.box((wide + 0.3, 0.4, 0.12), (x, -0.2, 0), stone, bevel=0.015)
    boards = np.rot90(paint.wood(rng, (500, 900), "walnut", 7)).copy()
    kit.panel((wide, high), (x, -0.01, 0.02), materials.picture("door", boards, things.WOOD))
    iron = materials.plain("#26241f", Surface(rough=0.45, metal=0.9, bump=0.6))
    for z in (0.45, 1.5):
        kit.box((0.9, 0.02, 0.06), (x - 0.05, -0.02, z), iron)
        for step in range(6):
            kit.ball((0.02, 0.02, 0.02), (x - 0.43 + 0.15 * step, -0.03, z + 0.03), iron, cells=10)
    kit.ball((0.035, 0.035, 0.035), (x + 0.42, -0.05, 1.0), materials.plain("#b58a3a", Surface(rough=0.3, metal=1)))


def _details(rng: Rng, stone: Material) -> None:
    glaze = Surface(rough=0.18, bump=0.1)
    kit.box(
        (0.62, 0.02, 0.62),
        (1.62, -0.01, 1.15),
        stone,
        faces={"front": materials.picture("tiles", printed.tiles(rng, 800, 4, 4), glaze)},
    )
    sign = printed.sign((900, 420), ["CASA", "DO LIMOEIRO"], "#1f4e8c", "#f2efe6", "serif-bold")
    kit.box((0.66, 0.02, 0.31), (1.62, -0.01, 1.84), stone, faces={"front": materials.picture("sign", sign, glaze)})
    number = printed.sign((300, 300), ["14"], "#f2efe6", "#1f4e8c")
    kit.box((0.2, 0.02, 0.2), (1.17, -0.01, 1.74), stone, faces={"front": materials.picture("number", number, glaze)})
    poster = artwork.poster(rng, (500, 700), "fan", ("FIESTA", "Saturday at dusk", "in the square"), 4)
    things.pinned_paper(poster, (-0.78, -0.005, 1.3), 0.42, tilt=-1.5, curl=0.01, pins=False)
    iron = materials.plain("#1f1f1d", Surface(rough=0.5, metal=0.8, bump=0.4))
    kit.tube([(-0.9, 0, 2.2), (-0.9, -0.25, 2.28), (-0.9, -0.36, 2.18)], 0.012, iron)
    kit.lathe([(0.02, 0.3), (0.11, 0.22), (0.1, 0.2)], (-0.9, -0.36, 1.88), iron, smooth=0, segments=6)
    kit.lathe(
        [(0.06, 0), (0.095, 0.2)],
        (-0.9, -0.36, 1.88),
        materials.plain("#e8dcb8", Surface(rough=0.2)),
        smooth=0,
        segments=6,
    )
    kit.lathe(
        [(0.5, 0), (0.52, 0.06), (0.45, 0.1), (0.45, 0.55), (0.54, 0.6), (0.54, 0.68), (0.4, 0.68), (0.4, 0.3)],
        (-1.25, -1.5, 0),
        stone,
        smooth=0,
        segments=16,
    )
    for x in (-1.68, -0.82):
        kit.tube([(x, -1.5, 0.66), (x, -1.5, 1.5), (-1.25, -1.5, 1.85)], 0.022, iron, steps=8)
    for index, (x, y, size) in enumerate(
        (
            (1.3, -0.45, 0.2),
            (1.85, -0.5, 0.26),
            (2.5, -0.5, 0.22),
            (-2.75, -0.6, 0.24),
            (-0.65, -0.35, 0.17),
            (2.2, -1.2, 0.24),
        )
    ):
        things.plant(
            rng,
            (x, y, 0),
            radius=size,
            height=1.5 * size,
            kind=("leaf", "grey", "leaf")[index % 3],
            pot=("#a9583a", "#31587a", "#c2a27a")[index % 3],
        )
        kit.bush(rng, (x, y, 2.6 * size), (1.2 * size, 1.2 * size, size), 60, 0.25 * size, things.greens("bloom"))
    count = 3800
    climb = rng.uniform(0.3, 4.6, count)
    away = -0.25 - np.abs(rng.normal(0, 0.7, count)) * (0.4 + 0.3 * climb)
    points = np.column_stack([-3.26 + rng.uniform(0, 0.1, count), away, climb])
    kit.leaves(rng, points, np.tile([1, 0, -0.5], (count, 1)), 0.13, things.greens("leaf"))


LIGHTS = {  # sky top, horizon, strength, sun from, power, colour
    "evening": ("#5d7fb8", "#e8d5b8", 0.8, (1.3, -1.1, 0.62), 6.5, "#ffc68c"),
    "morning": ("#7fb0e6", "#e6eef2", 1.1, (-1.0, -0.85, 1.1), 7.0, "#fff3e0"),
    "cloudy": ("#b9c3cd", "#dcdfe0", 2.0, (-0.2, -0.5, 1.0), 1.0, "#e8eef5"),
}


def arrange(state: str) -> None:
    """The light of an hour."""
    top, horizon, strength, sun, power, colour = LIGHTS[state]
    for node in list(bpy.data.worlds):
        bpy.data.worlds.remove(node)
    studio.sky(top, horizon, strength)
    studio.lamp("sun", "SUN", sun, (0, 0, 0), power, 1.0 if state != "cloudy" else 40, colour)


SIZE = Quality(680, 510, 16, 0.08)
SCENE = Recipe(
    name="courtyard",
    title="Casa do Limoeiro",
    tests="lighting: the target is in evening sun, the references in the morning and under clouds",
    shows="Part of a sunny house front; the other photos were taken in other light.",
    seed=67,
    build=build,
    arrange=arrange,
    target=Shot(Camera((0.35, -5.6, 1.75), (0.15, 0, 1.95), 34, exposure=0.45), SIZE, "evening"),
    references=(
        Shot(Camera((-0.5, -5.5, 1.7), (0.25, 0, 1.95), 34, exposure=0.5), SIZE, "morning"),
        Shot(Camera((1.2, -5.3, 1.6), (0.5, 0, 1.9), 34, exposure=0.35), SIZE, "cloudy"),
        Shot(Camera((0.5, -4.8, 1.8), (0.55, 0, 1.95), 34, exposure=0.5), SIZE, "morning"),
    ),
    hole=(((0.56, 0.36), (0.66, 0.33), (0.84, 0.36), (0.88, 0.60), (0.80, 0.78), (0.62, 0.78), (0.54, 0.60)),),
    suffix=".jpg",
)
