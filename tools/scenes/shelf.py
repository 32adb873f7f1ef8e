"""A kitchen corner with jars and tins, taken with different apertures. The hole takes labels from two depths."""

import math

import numpy as np

from tools.scenes import books, kit, materials, paint, printed, studio, things
from tools.scenes.materials import Surface
from tools.scenes.paint import Rng
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Camera, Quality

NAMES = [
    "Paprika",
    "Flour",
    "Almonds",
    "Barley",
    "Cocoa",
    "Lentils",
    "Sugar",
    "Saffron",
    "Coffee",
    "Raisins",
    "Cloves",
    "Tea",
    "Honey",
    "Salt",
    "Oats",
    "Sesame",
]


def build(rng: Rng) -> None:
    """Counter, tiled wall, shelf, and everything on them."""
    glaze = Surface(rough=0.16, bump=0.25, grain=30, worn=0.3)
    tiled = materials.picture("tiles", np.tile(printed.tiles(rng, 1000, 4, 7), (1, 2, 1)), glaze)
    kit.panel((2.24, 1.12), (0, 0.35, -0.02), tiled)
    counter = materials.picture("counter", paint.wood(rng, (500, 1400), "pine", 6), things.WOOD)
    kit.box((2.4, 0.75, 0.05), (0, 0.0, -0.05), materials.plain("#b98b55"), faces={"top": counter})
    plank = materials.picture("plank", paint.wood(rng, (200, 1400), "walnut", 1), things.WOOD)
    kit.box((1.7, 0.17, 0.028), (0.05, 0.265, 0.40), materials.plain("#5c3c25"), faces={"top": plank, "front": plank})
    iron = materials.plain("#2b2a29", Surface(rough=0.4, metal=0.9, bump=0.5))
    for x in (-0.62, 0.66):
        kit.tube([(x, 0.34, 0.26), (x, 0.24, 0.3), (x, 0.2, 0.395)], 0.008, iron)
        kit.box((0.02, 0.015, 0.16), (x, 0.342, 0.24), iron)
    _upper_board(rng)
    _lower_board(rng)
    _hanging_things(rng)
    studio.sky("#b9c6d6", "#d9cfc0", 0.45)
    studio.lamp("window", "AREA", (-1.3, -0.9, 1.3), (0, 0.2, 0.2), 44, 0.6, "#fff0dc")
    studio.lamp("room", "AREA", (1.5, -1.2, 0.9), (0, 0.2, 0.2), 9, 1.0, "#ffd9a8")


def _tin(
    rng: Rng, at: kit.Point, title: str, palette: int, *, radius: float = 0.05, height: float = 0.12, turn: float = 0.0
) -> None:
    metal = materials.plain("#8f8c84", Surface(rough=0.35, metal=0.95, bump=0.4, worn=0.5))
    kit.lathe(
        [(0.99 * radius, 0), (radius, 0.004), (radius, height - 0.004), (0.97 * radius, height), (0, height + 0.004)],
        at,
        metal,
        smooth=0,
    )
    art = printed.label(rng, (700, 420), title, palette)
    art = np.concatenate([art, printed.label(rng, (300, 420), str(rng.choice(NAMES)), palette)], 1)
    things.paper_label(at, art, radius=radius * 1.012, low=0.008, high=height - 0.01, turn=turn)


def _filling(kind: int) -> materials.Material:
    first, second = (
        ("#7a3b1d", "#b05a26"),
        ("#efe6d2", "#d8c9a8"),
        ("#4a2a17", "#2a170d"),
        ("#c9a463", "#8f6a33"),
        ("#a32e1c", "#c9502f"),
    )[kind % 5]
    return materials.plain(first, Surface(rough=0.9, bump=1.0, grain=420), second=second)


def _upper_board(rng: Rng) -> None:
    x = -0.62
    for index in range(11):
        title = NAMES[index]
        spot = (x, 0.262 + float(rng.normal(0, 0.006)), 0.428)
        turn = float(rng.normal(0, 9))
        if index % 3 == 1:
            _tin(rng, spot, title, index, height=float(rng.uniform(0.1, 0.15)), turn=turn)
        else:
            things.jar(
                spot,
                printed.label(rng, (420, 300), title, index),
                _filling(index),
                height=float(rng.uniform(0.12, 0.16)),
                turn=turn,
            )
        x += 0.115
    books.row_of_books(rng, (0.66, 0.19, 0.428), 0.2, height=(0.17, 0.2))


