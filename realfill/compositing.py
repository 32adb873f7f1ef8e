"""The result at the target's own size: generated pixels in the hole, a soft seam, everything else untouched.

§3.4 blurs the hole and alpha-blends; the width is left open. Here alpha is exactly 1 in the whole hole, since
the file may hold paint there, and falls by a half cosine to exactly 0 over `feather` known pixels.
"""

import numpy as np

from realfill import images
from realfill.images import Alpha, Original, Photo
from realfill.masks import Hole, distance_from_hole


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
        covered: (H, W), where `generated` has pixels at all (`Fit.covered`); the border fades out before it ends.
    """
    return images.insert(original, generated, _alpha(hole, feather, covered))


def preview(target: Photo, hole: Hole, generated: Photo, *, feather: int, covered: Hole | None = None) -> Photo:
    """As `composite`, on a photo (H, W, 3) in sRGB and for the screen."""
    return np.asarray(images.blend(target, generated, _alpha(hole, feather, covered)), np.uint8)


def _alpha(hole: Hole, feather: int, covered: Hole | None) -> Alpha:
    alpha = feather_alpha(hole, feather)
    if covered is None or covered.all():
        return alpha
    # 0 where nothing was generated, rising to 1 over the same width, so that the box leaves no edge.
    inward = np.minimum(distance_from_hole(~covered) / (feather + 1), 1.0)
    return np.where(hole, alpha, np.minimum(alpha, inward)).astype(np.float32)
