"""FLUX.2 [klein]: the masked picture and the scene's other photos stand as clean tokens in the same attention.

The network has no channel for a mask. What is missing is painted green, as public outpainting adapters of this base
do, and the adapter's random holes teach within a scene's own training what green means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import Flux2KleinPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from torch import Tensor

from realfill.errors import WeightsError
from realfill.models.backbone import Context, EncodedItems, Layers, Pictures, blank_hole
from realfill.models.flow_transformer import JOINT_ATTENTION, FlowTransformer, as_latents, as_tokens
from realfill.models.items import Items
from realfill.models.pipelines import load_pipeline

GREEN = (-1.0, 1.0, -1.0)  # in the hole, in [-1, 1]


@dataclass(frozen=True, eq=False)
class GreenImage(Items):
    """The picture with its hole painted."""

    masked: Tensor  # (B, c, h, w) latents


@dataclass(frozen=True, eq=False)
class KleinCondition(Items):
    """All that the transformer is told."""

    prompt_embeds: Tensor  # (B, 512, width)
    image: GreenImage
    context: tuple[tuple[Tensor, ...], ...]  # of each item, latents (1, c, h, w) of its own number of photos


class Flux2Klein(FlowTransformer):
    """Drives the parts of a stock `Flux2KleinPipeline`."""

    family, has_context = "flux2_klein", True
    size = 512  # what adapters of this base are commonly trained at; any multiple of a token's side will do

    def __init__(self, pipeline: Any, *, name: str, weights_hash: str) -> None:
        super().__init__(
            pipeline,
            name=name,
            weights_hash=weights_hash,
            text_encoders=[pipeline.text_encoder],
            shift=compute_empirical_mu,
        )
        if self.transformer.config.in_channels != self.spec.latent_channels:
            raise WeightsError(
                "Base '{name}' is no FLUX.2 klein: its transformer takes {in_channels} channels, not "
                "{latent_channels}. Take black-forest-labs/FLUX.2-klein-base-4B.",
                name=name,
                in_channels=self.transformer.config.in_channels,
                latent_channels=self.spec.latent_channels,
            )
        statistics = self.vae.bn  # `Flux2KleinPipeline._encode_vae_image`
        variance = statistics.running_var.float().view(1, -1, 1, 1) + self.vae.config.batch_norm_eps
        self._mean: Tensor = statistics.running_mean.float().view(1, -1, 1, 1)
        self._deviation: Tensor = torch.sqrt(variance)
        self._green = torch.tensor(GREEN).view(1, 3, 1, 1)

    def _scale(self, latents: Tensor) -> Tensor:
        return (latents - self._mean) / self._deviation

    def _unscale(self, latents: Tensor) -> Tensor:
        return latents * self._deviation + self._mean

    def encode_masked(self, pixels: Tensor, hole: Tensor) -> Tensor:
        """See `Backbone.encode_masked`: green stands in the hole."""
        return self.encode(self._paint(pixels, hole))

    def _paint(self, pixels: Tensor, hole: Tensor) -> Tensor:
        return blank_hole(pixels, hole, self._green.to(pixels.device))

    def image_condition(self, pictures: Pictures) -> GreenImage:
        """See `Backbone.image_condition`."""
        return GreenImage(self.encode_masked(pictures.pixels, pictures.hole))

    def encode_items(self, pictures: Pictures) -> EncodedItems:
        """See `Backbone.encode_items`."""
        clean, masked = self.encode(torch.cat([pictures.pixels, self._paint(pictures.pixels, pictures.hole)])).chunk(2)
        return EncodedItems(clean, GreenImage(masked))

    def condition(self, image: Any, prompts: Sequence[str], context: Context = ()) -> KleinCondition:
        """See `Backbone.condition`."""
        beside = tuple(tuple(photos) for photos in context) or ((),) * len(prompts)
        return KleinCondition(torch.cat([self.embed_prompt(prompt) for prompt in prompts]), image, beside)

    def _embed(self, prompt: str) -> Tensor:
        embeds: Tensor = self._pipeline.encode_prompt(prompt, device=self.device)[0]
        return embeds

    def predict(self, noisy: Tensor, t: Tensor, condition: Any) -> Tensor:
        """See `Backbone.predict`. Items with as many photos of the same sizes beside them are computed together."""
        groups: dict[tuple[torch.Size, ...], list[int]] = {}
        for index, photos in enumerate(condition.context):
            groups.setdefault(tuple(photo.shape for photo in photos), []).append(index)
        times = t.to(self.device).expand(len(noisy))
        parts: dict[int, Tensor] = {}
        for indices in groups.values():
            photos = zip(*(condition.context[index] for index in indices), strict=True)
            shown = [condition.image.masked[indices], *(torch.cat(same) for same in photos)]
            part = self._predict(noisy[indices], times[indices], condition.prompt_embeds[indices], shown)
            parts.update(zip(indices, part, strict=True))
        return torch.stack([parts[index] for index in range(len(noisy))])

    def _predict(self, noisy: Tensor, t: Tensor, prompt_embeds: Tensor, shown: Sequence[Tensor]) -> Tensor:
        """Of items that see the same number of pictures (B, c, h, w), the masked one first."""
        stock, (height, width) = Flux2KleinPipeline, noisy.shape[-2:]
        tokens = torch.cat([as_tokens(latents) for latents in (noisy, *shown)], 1)
        own, others = stock._prepare_latent_ids(noisy[:1]), stock._prepare_image_ids([one[:1] for one in shown])
        output = self._call_transformer(
            tokens,
            t,
            guidance=None,
            encoder_hidden_states=prompt_embeds.to(self.dtype),
            txt_ids=stock._prepare_text_ids(prompt_embeds[:1]).to(self.device),
            img_ids=torch.cat([own, others], 1).to(self.device),
        )
        return as_latents(output[:, : height * width], height, width)

    def _transformer_targets(self, layers: Layers) -> Sequence[str]:
        # by full names: in the other blocks `to_out` is a list. Without it single blocks learn next to nothing fine.
        singles = range(len(self.transformer.single_transformer_blocks))
        outputs = [f"single_transformer_blocks.{index}.attn.to_out" for index in singles]
        every = ("linear_in", "linear_out") if layers == "all" else ()
        return [*JOINT_ATTENTION, "to_qkv_mlp_proj", *outputs, *every]

    def pipeline_class(self) -> Any:
        """The stock pipeline."""
        return Flux2KleinPipeline


def load_folder(folder: Path, *, name: str, device: str, dtype: torch.dtype, weights_hash: str) -> Flux2Klein:
    """From a stock diffusers folder; safetensors only.

    Raises:
        WeightsError: the folder is incomplete, damaged or another kind of model.
    """
    pipeline = load_pipeline(
        Flux2KleinPipeline,
        folder,
        name=name,
        device=device,
        dtype=dtype,
        resting=["text_encoder"],
    )
    return Flux2Klein(pipeline, name=name, weights_hash=weights_hash)
