"""Pictures drawn for the example scenes: fonts, noise, and what surfaces are made of (wood, brick, plaster, cloth).

Every function takes a numpy generator and returns float32 (H, W, 3) in 0..1 sRGB unless it says otherwise.
"""

from functools import cache
from pathlib import Path

import bpy
import cv2
import numpy as np
import numpy.typing as npt
from PIL import ImageFont

Array = npt.NDArray[np.float32]
Rng = np.random.Generator
Colour = tuple[float, float, float]

_SYSTEM = Path("/usr/share/fonts/truetype/dejavu")  # Debian's fonts-dejavu; Blender's own fonts where it is absent
_OWN = {"sans": 400, "bold": 800, "light": 250, "serif": 500, "serif-bold": 800, "italic": 400}


def hexa(text: str) -> Colour:
    """ "#a0b1c2" → three numbers in 0..1."""
    value = text.lstrip("#")
    return int(value[0:2], 16) / 255, int(value[2:4], 16) / 255, int(value[4:6], 16) / 255


@cache
def font(kind: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of `kind` (sans, bold, light, serif, serif-bold, italic, mono) at `size` pixels."""
    names = {"serif": "DejaVuSerif.ttf", "serif-bold": "DejaVuSerif-Bold.ttf", "italic": "DejaVuSerif-Italic.ttf"}
    if kind in names and (_SYSTEM / names[kind]).exists():
        return ImageFont.truetype(str(_SYSTEM / names[kind]), size)
    folder = Path(bpy.utils.system_resource("DATAFILES")) / "fonts"
    if kind == "mono":
        return ImageFont.truetype(str(folder / "DejaVuSansMono.woff2"), size)
    face = ImageFont.truetype(str(folder / "Inter.woff2"), size)
    axes = face.get_variation_axes()
    weights = [float(_OWN[kind] if b"eight" in (axis["name"] or b"") else axis["default"] or 0) for axis in axes]
    face.set_variation_by_axes(weights)
    return face


def noise(rng: Rng, size: tuple[int, int], cells: tuple[float, float], octaves: int = 4, gain: float = 0.55) -> Array:
    """Smooth noise (H, W) in about 0..1 with `cells` = (rows, columns) of the lowest octave; it tiles."""
    height, width = size
    total, weight = np.zeros(size, np.float32), 0.0
    for octave in range(octaves):
        rows = max(1, min(height, round(cells[0] * 2**octave)))
        columns = max(1, min(width, round(cells[1] * 2**octave)))
        grid = rng.random((rows, columns), np.float32)
        grid = np.pad(grid, 3, mode="wrap")
        fine = cv2.resize(grid, None, fx=width / columns, fy=height / rows, interpolation=cv2.INTER_CUBIC)
        top, left = round(3 * height / rows), round(3 * width / columns)
        layer = fine[top : top + height, left : left + width]
        total += gain**octave * layer
        weight += gain**octave
    return np.asarray(np.clip((total / weight - 0.5) * 1.6 + 0.5, 0, 1), np.float32)


def ramp(values: Array, stops: list[tuple[float, str]]) -> Array:
    """Values (H, W) → colours by a list of (value, "#rrggbb")."""
    places = [place for place, _ in stops]
    colours = np.array([hexa(colour) for _, colour in stops], np.float32)
    return np.stack([np.interp(values, places, colours[:, channel]) for channel in range(3)], -1).astype(np.float32)


def blend(under: Array, over: Array | Colour, share: Array | float) -> Array:
    """`over` on `under`, by `share` (H, W) or a number."""
    amount = np.asarray(share, np.float32)
    amount = amount[..., None] if amount.ndim == 2 else amount
    return np.asarray(under * (1 - amount) + np.asarray(over, np.float32) * amount, np.float32)


def speckle(rng: Rng, size: tuple[int, int], count: int, radius: tuple[float, float]) -> Array:
    """Soft dots (H, W) in 0..1: stains, grit, pores."""
    picture = np.zeros(size, np.float32)
    for _ in range(count):
        centre = (int(rng.integers(size[1])), int(rng.integers(size[0])))
        cv2.circle(picture, centre, max(1, int(rng.uniform(*radius))), float(rng.uniform(0.3, 1)), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8), np.float32)


def wood(rng: Rng, size: tuple[int, int], tone: str = "oak", planks: int = 1) -> Array:
    """Grain along the width, with knots, pores and, with `planks` > 1, gaps between boards."""
    stops = {
        "oak": [(0.0, "#6b4526"), (0.45, "#a9763f"), (0.8, "#c79a61"), (1.0, "#d6b07a")],
        "walnut": [(0.0, "#2b1a10"), (0.45, "#53341f"), (0.8, "#75502f"), (1.0, "#8d6743")],
        "pine": [(0.0, "#a8733c"), (0.45, "#d2a568"), (0.8, "#e2c08a"), (1.0, "#eed5a8")],
        "grey": [(0.0, "#4a4640"), (0.45, "#7b756b"), (0.8, "#9c968a"), (1.0, "#b5afa3")],
        "red": [(0.0, "#3c150d"), (0.45, "#6d2f1d"), (0.8, "#8f4a2f"), (1.0, "#a9643f")],
    }[tone]
    height, width = size
    rows = np.linspace(0, planks, height, endpoint=False)
    board = np.floor(rows).astype(int)
    picture = np.zeros((height, width, 3), np.float32)
    for index in range(planks):
        inside = board == index
        part = (int(inside.sum()), width)
        warp = noise(rng, part, (2, 1.2), 3) * 9 + noise(rng, part, (part[0] / 40, 2), 3) * 1.2
        across = np.linspace(0, 11, part[0], dtype=np.float32)[:, None] + warp * 0.3
        for _ in range(int(rng.integers(0, 3))):  # knots push the rings aside
            y, x, spread = rng.uniform(0, part[0]), rng.uniform(0, width), part[0] * rng.uniform(0.06, 0.12)
            grid_y, grid_x = np.mgrid[0 : part[0], 0:width]
            distance = np.hypot((grid_y - y) / spread, (grid_x - x) / (spread * 2.6))
            across = across + 2.4 * np.exp(-(distance**2)) * np.sign(grid_y - y)
        rings = 0.5 + 0.5 * np.sin(across * 2 * np.pi)
        fine = noise(rng, part, (part[0] / 5, 5), 3)
        value = 0.3 + 0.25 * rings**1.5 + 0.45 * (fine - 0.5) + 0.3 * (noise(rng, part, (1, 2), 3) - 0.3)
        picture[inside] = ramp(np.clip(value, 0, 1), stops) * rng.uniform(0.86, 1.06)
    pores = noise(rng, size, (height / 3, max(4, width / 60)), 1)
    picture = picture * (1 - 0.3 * np.clip(pores - 0.72, 0, 1)[..., None] * 3)
    if planks > 1:
        gap = np.abs(rows - np.round(rows)) < 0.008
        picture[gap] *= 0.3
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def bricks(rng: Rng, size: tuple[int, int], rows: int = 16, columns: int = 6) -> tuple[Array, Array]:
    """A brick wall, and its height (H, W) in 0..1."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y = y + (noise(rng, size, (8, 8), 3) - 0.5) * height / rows * 0.12
    x = x + (noise(rng, size, (8, 8), 3) - 0.5) * width / columns * 0.05
    row = np.floor(y / height * rows).astype(int) % rows
    column_place = x / width * columns + 0.5 * (row % 2)
    column = np.floor(column_place).astype(int) % columns
    within_y, within_x = (y / height * rows) % 1, column_place % 1
    edge_y = np.minimum(within_y, 1 - within_y) * height / rows
    edge_x = np.minimum(within_x, 1 - within_x) * width / columns
    edge = np.minimum(edge_y, edge_x)
    joint = np.clip((edge - height / rows * 0.06) / (height / rows * 0.05), 0, 1)
    shade = rng.random((rows, columns)).astype(np.float32)[row, column]
    tint = rng.random((rows, columns)).astype(np.float32)[row, column]
    fine = noise(rng, size, (height / 6, width / 6), 3)
    colour = ramp(
        np.clip(shade * 0.75 + fine * 0.35 - 0.05, 0, 1),
        [(0.0, "#5b2f24"), (0.3, "#8b4632"), (0.65, "#a85c41"), (0.9, "#bd7a58"), (1.0, "#c9a083")],
    )
    colour = blend(colour, hexa("#4a4340"), (tint > 0.93) * 0.6)
    mortar = ramp(fine, [(0.0, "#8d857a"), (1.0, "#c2baad")])
    stain = noise(rng, size, (3, 3), 5)
    picture = blend(mortar, colour, joint) * (0.78 + 0.36 * stain[..., None])
    return np.clip(picture, 0, 1), np.asarray(joint * (0.75 + 0.25 * fine) + 0.1 * shade, np.float32)


def plaster(rng: Rng, size: tuple[int, int], colour: str, wear: float = 0.3) -> Array:
    """Painted plaster with stains, runs from above and patches where the paint has come off."""
    base = np.asarray(hexa(colour), np.float32)
    picture = np.broadcast_to(base, (*size, 3)) * (0.82 + 0.3 * noise(rng, size, (4, 4), 6)[..., None])
    runs = noise(rng, size, (2, size[1] / 14), 3) * noise(rng, size, (3, 5), 3)
    picture = blend(picture, base * 0.55, np.clip(runs - 0.3, 0, 1) * 1.3 * wear)
    off = noise(rng, size, (5, 5), 6)
    bare = np.clip((off - (1 - wear * 0.55)) * 24, 0, 1)
    rim = np.clip((off - (1 - wear * 0.55) + 0.02) * 24, 0, 1) - bare
    under = ramp(noise(rng, size, (60, 60), 3), [(0.0, "#8a8074"), (1.0, "#b8ad9f")])
    picture = blend(blend(picture, (1.0, 0.98, 0.95), np.clip(rim, 0, 1) * 0.5), under, bare)
    return np.clip(picture * (0.95 + 0.1 * noise(rng, size, (size[0] / 3, size[1] / 3), 1)[..., None]), 0, 1)


def cobbles(rng: Rng, size: tuple[int, int], count: int = 22) -> tuple[Array, Array]:
    """Setts laid in rows, and their height (H, W) in 0..1."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y = y + (noise(rng, size, (9, 9), 3) - 0.5) * height / count * 0.7
    x = x + (noise(rng, size, (9, 9), 3) - 0.5) * width / count * 0.7
    row = np.floor(y / height * count).astype(int) % count
    place = x / width * count + rng.random(count).astype(np.float32)[row]
    column = np.floor(place).astype(int) % count
    edge = np.minimum(
        np.minimum((y / height * count) % 1, 1 - (y / height * count) % 1), np.minimum(place % 1, 1 - place % 1)
    )
    dome = np.clip(edge * 5, 0, 1) ** 0.6
    shade = rng.random((count, count)).astype(np.float32)[row, column]
    fine = noise(rng, size, (height / 5, width / 5), 3)
    stone = ramp(np.clip(shade * 0.7 + fine * 0.4 - 0.05, 0, 1), [(0, "#55524e"), (0.5, "#86817a"), (1, "#b3aa9c")])
    sand = ramp(fine, [(0.0, "#5d5648"), (1.0, "#8d8372")])
    picture = blend(sand * 0.7, stone, np.clip((dome - 0.3) * 4, 0, 1)) * (
        0.8 + 0.3 * noise(rng, size, (3, 3), 4)[..., None]
    )
    return np.clip(picture, 0, 1), np.asarray(dome, np.float32)


def stone(rng: Rng, size: tuple[int, int], moss: float = 0.3) -> Array:
    """Weathered stone with lichen and moss."""
    picture = ramp(noise(rng, size, (6, 6), 7), [(0.1, "#66625a"), (0.5, "#a39d90"), (0.9, "#cfc8ba")])
    picture = picture * (1 - 0.35 * speckle(rng, size, size[0] * size[1] // 900, (1, 2))[..., None])
    lichen = np.clip((noise(rng, size, (14, 14), 4) - 0.68) * 14, 0, 1)
    picture = blend(picture, hexa("#c9c08a"), lichen * 0.55)
    green = np.clip((noise(rng, size, (5, 5), 6) - (1 - moss * 0.8)) * 8, 0, 1)
    return np.clip(blend(picture, hexa("#4f5a2c"), green * 0.75), 0, 1)


def cloth(rng: Rng, size: tuple[int, int], kind: str, colours: list[str], repeat: int = 12) -> Array:
    """Woven cloth: gingham, stripes, kilim or plain."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    first, second = (np.asarray(hexa(colour), np.float32) for colour in colours[:2])
    v, u = y / height * repeat, x / width * repeat
    if kind == "gingham":
        share = 0.5 * ((u % 1) < 0.5) + 0.5 * ((v % 1) < 0.5)
        picture = blend(np.broadcast_to(first, (height, width, 3)), second, share)
    elif kind == "stripes":
        pattern = rng.integers(0, len(colours), repeat * 4)
        table = np.array([hexa(colours[index]) for index in pattern], np.float32)
        picture = table[np.floor(v * 4).astype(int) % len(table)]
    elif kind == "kilim":
        table = np.array([hexa(colour) for colour in colours], np.float32)
        zig = np.abs((u % 1) - 0.5) * 2
        band = np.floor(v * 2 + zig * 1.5).astype(int)
        inner = np.floor((np.abs((u % 1) - 0.5) + np.abs((v % 2) / 2 - 0.5)) * 7).astype(int)
        index = np.where(np.floor(v / 2).astype(int) % 2 == 0, band * 7 % 5, inner)
        picture = table[index % len(table)]
    else:
        picture = np.broadcast_to(first, (height, width, 3))
    weave = 0.9 + 0.1 * np.sin(y * 2.1) * np.sin(x * 2.1)
    fade = 0.85 + 0.2 * noise(rng, size, (5, 5), 5)
    return np.asarray(np.clip(np.asarray(picture, np.float32) * (weave * fade)[..., None], 0, 1), np.float32)
