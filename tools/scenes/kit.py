"""Shapes for the example scenes: boxes, lathes, sheets, tubes, leaves, and the things made of them.

Units are metres, z is up. `at` is where the shape's origin goes, `turn` Euler angles in degrees.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import bpy
import numpy as np

from tools.scenes.materials import Material
from tools.scenes.paint import Rng

Object = Any  # bpy has no types
Point = tuple[float, float, float]
_FACES = {  # corners (x, y, z as 0/1), in the order of UV (0,0) (1,0) (1,1) (0,1) as seen from outside
    "front": ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)),  # towards -y
    "back": ((1, 1, 0), (0, 1, 0), (0, 1, 1), (1, 1, 1)),
    "left": ((0, 1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)),
    "right": ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)),
    "top": ((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
    "bottom": ((0, 1, 0), (1, 1, 0), (1, 0, 0), (0, 0, 0)),
}


def place(made: Object, at: Point, turn: Point = (0, 0, 0)) -> Object:
    """Puts an object into the scene."""
    made.location = at
    made.rotation_euler = tuple(math.radians(angle) for angle in turn)
    if made.name not in bpy.context.scene.collection.objects:
        bpy.context.scene.collection.objects.link(made)
    return made


def copy_object(made: Object, at: Point, turn: Point = (0, 0, 0), scale: float = 1.0) -> Object:
    """One more of an object; it shares the mesh."""
    copy = made.copy()
    copy.scale = (scale,) * 3
    return place(copy, at, turn)


def mesh(
    name: str, points: Any, faces: Any, materials: Sequence[Material], *, uvs: Any = None, smooth: bool = False
) -> Object:
    """A mesh object; `uvs` has one (u, v) for every corner of every face, in order."""
    data = bpy.data.meshes.new(name)
    data.from_pydata(np.asarray(points).tolist(), [], [list(map(int, face)) for face in faces])
    if uvs is not None:
        layer = data.uv_layers.new(name="UV")
        layer.data.foreach_set("uv", np.asarray(uvs, np.float32).ravel())
    for material in materials:
        data.materials.append(material)
    if smooth:
        data.polygons.foreach_set("use_smooth", [True] * len(data.polygons))
    data.update()
    return bpy.data.objects.new(name, data)


def box(
    size: Point,
    at: Point,
    material: Material,
    *,
    turn: Point = (0, 0, 0),
    bevel: float = 0.003,
    faces: dict[str, Material] | None = None,
) -> Object:
    """A box that stands on `at` (centre of its base); single faces may have materials of their own."""
    own = dict(faces or {})
    corners: list[Point] = []
    index: dict[tuple[int, int, int], int] = {}
    uvs: list[tuple[int, int]] = []
    polygons, slots = [], []
    materials = [material, *own.values()]
    for name, face in _FACES.items():
        polygon = []
        for corner in face:
            if corner not in index:
                index[corner] = len(corners)
                corners.append(((corner[0] - 0.5) * size[0], (corner[1] - 0.5) * size[1], corner[2] * size[2]))
            polygon.append(index[corner])
        polygons.append(polygon)
        uvs += [(0, 0), (1, 0), (1, 1), (0, 1)]
        slots.append(1 + list(own).index(name) if name in own else 0)
    made = mesh("box", corners, polygons, materials, uvs=uvs)
    made.data.polygons.foreach_set("material_index", slots)
    if bevel:
        rounding = made.modifiers.new("bevel", "BEVEL")
        rounding.width, rounding.segments, rounding.limit_method = bevel, 2, "NONE"
    return place(made, at, turn)


def sheet(
    shape: Callable[[float, float], Point],
    material: Material,
    *,
    cells: tuple[int, int] = (24, 24),
    at: Point = (0, 0, 0),
    turn: Point = (0, 0, 0),
    closed: bool = False,
    thick: float = 0.0,
) -> Object:
    """A surface from (u, v) in 0..1 to points; UV is (u, v). `closed` joins u = 1 to u = 0."""
    across, along = cells
    us, vs = np.linspace(0, 1, across + 1), np.linspace(0, 1, along + 1)
    points = [shape(float(u), float(v)) for v in vs for u in us]
    faces, uvs = [], []
    for row in range(along):
        for column in range(across):
            first = row * (across + 1) + column
            faces.append((first, first + 1, first + across + 2, first + across + 1))
            uvs += [
                (us[column], vs[row]),
                (us[column + 1], vs[row]),
                (us[column + 1], vs[row + 1]),
                (us[column], vs[row + 1]),
            ]
    made = mesh("sheet", points, faces, [material], uvs=uvs, smooth=True)
    if closed:
        weld = made.modifiers.new("weld", "WELD")
        weld.merge_threshold = 1e-5
    if thick:
        solid = made.modifiers.new("solid", "SOLIDIFY")
        solid.thickness = thick
    return place(made, at, turn)


def panel(size: tuple[float, float], at: Point, material: Material, *, turn: Point = (0, 0, 0)) -> Object:
    """An upright rectangle that faces -y, its origin in the middle of the lower edge."""
    wide, high = size
    return sheet(lambda u, v: ((u - 0.5) * wide, 0, v * high), material, cells=(1, 1), at=at, turn=turn)


def lathe(
    profile: Sequence[tuple[float, float]],
    at: Point,
    material: Material,
    *,
    turn: Point = (0, 0, 0),
    segments: int = 48,
    smooth: int = 4,
    folds: Callable[[float, float], float] | None = None,
) -> Object:
    """A turned shape of (radius, height) points, rounded by `smooth` steps in between (0: sharp corners).

    `folds(angle, share of height)` multiplies the radius. UV: around × along.
    """
    rounded = curve(profile, smooth) if smooth else np.asarray(profile, float)
    count = len(rounded) - 1

    def shape(u: float, v: float) -> Point:
        radius, height = rounded[round(v * count)]
        angle = 2 * math.pi * u
        radius *= folds(angle, v) if folds else 1.0
        return radius * math.cos(angle), radius * math.sin(angle), height

    made = sheet(shape, material, cells=(segments, count), at=at, turn=turn, closed=True)
    if not smooth:
        made.data.polygons.foreach_set("use_smooth", [False] * len(made.data.polygons))
    return made


def curve(points: Sequence[Sequence[float]], steps: int) -> Any:
    """A Catmull-Rom curve through points, `steps` pieces between two of them."""
    given = np.asarray(points, float)
    padded = np.vstack([2 * given[0] - given[1], given, 2 * given[-1] - given[-2]])
    made = []
    for index in range(1, len(padded) - 2):
        p0, p1, p2, p3 = padded[index - 1 : index + 3]
        for step in range(steps):
            t = step / steps
            made.append(
                0.5
                * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
            )
    return np.array([*made, given[-1]])


def tube(
    points: Sequence[Point],
    radius: float | Sequence[float],
    material: Material,
    *,
    at: Point = (0, 0, 0),
    turn: Point = (0, 0, 0),
    steps: int = 6,
) -> Object:
    """A round bar along a curve through points; radius one for all or one a point."""
    radii = [radius] * len(points) if isinstance(radius, (int, float)) else list(radius)
    path = curve([(*point, r) for point, r in zip(points, radii, strict=True)], steps)
    data = bpy.data.curves.new("tube", "CURVE")
    data.dimensions, data.bevel_depth, data.bevel_resolution, data.use_fill_caps = "3D", 1.0, 3, True
    line = data.splines.new("POLY")
    line.points.add(len(path) - 1)
    line.points.foreach_set("co", np.column_stack([path[:, :3], np.ones(len(path))]).ravel())
    line.points.foreach_set("radius", path[:, 3])
    line.use_smooth = True
    data.materials.append(material)
    return place(bpy.data.objects.new("tube", data), at, turn)


def ball(radii: Point, at: Point, material: Material, *, turn: Point = (0, 0, 0), cells: int = 24) -> Object:
    """An ellipsoid around `at`."""

    def shape(u: float, v: float) -> Point:
        angle, tilt = 2 * math.pi * u, math.pi * (v - 0.5)
        return (
            radii[0] * math.cos(tilt) * math.cos(angle),
            radii[1] * math.cos(tilt) * math.sin(angle),
            radii[2] * math.sin(tilt),
        )

    return sheet(shape, material, cells=(cells, cells // 2), at=at, turn=turn, closed=True)


def leaves(rng: Rng, points: Any, normals: Any, length: float, materials: Sequence[Material]) -> Object:
    """One bent leaf at each point (N, 3), roughly along its normal (N, 3); one mesh for all."""
    points, normals = np.asarray(points, float), np.asarray(normals, float)
    count = len(points)
    along = normals + rng.normal(0, 0.6, (count, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along, rng.normal(0, 1, (count, 3)))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, along)
    size = length * rng.uniform(0.6, 1.3, (count, 1))
    corners = [
        points,
        points + size * (0.45 * along + 0.3 * side + 0.12 * up),
        points + size * (along - 0.1 * up),
        points + size * (0.45 * along - 0.3 * side + 0.12 * up),
        points + size * (0.5 * along),
    ]
    every = np.stack(corners, 1).reshape(-1, 3)
    first = np.arange(count)[:, None] * 5
    quads = np.concatenate([first + np.array([0, 4, 2, 1]), first + np.array([0, 3, 2, 4])])
    made = mesh("leaves", every, quads, list(materials))
    made.data.polygons.foreach_set("material_index", np.tile(rng.integers(0, len(materials), count), 2))
    return place(made, (0, 0, 0))


def bush(rng: Rng, at: Point, radii: Point, count: int, length: float, materials: Sequence[Material]) -> Object:
    """Leaves in an ellipsoid around `at`, denser to the outside, in clumps."""
    clumps = rng.normal(0, 1, (max(6, count // 60), 3))
    clumps = clumps / np.linalg.norm(clumps, axis=1, keepdims=True) * rng.uniform(0.4, 0.92, (len(clumps), 1))
    local = clumps[rng.integers(0, len(clumps), count)] + rng.normal(0, 0.14, (count, 3))
    outward = local / np.maximum(np.linalg.norm(local, axis=1, keepdims=True), 1e-6)
    return leaves(rng, np.asarray(at) + local * np.asarray(radii), outward + np.array([0, 0, 0.3]), length, materials)
