"""The result at the target's own size: generated pixels in the hole, a soft seam, everything else untouched.

§3.4 blurs the hole and alpha-blends; the width is left open. Here alpha is exactly 1 in the whole hole, since
the file may hold paint there, and falls by a half cosine to exactly 0 over `feather` known pixels.
`match_colour`, our own and off by default, first makes the colours meet there.
"""

import cv2
import numpy as np
import numpy.typing as npt

from realfill.arrays import Alpha, Hole, Photo
from realfill.imaging import photo
from realfill.imaging.decode import Original
from realfill.imaging.holes import bounding_box, distance_from_hole

Offset = npt.NDArray[np.float32]

_LONGEST = 256  # pixels in which the colour offset is found; it is smooth, so more would show nothing
_SMOOTH = 0.02  # of the hole's box: over so much of the seam the difference is averaged, so that texture averages out
_SWEEPS = 60  # of the smoothing, at each size
_COARSEST = 8  # pixels
_CROSS = np.float32([[0, 1, 0], [1, 0, 1], [0, 1, 0]])  # type: ignore[arg-type]


def feather_alpha(hole: Hole, feather: int) -> Alpha:
    """(H, W) float32: 1 in the hole, exactly 0 beyond `feather` pixels from it; with 0 the hole's own shape."""
    distance = distance_from_hole(hole)
    near = distance <= feather
    fall = 0.5 + 0.5 * np.cos(np.pi * np.where(near, distance, 0) / (feather + 1))
    return np.where(hole, 1.0, np.where(near, fall, 0.0)).astype(np.float32)


def composite(
    original: Original, hole: Hole, generated: Photo, *, feather: int, covered: Hole | None = None
) -> Original:
    """`original` with its hole filled; known pixels farther than `feather` from the hole stay bit for bit.

    Args:
        original: the target, (H, W).
        hole: (H, W), True = missing.
        generated: (H, W, 3) uint8 sRGB at the target's size.
        feather: width of the blended border in target pixels.
        covered: (H, W), where `generated` has pixels at all (`CropTransform.covered_hole`); the border fades out
            before it ends.
    """
    return photo.insert(original, generated, _alpha(hole, feather, covered))


def preview(target: Photo, hole: Hole, generated: Photo, *, feather: int, covered: Hole | None = None) -> Photo:
    """As `composite`, on a photo (H, W, 3) in sRGB and for the screen."""
    alpha, picture = _alpha(hole, feather, covered), target.copy()
    if alpha.any():
        part = photo.changed_part(alpha)
        picture[part] = photo.blend(target[part], generated[part], alpha[part])
    return picture


def _alpha(hole: Hole, feather: int, covered: Hole | None) -> Alpha:
    alpha = feather_alpha(hole, feather)
    if covered is None or covered.all():
        return alpha
    # 0 where nothing was generated, rising to 1 over the same width, so that the box leaves no edge.
    inward = np.minimum(distance_from_hole(~covered) / (feather + 1), 1.0)
    return np.where(hole, alpha, np.minimum(alpha, inward)).astype(np.float32)


def match_colour(target: Photo, hole: Hole, generated: Photo, *, feather: int, covered: Hole | None = None) -> Photo:
    """`generated` shifted in colour so that it meets the target at the hole's border.

    The difference is measured on known pixels next to the hole, averaged along it, and goes on into the hole
    as a membrane (Laplace's equation): as smooth as it can be, so that what was generated keeps its detail.
    Known pixels of the composite stay as they are, since alpha is 0 there as before.

    Args:
        target: (H, W, 3); what lies in its hole has no influence.
        hole: (H, W), True = missing.
        generated: (H, W, 3), everywhere the target's size.
        feather: pixels of the known border that will be blended and must be shifted too.
        covered: (H, W), where `generated` was generated; elsewhere it says nothing.
    """
    if hole.all() or not hole.any():
        return generated
    part, band = _seam_area(hole, feather)
    inside, is_covered = hole[part], np.True_ if covered is None else covered[part]
    seam = ~inside & is_covered & (distance_from_hole(inside) <= band)
    if not seam.any():
        return generated
    difference = target[part].astype(np.float32) - generated[part]
    offset = _membrane(difference, inside, seam)
    moved = np.rint(np.clip(generated[part] + offset, 0, 255)).astype(np.uint8)
    result = generated.copy()
    result[part] = np.where((inside | seam)[..., None], moved, generated[part])
    return result


def _seam_area(hole: Hole, feather: int) -> tuple[tuple[slice, slice], int]:
    """The part of the photo that matters, and the width of the known band round the hole that is measured."""
    height, width = hole.shape
    left, top, right, bottom = bounding_box(hole)
    cell = max(1.0, max(right - left, bottom - top) / _LONGEST)
    band = int(np.ceil(max(feather + 1, 3 * cell)))
    margin = band + int(np.ceil(2 * cell))
    rows = slice(max(0, top - margin), min(height, bottom + margin))
    return (rows, slice(max(0, left - margin), min(width, right + margin))), band


def _membrane(difference: Offset, hole: Hole, seam: Hole) -> Offset:
    """The seam's difference (h, w, 3), carried smoothly over hole and seam; 0 elsewhere."""
    height, width = hole.shape
    shrink = min(1.0, _LONGEST / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    weight = cv2.resize(seam.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    weighed = cv2.resize(difference * seam[..., None], size, interpolation=cv2.INTER_AREA)
    sigma = max(1.0, _SMOOTH * max(size))
    blurred = cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = cv2.GaussianBlur(weighed, (0, 0), sigma) / np.maximum(blurred, 1e-6)[..., None]
    known = weight > 0.01
    missing = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    offset = _solve(mean * known[..., None], known, missing & ~known)
    return np.asarray(cv2.resize(offset, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _solve(values: Offset, known: Hole, unknown: Hole) -> Offset:
    """Laplace's equation: `values` (h, w, 3) where known, each unknown cell the mean of its neighbours.

    From coarse to fine, so that a few sweeps at each size are enough.
    """
    height, width = known.shape
    solid = known | unknown
    if min(height, width) > _COARSEST:
        half = (-(-width // 2), -(-height // 2))
        share = cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(values * known[..., None], half, interpolation=cv2.INTER_AREA)
        coarse_known = share > 0
        free = (cv2.resize(unknown.astype(np.float32), half, interpolation=cv2.INTER_AREA) > 0) & ~coarse_known
        coarse = _solve(mean / np.maximum(share, 1e-6)[..., None], coarse_known, free)
        start = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        start = np.broadcast_to(values[known].mean(0) if known.any() else np.zeros(3), (height, width, 3))
    solution = np.where(known[..., None], values, start * solid[..., None]).astype(np.float32)
    neighbours = cv2.filter2D(solid.astype(np.float32), -1, _CROSS, borderType=cv2.BORDER_CONSTANT)
    weight = np.maximum(neighbours, 1)[..., None]
    for _ in range(_SWEEPS):
        mean = cv2.filter2D(solution, -1, _CROSS, borderType=cv2.BORDER_CONSTANT) / weight
        solution = np.where(unknown[..., None], mean, solution)
    return solution
