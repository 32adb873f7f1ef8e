"""Photos and originals: reading, colours for the model's eyes, and writing generated pixels back.

A Photo is what models see: (H, W, 3) uint8 sRGB. An Original is what a person gave: the file's own code
values. Generated pixels enter an Original by `insert`, which leaves every other value as it was.
Files come in by `decode` and go out by `encode`; `crop` makes the working size.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from realfill import files
from realfill.arrays import Alpha, Photo, Pixels
from realfill.imaging import icc
from realfill.imaging.decode import Original, read_original, to_eight_bits
from realfill.imaging.encode import encode_png
from realfill.imaging.holes import bounding_box


def to_photo(original: Original) -> Photo:
    """An original as (H, W, 3) uint8 sRGB: 16 bits rounded to 8, the profile honoured, alpha dropped."""
    colours = to_eight_bits(original.pixels)
    if original.mode == "RGBA":
        colours = colours[:, :, :3]
    image = Image.fromarray(np.ascontiguousarray(colours))
    return np.array(icc.to_srgb(image, original.icc_profile))


def read_photo(path: Path) -> Photo:
    """A picture file as (H, W, 3) uint8 sRGB, upright.

    Raises:
        SceneError: as `read_original`.
    """
    return to_photo(read_original(path))


def insert(original: Original, generated: Photo, alpha: Alpha) -> Original:
    """`original` with `generated` laid over it; values where alpha is 0 stay bit for bit (§3.4).

    Args:
        original: (H, W) pixels in any mode, depth and space.
        generated: (H, W, 3) uint8 sRGB; turned into the original's space, mode and depth.
        alpha: (H, W) float32 in 0..1; where it is 1 the generated value is taken as it is. A transparent
            original becomes opaque to the same degree.
    """
    size = (original.height, original.width)
    if generated.shape != (*size, 3) or alpha.shape != size:
        raise ValueError(f"generated {generated.shape} and alpha {alpha.shape} do not fit a picture of {size}")
    if not alpha.any():
        return original
    part = changed_part(alpha)
    pixels = original.pixels.copy()
    pixels[part] = blend(original.pixels[part], _convert_to_original(generated[part], original), alpha[part])
    return replace(original, pixels=pixels)


def changed_part(alpha: Alpha) -> tuple[slice, slice]:
    """Rows and columns of the box in which `alpha` (H, W) changes anything; it does somewhere."""
    left, top, right, bottom = bounding_box(alpha > 0)
    return slice(top, bottom), slice(left, right)


def blend(below: Pixels, above: Pixels, alpha: Alpha) -> Pixels:
    """`above` over `below`, both (h, w) or (h, w, C) of one depth, rounded; where alpha is 0 `below` is kept."""
    weight = alpha.astype(np.float64)[(...,) + (None,) * (below.ndim - 2)]
    mixed = np.rint(below * (1 - weight) + above * weight).astype(below.dtype)
    blended: Pixels = np.where(weight > 0, mixed, below)
    return blended


def save_photo(photo: Photo, path: Path) -> None:
    """Writes a (H, W, 3) or (H, W) uint8 photo as PNG, atomically.

    Raises:
        DiskFull, RunError: as `files.write_bytes`.
    """
    files.write_bytes(path, encode_png(photo))


def _convert_to_original(photo: Photo, original: Original) -> Pixels:
    """(h, w, 3) sRGB as opaque values in the mode, space and depth of `original`."""
    image = Image.fromarray(np.ascontiguousarray(photo))
    mode = "L" if original.mode == "L" else "RGB"
    values = np.array(icc.from_srgb(image, original.icc_profile, mode))
    if original.mode == "RGBA":
        opaque = np.full((*values.shape[:2], 1), 255, np.uint8)
        values = np.concatenate([values, opaque], axis=2)
    if original.pixels.dtype == np.uint16:
        return values.astype(np.uint16) * np.uint16(257)
    return values
