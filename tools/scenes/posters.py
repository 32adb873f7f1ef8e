"""A brick wall full of posters in the street, at 12 megapixels. Outpainting: the right of the photo is missing."""

import math

import numpy as np

from tools.scenes import artwork, kit, materials, paint, printed, studio, things
from tools.scenes.materials import Surface
from tools.scenes.paint import Rng
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Camera, Quality

SHEETS = (  # style, lines, palette, x, z, width, tilt
    ("circles", ("JAZZ NIGHT", "Friday 8 pm", "Harbour Hall"), 0, -2.05, 1.62, 0.74, -1.0),
    ("peaks", ("ALPINE", "Walks at dawn", "Every Sunday"), 1, -1.25, 1.70, 0.66, 1.2),
    ("fan", ("OPERA", "The Lantern", "6 to 19 May"), 2, -0.50, 1.60, 0.70, -0.6),
    ("grid", ("FORM 58", "Posters and type", "City Museum"), 3, 0.28, 1.72, 0.68, 0.8),
    ("waves", ("THE SEA", "A film by Rossi", "Odeon, all week"), 4, 1.05, 1.60, 0.70, -1.4),
    ("circles", ("ORBIT", "Planetarium", "Daily at seven"), 5, 1.84, 1.70, 0.72, 1.0),
    ("fan", ("CIRCUS", "Three rings", "Meadow Road"), 6, -1.70, 0.80, 0.62, 1.6),
    ("waves", ("REGATTA", "Sails and oars", "First of June"), 0, -0.98, 0.84, 0.58, -1.1),
    ("grid", ("BAZAAR", "Books, maps", "Copper Lane 4"), 1, -0.28, 0.82, 0.60, 0.7),
    ("peaks", ("TIMBER", "Saw mill open day", "Ask for Ivo"), 5, 0.42, 0.86, 0.58, -2.0),
    ("fan", ("RADIO", "Live on air", "Studio 3"), 4, 1.16, 0.82, 0.62, 0.9),
    ("circles", ("LUNA PARK", "Rides all night", "Pier 2"), 3, 1.90, 0.84, 0.60, -1.2),
)


def build(rng: Rng) -> None:
    """Wall, posters, pavement, a pipe, a bench and a tub of flowers."""
    colour, height = paint.bricks(rng, (1536, 1536), 22, 8)
    wall = materials.picture(
        "bricks", colour, Surface(rough=0.9, bump=0.25, grain=300, relief=0.9), height=height, metres=1.75
    )
    kit.box((9.0, 0.3, 3.6), (0, 0.15, 0.0), wall, bevel=0)
    plinth = materials.picture("plinth", paint.stone(rng, (700, 1400), 0.35), Surface(rough=0.9, bump=0.4), metres=1.6)
    for index in range(9):
        kit.box((0.99, 0.1, 0.36), (-4 + index, -0.02, 0), plinth, bevel=0.015)
    ground, dome = paint.cobbles(rng, (1400, 1400), 18)
    street = materials.picture(
        "street", ground, Surface(rough=0.8, bump=0.2, grain=200, relief=0.9), height=dome, metres=2.0
    )
    kit.box((12, 8, 0.2), (0, -3.9, -0.2), street, bevel=0)
    for style, lines, palette, x, z, width, tilt in SHEETS:
        art = artwork.poster(rng, (900, 1200), style, lines, palette)
        things.pinned_paper(_tear_edges(rng, art), (x, -0.003, z), width, tilt=tilt, curl=0.012, pins=False)
    enamel = materials.picture(
        "name", printed.sign((900, 220), ["LANTERN STREET"], "#f4f1e6", "#1b3f73"), Surface(rough=0.2, bump=0.05)
    )
    kit.box((0.9, 0.02, 0.22), (0.72, -0.01, 2.32), materials.plain("#1b3f73"), faces={"front": enamel})
    kit.box(
        (0.3, 0.02, 0.3),
        (2.02, -0.01, 2.24),
        materials.plain("#1b3f73"),
        faces={
            "front": materials.picture(
                "number", printed.sign((400, 400), ["27"], "#f4f1e6", "#1b3f73"), Surface(rough=0.2)
            )
        },
    )
    _street_things(rng)
    studio.sky("#7fa6d8", "#dfe3e6", 0.75)
    studio.lamp("sun", "SUN", (-0.9, -1.0, 1.35), (0, 0, 0), 4.6, 0.8, "#fff0d8")


