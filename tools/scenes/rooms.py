"""Pictures of rooms to train `mini` on: `python -m tools.scenes.rooms --out DIR --rooms 60`.

Tables with books, mugs, plants, jars and boxes before walls with pictures: all of it placed, coloured, lettered and lit
at random, from the same kit as the example scenes. None of those is among them, so their truth stays unseen. What is
there already is not rendered again. Needs requirements-tools.txt.
"""

import argparse
import colorsys
from pathlib import Path

import numpy as np

from tools.scenes import artwork, books, kit, materials, paint, printed, studio, things
from tools.scenes.materials import Material, Surface
from tools.scenes.paint import Array, Rng
from tools.scenes.studio import Camera, Quality

QUALITY = Quality(320, 240, 16)
VIEWS = 3  # of every room
STYLES = ("circles", "peaks", "fan", "grid", "waves")
WORDS = (
    "amber",
    "birch",
    "canal",
    "delta",
    "ember",
    "fjord",
    "grove",
    "inlet",
    "jetty",
    "larch",
    "mill",
    "orchid",
    "quay",
)


def build(rng: Rng) -> None:
    """A table before a wall, and what stands and hangs there."""
    _table(rng)
    _wall(rng)
    place = -0.75
    while place < 0.7:
        place += _thing(rng, place) + float(rng.uniform(0.01, 0.12))
    for _ in range(int(rng.integers(2, 6))):  # in front of them
        _small_thing(rng, (float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.1, 0.2)), 0.0))
    _light(rng)


def colour(rng: Rng, low: float = 0.15, high: float = 0.95) -> str:
    """Any colour whose brightest part lies between `low` and `high`."""
    parts = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform() ** 1.5, rng.uniform(low, high))
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def word(rng: Rng) -> str:
    """One or two words, some of them in capitals."""
    text = " ".join(str(one) for one in rng.choice(WORDS, int(rng.integers(1, 3)), replace=False))
    return text.upper() if rng.uniform() < 0.5 else text.title()


def _table(rng: Rng) -> None:
    kind = rng.integers(4)
    if kind == 0:
        picture = printed.tiles(rng, 700)
    elif kind == 1:
        weave = str(rng.choice(["gingham", "stripes", "plain"]))
        picture = paint.cloth(rng, (700, 1100), weave, [colour(rng) for _ in range(3)], 16)
    elif kind == 2:
        picture = paint.stone(rng, (700, 1100), 0.1)
    else:
        picture = paint.wood(rng, (700, 1200), "oak", int(rng.integers(1, 7)))
    top = materials.picture("top", picture, things.WOOD)
    kit.box((1.9, 0.95, 0.035), (0, 0.18, -0.035), materials.plain(colour(rng)), faces={"top": top})


def _wall(rng: Rng) -> None:
    kind = rng.integers(4)
    if kind == 0:
        picture, height = paint.bricks(rng, (600, 1000), int(rng.integers(10, 22)), int(rng.integers(5, 10)))
        wall = materials.picture("wall", picture, Surface(rough=0.9, bump=0.4), height=height)
    elif kind == 1:
        wall = materials.picture("wall", paint.wood(rng, (600, 1000), "oak", int(rng.integers(3, 9))), things.WOOD)
    else:
        picture = paint.plaster(rng, (600, 1000), colour(rng, 0.4), float(rng.uniform(0.05, 0.5)))
        wall = materials.picture("wall", picture, Surface(rough=0.9, bump=0.35, grain=90))
    kit.panel((3.6, 2.0), (0, 0.66, -0.5), wall)
    x = -0.8
    while x < 0.7:
        width = float(rng.uniform(0.16, 0.45))
        if rng.uniform() < 0.75:
            _hang_picture(rng, x + width / 2, width)
        x += width + float(rng.uniform(0.05, 0.25))


def _hang_picture(rng: Rng, x: float, width: float) -> None:
    height = float(rng.uniform(0.32, 0.6))
    if rng.uniform() < 0.4:
        things.framed_picture(_paper(rng), (x, 0.66, height), width, wood=colour(rng, 0.1, 0.6), mount=0.02)
    else:
        things.pinned_paper(_paper(rng), (x, 0.655, height), width, tilt=float(rng.normal(0, 3)))


def _paper(rng: Rng) -> Array:
    kind = rng.integers(4)
    if kind == 0:
        return printed.chart(rng, (800, 600), word(rng))
    if kind == 1:
        return printed.page(rng, (480, 640), word(rng), int(rng.integers(0, 3)))
    size = (480, 680) if rng.uniform() < 0.6 else (680, 480)
    return artwork.poster(rng, size, str(rng.choice(STYLES)), [word(rng), word(rng)], int(rng.integers(12)))


