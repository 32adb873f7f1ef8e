"""Printed matter for the example scenes: posters, book spines, labels, maps, tiles and pages. PIL draws, paper ages."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from tools.scenes.paint import Array, Rng, blend, font, hexa, noise, speckle

WORDS = (
    "river garden winter paper harbour stone lantern orchard copper window thunder meadow island clock feather "
    "mountain bridge silver violet salt atlas compass willow marble engine shadow bread letter summer forest"
).split()
SURNAMES = "Adler Moreau Lindqvist Okafor Tanaka Rossi Novak Haddad Silva Brandt Keller Ivanova Costa Murray".split()
PALETTES = (
    ("#1d3557", "#e63946", "#f1faee", "#a8dadc"),
    ("#2a2d34", "#f4a259", "#f4e9cd", "#5b8e7d"),
    ("#3d405b", "#e07a5f", "#f4f1de", "#81b29a"),
    ("#7f1d1d", "#f6bd60", "#f7ede2", "#84a59d"),
    ("#0b3c49", "#e8c547", "#f5f1e3", "#d1495b"),
    ("#283618", "#dda15e", "#fefae0", "#bc6c25"),
    ("#3a0ca3", "#f72585", "#f8f0fb", "#4cc9f0"),
)


def canvas(size: tuple[int, int], colour: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A picture of (width, height) in one colour, and a pen for it."""
    picture = Image.new("RGB", size, colour)
    return picture, ImageDraw.Draw(picture)


def array(picture: Image.Image) -> Array:
    """As float32 0..1."""
    return np.asarray(picture, np.float32) / 255


def write(pen: ImageDraw.ImageDraw, text: str, box: tuple[float, float, float, float], kind: str, fill: str) -> None:
    """Text as large as fits into box (left, top, right, bottom), centred."""
    width, height = box[2] - box[0], box[3] - box[1]
    size = max(6, int(height))
    probe = font(kind, 100).getbbox(text)
    size = int(min(size, 100 * width / max(1, probe[2] - probe[0]), 100 * height / max(1, probe[3] - probe[1])))
    face = font(kind, max(5, size))
    pen.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), text, font=face, fill=fill, anchor="mm")


