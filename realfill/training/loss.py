"""The training objective (§3.4, Eq. 3)."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from realfill.models.backbone import Backbone, Condition, blank_hole
from realfill.training.batches import Batch


@dataclass(frozen=True, eq=False)
class EncodedBatch:
    """Training items as the U-Net takes them, on its device; nothing here depends on the step."""

    clean: Tensor  # (B, c, h, w) latents of the picture
    masked: Tensor  # (B, c, h, w) latents of the picture with its hole blanked
    hole: Tensor  # (B, 1, h, w) of 0 and 1: what the network does not see
    known: Tensor  # (B, 1, h, w) of 0 and 1: where the loss counts
    prompts: tuple[str, ...]

    def part(self, start: int, stop: int) -> "EncodedBatch":
        """Items start to stop, for computing a batch in pieces."""
        piece = slice(start, stop)
        return EncodedBatch(
            self.clean[piece], self.masked[piece], self.hole[piece], self.known[piece], self.prompts[piece]
        )


def encode_batch(backbone: Backbone, batch: Batch) -> EncodedBatch:
    """A batch as the U-Net takes it."""
    pixels, hole, weight = (part.to(backbone.device) for part in (batch.pixels, batch.hole, batch.weight))
    masked = backbone.encode(blank_hole(pixels, hole))
    known = known_latents(weight, cell=backbone.spec.cell)
    return EncodedBatch(backbone.encode(pixels), masked, backbone.latent_hole(hole), known, batch.prompts)


def realfill_loss(backbone: Backbone, batch: Batch | EncodedBatch, *, t: Tensor, noise: Tensor) -> Tensor:
    """Eq. 3 per item, (B,): ‖ε_θ(x_t, t, p, m, (1−m)⊙x) − ε‖², for the target only where M_tgt = 0.

    The regression target is the base's own (ε, v or x). Each item is the mean over its own known cells, so
    a target with a large hole counts as much as a reference. Differentiable in the adapter.

    Args:
        t: (B,) int64 diffusion times.
        noise: (B, c, h, w) standard normal.
    """
    encoded = batch if isinstance(batch, EncodedBatch) else encode_batch(backbone, batch)
    noisy, target = backbone.process.add_noise(encoded.clean, noise, t)
    prompt_embeds = backbone.prompt_embeds(encoded.prompts)
    condition = Condition(prompt_embeds=prompt_embeds, hole=encoded.hole, masked=encoded.masked)
    prediction = backbone.predict(noisy, t, condition)
    error = encoded.known * (prediction - target) ** 2
    return error.sum((1, 2, 3)) / (encoded.known.sum((1, 2, 3)) * error.shape[1])


def known_latents(weight: Tensor, *, cell: int) -> Tensor:
    """(B, 1, H, W) of 0 and 1 → (B, 1, h, w): a cell that any unknown pixel touches counts nothing."""
    return 1 - F.max_pool2d(1 - weight, cell)
