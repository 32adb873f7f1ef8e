"""FLUX.1 Fill [dev]: the masked picture and the mask at full size lie in the channels of every token."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import FluxFillPipeline
from diffusers.pipelines.flux.pipeline_flux_fill import calculate_shift
from torch import Tensor

from realfill.errors import WeightsError
from realfill.models.backbone import Context, EncodedItems, Layers, Pictures, blank_hole
from realfill.models.flow_transformer import JOINT_ATTENTION, PATCH, FlowTransformer, as_latents, as_tokens
from realfill.models.items import Items
from realfill.models.pipelines import load_pipeline
from realfill.models.text_encoders import Embeddings, TextEncoders, text_encoders_in

TEXT_PARTS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
GUIDANCE = 30.0  # the embedding that the distilled network takes, as its pipeline has it; the same in training


@dataclass(frozen=True, eq=False)
class FillImage(Items):
    """What lies in the channels beside the noisy latents."""

    masked: Tensor  # (B, c, h, w) latents of the picture with its hole blanked
    hole: Tensor  # (B, pixels of a token, h, w) of 0 and 1


@dataclass(frozen=True, eq=False)
class FillCondition(Items):
    """All that the transformer is told."""

    prompt_embeds: Tensor  # (B, 512, width): T5
    pooled_prompt_embeds: Tensor  # (B, width): CLIP
    image: FillImage


class FluxFill(FlowTransformer):
    """Drives the parts of a stock `FluxFillPipeline`."""

    family, size = "flux_fill", 1024

    def __init__(self, pipeline: Any, text: TextEncoders, *, name: str, weights_hash: str) -> None:
        schedule = pipeline.scheduler.config

        def shift(cells: int, steps: int) -> float:
            return float(
                calculate_shift(
                    cells,
                    schedule.get("base_image_seq_len", 256),
                    schedule.get("max_image_seq_len", 4096),
                    schedule.get("base_shift", 0.5),
                    schedule.get("max_shift", 1.15),
                )
            )

        super().__init__(
            pipeline,
            name=name,
            weights_hash=weights_hash,
            text=text,
            shift=shift,
        )
        channels, wanted = self.transformer.config.in_channels, 2 * self.spec.latent_channels + self.spec.cell**2
        if channels != wanted:
            raise WeightsError(
                "Base '{name}' is not an inpainting model (its transformer takes {channels} channels, "
                "not {wanted}). Take black-forest-labs/FLUX.1-Fill-dev.",
                name=name,
                channels=channels,
                wanted=wanted,
            )

    def _scale(self, latents: Tensor) -> Tensor:
        return (latents - float(self.vae.config.shift_factor)) * float(self.vae.config.scaling_factor)

    def _unscale(self, latents: Tensor) -> Tensor:
        return latents / float(self.vae.config.scaling_factor) + float(self.vae.config.shift_factor)

    def encode_masked(self, pixels: Tensor, hole: Tensor) -> Tensor:
        """See `Backbone.encode_masked`: grey stands in the hole."""
        return self.encode(blank_hole(pixels, hole))

    def image_condition(self, pictures: Pictures) -> FillImage:
        """See `Backbone.image_condition`. Every pixel of the hole has a channel of its own."""
        return FillImage(self.encode_masked(pictures.pixels, pictures.hole), self._hole_channels(pictures.hole))

    def encode_items(self, pictures: Pictures) -> EncodedItems:
        """See `Backbone.encode_items`."""
        both = self.encode(torch.cat([pictures.pixels, blank_hole(pictures.pixels, pictures.hole)]))
        clean, masked = both.chunk(2)
        return EncodedItems(clean, FillImage(masked, self._hole_channels(pictures.hole)))

    def _hole_channels(self, hole: Tensor) -> Tensor:
        """(B, 1, H, W) → (B, pixels of a token, h, w): `FluxFillPipeline.prepare_mask_latents`."""
        return F.pixel_unshuffle(F.pixel_unshuffle(hole.to(self.device), self.spec.loss_cell), PATCH)

    def condition(self, image: Any, prompts: Sequence[str], context: Context = ()) -> FillCondition:
        """See `Backbone.condition`."""
        embeds, pooled = zip(*(self.embed_prompt(prompt) for prompt in prompts), strict=True)
        return FillCondition(torch.cat(embeds), torch.cat(pooled), image)

    def _embed(self, pipeline: Any, prompt: str) -> Embeddings:
        embeds, pooled, _ = pipeline.encode_prompt(prompt, None, device=self.device)
        return embeds, pooled

    def predict(self, noisy: Tensor, t: Tensor, condition: Any) -> Tensor:
        """See `Backbone.predict`."""
        (height, width), image = noisy.shape[-2:], condition.image
        ids = FluxFillPipeline._prepare_latent_image_ids(1, height, width, self.device, torch.float32)
        is_guided = self.transformer.config.guidance_embeds
        output = self._call_transformer(
            as_tokens(torch.cat([noisy, image.masked, image.hole], 1)),
            t,
            guidance=torch.full((len(noisy),), GUIDANCE, device=self.device) if is_guided else None,
            pooled_projections=condition.pooled_prompt_embeds.to(self.dtype),
            encoder_hidden_states=condition.prompt_embeds.to(self.dtype),
            txt_ids=torch.zeros(condition.prompt_embeds.shape[1], 3, device=self.device),
            img_ids=ids,
        )
        return as_latents(output, height, width)

    def _transformer_targets(self, layers: Layers) -> Sequence[str]:
        # by full names: the transformer's own last layer is called `proj_out` too
        singles = range(len(self.transformer.single_transformer_blocks))
        outputs = [f"single_transformer_blocks.{index}.proj_out" for index in singles]
        every = ["ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp", *outputs]
        return [*JOINT_ATTENTION, *(every if layers == "all" else ())]

    def pipeline_class(self) -> Any:
        """The stock pipeline."""
        return FluxFillPipeline


def load_folder(folder: Path, *, name: str, device: str, dtype: torch.dtype, weights_hash: str) -> FluxFill:
    """From a stock diffusers folder; safetensors only.

    Raises:
        WeightsError: the folder is incomplete, damaged or another kind of model.
    """
    text = text_encoders_in(folder, FluxFillPipeline, TEXT_PARTS, name=name, device=device, dtype=dtype)
    without: dict[str, Any] = dict.fromkeys(TEXT_PARTS)
    pipeline = load_pipeline(FluxFillPipeline, folder, name=name, device=device, dtype=dtype, **without)
    return FluxFill(pipeline, text, name=name, weights_hash=weights_hash)
