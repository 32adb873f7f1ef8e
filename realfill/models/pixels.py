"""Photos as the tensors that a backbone sees, and back."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from realfill.arrays import Hole, Photo


def to_tensors(photo: Photo, hole: Hole, *, blank: bool = True) -> tuple[Tensor, Tensor]:
    """One picture (H, W, 3) as pixels (1, 3, H, W) in [-1, 1], 0 in its hole if `blank`, and its hole (1, 1, H, W)."""
    pixels = photo.astype(np.float32) / 127.5 - 1
    if blank:
        pixels[hole] = 0
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()), to_planes([hole])


def to_planes(holes: Sequence[Hole]) -> Tensor:
    """B holes (H, W) as (B, 1, H, W) float32 of 0 and 1."""
    return torch.from_numpy(np.stack(holes)[:, None].astype(np.float32))


def to_photo(pixels: Tensor) -> Photo:
    """Pixels (3, H, W) in [-1, 1] as (H, W, 3) of 8 bits."""
    photo: Photo = np.rint((pixels.permute(1, 2, 0).cpu().numpy() + 1) * 127.5).astype(np.uint8)
    return photo
