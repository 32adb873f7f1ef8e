"""Photos as the tensors that a backbone sees, and back."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from realfill.arrays import Hole, Photo
from realfill.imaging.crop import CropTransform


def to_tensors(photo: Photo, hole: Hole) -> tuple[Tensor, Tensor]:
    """One picture (H, W, 3) as pixels (1, 3, H, W) in [-1, 1], and its hole (1, 1, H, W)."""
    pixels = photo.astype(np.float32) / 127.5 - 1
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()), to_planes([hole])


def fill_smoothly(pixels: Tensor, hole: Tensor) -> Tensor:
    """Pixels (B, 3, H, W) with their holes (B, 1, H, W) filled by ever wider averages of what is known around them.

    As `imaging.fill.fill_from_known`, on the device; zeros where nothing is known.
    """
    known = (hole <= 0.5).to(pixels.dtype)
    levels = [(torch.where(hole > 0.5, 0.0, pixels), known)]
    while max(levels[-1][1].shape[-2:]) > 1:
        colour, weight = (F.avg_pool2d(plane, 2, ceil_mode=True, count_include_pad=False) for plane in levels[-1])
        levels.append((colour, weight))
    guess = torch.zeros_like(levels[-1][0])
    for colour, weight in reversed(levels):
        wider = F.interpolate(guess, colour.shape[-2:], mode="bilinear")
        guess = weight * (colour / weight.clamp(min=1e-6)) + (1 - weight) * wider
    return torch.where(hole > 0.5, guess, pixels)


def to_planes(holes: Sequence[Hole]) -> Tensor:
    """B holes (H, W) as (B, 1, H, W) float32 of 0 and 1."""
    return torch.from_numpy(np.stack(holes)[:, None].astype(np.float32))


def crop_place(crop: CropTransform) -> Tensor:
    """Where a crop lies in its photo, as `backbone.Pictures.place`, (1, 6)."""
    scale = crop.width / crop.box[2]
    left, top = crop.box[0] * scale, crop.box[1] * scale
    numbers = (crop.photo_height * scale, crop.photo_width * scale, top, left, crop.height, crop.width)
    return torch.tensor([[float(round(number)) for number in numbers]])


def whole_place(height: int, width: int) -> Tensor:
    """`backbone.Pictures.place` of a picture that is no crop of a larger one, (1, 6)."""
    return torch.tensor([[float(height), float(width), 0.0, 0.0, float(height), float(width)]])


def to_photo(pixels: Tensor) -> Photo:
    """Pixels (3, H, W) in [-1, 1] as (H, W, 3) of 8 bits."""
    photo: Photo = np.rint((pixels.permute(1, 2, 0).cpu().numpy() + 1) * 127.5).astype(np.uint8)
    return photo


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the computer's memory on a device; on CUDA out of pinned memory, so that nobody waits."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
