"""Maps of the frame into a reference, and the reference's picture warped into the frame by one."""

import cv2
import numpy as np

from realfill.arrays import Homography, Photo, WarpMap, Weight


def homography_map(matrix: Homography, height: int, width: int) -> WarpMap:
    """The map of a homography; nan beyond its horizon."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in matrix / matrix[2, 2])
    w = np.where(w > 1e-6, w, np.nan)
    return np.stack([u / w, v / w], 2).astype(np.float32)


def warp_photo(photo: Photo, warp_map: WarpMap) -> tuple[Photo, Weight]:
    """The reference's working picture in the frame, and 1 where it has a pixel, 0 where it has none."""
    height, width = photo.shape[:2]
    positions = np.nan_to_num(warp_map, nan=-10.0)
    warped = cv2.remap(photo, positions, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    x, y = positions[:, :, 0], positions[:, :, 1]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    return np.asarray(warped, np.uint8), inside.astype(np.float32)


def scale_map(warp_map: WarpMap, size: tuple[int, int], factor: float) -> WarpMap:
    """A map between pictures that are both `factor` (below 1) times as large; the frame's then has `size` (h, w)."""
    small = cv2.resize(warp_map, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray((small + np.float32(0.5)) * np.float32(factor) - np.float32(0.5), np.float32)


def shift_map(warp_map: WarpMap, shift: WarpMap) -> WarpMap:
    """`warp_map` looked up where a shift (h, w, 2), in pixels of the frame and kept in it, takes a pixel."""
    height, width = warp_map.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    inside_x, inside_y = np.clip(x + shift[:, :, 0], 0, width - 1), np.clip(y + shift[:, :, 1], 0, height - 1)
    shifted = cv2.remap(warp_map, inside_x, inside_y, cv2.INTER_LINEAR)
    return np.asarray(shifted, np.float32)
