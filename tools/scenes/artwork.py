"""Posters for the example scenes, and what all printed matter needs: inks, lettering, paper that ages. PIL draws."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from tools.scenes.paint import Array, Rng, blend, font, hexa, noise, speckle

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
    return np.asarray(np.asarray(picture, np.float32) / 255, np.float32)


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
    ART[style](pen, rng, area, (dark, loud, light, soft))
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
            points.append(
                (box[0] + wide * step / count, base - high * rng.uniform(0.0, 0.24) * (step % 2) + rng.uniform(0, 9))
            )
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
    pen.ellipse(
        (box[0] + wide / 2 - r, box[1] + high * 0.08, box[0] + wide / 2 + r, box[1] + high * 0.08 + 2 * r), fill=inks[1]
    )
    for layer in range(9):
        y0 = box[1] + high * (0.42 + 0.065 * layer)
        phase, ink = rng.uniform(0, 6), inks[(2, 3, 0, 1, 2, 3, 0, 2, 3)[layer]]
        curve = [
            (box[0] + wide * t / 60, y0 + high * 0.03 * math.sin(t / 60 * (12 + layer) + phase)) for t in range(61)
        ]
        pen.polygon([*curve, (box[2], box[3]), (box[0], box[3])], fill=ink)


ART = {"circles": _circles, "peaks": _peaks, "fan": _fan, "grid": _grid, "waves": _waves}
