"""A fruit stall seen from five places well apart. Outpainting: the left and the lower edge are missing."""

import math

import numpy as np

from tools.scenes import fruit, kit, materials, paint, printed, studio, things
from tools.scenes.materials import Surface
from tools.scenes.paint import Rng
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Camera, Quality


def build(rng: Rng) -> None:
    """Stall, crates, signs, the street behind."""
    ground, dome = paint.cobbles(rng, (1000, 1000), 18)
    street = materials.picture("street", ground, Surface(rough=0.75, bump=0.2, relief=0.9), height=dome, metres=2.0)
    kit.box((16, 16, 0.2), (0, 3, -0.2), street, bevel=0)
    wood = materials.picture("crate", paint.wood(rng, (400, 600), "pine") * 0.85, things.WOOD, metres=0.7)
    grey = materials.picture("grey", paint.wood(rng, (400, 600), "grey"), things.WOOD, metres=0.8)
    names = list(fruit.FRUIT)
    for row, (y, z) in enumerate(((0.0, 0.62), (0.44, 0.8))):
        for column in range(5):
            name = names[(row * 5 + column) % len(names)]
            x = -1.06 + 0.53 * column + 0.02 * row
            things.crate((x, y, z), (0.47, 0.36, 0.13), wood=wood, turn=(0, 0, float(rng.normal(0, 1.5))))
            fruit.heap(rng, name, (x, y, z + 0.02))
            fruit.price(rng, name, (x + float(rng.normal(0, 0.04)), y + 0.12, z + 0.13))
    kit.box((2.9, 0.95, 0.04), (0, 0.25, 0.575), grey)
    kit.box((2.9, 0.5, 0.04), (0, 0.5, 0.755), grey)
    for x in (-1.4, 1.4):
        for y in (-0.2, 0.72):
            kit.box((0.06, 0.06, 2.0 if y > 0 else 1.92), (x, y, 0), grey)
    _front(rng)
    _awning(rng)
    _hanging_things(rng)
    _background(rng)
    studio.sky("#82ade0", "#e6e8e4", 1.0)
    studio.lamp("sun", "SUN", (-0.8, -1.0, 0.85), (0, 0, 0), 4.6, 1.0, "#ffeed6")


def _front(rng: Rng) -> None:
    cloth = materials.picture(
        "cloth",
        paint.cloth(rng, (700, 1800), "gingham", ["#f3efe6", "#3f7a55"], 14),
        Surface(rough=0.95, bump=0.2, grain=400, shine_through=0.2),
    )
    kit.sheet(
        lambda u, v: ((u - 0.5) * 2.94, -0.235 - 0.02 * math.sin(60 * u) * (1 - v), 0.08 + 0.53 * v),
        cloth,
        cells=(160, 8),
    )
    name = materials.picture(
        "name",
        printed.sign((1500, 230), ["M. ORCHARD & DAUGHTERS · FRUIT"], "#f4ecd2", "#1f4d3a", "serif-bold"),
        Surface(rough=0.5, bump=0.15),
    )
    kit.box((1.5, 0.03, 0.23), (0.1, -0.27, 0.33), materials.plain("#1f4d3a"), faces={"front": name})
    board = printed.sign(
        (500, 760), ["TODAY", "figs 4.20", "basil 1.10", "honey 6.50", "eggs 2.90"], "#efece2", "#24302c", "italic"
    )
    board = board * (0.88 + 0.3 * paint.noise(rng, board.shape[:2], (8, 6), 4)[..., None])
    frame = materials.plain("#7a5733", things.WOOD)
    kit.box(
        (0.5, 0.03, 0.76),
        (-1.08, -0.62, 0.02),
        frame,
        turn=(-11, 0, 9),
        faces={"front": materials.picture("chalk", board, Surface(rough=0.9, bump=0.1))},
    )
    wood = materials.picture("low", paint.wood(rng, (300, 500), "pine") * 0.75, things.WOOD, metres=0.6)
    for x, y, name_ in ((0.28, -0.72, "Melons"), (0.86, -0.66, "Oranges"), (-0.42, -0.66, "Pears")):
        things.crate((x, y, 0.14), (0.5, 0.36, 0.16), wood=wood, turn=(0, 0, float(rng.normal(0, 4))))
        kit.box((0.46, 0.32, 0.14), (x, y, 0), wood)
        fruit.heap(rng, name_, (x, y, 0.18))
    things.plant(rng, (1.4, -0.6, 0), radius=0.17, height=0.28, kind="leaf")
    kit.bush(rng, (1.4, -0.6, 0.5), (0.22, 0.22, 0.16), 120, 0.05, things.greens("bloom"))


