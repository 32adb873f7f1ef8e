"""A window sill with plants and a painted vase; one reference is all there is. The hole takes the vase and books."""

import math

import cv2
import numpy as np

from tools.scenes import artwork, books, kit, materials, paint, printed, studio, things
from tools.scenes.materials import Surface
from tools.scenes.paint import Array, Rng
from tools.scenes.recipe import Recipe, Shot
from tools.scenes.studio import Camera


def build(rng: Rng) -> None:
    """Wall, window, sill, curtain and what stands there."""
    paper = paint.plaster(rng, (900, 1100), "#9aa78f", 0.05)
    wall = materials.picture("wall", _wallpaper(paper), Surface(rough=0.85, bump=0.1, grain=200))
    for x in (-0.98, 0.98):
        kit.panel((0.7, 1.9), (x, 0.2, -0.7), wall)
    kit.panel((1.26, 0.66), (0, 0.2, -0.7), wall)
    white = materials.plain("#e8e2d5", Surface(rough=0.4, bump=0.25, grain=120, worn=0.3), second="#d8cfbd")
    top = materials.picture("sill", np.clip(paint.wood(rng, (260, 1100), "grey", 2) * 0.35 + 0.62, 0, 1), things.WOOD)
    kit.box((1.4, 0.34, 0.04), (0, 0.19, -0.04), white, faces={"top": top}, bevel=0.008)
    for x in (-0.645, 0, 0.645):
        kit.box((0.05, 0.05, 1.3), (x, 0.34, 0), white, bevel=0.006)
    for z in (0, 0.42, 0.86):
        kit.box((1.3, 0.045, 0.04), (0, 0.34, z), white, bevel=0.006)
    for x in (-0.62, 0.62):
        kit.box((0.02, 0.2, 1.3), (x, 0.3, 0), white)
    kit.panel((1.3, 1.3), (0, 0.345, 0), materials.glass())
    kit.panel((9.0, 6.5), (0, 6.0, -2.2), materials.glow(_garden(rng), 2.6))
    _curtain(rng)
    _objects(rng)
    studio.sky("#dfe8f2", "#e8e2d8", 0.55)
    studio.lamp("sun", "SUN", (-0.75, 1.0, 0.85), (0, 0, 0), 7, 1.5, "#ffe6c4")
    studio.lamp("outside", "AREA", (0.2, 0.8, 0.9), (0.1, 0.1, 0.1), 14, 1.0, "#e8f1ff")
    studio.lamp("room", "AREA", (0.9, -1.6, 1.2), (0, 0.2, 0.2), 24, 1.5, "#ffe3c2")


def _wallpaper(base: Array) -> Array:
    """Sprigs in rows on paper."""
    picture = np.ascontiguousarray(base)
    height, width = picture.shape[:2]
    for row in range(24):
        for column in range(10):
            x, y = int((column + 0.5 * (row % 2) + 0.25) * width / 10), int((row + 0.5) * height / 24)
            for petal in range(5):
                angle = petal * 2 * math.pi / 5
                cv2.circle(
                    picture,
                    (x + round(8 * math.cos(angle)), y + round(8 * math.sin(angle))),
                    5,
                    (0.88, 0.84, 0.72),
                    -1,
                    cv2.LINE_AA,
                )
            cv2.circle(picture, (x, y), 4, (0.72, 0.36, 0.27), -1, cv2.LINE_AA)
            cv2.line(picture, (x, y + 10), (x + 6, y + 24), (0.3, 0.38, 0.25), 2, cv2.LINE_AA)
    return picture


def _garden(rng: Rng) -> Array:
    """What is outside, far away: sky, trees, a hedge, a red roof."""
    picture = np.zeros((520, 720, 3), np.float32)
    picture[:] = paint.hexa("#dfe9f2")
    for _ in range(5000):
        x, y = int(rng.integers(720)), int(520 - abs(rng.normal(0, 170)))
        tone = paint.hexa(str(rng.choice(["#5f8a3c", "#7ca650", "#446b2e", "#a3bf6a", "#39592b"])))
        cv2.circle(picture, (x, y), int(rng.uniform(2, 9)), tone, -1, cv2.LINE_AA)
    cv2.fillPoly(picture, [np.array([[420, 330], [540, 240], [660, 330]])], paint.hexa("#a5533d"))
    cv2.rectangle(picture, (445, 330), (640, 430), paint.hexa("#e6d8bd"), -1)
    for x in (470, 540, 600):
        cv2.rectangle(picture, (x, 350), (x + 24, 395), paint.hexa("#5c6b78"), -1)
    shade = 0.75 + 0.5 * paint.noise(rng, (520, 720), (6, 8), 3)
    return np.asarray(np.clip(cv2.GaussianBlur(picture * shade[..., None], (0, 0), 7), 0, 1), np.float32)


def _curtain(rng: Rng) -> None:
    stripes = np.rot90(
        paint.cloth(rng, (900, 700), "stripes", ["#f1e8d6", "#b24a3a", "#31587a", "#f1e8d6", "#d9b25c"], 14)
    ).copy()
    linen = materials.picture("curtain", stripes, Surface(rough=0.95, bump=0.2, grain=700, shine_through=0.35))

    def fall(u: float, v: float) -> kit.Point:
        gather = 1 - 0.35 * math.exp(-((v - 0.3) ** 2) / 0.03)
        return u * 0.34 * gather, 0.035 * math.sin(u * 30 + 1.5 * v) * (1 - 0.4 * (1 - gather)), v * 1.5

    kit.sheet(fall, linen, at=(-0.64, 0.13, -0.3), cells=(90, 20))


