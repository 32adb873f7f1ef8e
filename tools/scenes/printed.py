"""Printed matter for the example scenes: book spines, labels, maps, tiles, pages and signs."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tools.scenes.artwork import ART, PALETTES, age, array, canvas, write
from tools.scenes.paint import Array, Rng, blend, font, hexa, noise

WORDS = [
    "river",
    "garden",
    "winter",
    "paper",
    "harbour",
    "stone",
    "lantern",
    "orchard",
    "copper",
    "window",
    "thunder",
    "meadow",
    "island",
    "clock",
    "feather",
    "mountain",
    "bridge",
    "silver",
    "violet",
    "salt",
    "atlas",
    "compass",
    "willow",
    "marble",
    "engine",
    "shadow",
    "bread",
    "letter",
    "summer",
    "forest",
]
SURNAMES = [
    "Adler",
    "Moreau",
    "Lindqvist",
    "Okafor",
    "Tanaka",
    "Rossi",
    "Novak",
    "Haddad",
    "Silva",
    "Brandt",
    "Keller",
    "Ivanova",
    "Costa",
    "Murray",
]


def spine(rng: Rng, size: tuple[int, int]) -> Array:
    """A book's spine, (width, height) upright: a title along it, bands, a maker's sign, worn edges."""
    wide, high = size
    cloth_ = rng.choice(
        [
            "#7b2d26",
            "#22333b",
            "#3f4a3c",
            "#c9b79c",
            "#23395b",
            "#8a5a44",
            "#e0d3b8",
            "#51344d",
            "#b08d57",
            "#1b4332",
            "#9c6644",
            "#d9d2c5",
        ]
    )
    ink = "#e9d8a6" if sum(hexa(cloth_)) < 1.4 else "#2b2420"
    lying, pen = canvas((high, wide), cloth_)
    title = " ".join(rng.choice(WORDS, int(rng.integers(1, 4)), replace=False)).title()
    style = int(rng.integers(4))
    for place in (0.03, 0.05, 0.93, 0.96) if style % 2 else (0.08, 0.86):
        pen.rectangle((high * place, 0, high * place + high * (0.006 if style % 2 else 0.02), wide), fill=ink)
    if style == 2:
        pen.rectangle(
            (high * 0.2, wide * 0.08, high * 0.72, wide * 0.92), fill=str(rng.choice(["#111111", "#6a040f", "#f1e9da"]))
        )
        ink = "#f3e9c8" if lying.getpixel((int(high * 0.3), wide // 2))[0] < 150 else "#222222"  # type: ignore[index]
    kind = str(rng.choice(["serif-bold", "bold", "serif", "sans", "italic"]))
    write(pen, title if style else title.upper(), (high * 0.14, wide * 0.18, high * 0.68, wide * 0.8), kind, ink)
    write(pen, str(rng.choice(SURNAMES)), (high * 0.71, wide * 0.3, high * 0.85, wide * 0.7), "serif", ink)
    picture = np.rot90(array(lying), -1).copy()
    dim = picture.shape[:2]
    edge = np.minimum(np.arange(dim[0]), np.arange(dim[0])[::-1])[:, None] / (0.05 * dim[0])
    side = np.minimum(np.arange(dim[1]), np.arange(dim[1])[::-1])[None] / (0.18 * dim[1])
    worn = (
        np.clip(1 - np.minimum(np.broadcast_to(edge, dim), side), 0, 1)
        * np.clip(noise(rng, dim, (40, 9), 4) - 0.45, 0, 1)
        * 1.6
    )
    weave = 0.93 + 0.14 * noise(rng, dim, (dim[0] / 2, dim[1] / 2), 1)
    picture = blend(picture * weave[..., None], (0.86, 0.82, 0.74), np.clip(worn, 0, 0.7))
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def label(rng: Rng, size: tuple[int, int], title: str, palette: int) -> Array:
    """A jar's or tin's label of (width, height): a frame, a name, a small picture, fine print."""
    dark, loud, light, soft = PALETTES[palette % len(PALETTES)]
    wide, high = size
    picture, pen = canvas(size, light if palette % 2 else soft)
    pen.rectangle((wide * 0.02, high * 0.04, wide * 0.98, high * 0.96), outline=dark, width=max(2, high // 40))
    pen.rectangle((wide * 0.045, high * 0.1, wide * 0.955, high * 0.9), outline=loud, width=max(1, high // 70))
    write(pen, title.upper(), (wide * 0.1, high * 0.16, wide * 0.9, high * 0.42), "serif-bold", dark)
    pen.rectangle((0, high * 0.47, wide, high * 0.62), fill=loud)
    write(
        pen,
        " ".join(rng.choice(WORDS, 2, replace=False)),
        (wide * 0.15, high * 0.48, wide * 0.85, high * 0.61),
        "italic",
        light,
    )
    for step in range(9):
        x = wide * (0.14 + 0.09 * step)
        r = high * 0.05
        pen.ellipse(
            (x - r, high * 0.71 - r, x + r, high * 0.71 + r),
            fill=(dark, loud, soft if palette % 2 else light)[step % 3],
        )
    write(
        pen,
        f"No {int(rng.integers(10, 99))} · est. 19{int(rng.integers(10, 99))}",
        (wide * 0.2, high * 0.79, wide * 0.8, high * 0.86),
        "mono",
        dark,
    )
    return age(rng, array(picture), 0.4)


def tiles(rng: Rng, pixels: int, kinds: int = 4, grid: int = 4) -> Array:
    """A square of grid × grid painted tiles in blue, ochre and white, a few patterns at random turns."""
    cell = pixels // grid
    blue, pale, ochre, white = "#1f4e8c", "#7fa6cf", "#d59a2c", "#f2efe6"
    made = []
    for kind in range(kinds):
        picture, pen = canvas((cell, cell), white)
        c = cell
        if kind % 4 == 0:
            for corner in ((0, 0), (c, 0), (0, c), (c, c)):
                for r, ink in ((0.5, blue), (0.4, white), (0.3, ochre), (0.16, blue)):
                    pen.ellipse((corner[0] - r * c, corner[1] - r * c, corner[0] + r * c, corner[1] + r * c), fill=ink)
            pen.regular_polygon((c / 2, c / 2, c * 0.22), 4, 0, fill=blue)
        elif kind % 4 == 1:
            for petal in range(8):
                t = petal * math.pi / 4
                x, y, r = c / 2 + 0.26 * c * math.cos(t), c / 2 + 0.26 * c * math.sin(t), c * 0.11
                pen.ellipse((x - r, y - r, x + r, y + r), fill=blue if petal % 2 else pale)
            pen.ellipse((c * 0.38, c * 0.38, c * 0.62, c * 0.62), fill=ochre)
            pen.rectangle((2, 2, c - 3, c - 3), outline=blue, width=max(2, c // 24))
        elif kind % 4 == 2:
            pen.polygon([(0, 0), (c, 0), (0, c)], fill=blue)
            pen.polygon([(0, 0), (c * 0.5, 0), (0, c * 0.5)], fill=ochre)
            pen.line((c * 0.2, c, c, c * 0.2), fill=pale, width=c // 10)
        else:
            for ring in range(5):
                r = c * (0.46 - 0.09 * ring)
                pen.regular_polygon(
                    (c / 2, c / 2, r), 8 if ring % 2 else 4, ring * 15, fill=(blue, white, pale, ochre, blue)[ring]
                )
        made.append(array(picture))
    wall = np.zeros((cell * grid, cell * grid, 3), np.float32)
    for row in range(grid):
        for column in range(grid):
            tile = np.rot90(made[int(rng.integers(kinds))], int(rng.integers(4)))
            glaze = tile * rng.uniform(0.9, 1.03)
            glaze = glaze * np.clip(noise(rng, (cell, cell), (6, 6), 4) * 0.25 + 0.86, 0, 1)[..., None]
            edge = max(1, cell // 50)
            glaze[:edge] = glaze[-edge:] = hexa("#9c968b")
            glaze[:, :edge] = glaze[:, -edge:] = hexa("#9c968b")
            wall[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = glaze
    return np.asarray(np.clip(wall, 0, 1), np.float32)


def page(rng: Rng, size: tuple[int, int], title: str, pictures: int = 1) -> Array:
    """A page of (width, height): a heading, columns of text, small drawings."""
    wide, high = size
    picture, pen = canvas(size, "#f3eee0")
    write(pen, title, (wide * 0.08, high * 0.04, wide * 0.92, high * 0.13), "serif-bold", "#26221d")
    pen.line((wide * 0.08, high * 0.15, wide * 0.92, high * 0.15), fill="#26221d", width=max(1, high // 300))
    face = font("serif", max(7, high // 52))
    for column in range(2):
        left, right = wide * (0.08 + 0.44 * column), wide * (0.48 + 0.44 * column)
        y = high * 0.18
        while y < high * 0.93:
            if pictures and column == pictures % 2 and high * 0.42 < y < high * 0.45:
                box = (left, y, right, y + high * 0.2)
                ART[str(rng.choice(["peaks", "waves", "circles"]))](pen, rng, box, PALETTES[int(rng.integers(7))])
                y += high * 0.22
            line = " ".join(rng.choice(WORDS, 12))
            while face.getlength(line) > right - left:
                line = line[:-1]
            pen.text((left, y), line, font=face, fill="#3a352e")
            y += high / 46
    return age(rng, array(picture), 0.5)


def chart(rng: Rng, size: tuple[int, int], title: str) -> Array:
    """A map of (width, height): sea, heights in contour lines, roads, place names, a compass, a frame."""
    wide, high = size
    height = noise(rng, (high, wide), (3, 3 * wide / high), 6)
    land = np.clip((height - 0.45) * 60, 0, 1)
    tint = np.stack(
        [
            np.interp(
                height, [0.45, 0.6, 0.75, 0.95], [c[k] for c in map(hexa, ("#cfd8a8", "#e6dcae", "#d9b98a", "#b98a66"))]
            )
            for k in range(3)
        ],
        -1,
    )
    sea = np.asarray(hexa("#9fc3cc"), np.float32) * (0.9 + 0.15 * np.sin(height * 220)[..., None] * 0.3)
    base = blend(sea.astype(np.float32), tint.astype(np.float32), land)
    contour = np.abs((height * 26) % 1 - 0.5) < 0.05
    base[contour & (land > 0.5)] *= 0.78
    base[np.abs(height - 0.45) < 0.004] = hexa("#46524f")
    picture = Image.fromarray((np.clip(base, 0, 1) * 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    places = [(rng.uniform(0.08, 0.9) * wide, rng.uniform(0.08, 0.82) * high) for _ in range(26)]
    for first, second in itertools.pairwise(places):
        if math.dist(first, second) < wide * 0.4:
            middle = (
                (first[0] + second[0]) / 2 + rng.uniform(-30, 30),
                (first[1] + second[1]) / 2 + rng.uniform(-30, 30),
            )
            pen.line([first, middle, second], fill="#a63d2f", width=max(2, wide // 400), joint="curve")
    for x, y in places:
        r = wide / 220
        pen.ellipse((x - r, y - r, x + r, y + r), fill="#26221d")
        name = str(rng.choice(WORDS)).title() + str(rng.choice(["ford", "by", "ton", " Bay", "wick", ""]))
        pen.text((x + 2 * r, y), name, font=font("serif", max(8, wide // 58)), fill="#26221d", anchor="lm")
    pen.rectangle((wide * 0.02, high * 0.02, wide * 0.98, high * 0.98), outline="#4a3a28", width=wide // 120)
    pen.rectangle(
        (wide * 0.55, high * 0.84, wide * 0.95, high * 0.95), fill="#f1e6c8", outline="#4a3a28", width=wide // 300
    )
    write(pen, title, (wide * 0.57, high * 0.86, wide * 0.93, high * 0.93), "serif-bold", "#5a2a1c")
    return age(rng, array(picture), 0.8)


def sign(size: tuple[int, int], lines: Sequence[str], ink: str, ground: str, kind: str = "bold") -> Array:
    """A sign of (width, height) with lines of text over one another."""
    picture, pen = canvas(size, ground)
    step = size[1] / len(lines)
    pen.rectangle((4, 4, size[0] - 5, size[1] - 5), outline=ink, width=max(2, size[1] // 50))
    for number, line in enumerate(lines):
        write(pen, line, (size[0] * 0.08, step * (number + 0.16), size[0] * 0.92, step * (number + 0.84)), kind, ink)
    return array(picture)