def _awning(rng: Rng) -> None:
    colours = ["#efe6d2", "#a8322a"]
    strip = np.zeros((40, 1400, 3), np.float32)
    for index in range(20):
        strip[:, index * 70 : (index + 1) * 70] = paint.hexa(colours[index % 2])
    strip = strip * (0.85 + 0.2 * paint.noise(rng, (40, 1400), (2, 30), 3)[..., None])
    canvas = materials.picture("awning", strip, Surface(rough=0.9, bump=0.15, grain=300, shine_through=0.45))
    kit.sheet(
        lambda u, v: (
            (u - 0.5) * 3.1,
            -0.55 + 1.4 * v,
            1.9 + 0.42 * v - 0.05 * math.sin(math.pi * v) + 0.01 * math.sin(40 * u),
        ),
        canvas,
        cells=(60, 10),
    )
    kit.sheet(
        lambda u, v: ((u - 0.5) * 3.1, -0.55, 1.9 - (1 - v) * (0.12 + 0.05 * abs(math.sin(10 * math.pi * u)))),
        canvas,
        cells=(160, 2),
    )


def _hanging_things(rng: Rng) -> None:
    twine = materials.plain("#b89b6a")
    garlic = kit.ball(
        (0.026, 0.026, 0.028), (0, 0, -5), materials.plain("#e9e1d3", Surface(rough=0.5), second="#cdb9c4"), cells=14
    )
    pepper = kit.ball((0.012, 0.012, 0.04), (0, 0, -5), materials.plain("#b81d14", fruit.SKIN), cells=12)
    for index, x in enumerate((-1.22, -0.85, 0.5, 0.9, 1.22)):
        kit.tube([(x, -0.4, 1.9), (x, -0.4, 1.3)], 0.004, twine, steps=1)
        for step in range(13):
            angle = step * 2.4
            reach = 0.03
            spot = (x + reach * math.cos(angle), -0.4 + reach * math.sin(angle), 1.33 + 0.03 * step)
            kit.copy_object(
                garlic if index % 2 else pepper, spot, (float(rng.uniform(-40, 40)), float(rng.uniform(-40, 40)), 0)
            )
    steel = materials.plain("#b9b5ab", Surface(rough=0.25, metal=1, bump=0.1))
    kit.tube([(0.0, -0.3, 1.95), (0.0, -0.3, 1.5)], 0.006, steel, steps=1)
    dial = printed.sign((300, 300), ["KILO", "5"], "#222222", "#f4f1e6")
    kit.lathe(
        [(0, -0.02), (0.08, -0.02), (0.08, 0.02), (0, 0.02)],
        (0.0, -0.3, 1.44),
        materials.plain("#b8352a", Surface(rough=0.3)),
        turn=(90, 0, 0),
        smooth=0,
    )
    kit.panel((0.11, 0.11), (0.0, -0.322, 1.385), materials.picture("dial", dial, Surface(rough=0.3)))
    kit.lathe([(0.0, 0), (0.1, 0.012), (0.14, 0.05)], (0.0, -0.3, 1.18), steel)
    for dx in (-0.13, 0.13):
        kit.tube([(0.0, -0.3, 1.37), (dx, -0.3, 1.23)], 0.003, steel, steps=1)
    lemon = kit.ball((0.034, 0.027, 0.027), (0, 0, -5), materials.plain("#e8c41f", fruit.SKIN), cells=14)
    for dx, dy in ((0.03, 0.0), (-0.04, 0.02), (0.0, -0.04)):
        kit.copy_object(lemon, (dx, -0.3 + dy, 1.235), (0, 0, float(rng.uniform(0, 180))))