def age(rng: Rng, picture: Array, amount: float = 0.5) -> Array:
    """Yellowed, creased, spotted paper."""
    size = picture.shape[:2]
    tone = 1 - 0.22 * amount * noise(rng, size, (3, 3), 5)[..., None] * np.array([0.6, 0.8, 1.3], np.float32)
    aged = picture * tone
    for _ in range(int(4 * amount)):
        crease = np.zeros(size, np.float32)
        ends = [(int(rng.integers(size[1])), int(rng.integers(size[0]))) for _ in range(2)]
        cv2.line(crease, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
        aged = blend(aged, (1.0, 1.0, 0.97), cv2.GaussianBlur(crease, (0, 0), 0.8) * 0.35)
    aged = blend(aged, hexa("#6b4f2c"), speckle(rng, size, int(60 * amount), (1, 3)) * 0.3)
    return np.asarray(np.clip(aged, 0, 1), np.float32)


def poster(rng: Rng, size: tuple[int, int], style: str, lines: Sequence[str], palette: int) -> Array:
    """A poster of (width, height): circles, peaks, fan, grid or waves under lines of text (the first the largest)."""
    dark, loud, light, soft = PALETTES[palette % len(PALETTES)]
    wide, high = size
    picture, pen = canvas(size, light)
    area = (wide * 0.06, high * 0.05, wide * 0.94, high * 0.66)
    _ART[style](pen, rng, area, (dark, loud, light, soft))
    pen.rectangle((wide * 0.03, high * 0.02, wide * 0.97, high * 0.98), outline=dark, width=max(2, wide // 160))
    write(pen, lines[0], (wide * 0.08, high * 0.69, wide * 0.92, high * 0.82), "bold", dark)
    for number, line in enumerate(lines[1:]):
        top = high * (0.84 + 0.055 * number)
        write(pen, line, (wide * 0.12, top, wide * 0.88, top + high * 0.036), "serif", loud if number == 0 else dark)
    return age(rng, array(picture), 0.5)


Box = tuple[float, float, float, float]
Inks = tuple[str, str, str, str]


def _circles(pen: ImageDraw.ImageDraw, rng: Rng, box: Box, inks: Inks) -> None:
    pen.rectangle(box, fill=inks[0])
    for _ in range(26):
        x, y, r = rng.uniform(box[0], box[2]), rng.uniform(box[1], box[3]), rng.uniform(0.02, 0.15) * (box[3] - box[1])
        x, y = min(max(x, box[0] + r), box[2] - r), min(max(y, box[1] + r), box[3] - r)
        ink = inks[int(rng.integers(1, 4))]
        pen.ellipse((x - r, y - r, x + r, y + r), fill=ink)
        for ring in range(1, int(rng.integers(1, 5))):
            s = r * (1 - ring * 0.24)
            pen.ellipse((x - s, y - s, x + s, y + s), fill=inks[(ring + int(x)) % 4])


def _peaks(pen: ImageDraw.ImageDraw, rng: Rng, box: Box, inks: Inks) -> None:
    pen.rectangle(box, fill=inks[3])
    wide, high = box[2] - box[0], box[3] - box[1]
    r = high * 0.16
    x, y = box[0] + wide * 0.66, box[1] + high * 0.3
    pen.ellipse((x - r, y - r, x + r, y + r), fill=inks[1])
    for layer, ink in enumerate((inks[2], inks[0], inks[1], inks[0])):
        base = box[1] + high * (0.42 + 0.16 * layer)
        count = 7 + 3 * layer
        points = [(box[0], box[3])]
        for step in range(count + 1):
            points.append((box[0] + wide * step / count, base - high * rng.uniform(0.0, 0.24) * (step % 2) + rng.uniform(0, 9)))
        pen.polygon([*points, (box[2], box[3])], fill=ink)
    for _ in range(40):
        x, y = rng.uniform(box[0], box[2]), rng.uniform(box[1] + high * 0.82, box[3] - 4)
        s = high * rng.uniform(0.015, 0.04)
        pen.polygon([(x - s / 2, y), (x + s / 2, y), (x, y - 2 * s)], fill=inks[3])


def _fan(pen: ImageDraw.ImageDraw, rng: Rng, box: Box, inks: Inks) -> None:
    pen.rectangle(box, fill=inks[2])
    wide, high = box[2] - box[0], box[3] - box[1]
    centre = (box[0] + wide * rng.uniform(0.3, 0.7), box[1] + high * rng.uniform(0.5, 0.8))
    rays = 28
    for ray in range(rays):
        a, b = (2 * math.pi * (ray + share) / rays for share in (0, 0.5 + 0.3 * rng.random()))
        far = max(wide, high) * 1.5
        points = [centre, *((centre[0] + far * math.cos(t), centre[1] + far * math.sin(t)) for t in (a, b))]
        clipped = [(min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])) for x, y in points]
        pen.polygon(clipped, fill=inks[ray % 2])
    for ring in range(6):
        r = high * (0.3 - 0.05 * ring)
        pen.ellipse((centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r), fill=inks[(0, 2, 1, 3, 0, 2)[ring]])


def _grid(pen: ImageDraw.ImageDraw, rng: Rng, box: Box, inks: Inks) -> None:
    pen.rectangle(box, fill=inks[2])
    columns, rows = 6, 7
    for row in range(rows):
        for column in range(columns):
            w, h = (box[2] - box[0]) / columns, (box[3] - box[1]) / rows
            x, y = box[0] + column * w, box[1] + row * h
            cell = (x, y, x + w, y + h)
            pen.rectangle(cell, fill=inks[int(rng.integers(4))])
            ink, kind = inks[int(rng.integers(4))], int(rng.integers(5))
            if kind == 0:
                pen.pieslice((x, y, x + 2 * w, y + 2 * h), 180, 270, fill=ink)
            elif kind == 1:
                pen.ellipse(cell, fill=ink)
            elif kind == 2:
                pen.polygon([(x, y), (x + w, y), (x, y + h)], fill=ink)
            elif kind == 3:
                for stripe in range(3):
                    pen.rectangle((x, y + h * stripe / 3, x + w, y + h * (stripe + 0.5) / 3), fill=ink)


def _waves(pen: ImageDraw.ImageDraw, rng: Rng, box: Box, inks: Inks) -> None:
    pen.rectangle(box, fill=inks[0])
    wide, high = box[2] - box[0], box[3] - box[1]
    r = high * 0.2
    pen.ellipse((box[0] + wide / 2 - r, box[1] + high * 0.08, box[0] + wide / 2 + r, box[1] + high * 0.08 + 2 * r), fill=inks[1])
    for layer in range(9):
        y0 = box[1] + high * (0.42 + 0.065 * layer)
        phase, ink = rng.uniform(0, 6), inks[(2, 3, 0, 1, 2, 3, 0, 2, 3)[layer]]
        curve = [(box[0] + wide * t / 60, y0 + high * 0.03 * math.sin(t / 60 * (12 + layer) + phase)) for t in range(61)]
        pen.polygon([*curve, (box[2], box[3]), (box[0], box[3])], fill=ink)


_ART = {"circles": _circles, "peaks": _peaks, "fan": _fan, "grid": _grid, "waves": _waves}


def spine(rng: Rng, size: tuple[int, int]) -> Array:
    """A book's spine, (width, height) upright: a title along it, bands, a maker's sign, worn edges."""
    wide, high = size
    cloth_ = rng.choice(["#7b2d26", "#22333b", "#3f4a3c", "#c9b79c", "#23395b", "#8a5a44", "#e0d3b8", "#51344d", "#b08d57", "#1b4332", "#9c6644", "#d9d2c5"])
    ink = "#e9d8a6" if sum(hexa(cloth_)) < 1.4 else "#2b2420"
    lying, pen = canvas((high, wide), cloth_)
    title = " ".join(rng.choice(WORDS, int(rng.integers(1, 4)), replace=False)).title()
    style = int(rng.integers(4))
    for place in (0.03, 0.05, 0.93, 0.96) if style % 2 else (0.08, 0.86):
        pen.rectangle((high * place, 0, high * place + high * (0.006 if style % 2 else 0.02), wide), fill=ink)
    if style == 2:
        pen.rectangle((high * 0.2, wide * 0.08, high * 0.72, wide * 0.92), fill=str(rng.choice(["#111111", "#6a040f", "#f1e9da"])))
        ink = "#f3e9c8" if lying.getpixel((int(high * 0.3), wide // 2))[0] < 150 else "#222222"  # type: ignore[index]
    kind = str(rng.choice(["serif-bold", "bold", "serif", "sans", "italic"]))
    write(pen, title if style else title.upper(), (high * 0.14, wide * 0.18, high * 0.68, wide * 0.8), kind, ink)
    write(pen, str(rng.choice(SURNAMES)), (high * 0.71, wide * 0.3, high * 0.85, wide * 0.7), "serif", ink)
    picture = np.rot90(array(lying), -1).copy()
    dim = picture.shape[:2]
    edge = np.minimum(np.arange(dim[0]), np.arange(dim[0])[::-1])[:, None] / (0.05 * dim[0])
    side = np.minimum(np.arange(dim[1]), np.arange(dim[1])[::-1])[None] / (0.18 * dim[1])
    worn = np.clip(1.15 - np.minimum(np.broadcast_to(edge, dim), side), 0, 1) * np.clip(noise(rng, dim, (20, 5), 4) - 0.35, 0, 1) * 1.5
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
    write(pen, " ".join(rng.choice(WORDS, 2, replace=False)), (wide * 0.15, high * 0.48, wide * 0.85, high * 0.61), "italic", light)
    for step in range(9):
        x = wide * (0.14 + 0.09 * step)
        r = high * 0.05
        pen.ellipse((x - r, high * 0.71 - r, x + r, high * 0.71 + r), fill=(dark, loud, soft if palette % 2 else light)[step % 3])
    write(pen, f"No {int(rng.integers(10, 99))} · est. 19{int(rng.integers(10, 99))}", (wide * 0.2, high * 0.79, wide * 0.8, high * 0.86), "mono", dark)
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
                pen.regular_polygon((c / 2, c / 2, r), 8 if ring % 2 else 4, ring * 15, fill=(blue, white, pale, ochre, blue)[ring])
        made.append(array(picture))
    picture = np.zeros((cell * grid, cell * grid, 3), np.float32)
    for row in range(grid):
        for column in range(grid):
            tile = np.rot90(made[int(rng.integers(kinds))], int(rng.integers(4)))
            glaze = tile * rng.uniform(0.9, 1.03)
            glaze = glaze * np.clip(noise(rng, (cell, cell), (6, 6), 4) * 0.25 + 0.86, 0, 1)[..., None]
            edge = max(1, cell // 50)
            glaze[:edge] = glaze[-edge:] = hexa("#9c968b")
            glaze[:, :edge] = glaze[:, -edge:] = hexa("#9c968b")
            picture[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = glaze
    return np.clip(picture, 0, 1)


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
                _ART[str(rng.choice(["peaks", "waves", "circles"]))](pen, rng, box, PALETTES[int(rng.integers(7))])
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
    tint = np.stack([np.interp(height, [0.45, 0.6, 0.75, 0.95], [c[k] for c in map(hexa, ("#cfd8a8", "#e6dcae", "#d9b98a", "#b98a66"))]) for k in range(3)], -1)
    sea = np.asarray(hexa("#9fc3cc"), np.float32) * (0.9 + 0.15 * np.sin(height * 220)[..., None] * 0.3)
    base = blend(sea.astype(np.float32), tint.astype(np.float32), land)
    contour = np.abs((height * 26) % 1 - 0.5) < 0.05
    base[contour & (land > 0.5)] *= 0.78
    base[np.abs(height - 0.45) < 0.004] = hexa("#46524f")
    picture = Image.fromarray((np.clip(base, 0, 1) * 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    places = [(rng.uniform(0.08, 0.9) * wide, rng.uniform(0.08, 0.82) * high) for _ in range(26)]
    for first, second in zip(places, places[1:], strict=False):
        if math.dist(first, second) < wide * 0.4:
            middle = ((first[0] + second[0]) / 2 + rng.uniform(-30, 30), (first[1] + second[1]) / 2 + rng.uniform(-30, 30))
            pen.line([first, middle, second], fill="#a63d2f", width=max(2, wide // 400), joint="curve")
    for x, y in places:
        r = wide / 220
        pen.ellipse((x - r, y - r, x + r, y + r), fill="#26221d")
        name = str(rng.choice(WORDS)).title() + str(rng.choice(["ford", "by", "ton", " Bay", "wick", ""]))
        pen.text((x + 2 * r, y), name, font=font("serif", max(8, wide // 58)), fill="#26221d", anchor="lm")
    pen.rectangle((wide * 0.02, high * 0.02, wide * 0.98, high * 0.98), outline="#4a3a28", width=wide // 120)
    pen.rectangle((wide * 0.55, high * 0.84, wide * 0.95, high * 0.95), fill="#f1e6c8", outline="#4a3a28", width=wide // 300)
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