def _objects(rng: Rng) -> None:
    things.plant(rng, (-0.28, 0.2, 0), radius=0.085, height=0.13, kind="leaf")
    inks = ["#f0e7d4", "#21527a", "#b8432f", "#21527a", "#e0a53a"]
    bands = np.concatenate(
        [
            printed.tiles(rng, 400, 4, 2)[:200],
            things.mug_pattern(rng, 0, inks)[:, ::3],
            printed.tiles(rng, 400, 4, 4)[:100],
        ][0:1]
        * 1
    )
    art = np.concatenate([bands] * 3, 1)[:, :1200]
    art = np.concatenate(
        [
            art,
            np.broadcast_to(np.asarray(paint.hexa("#f0e7d4"), np.float32), (40, *art.shape[1:])),
            things.mug_pattern(rng, 0, inks),
        ]
    )
    vase = materials.picture("vase", art, things.GLAZE)
    at = (0.08, 0.17, 0.0)
    kit.lathe(
        [(0.045, 0), (0.05, 0.006), (0.085, 0.08), (0.078, 0.16), (0.04, 0.225), (0.034, 0.25), (0.048, 0.275)],
        at,
        vase,
        segments=64,
    )
    kit.lathe([(0.048, 0.275), (0.03, 0.25), (0.03, 0.2), (0.0, 0.2)], at, materials.plain("#20303c", things.GLAZE))
    stalk = materials.plain("#4c5a2a")
    for _ in range(9):
        x, y = (float(value) for value in rng.normal(0, 0.06, 2))
        tip = (at[0] + 1.5 * x, at[1] + 0.6 * y - 0.02, 0.36 + float(rng.uniform(0, 0.12)))
        kit.tube([(at[0], at[1], 0.2), (at[0] + 0.6 * x, at[1] + 0.4 * y, 0.32), tip], 0.002, stalk)
        kit.bush(rng, tip, (0.028, 0.028, 0.024), 60, 0.017, things.greens("bloom" if rng.random() < 0.6 else "lilac"))
        kit.bush(rng, (at[0] + 0.7 * x, at[1] + 0.4 * y, 0.33), (0.02, 0.02, 0.03), 8, 0.035, things.greens("leaf"))
    cover = artwork.poster(rng, (420, 620), "peaks", ["THE PASS", "T. Lindqvist"], 2)
    high = books.stack_of_books(rng, (0.32, 0.17, 0), 3, turn=7, cover=cover)
    boats = things.mug_pattern(rng, 1, ["#f2ead8", "#b5402c", "#1f4e79", "#7fa3b5", "#d9a441"])
    things.mug(
        (0.35, 0.16, high),
        materials.picture("mug", boats, things.GLAZE),
        materials.plain("#f2ead8", things.GLAZE),
        turn=-20,
        height=0.09,
        radius=0.04,
    )
    card = artwork.poster(rng, (520, 380), "grid", ["Lisbon", "with love, R."], 3)
    kit.sheet(
        lambda u, v: (0.19 * (u - 0.5), 0.0, 0.14 * v),
        materials.picture("card", card, things.PAPER),
        at=(-0.08, 0.25, 0.002),
        turn=(-16, 0, 6),
        thick=0.001,
    )
    brass = materials.plain("#b58a3a", Surface(rough=0.25, metal=1.0, bump=0.2, worn=0.5))
    kit.lathe(
        [
            (0.045, 0),
            (0.048, 0.006),
            (0.012, 0.02),
            (0.009, 0.05),
            (0.014, 0.06),
            (0.01, 0.08),
            (0.024, 0.1),
            (0.014, 0.105),
        ],
        (-0.47, 0.13, 0),
        brass,
    )
    kit.lathe(
        [(0.0105, 0.1), (0.0105, 0.21), (0, 0.215)],
        (-0.47, 0.13, 0),
        materials.plain("#efe6cf", Surface(rough=0.5)),
        smooth=0,
    )
    things.plant(rng, (0.55, 0.2, 0), radius=0.06, height=0.09, kind="grey", pot="#d8cdb8")
    letter = printed.page(rng, (500, 640), "Dear Anna", 0)
    kit.sheet(
        lambda u, v: (0.17 * (u - 0.5), 0.21 * (v - 0.5), 0.002 + 0.01 * (u - 0.5) ** 2),
        materials.picture("letter", letter, things.PAPER),
        at=(-0.13, 0.115, 0),
        turn=(0, 0, 14),
    )


def arrange(state: str) -> None:
    """Nothing moves here."""


SCENE = Recipe(
    name="sill",
    title="A vase on the window sill",
    tests="one reference only, taken from the side; the painted vase and the books beside it are missing",
    shows="A painted vase and some books, known from a single photo taken from the side.",
    seed=31,
    build=build,
    arrange=arrange,
    target=Shot(Camera((0.03, -0.9, 0.34), (0.0, 0.25, 0.2), 38, 5.6, (0.08, 0.15, 0.15))),
    references=(Shot(Camera((0.23, -0.86, 0.38), (0.03, 0.25, 0.19), 38, 5.6, (0.08, 0.15, 0.15))),),
    hole=(
        (
            (0.44, 0.30),
            (0.58, 0.28),
            (0.66, 0.45),
            (0.84, 0.62),
            (0.80, 0.86),
            (0.60, 0.90),
            (0.46, 0.84),
            (0.42, 0.55),
        ),
    ),
)