def _background(rng: Rng) -> None:
    for index, (x, tone) in enumerate(((-4.3, "#c98d74"), (-1.4, "#d9b88a"), (1.5, "#9fb0a6"), (4.4, "#c9a24f"))):
        wall = materials.picture("house", paint.plaster(rng, (700, 500), tone, 0.35), Surface(rough=0.9, bump=0.3))
        kit.panel((2.9, 5.0), (x, 5.6 + 0.15 * (index % 2), 0), wall)
        for z in (0.5, 2.9):
            for dx in (-0.75, 0.75):
                kit.box((0.86, 0.06, 1.5), (x + dx, 5.55, z), materials.plain("#e8e2d5", Surface(rough=0.6)))
                kit.box((0.7, 0.08, 1.34), (x + dx, 5.53, z + 0.08), materials.plain("#2a3238", Surface(rough=0.08)))
                kit.box((0.05, 0.1, 1.34), (x + dx, 5.51, z + 0.08), materials.plain("#e8e2d5"))
        shop = printed.sign(
            (900, 200),
            [("BAKERY", "BOOKS & MAPS", "CAFE CENTRAL", "CLOCKS")[index]],
            "#f4ecd2",
            ("#5a2a1c", "#1d3557", "#283618", "#6a040f")[index],
            "serif-bold",
        )
        kit.box(
            (2.3, 0.1, 0.5),
            (x, 5.5, 2.2),
            materials.plain("#333333"),
            faces={"front": materials.picture("shop", shop, Surface(rough=0.4))},
        )
    flags = [
        materials.plain(ink, Surface(rough=0.9, shine_through=0.3))
        for ink in ("#b8352a", "#e0a53a", "#2f5d8a", "#efe6d2", "#3f7a55")
    ]
    for index in range(24):
        x = -3.4 + 0.29 * index
        z = 3.0 - 0.5 * math.sin(math.pi * index / 23)
        kit.place(
            kit.mesh("flag", [(0, 0, 0), (0.22, 0, 0), (0.11, 0.02, -0.28)], [(0, 1, 2)], [flags[index % 5]]),
            (x, 3.4, z),
        )
    kit.tube(
        [(-3.4 + 0.29 * i, 3.4, 3.0 - 0.5 * math.sin(math.pi * i / 23)) for i in range(0, 24, 3)],
        0.006,
        materials.plain("#444444"),
    )
    for x in (-2.6, 2.5):
        kit.box(
            (1.6, 0.8, 0.75),
            (x, 3.1, 0),
            materials.picture(
                "stall", paint.cloth(rng, (300, 300), "stripes", ["#31587a", "#efe6d2"], 6), Surface(rough=0.9)
            ),
        )
        kit.bush(rng, (x, 3.0, 0.95), (0.8, 0.35, 0.3), 700, 0.12, things.greens("leaf"))
        kit.bush(rng, (x, 2.9, 1.05), (0.8, 0.35, 0.28), 350, 0.09, things.greens("bloom" if x < 0 else "lilac"))


def arrange(state: str) -> None:
    """Nothing moves here."""


SIZE = Quality(640, 480, 9, 0.1)
SCENE = Recipe(
    name="market",
    title="Saturday at the fruit stall",
    tests="five references and strong parallax; outpainting: the left and the lower edge are missing",
    shows="A fruit stall with its left and lower edge missing, seen in five other photos.",
    seed=83,
    build=build,
    arrange=arrange,
    target=Shot(Camera((0.15, -2.7, 1.5), (0.02, 0.3, 0.95), 34, 11, exposure=0.4), SIZE),
    references=(
        Shot(Camera((-0.45, -2.6, 1.45), (-0.2, 0.3, 0.8), 34, 11, exposure=0.4), SIZE),
        Shot(Camera((0.6, -2.5, 1.6), (0.05, 0.3, 0.9), 34, 11, exposure=0.4), SIZE),
        Shot(Camera((-0.9, -2.3, 1.55), (-0.35, 0.3, 0.75), 33, 11, exposure=0.4), SIZE),
        Shot(Camera((0.1, -2.2, 1.7), (-0.1, 0.2, 0.7), 31, 11, exposure=0.4), SIZE),
        Shot(Camera((-0.25, -3.1, 1.35), (-0.15, 0.3, 0.85), 37, 11, exposure=0.4), SIZE),
    ),
    hole=(((-0.01, -0.01), (0.25, -0.01), (0.25, 0.76), (1.01, 0.76), (1.01, 1.01), (-0.01, 1.01)),),
    brush=False,
    suffix=".jpg",
)
