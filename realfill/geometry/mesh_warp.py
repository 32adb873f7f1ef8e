"""A smooth residual over a homography: a grid of displacements fitted to points, with least bending between them."""

import functools

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Homography, Matrix, Points, Vector, WarpMap
from realfill.geometry.homography import transform_points
from realfill.geometry.warping import homography_map

CELLS = 24  # along the longer side
SCALES = (14.0, 7.0, 4.0, 3.0, 2.5)  # pixels beyond which a point loses its say, pass after pass
BENDING = 2.0  # weight of the second differences, in points
SLOPE = 0.002  # weight of the first differences: far from all points the homography comes back


class MeshGrid:
    """Nodes over a frame of (height, width) pixels, bilinear between them."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.step = max(height, width) / CELLS
        self.rows, self.columns = int(np.ceil(height / self.step)) + 1, int(np.ceil(width / self.step)) + 1

    def weights(self, xy: Points) -> tuple[npt.NDArray[np.intp], Matrix]:
        """Per point (K, 2) the four nodes around it (K, 4) and their shares (K, 4)."""
        u = np.clip(xy[:, 0] / self.step, 0, self.columns - 1.001)
        v = np.clip(xy[:, 1] / self.step, 0, self.rows - 1.001)
        x, y = u.astype(int), v.astype(int)
        u, v = u - x, v - y
        corner = y * self.columns + x
        nodes = np.stack([corner, corner + 1, corner + self.columns, corner + self.columns + 1], 1)
        return nodes, np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], 1)

    def interpolate(self, nodes: Matrix) -> WarpMap:
        """Node values (rows · columns, 2) as a field (height, width, 2)."""
        field = nodes.reshape(self.rows, self.columns, 2).astype(np.float32)
        x = np.tile(np.arange(self.width, dtype=np.float32) / np.float32(self.step), (self.height, 1))
        y = np.tile((np.arange(self.height, dtype=np.float32) / np.float32(self.step))[:, None], (1, self.width))
        return np.asarray(cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def fit_mesh(
    base: Homography, first: Points, second: Points, weight: Vector, *, shape: tuple[int, int], slope: float = SLOPE
) -> WarpMap:
    """The map of `base` bent so that points `first` (K, 2) of the frame come to `second` in the reference.

    Points that disagree with their neighbours lose their weight (K,) (Geman and McClure's function).
    `slope` is the weight of first differences: the more, the sooner the base comes back away from points.
    """
    height, width = shape
    grid, residual = MeshGrid(height, width), second - transform_points(base, first)
    nodes, shares = grid.weights(first)
    smoothness = _smoothness(grid.rows, grid.columns, slope)
    displacement: Matrix = np.zeros((grid.rows * grid.columns, 2))
    for scale in SCALES:
        error = np.linalg.norm((displacement[nodes] * shares[:, :, None]).sum(1) - residual, axis=1)
        say = weight / (1 + (error / scale) ** 2) ** 2
        square, right = smoothness.copy(), np.zeros_like(displacement)
        for one in range(4):
            np.add.at(right, nodes[:, one], (say * shares[:, one])[:, None] * residual)
            for other in range(4):
                np.add.at(square, (nodes[:, one], nodes[:, other]), say * shares[:, one] * shares[:, other])
        displacement = np.asarray(np.linalg.solve(square, right), np.float64)
    return homography_map(base, height, width) + grid.interpolate(displacement)


@functools.cache
def _smoothness(rows: int, columns: int, slope: float) -> Matrix:
    """The quadratic form of bending and slope over all nodes."""
    number = np.arange(rows * columns).reshape(rows, columns)
    second, first = np.sqrt(BENDING), np.sqrt(slope)
    stencils = [
        ([number[:, :-2], number[:, 1:-1], number[:, 2:]], [second, -2 * second, second]),
        ([number[:-2], number[1:-1], number[2:]], [second, -2 * second, second]),
        (
            [number[:-1, :-1], number[1:, 1:], number[:-1, 1:], number[1:, :-1]],
            [v * np.sqrt(2) for v in (second, second, -second, -second)],
        ),
        ([number[:, :-1], number[:, 1:]], [first, -first]),
        ([number[:-1], number[1:]], [first, -first]),
        ([number], [np.sqrt(1e-5)]),
    ]
    form = np.zeros((number.size, number.size))
    for places, values in stencils:
        for one, a in zip(places, values, strict=True):
            for other, b in zip(places, values, strict=True):
                np.add.at(form, (one.ravel(), other.ravel()), a * b)
    return form