def _lower_board(rng: Rng) -> None:
    board = materials.picture("board", paint.wood(rng, (700, 420), "red", 1), things.WOOD)
    kit.box(
        (0.24, 0.02, 0.34),
        (-0.44, 0.27, 0.0),
        materials.plain("#6d3f28"),
        turn=(-9, 0, 0),
        faces={"front": board},
        bevel=0.008,
    )
    spots = ((-0.2, 0.2), (-0.05, 0.24), (0.1, 0.19), (0.42, 0.21), (0.56, 0.17))
    for index, (x, y) in enumerate(spots):
        title = NAMES[11 + index]
        if index % 2:
            _tin(rng, (x, y, 0), title, index + 3, radius=0.058, height=0.155, turn=float(rng.normal(0, 14)))
        else:
            things.jar(
                (x, y, 0),
                printed.label(rng, (420, 300), title, index + 2),
                _filling(index + 2),
                radius=0.055,
                height=0.17,
                turn=float(rng.normal(0, 14)),
            )
    lattice = things.mug_pattern(rng, 2, ["#f1ead9", "#b5402c", "#1f4e79", "#d9a441", "#f1ead9"])
    things.mug(
        (0.20, 0.0, 0),
        materials.picture("mug", lattice, things.GLAZE),
        materials.plain("#f1ead9", things.GLAZE),
        turn=-35,
    )
    things.jar(
        (-0.02, -0.02, 0), printed.label(rng, (480, 340), "Quince", 5), _filling(4), radius=0.052, height=0.15, turn=8
    )
    _bowl(rng)
    cloth = materials.picture(
        "cloth",
        paint.cloth(rng, (700, 700), "gingham", ["#f3efe6", "#2c5b8a"], 9),
        Surface(rough=0.95, bump=0.2, grain=900),
    )

    def folded(u: float, v: float) -> kit.Point:
        lift = 0.004 + 0.007 * abs(math.sin(6 * u + 2 * v)) * v + 0.004 * math.sin(9 * v)
        return (u - 0.5) * 0.36, (v - 0.5) * 0.26, max(0.003, lift)

    kit.sheet(folded, cloth, at=(0.42, -0.06, 0), turn=(0, 0, 24), cells=(40, 30))


def _bowl(rng: Rng) -> None:
    clay = materials.picture(
        "bowl", things.mug_pattern(rng, 0, ["#31586e", "#f0e4c8", "#e3b04b", "#f0e4c8", "#c65f3c"]), things.GLAZE
    )
    at = (-0.26, 0.02, 0.0)
    kit.lathe([(0.035, 0), (0.04, 0.008), (0.085, 0.04), (0.105, 0.075)], at, clay)
    kit.lathe([(0.105, 0.075), (0.1, 0.073), (0.08, 0.043), (0.0, 0.016)], at, materials.plain("#e9dfc9", things.GLAZE))
    peel = materials.plain("#e6b422", Surface(rough=0.4, bump=0.5, grain=260), second="#d39a1d")
    for x, y, z in (
        (0.0, 0.0, 0.055),
        (0.045, 0.01, 0.07),
        (-0.04, 0.02, 0.072),
        (0.005, -0.045, 0.075),
        (0.0, 0.035, 0.1),
    ):
        kit.ball(
            (0.034, 0.027, 0.027),
            (at[0] + x, at[1] + y, z + 0.012),
            peel,
            turn=(float(rng.uniform(0, 40)), float(rng.uniform(-30, 30)), float(rng.uniform(0, 180))),
        )


def _hanging_things(rng: Rng) -> None:
    steel = materials.plain("#c9c5bd", Surface(rough=0.22, metal=1.0, bump=0.1))
    kit.tube([(-0.5, 0.3, 0.375), (0.6, 0.3, 0.375)], 0.005, steel, steps=1)
    wood = materials.picture("handle", paint.wood(rng, (200, 200), "red"), things.WOOD, metres=0.1)
    for index, x in enumerate((-0.16, -0.02, 0.12, 0.26, 0.4)):
        length = 0.12 + 0.02 * (index % 3)
        kit.tube([(x, 0.295, 0.372), (x, 0.29, 0.33)], 0.003, steel, steps=1)
        kit.tube([(x, 0.29, 0.335), (x, 0.288, 0.335 - length * 0.55)], [0.006, 0.009], wood, steps=2)
        end = 0.335 - length
        kit.tube([(x, 0.288, 0.335 - length * 0.5), (x, 0.286, end)], 0.0035, steel, steps=1)
        kit.ball((0.026, 0.008, 0.03), (x, 0.284, end - 0.015), steel)


def arrange(state: str) -> None:
    """Nothing moves here; the aperture is the camera's."""


SIZE = Quality(720, 540, 32)
SCENE = Recipe(
    name="shelf",
    title="Jars in a kitchen corner",
    tests="aperture: the references are sharp at one distance each, the target is sharp everywhere",
    shows="Jars behind something in the way; each other photo is sharp at another distance.",
    seed=23,
    build=build,
    arrange=arrange,
    target=Shot(Camera((0.03, -0.97, 0.38), (0.03, 0.2, 0.235), 45, 11, (0, 0.15, 0.2)), SIZE),
    references=(
        Shot(Camera((-0.12, -0.93, 0.4), (0.03, 0.2, 0.26), 47, 1.4, (0, 0.0, 0.08)), SIZE),
        Shot(Camera((0.2, -0.92, 0.34), (0.05, 0.2, 0.26), 47, 1.4, (0.1, 0.24, 0.3)), SIZE),
        Shot(Camera((0.02, -0.82, 0.45), (0.05, 0.2, 0.24), 44, 3.5, (0.1, 0.2, 0.2)), SIZE),
    ),
    hole=(
        (
            (0.34, 0.42),
            (0.48, 0.27),
            (0.70, 0.30),
            (0.76, 0.50),
            (0.66, 0.72),
            (0.60, 0.92),
            (0.40, 0.95),
            (0.33, 0.70),
        ),
    ),
)
