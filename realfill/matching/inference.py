"""What the matchers with a network share: photos as tensors, and a sentence when memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from realfill.arrays import Photo
from realfill.device.devices import is_out_of_memory
from realfill.errors import OutOfMemory


def to_tensor(photo: Photo, device: str) -> torch.Tensor:
    """A photo (H, W, 3) or a grey picture (H, W), uint8 → (1, C, H, W) float32, 0..1, on the device."""
    pixels = photo if photo.ndim == 3 else photo[..., None]
    return torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(2, 0, 1)[None].float() / 255


@contextmanager
def refuse_out_of_memory(device: str) -> Iterator[None]:
    """Inference without gradients; a device that is too small becomes a sentence.

    Raises:
        OutOfMemory: from inside the block.
    """
    try:
        with torch.inference_mode():
            yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "The device {device} has too little memory for matching; lower select.size or take the matcher sift.",
            device=device,
        ) from error
