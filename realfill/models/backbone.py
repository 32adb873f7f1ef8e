"""The contract of a backbone: the code that drives one family of pretrained inpainting models.

A new family is one file with a class like this, chosen by `models.registry`; it inherits the contract tests.
Letters: B batch, H W pixels, h w latent cells, c latent channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from realfill.device.memory_plan import MemoryPlan
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


@dataclass(frozen=True)
class Condition:
    """What the network is told besides the noisy latents; opaque outside `models`."""

    prompt_embeds: Tensor  # (B, tokens, width)
    hole: Tensor  # (B, 1, h, w) of 0 and 1
    masked: Tensor  # (B, c, h, w) latents of the picture with its hole blanked

    def repeat(self, count: int) -> "Condition":
        """The condition of one item, for `count` items."""
        return Condition(
            *(part.expand(count, *part.shape[1:]) for part in (self.prompt_embeds, self.hole, self.masked))
        )


def blank_hole(pixels: Tensor, hole: Tensor) -> Tensor:
    """Pixels (B, 3, H, W) with 0 in the hole (B, 1, H, W), whatever they hold there."""
    return torch.where(hole > 0.5, 0.0, pixels)


def stored_dtype(device: str, dtype: torch.dtype) -> torch.dtype:
    """What weights are kept in where products are computed in `dtype`.

    Float32 on a processor: memory is not short there, and adapters are added to weights before anything is rounded.
    """
    return torch.float32 if device == "cpu" else dtype


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

    def condition(self, pixels: Tensor, hole: Tensor, prompts: Sequence[str]) -> Condition:
        """Pixels (B, 3, H, W) in [-1, 1], hole (B, 1, H, W) of 0 and 1 (1 = hidden), B prompts.

        What pixels hold under the hole has no influence.
        """
        ...

    def prompt_embeds(self, prompts: Sequence[str]) -> Tensor:
        """The `prompt_embeds` of a condition for B prompts, with gradient; equal prompts are computed once."""
        ...

    def latent_hole(self, hole: Tensor) -> Tensor:
        """The `hole` of a condition for holes (B, 1, H, W) of 0 and 1."""
        ...

    def predict(self, noisy: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The network's prediction (B, c, h, w) in the process' prediction type; t (B,) or scalar."""
        ...

    def trainable(self) -> dict[str, nn.Module]:
        """The networks that receive LoRA weights: always `unet`, and `text_encoder` where there is one."""
        ...

    def use_plan(self, plan: MemoryPlan | None) -> None:
        """Compute as a memory plan says from now on: pictures encoded at once, the autoencoder's place, `recompute`.

        None: everything at once and on the device. No result changes beyond rounding.
        """
        ...

    def pipeline_class(self) -> Any:
        """The stock diffusers pipeline class that loads this backbone's adapters."""
        ...