def _tear_edges(rng: Rng, art: paint.Array) -> paint.Array:
    """Glue wrinkles and rain on the paper."""
    size = art.shape[:2]
    wrinkle = paint.noise(rng, size, (14, 9), 4)
    runs = np.clip(paint.noise(rng, size, (2, 60), 2) - 0.55, 0, 1)
    return np.asarray(np.clip(art * (0.86 + 0.24 * wrinkle - 0.3 * runs)[..., None], 0, 1), np.float32)


def _street_things(rng: Rng) -> None:
    zinc = materials.plain("#77807f", Surface(rough=0.45, metal=0.8, bump=0.4, worn=0.5), second="#5d6462")
    kit.tube([(-2.62, -0.09, 0.1), (-2.62, -0.09, 3.6)], 0.055, zinc, steps=1)
    for z in (0.5, 1.5, 2.4):
        kit.lathe([(0.065, 0), (0.065, 0.05)], (-2.62, -0.09, z), zinc, smooth=0)
    slat = materials.picture("slat", paint.wood(rng, (200, 1200), "grey"), things.WOOD)
    iron = materials.plain("#20302a", Surface(rough=0.5, metal=0.5, bump=0.4))
    for index in range(4):
        kit.box((1.7, 0.09, 0.03), (-0.9, -0.62 - 0.11 * index, 0.43), slat, faces={"top": slat, "front": slat})
    for x in (-1.62, -0.18):
        kit.box((0.06, 0.42, 0.04), (x, -0.78, 0.39), iron)
        for y in (-0.62, -0.95):
            kit.tube([(x, y, 0.4), (x, y - 0.03, 0.0)], 0.025, iron, steps=1)
    paper = printed.page(rng, (500, 700), "The Evening Post", 1)
    kit.sheet(
        lambda u, v: (0.42 * (u - 0.5), 0.3 * (v - 0.5), 0.006 + 0.01 * abs(math.sin(5 * u))),
        materials.picture("news", np.rot90(paper).copy(), things.PAPER),
        at=(-0.62, -0.78, 0.462),
        turn=(0, 0, 10),
    )
    things.plant(rng, (1.35, -0.55, 0), radius=0.26, height=0.42, kind="leaf", pot="#8c4a34")
    kit.bush(rng, (1.35, -0.55, 0.78), (0.34, 0.34, 0.26), 260, 0.07, things.greens("bloom"))
    things.plant(rng, (2.15, -0.45, 0), radius=0.2, height=0.36, kind="grey", pot="#b9b2a2")


def arrange(state: str) -> None:
    """Nothing moves here."""


REFERENCE = Quality(960, 720, 7, 0.1)
SCENE = Recipe(
    name="posters",
    title="Posters in Lantern Street",
    tests="outpainting at 12 megapixels: the right of a nearly flat wall is missing, three smaller photos show it",
    shows="A wall of posters at 12 megapixels, continued to the right from smaller photos.",
    seed=43,
    build=build,
    arrange=arrange,
    target=Shot(Camera((-0.1, -4.6, 1.5), (0.0, 0, 1.24), 36, exposure=0.2), Quality(4000, 3000, 3, 0.1)),
    references=(
        Shot(Camera((0.9, -4.2, 1.55), (0.75, 0, 1.28), 37, exposure=0.2), REFERENCE),
        Shot(Camera((1.7, -3.9, 1.4), (1.05, 0, 1.26), 38, exposure=0.2), REFERENCE),
        Shot(Camera((-0.9, -4.3, 1.6), (0.15, 0, 1.2), 34, exposure=0.2), REFERENCE),
    ),
    hole=(((0.69, -0.01), (1.01, -0.01), (1.01, 1.01), (0.69, 1.01)),),
    brush=False,
    suffix=".jpg",
)
