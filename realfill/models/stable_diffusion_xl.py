"""Stable Diffusion XL inpainting: 9-channel U-Net, two CLIP text encoders, and sizes told in numbers (SDXL §2.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLInpaintPipeline
from torch import Tensor, nn

from realfill.bases import BASES
from realfill.models.autoencoder import autocast_to
from realfill.models.backbone import Context, Layers
from realfill.models.inpainting_unet import CLIP_TARGETS, UNET_TARGETS, InpaintingUNet, MaskedImage, select_distinct
from realfill.models.items import Items
from realfill.models.pipelines import load_pipeline, load_single_file
from realfill.models.pixels import upload

CONFIGS = BASES["sdxl"].source  # of single files, which have none


@dataclass(frozen=True, eq=False)
class XLCondition(Items):
    """All that the U-Net is told."""

    prompt_embeds: Tensor  # (B, tokens, width of both text encoders)
    pooled_prompt_embeds: Tensor  # (B, width of the second's projection)
    image: MaskedImage


class StableDiffusionXLInpaint(InpaintingUNet):
    """Drives the parts of a stock `StableDiffusionXLInpaintPipeline`; the autoencoder computes in float32."""

    def __init__(self, pipeline: Any, *, name: str, weights_hash: str, dtype: torch.dtype | None = None) -> None:
        """`dtype`: what products are computed in, where it is not the weights' own (autocast)."""
        pipeline.vae.to(torch.float32)  # its activations overflow half precision (`force_upcast`)
        super().__init__(
            pipeline,
            name=name,
            family="stable_diffusion_xl",
            weights_hash=weights_hash,
            text_parts=[pipeline.text_encoder, pipeline.text_encoder_2],
            dtype=dtype,
            autoencoder_dtype=torch.float32,
        )
        self._encoders = {
            "text_encoder": (pipeline.text_encoder, pipeline.tokenizer),
            "text_encoder_2": (pipeline.text_encoder_2, pipeline.tokenizer_2),
        }
        self._shown: dict[tuple[str, ...], Tensor] = {}  # by distinct prompts: 0 where one is empty, else 1
        self._empty_is_zero = bool(pipeline.config.force_zeros_for_empty_prompt)

    def condition(self, image: Any, prompts: Sequence[str], context: Context = ()) -> XLCondition:
        """See `Backbone.condition`. An empty prompt is zeros, as the stock pipeline's without a negative prompt."""
        distinct, where = select_distinct(prompts, self.device)
        hidden, pooled = self._encode_prompts(distinct)
        if self._empty_is_zero:
            key = tuple(distinct)
            if key not in self._shown:
                self._shown[key] = upload(torch.tensor([float(prompt != "") for prompt in distinct]), self.device)
            shown = self._shown[key]
            hidden, pooled = hidden * shown[:, None, None], pooled * shown[:, None]
        if where is not None:
            hidden, pooled = hidden[where], pooled[where]
        return XLCondition(hidden, pooled, image)

    def _encode_prompts(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Both encoders' last hidden states but one, side by side (B, tokens, width), and the second's projection."""
        hidden, pooled = [], torch.empty(0)
        for encoder, tokenizer in self._encoders.values():
            ids = self._tokenize(tokenizer, prompts)
            with autocast_to(self.dtype, self._stored, self.device):
                output = encoder(ids, output_hidden_states=True)
            hidden.append(output.hidden_states[-2])
            pooled = output[0]
        return torch.cat(hidden, -1), pooled

    def predict(self, noisy: Tensor, t: Tensor, condition: Any) -> Tensor:
        """See `Backbone.predict`. Float32 out, whatever the U-Net computes in."""
        pooled, image = condition.pooled_prompt_embeds.to(self.dtype), condition.image
        told = {"text_embeds": pooled, "time_ids": image.place.to(self.dtype)}
        return self._predict(noisy, t, image, condition.prompt_embeds, added_cond_kwargs=told)

    def trainable(self) -> dict[str, nn.Module]:
        """U-Net and both text encoders."""
        return {"unet": self.unet, **{name: encoder for name, (encoder, _) in self._encoders.items()}}

    def lora_targets(self, layers: Layers) -> Mapping[str, Sequence[str]]:
        """See `Backbone.lora_targets`. Nothing is read of the first text encoder's last layer: it gets no adapter."""
        first, _ = self._encoders["text_encoder"]
        last = f"layers.{first.config.num_hidden_layers - 1}."
        names = [
            name for name, _ in first.named_modules() if name.endswith(tuple(CLIP_TARGETS[layers])) and last not in name
        ]
        return {"unet": UNET_TARGETS[layers], "text_encoder": names, "text_encoder_2": CLIP_TARGETS[layers]}

    def pipeline_class(self) -> Any:
        """The stock pipeline."""
        return StableDiffusionXLInpaintPipeline


def load_folder(
    folder: Path, *, name: str, device: str, dtype: torch.dtype, weights_hash: str
) -> StableDiffusionXLInpaint:
    """From a stock diffusers folder; safetensors only.

    Raises:
        WeightsError: the folder is incomplete, damaged or another kind of model.
    """
    pipeline = load_pipeline(StableDiffusionXLInpaintPipeline, folder, name=name, device=device, dtype=dtype)
    return StableDiffusionXLInpaint(pipeline, name=name, weights_hash=weights_hash, dtype=dtype)


def load_file(file: Path, *, name: str, device: str, dtype: torch.dtype, weights_hash: str) -> StableDiffusionXLInpaint:
    """From a single .safetensors checkpoint in the original layout; its configs come from the hub or its cache.

    Raises:
        WeightsError: the file is damaged, another kind of model, or its configs cannot be had.
    """
    pipeline = load_single_file(StableDiffusionXLInpaintPipeline, file, CONFIGS, device=device, dtype=dtype)
    return StableDiffusionXLInpaint(pipeline, name=name, weights_hash=weights_hash, dtype=dtype)
