"""A desk in the afternoon: books, a mug, a map on the wall. The hole takes the mug and what stands around it."""

import numpy as np

from tools.scenes import artwork, books, kit, materials, paint, printed, studio, things
from tools.scenes.materials import Surface
from tools.scenes.paint import Rng
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Camera, Quality


def build(rng: Rng) -> None:
    """Everything on and behind the desk."""
    top = materials.picture("top", paint.wood(rng, (900, 1500), "oak", 5), things.WOOD)
    kit.box((1.9, 0.85, 0.035), (0, 0.2, -0.035), materials.plain("#8a5f35"), faces={"top": top})
    wall = materials.picture(
        "wall", paint.plaster(rng, (700, 1200), "#c9cdb8", 0.12), Surface(rough=0.9, bump=0.35, grain=90)
    )
    kit.panel((3.4, 1.9), (0, 0.66, -0.5), wall)
    things.framed_picture(printed.chart(rng, (1100, 800), "OLD HARBOUR"), (-0.33, 0.66, 0.35), 0.55)
    things.pinned_paper(
        artwork.poster(rng, (560, 800), "peaks", ["WINTER", "Snow train 7:40", "Platform nine"], 1),
        (0.26, 0.655, 0.42),
        0.36,
        tilt=1.5,
    )
    things.pinned_paper(
        artwork.poster(rng, (360, 260), "waves", ["Hello!", "from the coast"], 4), (0.62, 0.655, 0.40), 0.17, tilt=-5
    )
    things.pinned_paper(printed.page(rng, (400, 520), "To do", 0), (0.64, 0.655, 0.58), 0.16, tilt=4)
    _books(rng)
    _small_things(rng)
    studio.sky("#9fb4cc", "#d8d2c6", 0.42)
    things.window_light(-1.1, (-0.95, -0.05), (0.35, 1.5))
    studio.lamp("sun", "SUN", (-1.2, -0.9, 0.55), (0, 0, 0), 6.5, 1.2, "#ffdfb8")
    studio.lamp("window", "AREA", (-1.0, -0.5, 0.95), (0.1, 0.3, 0.1), 16, 0.9, "#eaf0ff")
    studio.lamp("room", "AREA", (1.6, -1.6, 1.6), (0, 0.3, 0.2), 16, 1.8, "#cfe0ff")


def _books(rng: Rng) -> None:
    books.row_of_books(rng, (-0.74, 0.38, 0), 0.46)
    for x in (-0.765, -0.235):
        kit.box((0.03, 0.12, 0.12), (x, 0.46, 0), materials.plain("#2b2d2f", Surface(rough=0.35, metal=0.8, bump=0.4)))
    cover = artwork.poster(rng, (420, 620), "circles", ["NIGHT MUSIC", "A. Moreau"], 0)
    high = books.stack_of_books(rng, (0.42, 0.38, 0), 4, turn=-6, cover=cover)
    things.plant(rng, (0.45, 0.36, high), radius=0.06, height=0.09)


def _small_things(rng: Rng) -> None:
    flowers = things.mug_pattern(rng, 0, ["#f2ece0", "#c8412f", "#2f5d8a", "#4f7a3f", "#e8b23a"])
    white = materials.plain("#efe9dd", things.GLAZE)
    things.mug(
        (0.07, 0.16, 0), materials.picture("mug", flowers, things.GLAZE), white, turn=-20, height=0.115, radius=0.05
    )
    boats = things.mug_pattern(rng, 1, ["#27496d", "#f1e3c6", "#e4572e", "#a7c7d9", "#f6bd60"])
    holder = materials.picture("holder", boats, things.GLAZE)
    things.mug((-0.13, 0.33, 0), holder, materials.plain("#27496d", things.GLAZE), turn=170, height=0.12, radius=0.045)
    inks = ["#d9a520", "#b3202a", "#2f5d8a", "#2f6b3c", "#1d1d1f", "#d9a520"]
    for ink in inks:
        x, y = rng.uniform(-0.028, 0.028, 2)
        lean = (x * 1.9, y * 1.9, 0.2 + float(rng.uniform(0, 0.03)))
        kit.tube([(x, y, 0.02), lean], 0.0042, materials.plain(ink, Surface(rough=0.3)), at=(-0.13, 0.33, 0), steps=1)
    left = printed.page(rng, (700, 950), "Notes on the river", 1)
    right = printed.page(rng, (700, 950), "The stone bridge", 2)
    for side, sheet in ((-1, left), (1, right)):
        paper = materials.picture("page", sheet, things.PAPER)

        def leaf(u: float, v: float, side: int = side) -> kit.Point:
            away = u if side > 0 else 1 - u
            return (
                side * 0.16 * away,
                0.22 * v,
                0.0095 + 0.018 * np.exp(-((away - 0.28) ** 2) / 0.05) * away * 4 * (1 - away * 0.6),
            )

        kit.sheet(leaf, paper, at=(-0.3, 0.02, 0), turn=(0, 0, 8))
    kit.box((0.33, 0.23, 0.008), (-0.315, 0.13, 0), materials.plain("#5a2a1c"), turn=(0, 0, 8))
    kit.tube([(-0.16, 0.0, 0.006), (0.0, 0.06, 0.006)], 0.004, materials.plain("#c98b1f", Surface(rough=0.3)), steps=1)
    card = artwork.poster(rng, (520, 360), "fan", ["Greetings", "from the lake"], 2)
    kit.sheet(
        lambda u, v: (0.15 * (u - 0.5), 0.105 * (v - 0.5), 0.001),
        materials.picture("card", card, things.PAPER),
        at=(0.24, 0.05, 0),
        turn=(0, 0, -17),
    )
    paper = printed.page(rng, (500, 700), "The Evening Post", 1)
    kit.sheet(
        lambda u, v: (0.3 * (u - 0.5), 0.36 * (v - 0.5), 0.003 + 0.006 * abs(np.sin(5 * u))),
        materials.picture("news", paper, things.PAPER),
        at=(0.60, 0.06, 0),
        turn=(0, 0, 24),
    )


def arrange(state: str) -> None:
    """Nothing moves here."""


AIM = (0.05, 0.4, 0.2)
BIG = Quality(800, 600, 32)
SCENE = Recipe(
    name="desk",
    title="A desk in the afternoon",
    tests="viewpoint: three photos from other places; the mug's pattern and the poster's words are only in them",
    shows="A mug and a poster are hidden; three other photos of the desk show them.",
    seed=11,
    build=build,
    arrange=arrange,
    target=Shot(Camera((0.03, -0.95, 0.40), AIM, 42, 11), BIG),
    references=(
        Shot(Camera((-0.2, -0.92, 0.47), (0.03, 0.4, 0.19), 42, 11), BIG),
        Shot(Camera((0.25, -0.9, 0.36), (0.07, 0.38, 0.19), 41, 11), BIG),
        Shot(Camera((0.05, -0.74, 0.52), (0.07, 0.36, 0.15), 38, 8), BIG),
    ),
    hole=(
        (
            (0.34, 0.44),
            (0.50, 0.27),
            (0.80, 0.25),
            (0.84, 0.40),
            (0.70, 0.58),
            (0.66, 0.80),
            (0.48, 0.87),
            (0.42, 0.72),
        ),
    ),
)
