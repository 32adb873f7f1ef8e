"""The training objective (§3.4, Eq. 3)."""

from dataclasses import dataclass

from torch import Tensor

from realfill.models.backbone import Backbone, Context, EncodedItems
from realfill.models.items import Items
from realfill.training.batches import Batch


@dataclass(frozen=True, eq=False)
class EncodedBatch(Items):
    """Training items as the network takes them, on its device; nothing here depends on the adapter."""

    items: EncodedItems
    known: Tensor  # (B, 1 or c, h, w) of 0 and 1: where the loss counts
    prompts: tuple[str, ...]
    context: tuple[tuple[int, ...], ...]  # as `Batch.context`


def encode_batch(backbone: Backbone, batch: Batch) -> EncodedBatch:
    """A batch as the network takes it."""
    known = backbone.latent_known(batch.weight.to(backbone.device))
    return EncodedBatch(backbone.encode_items(batch), known, batch.prompts, batch.context)


def realfill_loss(
    backbone: Backbone, batch: Batch | EncodedBatch, *, t: Tensor, noise: Tensor, context: Context = ()
) -> Tensor:
    """Eq. 3 per item, (B,): ‖ε_θ(x_t, t, p, m, (1−m)⊙x) − ε‖², for the target only where M_tgt = 0.

    The regression target is the base's own (ε, v, x, or a flow's velocity ε − x). Each item is the mean over its own
    known cells, so a target with a large hole counts as much as a reference. Differentiable in the adapter.

    Args:
        t: (B,) diffusion times, in the process' own units.
        noise: (B, c, h, w) standard normal.
        context: latents of what stands beside each item.
    """
    encoded = batch if isinstance(batch, EncodedBatch) else encode_batch(backbone, batch)
    noisy, target = backbone.process.add_noise(encoded.items.clean, noise, t)
    condition = backbone.condition(encoded.items.image, encoded.prompts, context)
    prediction = backbone.predict(noisy, t, condition)
    error = encoded.known * (prediction - target) ** 2
    return error.sum((1, 2, 3)) / encoded.known.expand_as(error).sum((1, 2, 3))
