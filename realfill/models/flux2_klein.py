"""FLUX.2 [klein]: the masked picture and the scene's other photos stand as clean tokens in the same attention.

The network has no channel for a mask. What is missing is painted green, as public outpainting adapters of this base
do, or filled smoothly with the mask as one more clean picture (`train.mask_form`); the adapter's random holes teach
within a scene's own training what that means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import Flux2KleinPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from torch import Tensor

from realfill.config import MaskForm
from realfill.errors import WeightsError
from realfill.models.backbone import Context, EncodedItems, Layers, Pictures, blank_hole
from realfill.models.flow_transformer import JOINT_ATTENTION, FlowTransformer, as_latents, as_tokens
from realfill.models.items import Items
from realfill.models.pipelines import load_pipeline
from realfill.models.pixels import fill_smoothly
from realfill.models.text_encoders import Embeddings, TextEncoders, text_encoders_in

GREEN = (-1.0, 1.0, -1.0)  # in the hole, in [-1, 1]
TEXT_PARTS = ("text_encoder", "tokenizer")


@dataclass(frozen=True, eq=False)
class ShownImage(Items):
    """The picture without what lies in its hole, and its mask where that is a picture of its own."""

    latents: Tensor  # (B, 1 or 2, c, h, w)


@dataclass(frozen=True, eq=False)
class KleinCondition(Items):
    """All that the transformer is told."""

    prompt_embeds: Tensor  # (B, 512, width)
    image: ShownImage
    context: tuple[tuple[Tensor, ...], ...]  # of each item, latents (1, c, h, w) of its own number of photos


class Flux2Klein(FlowTransformer):
    """Drives the parts of a stock `Flux2KleinPipeline`."""

    family, has_context = "flux2_klein", True
    size = 512  # what adapters of this base are commonly trained at; any multiple of a token's side will do

    def __init__(self, pipeline: Any, text: TextEncoders, *, name: str, weights_hash: str) -> None:
        super().__init__(
            pipeline,
            name=name,
            weights_hash=weights_hash,
            text=text,
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
        self._mask_form: MaskForm = "green"

    def _scale(self, latents: Tensor) -> Tensor:
        return (latents - self._mean) / self._deviation

    def _unscale(self, latents: Tensor) -> Tensor:
        return latents * self._deviation + self._mean

    def use_mask_form(self, form: MaskForm) -> None:
        """See `Backbone.use_mask_form`."""
        self._mask_form = form

    def encode_masked(self, pixels: Tensor, hole: Tensor) -> Tensor:
        """See `Backbone.encode_masked`: green stands in the hole."""
        return self.encode(self._paint(pixels, hole))

    def _paint(self, pixels: Tensor, hole: Tensor) -> Tensor:
        return blank_hole(pixels, hole, self._green.to(pixels.device))

    def image_condition(self, pictures: Pictures) -> ShownImage:
        """See `Backbone.image_condition`."""
        shown = self.encode(torch.cat(self._show(pictures)))
        return ShownImage(torch.stack(torch.split(shown, len(pictures)), 1))

    def encode_items(self, pictures: Pictures) -> EncodedItems:
        """See `Backbone.encode_items`."""
        both = self.encode(torch.cat([pictures.pixels, *self._show(pictures)]))
        clean, *shown = torch.split(both, len(pictures))
        return EncodedItems(clean, ShownImage(torch.stack(shown, 1)))

    def _show(self, pictures: Pictures) -> list[Tensor]:
        """What the network sees of pictures and their holes, each (B, 3, H, W)."""
        pixels, hole = pictures.pixels, pictures.hole
        if self._mask_form == "green":
            return [self._paint(pixels, hole)]
        return [fill_smoothly(pixels, hole), (2 * hole - 1).expand_as(pixels)]  # the mask: white is missing

    def condition(self, image: Any, prompts: Sequence[str], context: Context = ()) -> KleinCondition:
        """See `Backbone.condition`."""
        beside = tuple(tuple(photos) for photos in context) or ((),) * len(prompts)
        return KleinCondition(torch.cat([self.embed_prompt(prompt)[0] for prompt in prompts]), image, beside)

    def _embed(self, pipeline: Any, prompt: str) -> Embeddings:
        return (pipeline.encode_prompt(prompt, device=self.device)[0],)

    def predict(self, noisy: Tensor, t: Tensor, condition: Any) -> Tensor:
        """See `Backbone.predict`. Items with as many photos of the same sizes beside them are computed together."""
        groups: dict[tuple[torch.Size, ...], list[int]] = {}
        for index, photos in enumerate(condition.context):
            groups.setdefault(tuple(photo.shape for photo in photos), []).append(index)
        times = t.to(self.device).expand(len(noisy))
        parts: dict[int, Tensor] = {}
        for indices in groups.values():
            photos = zip(*(condition.context[index] for index in indices), strict=True)
            shown = [*condition.image.latents[indices].unbind(1), *(torch.cat(same) for same in photos)]
            part = self._predict(noisy[indices], times[indices], condition.prompt_embeds[indices], shown)
            parts.update(zip(indices, part, strict=True))
        return torch.stack([parts[index] for index in range(len(noisy))])

    def _predict(self, noisy: Tensor, t: Tensor, prompt_embeds: Tensor, shown: Sequence[Tensor]) -> Tensor:
        """Of items that see the same number of pictures (B, c, h, w), their own first."""
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
    text = text_encoders_in(folder, Flux2KleinPipeline, TEXT_PARTS, name=name, device=device, dtype=dtype)
    without: dict[str, Any] = dict.fromkeys(TEXT_PARTS)
    pipeline = load_pipeline(Flux2KleinPipeline, folder, name=name, device=device, dtype=dtype, **without)
    return Flux2Klein(pipeline, text, name=name, weights_hash=weights_hash)
