"""A workbench where things have moved between the photos, with a wooden figure that changes its pose."""

import math
from typing import Any

import bpy
import numpy as np

from tools.scenes import artwork, books, figure, kit, materials, paint, printed, studio, things
from tools.scenes.kit import Point
from tools.scenes.materials import Material, Surface
from tools.scenes.paint import Rng
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Camera, Quality

PARTS = [
    "M3 bolts",
    "M4 bolts",
    "Nuts",
    "Washers",
    "Springs",
    "Hinges",
    "Hooks",
    "Brass pins",
    "Fuses",
    "Cork",
    "Rivets",
    "Tacks",
    "Wire",
    "Pegs",
    "Magnets",
]
_moving: dict[str, list[Any]] = {}


def build(rng: Rng) -> None:
    """Wall, bench, tools, drawers, tins, and what moves."""
    _moving.clear()
    boards = materials.picture(
        "boards",
        np.rot90(paint.wood(rng, (1400, 1100), "grey", 11)).copy() * np.array([0.86, 0.95, 0.98], np.float32),
        things.WOOD,
    )
    kit.panel((2.4, 1.7), (0, 0.5, -0.3), boards)
    top = materials.picture(
        "top",
        paint.wood(rng, (700, 1500), "oak", 4) * (1 - 0.5 * paint.speckle(rng, (700, 1500), 500, (1, 9))[..., None]),
        things.WOOD,
    )
    kit.box(
        (2.2, 0.9, 0.06), (0, 0.08, -0.06), materials.plain("#8a6a42"), faces={"top": top, "front": top}, bevel=0.006
    )
    _pegboard(rng)
    _drawers(rng)
    _bench(rng)
    _movable_things(rng)
    studio.sky("#a9b8c9", "#d3cbbd", 0.4)
    studio.lamp("window", "AREA", (-1.4, -1.0, 1.3), (0, 0.3, 0.2), 50, 0.7, "#fff1de")
    studio.lamp("bulb", "AREA", (0.9, -0.7, 1.3), (0.1, 0.3, 0.2), 14, 0.4, "#ffd2a0")


def _pegboard(rng: Rng) -> None:
    board = np.broadcast_to(np.asarray(paint.hexa("#c8ab7c"), np.float32), (900, 1000, 3)) * (
        0.9 + 0.16 * paint.noise(rng, (900, 1000), (200, 200), 2)[..., None]
    )
    for row in range(18):
        for column in range(20):
            board[row * 50 + 22 : row * 50 + 28, column * 50 + 22 : column * 50 + 28] *= 0.25
    kit.box(
        (1.0, 0.012, 0.7),
        (-0.12, 0.49, 0.36),
        materials.plain("#a98d60"),
        faces={"front": materials.picture("pegs", board, Surface(rough=0.7, bump=0.1))},
        bevel=0,
    )
    steel = materials.plain("#a9aaa8", Surface(rough=0.3, metal=1.0, bump=0.3, worn=0.5), second="#6f6a62")
    red, yellow, blue = (
        materials.plain(ink, Surface(rough=0.35, bump=0.1)) for ink in ("#b3261e", "#d9a21b", "#21568a")
    )
    handle = materials.picture("handle", paint.wood(rng, (200, 200), "red"), things.WOOD, metres=0.12)
    for index in range(5):  # screwdrivers
        x, length = -0.55 + 0.055 * index, 0.14 + 0.018 * index
        kit.tube([(x, 0.465, 0.66), (x, 0.465, 0.58)], [0.012, 0.009], (red, yellow, blue)[index % 3], steps=3)
        kit.tube([(x, 0.465, 0.59), (x, 0.465, 0.6 - length)], 0.0035, steel, steps=1)
    kit.tube([(-0.2, 0.465, 0.7), (-0.2, 0.465, 0.43)], [0.012, 0.015], handle, steps=3)  # hammer
    kit.box((0.12, 0.03, 0.032), (-0.2, 0.465, 0.69), steel, bevel=0.006)
    blade = [(-0.12, 0.472, 0.66), (0.2, 0.472, 0.68), (0.2, 0.472, 0.65), (-0.12, 0.472, 0.56)]
    kit.place(kit.mesh("blade", blade, [(0, 1, 2, 3)], [steel]), (0, 0, 0))
    kit.box((0.1, 0.025, 0.11), (-0.13, 0.468, 0.56), handle, bevel=0.012, turn=(0, 12, 0))
    for index in range(6):  # spanners
        x, length = 0.0 + 0.042 * index, 0.1 + 0.014 * index
        kit.box((0.011, 0.006, length), (x, 0.47, 0.5 - length), steel)
        kit.lathe(
            [(0.008, 0), (0.016, 0), (0.016, 0.008), (0.008, 0.008)], (x, 0.476, 0.5), steel, turn=(90, 0, 0), smooth=0
        )
        kit.box((0.026, 0.008, 0.022), (x, 0.47, 0.49 - length), steel)
    for side in (-1, 1):  # pliers
        kit.tube(
            [
                (0.3, 0.468, 0.7),
                (0.3 - side * 0.008, 0.468, 0.65),
                (0.3 + side * 0.03, 0.468, 0.58),
                (0.3 + side * 0.024, 0.468, 0.5),
            ],
            [0.005, 0.01, 0.008, 0.008],
            red if side else steel,
            steps=5,
        )
    plan = printed.chart(rng, (700, 520), "PLAN No 7")
    plan = paint.blend(
        np.broadcast_to(np.asarray(paint.hexa("#274f86"), np.float32), plan.shape),
        (0.93, 0.95, 1.0),
        np.clip((plan.mean(-1) < 0.62) * 0.9, 0, 1).astype(np.float32),
    )
    things.pinned_paper(plan, (-0.42, 0.48, 0.94), 0.36, tilt=-1.5)
    things.pinned_paper(
        artwork.poster(rng, (420, 600), "grid", ["TOOL FAIR", "Hall B, 9 to 5"], 3),
        (0.25, 0.495, 0.185),
        0.22,
        tilt=1.0,
    )