def _thing(rng: Rng, x: float) -> float:
    """Something large against the wall, its left side at `x`; its width."""
    kind, y = rng.integers(5), float(rng.uniform(0.3, 0.42))
    if kind == 0:
        width = float(rng.uniform(0.15, 0.5))
        books.row_of_books(rng, (x, y, 0), width)
        return width
    if kind == 1:
        high = books.stack_of_books(rng, (x, y, 0), int(rng.integers(2, 7)), turn=float(rng.normal(0, 8)))
        _small_thing(rng, (x + 0.11, y, high))
        return 0.25
    if kind == 2:
        radius = float(rng.uniform(0.05, 0.09))
        things.plant(rng, (x + radius, y, 0), radius=radius, height=float(rng.uniform(0.08, 0.15)), pot=colour(rng))
        return 2.4 * radius
    if kind == 3:
        size = (float(rng.uniform(0.1, 0.3)), float(rng.uniform(0.08, 0.2)), float(rng.uniform(0.06, 0.3)))
        kit.box(size, (x + size[0] / 2, y, 0), _skin(rng), faces={"front": materials.picture("face", _paper(rng))})
        return size[0]
    radius = float(rng.uniform(0.04, 0.06))
    things.jar((x + radius, y, 0), printed.label(rng, (600, 300), word(rng), int(rng.integers(12))), _skin(rng))
    return 2.2 * radius


def _small_thing(rng: Rng, at: kit.Point) -> None:
    kind, turn = rng.integers(4), float(rng.uniform(0, 360))
    if kind == 0:
        inks = [colour(rng, 0.3) for _ in range(5)]
        pattern = materials.picture("mug", things.mug_pattern(rng, int(rng.integers(3)), inks), things.GLAZE)
        things.mug(at, pattern, materials.plain(inks[0], things.GLAZE), turn=turn)
    elif kind == 1:
        radii = tuple(float(size) for size in rng.uniform(0.02, 0.05, 3))
        kit.ball((radii[0], radii[1], radii[2]), (at[0], at[1], at[2] + radii[2]), _skin(rng))
    elif kind == 2:
        size = tuple(float(size) for size in rng.uniform((0.04, 0.04, 0.02), (0.16, 0.12, 0.12)))
        kit.box((size[0], size[1], size[2]), at, _skin(rng), turn=(0, 0, turn))
    else:
        paper, width = _paper(rng), float(rng.uniform(0.1, 0.25))
        high = width * paper.shape[0] / paper.shape[1]
        kit.sheet(
            lambda u, v: (width * (u - 0.5), high * (v - 0.5), 0.002 + 0.004 * abs(float(np.sin(5 * u)))),
            materials.picture("sheet", paper, things.PAPER),
            at=at,
            turn=(0, 0, float(rng.normal(0, 25))),
        )


def _skin(rng: Rng) -> Material:
    surface = Surface(rough=float(rng.uniform(0.1, 0.9)), bump=float(rng.uniform(0, 0.5)), grain=120)
    return materials.plain(colour(rng), surface, second=colour(rng) if rng.uniform() < 0.4 else None)


def _light(rng: Rng) -> None:
    studio.sky(colour(rng, 0.4), colour(rng, 0.5), float(rng.uniform(0.2, 0.7)))
    if rng.uniform() < 0.5:
        things.window_light(-1.1, (-0.95, -0.05), (0.35, 1.5))
    sun, warm = (float(rng.uniform(-1.5, 1.5)), -0.9, float(rng.uniform(0.4, 1.5))), colour(rng, 0.9)
    studio.lamp("sun", "SUN", sun, (0, 0, 0), float(rng.uniform(1, 7)), float(rng.uniform(0.5, 8)), warm)
    for name in ("left", "right"):
        at = (float(rng.uniform(-1.6, 1.6)), float(rng.uniform(-1.6, -0.4)), float(rng.uniform(0.8, 1.8)))
        studio.lamp(name, "AREA", at, (0, 0.3, 0.1), float(rng.uniform(5, 20)), 1.2, colour(rng, 0.8))


def camera(rng: Rng) -> Camera:
    """Somewhere before the table, looking at some part of it."""
    eye = (float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-1.2, -0.5)), float(rng.uniform(0.15, 0.75)))
    aim = (float(rng.uniform(-0.5, 0.5)), 0.4, float(rng.uniform(0.02, 0.4)))
    stop = float(rng.choice([0.0, 4.0, 11.0]))
    lens, exposure = float(rng.uniform(28, 60)), float(rng.normal(0, 0.3))
    return Camera(eye, aim, lens, stop, roll=float(rng.normal(0, 3)), exposure=exposure)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.scenes.rooms", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rooms", type=int, default=60)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for room in range(given.rooms):
        files = [given.out / f"room{room:03}-{view}.png" for view in range(VIEWS)]
        if all(file.exists() for file in files):
            continue
        rng = np.random.default_rng((71, room))
        studio.clear()
        things.forget()
        build(rng)
        for file in files:
            view = camera(rng)
            if not file.exists():
                studio.shoot(view, QUALITY, file)
                print(file.name, flush=True)


if __name__ == "__main__":
    main()
