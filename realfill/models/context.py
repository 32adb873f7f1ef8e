"""Whole photos of the scene as a network takes them beside an item: clean latents of a size of their own."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from realfill.arrays import Hole, Photo
from realfill.imaging.crop import crop_whole
from realfill.models.backbone import Backbone
from realfill.models.pixels import to_tensors


def encode_context(backbone: Backbone, photos: Sequence[tuple[Photo, Hole | None]], *, area: int) -> list[Tensor]:
    """Latents (1, c, h, w) of whole photos, each in its own aspect and about `area` pixels.

    Args:
        photos: with what is missing of each, which the family marks as it marks holes; None: nothing.
    """
    latents = []
    for photo, hole in photos:
        missing = np.zeros(photo.shape[:2], np.bool_) if hole is None else hole
        crop = crop_whole(*missing.shape, size=round(math.sqrt(area)), multiple=backbone.spec.multiple)
        pixels, plane = to_tensors(crop.crop_photo(photo), crop.crop_hole(missing) & ~crop.outside_photo())
        latents.append(backbone.encode_masked(pixels.to(backbone.device), plane.to(backbone.device)))
    return latents
