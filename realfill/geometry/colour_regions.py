"""Regions of a reference by colour: what known pixels say of one region is carried on within it, not across its edge.

Sky, stone, leaves and shade change differently from one light to another, so what is known of the sky says nothing
about the tower before it. A joint-bilateral extrapolation (Petschnigg et al. 2004), with a few colours instead of
a bilateral grid.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from realfill.arrays import Colours, Field, Hole, Photo, Weight
from realfill.geometry.smoothing import spread_smoothly

Box = tuple[float, float, float, float]

REGIONS = 6
SOFT = 10.0  # 8-bit CIELAB units over which a colour passes from one region into another
WHOLE = (0.0, 0.0, 1.0, 1.0)
SHARED = 0.05  # of a pixel's say counts in every region, so that one with nothing known takes after the others


@dataclass(frozen=True, eq=False)
class ColourRegions:
    """The colours (K, 3), in 8-bit CIELAB, that stand for the regions of a picture."""

    centres: Colours

    def memberships(self, photo: Photo) -> Field:
        """(h, w, K), 1 in the sum over the K regions: how far each pixel of a photo (h, w, 3) belongs to each."""
        lab = _to_lab(photo).astype(np.float32)
        # Squared distances less the square of the colour itself, which is the same for all regions; a plane a region.
        forms = np.c_[-2 * self.centres, (self.centres**2).sum(1)]
        distance = np.stack([cv2.transform(lab, form[None]) for form in forms])
        share = cv2.exp((distance - distance.min(0)) * np.float32(-0.5 / SOFT**2)).reshape(distance.shape)
        return np.asarray(np.moveaxis(share / share.sum(0), 0, 2), np.float32)


@dataclass(frozen=True, eq=False)
class RegionField:
    """A smooth field (h, w[, C]) for each region of a picture."""

    regions: ColourRegions
    fields: tuple[Field, ...]

    def look_up(self, photo: Photo, box: Box = WHOLE, members: Field | None = None) -> Field:
        """The field (H, W[, C]) in the pixels of a photo (H, W, 3) that covers the same frame, or a box of it.

        Args:
            photo: at any size.
            box: left, top, right, bottom as shares of the frame's sides.
            members: the regions' `memberships` of the photo, where they are known.
        """
        size = photo.shape[1], photo.shape[0]
        if members is None:
            members = self.regions.memberships(photo)
        total = np.zeros((*photo.shape[:2], *self.fields[0].shape[2:]), np.float32)
        for number, field in enumerate(self.fields):
            share = members[:, :, number] if field.ndim == 2 else members[:, :, number, None]
            total += share * _enlarge(field, box, size)
        return total


def _enlarge(field: Field, box: Box, size: tuple[int, int]) -> Field:
    """A box of a field (h, w[, C]) at a size (width, height), half-pixel correct."""
    if box == WHOLE:
        return np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_LINEAR), np.float32)
    lines = []
    for axis in (0, 1):
        side, low, high = field.shape[1 - axis], box[axis], box[axis + 2]
        step = (high - low) * side / size[axis]
        lines.append((step, low * side + step / 2 - 0.5))
    (across, left), (down, top) = lines
    inverse = np.array([[across, 0, left], [0, down, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(field, inverse, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def find_regions(photo: Photo, where: Hole) -> ColourRegions:
    """The regions of a photo (h, w, 3) in the pixels `where` (h, w), by median cut and a few rounds of k-means."""
    pixels = _to_lab(photo)[where]
    if not len(pixels):
        return ColourRegions(np.zeros((1, 3), np.float32))
    reduced = Image.fromarray(pixels[None]).quantize(REGIONS, method=Image.Quantize.MEDIANCUT, kmeans=3)
    palette = np.asarray(reduced.getpalette(), np.float32).reshape(-1, 3)
    return ColourRegions(palette[: int(np.asarray(reduced).max()) + 1])


def spread_by_region(
    regions: ColourRegions, photo: Photo, values: Field, weight: Weight, *, reach: float
) -> RegionField:
    """`spread_smoothly` of values (h, w[, C]) within each region of a photo (h, w, 3) by itself."""
    members = regions.memberships(photo) + SHARED
    parts = [members[:, :, number] for number in range(members.shape[2])]
    return RegionField(regions, tuple(spread_smoothly(values, weight * part, reach=reach) for part in parts))


def _to_lab(photo: Photo) -> Photo:
    return np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2LAB), np.uint8)
