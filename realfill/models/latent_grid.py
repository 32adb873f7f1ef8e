"""Planes of pixels on the grid of the latents, and latents in patches of 2 × 2 as transformers take them."""

import torch.nn.functional as F
from torch import Tensor


def known_cells(weight: Tensor, cell: int) -> Tensor:
    """(B, 1, H, W) of 0 and 1 → (B, 1, H / cell, W / cell): a cell that any unknown pixel touches is 0."""
    return 1 - F.max_pool2d(1 - weight, cell)


def nearest_cells(plane: Tensor, cell: int) -> Tensor:
    """(B, 1, H, W) → (B, 1, H / cell, W / cell) by nearest, as diffusers' `prepare_mask_latents` shrinks a mask."""
    height, width = (side // cell for side in plane.shape[-2:])
    return F.interpolate(plane, (height, width), mode="nearest")
