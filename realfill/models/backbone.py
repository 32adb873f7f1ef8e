"""The contract of a backbone: the code that drives one family of pretrained inpainting models.

A new family is one file with a class like this, chosen by `models.registry`; it inherits the contract tests.
Letters: B batch, H W pixels, h w latent cells, c latent channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from realfill.config import MaskForm
from realfill.device.memory_plan import MemoryPlan
from realfill.models.items import Items
from realfill.models.scheduler import NoiseProcess


@dataclass(frozen=True)
class Spec:
    """What the rest of the project may know about a base."""

    name: str  # as the person named it: mini, sd2, a path, a hub id
    family: str
    size: int  # pixels; the base's own working size
    multiple: int  # pixels; sides of the working size are multiples of this
    cell: int  # pixels per latent cell
    latent_channels: int
    weights_hash: str  # sha256 over names and contents of the weight files
    loss_cell: int  # pixels per cell that the loss counts or does not: no more than `cell`
    chooses_prompts: bool = False  # whether prompts may come as a `PromptChoice`
    has_context: bool = False  # whether other photos of the scene may stand beside an item in the network's attention

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(c, h, w) of the latents of a picture of height × width pixels."""
        return self.latent_channels, height // self.cell, width // self.cell


@dataclass(frozen=True, eq=False)
class Pictures(Items):
    """B pictures with a hole each, as they are encoded."""

    pixels: Tensor  # (B, 3, H, W) float32 in [-1, 1]; what stands in the hole has no influence on what the network sees
    hole: Tensor  # (B, 1, H, W) of 0 and 1: what the network does not see
    place: Tensor  # (B, 6) pixels at this scale: height and width of the whole photo, top and left of the crop, H, W


@dataclass(frozen=True, eq=False)
class EncodedItems(Items):
    """B training items as a network takes them; nothing here depends on the step or the adapter."""

    clean: Tensor  # (B, c, h, w) latents of the pictures
    image: Items  # what the network is shown of them: `Backbone.image_condition`


Context = Sequence[Sequence[Tensor]]
"""Of B items: the latents (1, c, h, w), each of a size of its own, of the pictures that stand beside an item."""
Layers = Literal["attention", "all"]


def blank_hole(pixels: Tensor, hole: Tensor, colour: Tensor | float = 0.0) -> Tensor:
    """Pixels (B, 3, H, W) with `colour` in the hole (B, 1, H, W), whatever they hold there."""
    return torch.where(hole > 0.5, colour, pixels)


def stored_dtype(device: str, dtype: torch.dtype) -> torch.dtype:
    """What weights are kept in where products are computed in `dtype`.

    Float32 on a processor: memory is not short there, and adapters are added to weights before anything is rounded.
    """
    return torch.float32 if device == "cpu" else dtype


class PromptChoice(tuple[str, ...]):
    """The prompts of B items by where each stands among the distinct ones, on the device: a CUDA graph can change that.

    As a sequence it is as long as the items; which prompt each has, the device alone knows.
    """

    distinct: tuple[str, ...]
    where: Tensor  # (B,)

    def __new__(cls, distinct: tuple[str, ...], where: Tensor) -> "PromptChoice":
        """As many empty strings as there are items."""
        choice = super().__new__(cls, [""] * len(where))
        choice.distinct, choice.where = distinct, where
        return choice


class Backbone(Protocol):
    """Encode, condition, predict, decode: all that training and sampling ask of a base."""

    spec: Spec
    device: torch.device
    dtype: torch.dtype  # what products are computed in

    @property
    def process(self) -> NoiseProcess:
        """The diffusion process, with the base's own schedule and prediction type."""
        ...

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] → latents (B, c, h, w): the posterior's mode, scaled. No gradient."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, c, h, w) → pixels (B, 3, H, W) clamped to [-1, 1]. No gradient."""
        ...

    def encode_masked(self, pixels: Tensor, hole: Tensor) -> Tensor:
        """Latents (B, c, h, w) of pictures (B, 3, H, W) without what lies in their holes (B, 1, H, W). No gradient.

        The hole is as the family marks it, grey or green; what pixels hold there has no influence.
        """
        ...

    def use_mask_form(self, form: MaskForm) -> None:
        """Show holes in this form from now on, where the network has no channel for the mask; else nothing changes."""
        ...

    def image_condition(self, pictures: Pictures) -> Items:
        """What the network is shown of the pictures. Opaque: it goes into `condition`. No gradient."""
        ...

    def encode_items(self, pictures: Pictures) -> EncodedItems:
        """Training items. What an item's latents are does not depend on the others. No gradient."""
        ...

    def condition(self, image: Items, prompts: Sequence[str], context: Context = ()) -> Items:
        """All that the network is told beside the noisy latents; opaque, and with gradient where prompts have one.

        Args:
            image: of B items, as `image_condition` makes it.
            prompts: B; equal ones are computed once.
            context: of B items, where `spec.has_context`; empty: nothing stands beside any of them.
        """
        ...

    def latent_known(self, weight: Tensor) -> Tensor:
        """(B, 1, H, W) of 0 and 1 → where the loss counts, (B, 1 or c, h, w) of 0 and 1.

        A cell that any unknown pixel touches counts nothing.
        """
        ...

    def predict(self, noisy: Tensor, t: Tensor, condition: Any) -> Tensor:
        """The network's prediction (B, c, h, w) in the process' prediction type.

        Args:
            t: (B,) or scalar, in the process' own times.
            condition: as `condition` makes it.
        """
        ...

    def trainable(self) -> dict[str, nn.Module]:
        """The networks that receive LoRA weights by the names of stock pipelines: the denoiser first."""
        ...

    def lora_targets(self, layers: Layers) -> Mapping[str, Sequence[str]]:
        """The modules that are adapted, by PEFT's `target_modules`, for each of `trainable`."""
        ...

    def use_plan(self, plan: MemoryPlan | None) -> None:
        """Compute as a memory plan says from now on: pictures encoded at once, the autoencoder's place, `recompute`.

        None: everything at once and on the device. No result changes beyond rounding.
        """
        ...

    def pipeline_class(self) -> Any:
        """The stock diffusers pipeline class that loads this backbone's adapters."""
        ...
