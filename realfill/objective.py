"""The training objective (§3.4, Eq. 3)."""

import torch.nn.functional as F
from torch import Tensor

from realfill.backbones import Backbone
from realfill.batches import Batch


def realfill_loss(backbone: Backbone, batch: Batch, *, t: Tensor, noise: Tensor) -> Tensor:
    """Eq. 3 per item, (B,): ‖ε_θ(x_t, t, p, m, (1−m)⊙x) − ε‖², for the target only where M_tgt = 0.

    The regression target is the base's own (ε, v or x). Each item is the mean over its own known cells, so
    a target with a large hole counts as much as a reference. Differentiable in the adapter.

    Args:
        t: (B,) int64 diffusion times.
        noise: (B, c, h, w) standard normal.
    """
    clean = backbone.encode(batch.pixels)
    noisy, target = backbone.process.corrupt(clean, noise, t)
    prediction = backbone.predict(noisy, t, backbone.condition(batch.pixels, batch.hole, batch.prompts))
    known = known_cells(batch.weight, cell=backbone.spec.cell)
    error = known * (prediction - target) ** 2
    return error.sum((1, 2, 3)) / (known.sum((1, 2, 3)) * error.shape[1])


def known_cells(weight: Tensor, *, cell: int) -> Tensor:
    """(B, 1, H, W) of 0 and 1 → (B, 1, h, w): a cell that any unknown pixel touches counts nothing."""
    return 1 - F.max_pool2d(1 - weight, cell)