def _drawers(rng: Rng) -> None:
    body = materials.plain("#3f5a52", Surface(rough=0.45, metal=0.3, bump=0.2, worn=0.5), second="#5a6f66")
    kit.box((0.5, 0.16, 0.36), (0.66, 0.4, 0), body, bevel=0.006)
    face = materials.plain("#c7b68d", Surface(rough=0.5, bump=0.15, worn=0.4), second="#a8946a")
    brass = materials.plain("#b08b4a", Surface(rough=0.3, metal=0.9))
    for index, name in enumerate(PARTS):
        x, z = 0.5 + 0.16 * (index % 3), 0.02 + 0.066 * (index // 3)
        kit.box((0.15, 0.02, 0.058), (x, 0.315 - 0.012 * float(rng.random() < 0.2), z), face, bevel=0.004)
        card = artwork.age(rng, printed.sign((300, 110), [name], "#3a2a1e", "#f0e6c9", "serif"), 0.6)
        kit.panel((0.085, 0.031), (x - 0.02, 0.303 - 0.012, z + 0.013), materials.picture("card", card, things.PAPER))
        kit.ball((0.009, 0.012, 0.009), (x + 0.05, 0.298, z + 0.03), brass, cells=12)
    books.stack_of_books(rng, (0.6, 0.33, 0.36), 3, turn=3)
    things.jar(
        (0.83, 0.4, 0.36),
        printed.label(rng, (420, 300), "Wax", 4),
        materials.plain("#c9a463", Surface(rough=0.6), second="#8f6a33"),
    )


def _bench(rng: Rng) -> None:
    for index, (name, x, y) in enumerate((("Varnish", -0.72, 0.34), ("Linseed", -0.58, 0.38), ("Glue", -0.66, 0.22))):
        tin = materials.plain("#8f8c84", Surface(rough=0.35, metal=0.95, bump=0.4, worn=0.6))
        high = 0.15 if index < 2 else 0.1
        kit.lathe(
            [(0.058, 0), (0.06, 0.004), (0.06, high - 0.004), (0.056, high), (0, high + 0.003)],
            (x, y, 0),
            tin,
            smooth=0,
        )
        art = np.concatenate([printed.label(rng, (600, 400), name, index + 1)] * 2, 1)
        things.paper_label((x, y, 0), art, radius=0.0612, low=0.012, high=high - 0.014, turn=float(rng.normal(0, 15)))
    rule = printed.sign((1200, 70), [" ".join(str(mark) for mark in range(1, 31))], "#2a2018", "#e2c47e", "mono")
    kit.sheet(
        lambda u, v: (0.5 * u, 0.028 * v, 0.003),
        materials.picture("rule", rule, things.PAPER),
        at=(-0.35, -0.06, 0),
        turn=(0, 0, 9),
        cells=(1, 1),
        thick=0.003,
    )
    shaving = materials.plain("#e0bd84", Surface(rough=0.7, shine_through=0.3))
    for _ in range(26):
        x, y, turn = float(rng.uniform(-0.5, 0.6)), float(rng.uniform(-0.2, 0.25)), float(rng.uniform(0, 360))
        size = float(rng.uniform(0.008, 0.016))

        def curl(u: float, v: float, s: float = size) -> Point:
            return s * math.cos(9 * u), 0.015 * v + 0.02 * u, s + s * math.sin(9 * u)

        kit.sheet(
            curl,
            shaving,
            at=(x, y, 0.001),
            turn=(0, 0, turn),
            cells=(24, 1),
        )
    cloth = materials.picture(
        "rag",
        paint.cloth(rng, (400, 400), "kilim", ["#7b2d26", "#e0d3b8", "#22333b", "#c98b3c", "#3f4a3c"], 4),
        Surface(rough=1, bump=0.3, grain=700),
    )
    kit.sheet(
        lambda u, v: (0.3 * (u - 0.5), 0.22 * (v - 0.5), 0.006 + 0.018 * abs(math.sin(5 * u + 3 * v)) * (1 - v * 0.5)),
        cloth,
        at=(-0.52, 0.02, 0),
        turn=(0, 0, -14),
        cells=(40, 30),
    )


def _movable_things(rng: Rng) -> None:
    for name, joints in (("standing", figure.STANDING), ("waving", figure.WAVING), ("walking", figure.WALKING)):
        base = materials.picture("base", paint.wood(rng, (200, 200), "walnut"), things.WOOD, metres=0.2)
        at = (0.16, 0.22, 0.02)
        parts = figure.figure(at, joints, 0.34)
        _moving[name] = [
            *parts,
            kit.lathe([(0.075, 0), (0.075, 0.012), (0.068, 0.02), (0, 0.02)], (0.16, 0.22, 0), base, smooth=0),
        ]
    _moving["truck"] = _truck(rng)
    art = printed.label(rng, (600, 420), "Teak oil", 3)
    tin = kit.lathe(
        [(0.045, 0), (0.045, 0.12), (0.02, 0.14), (0.02, 0.16), (0, 0.16)],
        (0, 0, 0),
        materials.plain("#b0322b", Surface(rough=0.3)),
        smooth=0,
    )
    _moving["oil"] = [
        tin,
        things.paper_label((0, 0, 0), np.concatenate([art, art], 1), radius=0.046, low=0.012, high=0.112),
    ]
    for kind in ("truck", "oil"):
        group = bpy.data.objects.new(kind, None)
        bpy.context.scene.collection.objects.link(group)
        for part in _moving[kind]:
            part.parent = group
        _moving[kind] = [group]


def _truck(rng: Rng) -> list[Any]:
    red = materials.plain("#b8352a", Surface(rough=0.35, bump=0.1, worn=0.4), second="#a02b22")
    pine = materials.picture("truck", paint.wood(rng, (200, 300), "pine"), things.WOOD, metres=0.2)
    name = materials.picture("side", printed.sign((500, 200), ["EXPRESS 9"], "#f4e9cd", "#1d3557"), Surface(rough=0.4))
    black: Material = materials.plain("#202020", Surface(rough=0.5))
    blue = materials.plain("#1d3557")
    parts = [
        kit.box((0.24, 0.075, 0.014), (0, 0, 0.022), pine),
        kit.box((0.07, 0.075, 0.075), (-0.08, 0, 0.036), red, bevel=0.01),
    ]
    parts += [
        kit.box((0.145, 0.075, 0.065), (0.04, 0, 0.036), blue, faces={"front": name}),
        kit.box((0.045, 0.077, 0.03), (-0.088, 0, 0.07), materials.plain("#dfe6ea", Surface(rough=0.1))),
    ]
    for x in (-0.075, 0.07):
        for y in (-0.042, 0.042):
            parts.append(
                kit.lathe(
                    [(0, -0.007), (0.022, -0.007), (0.022, 0.007), (0.008, 0.008), (0, 0.008)],
                    (x, y, 0.022),
                    black,
                    turn=(90, 0, 0),
                    smooth=0,
                )
            )
    return parts


STATES: dict[str, tuple[str, Point, float, Point]] = {  # the figure's pose, where the truck is and its turn, the oil
    "now": ("waving", (0.38, 0.02, 0), -14, (-0.06, 0.24, 0)),
    "before": ("standing", (0.02, -0.02, 0), 12, (-0.1, 0.27, 0)),
    "later": ("walking", (0.45, 0.08, 0), 25, (0.36, 0.24, 0)),
}


def arrange(state: str) -> None:
    """Poses the figure and moves the truck and the oil."""
    pose, truck, turn, oil = STATES[state]
    for name in ("standing", "waving", "walking"):
        for part in _moving[name]:
            part.hide_render = name != pose
    (group,) = _moving["truck"]
    group.location, group.rotation_euler = truck, (0, 0, math.radians(turn))
    _moving["oil"][0].location = oil


SCENE = Recipe(
    name="workshop",
    title="The figure on the workbench",
    tests="moved objects and pose: the figure, the truck and the oil tin are elsewhere or stand otherwise",
    shows="A wooden figure on a workbench where things were moved between the photos.",
    seed=71,
    build=build,
    arrange=arrange,
    target=Shot(Camera((0.05, -1.0, 0.5), (0.08, 0.4, 0.27), 38, 8), Quality(640, 480, 24), "now"),
    references=(
        Shot(Camera((-0.16, -0.98, 0.52), (0.06, 0.4, 0.27), 38, 8), Quality(640, 480, 24), "before"),
        Shot(Camera((0.26, -0.95, 0.46), (0.12, 0.4, 0.27), 38, 8), Quality(640, 480, 24), "later"),
        Shot(Camera((0.06, -0.85, 0.56), (0.1, 0.4, 0.25), 36, 8), Quality(640, 480, 24), "before"),
    ),
    hole=(
        (
            (0.45, 0.30),
            (0.58, 0.24),
            (0.70, 0.32),
            (0.71, 0.50),
            (0.80, 0.68),
            (0.76, 0.88),
            (0.58, 0.86),
            (0.45, 0.66),
        ),
    ),
    suffix=".jpg",
)
