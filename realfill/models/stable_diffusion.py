"""Stable Diffusion inpainting models (1.5, 2, and our mini): 9-channel U-Net, one CLIP text encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionInpaintPipeline
from torch import Tensor, nn

from realfill.bases import FAMILIES
from realfill.errors import WeightsError
from realfill.files import read_tensor_header
from realfill.models.autoencoder import autocast_to
from realfill.models.backbone import Context, Layers
from realfill.models.inpainting_unet import CLIP_TARGETS, UNET_TARGETS, InpaintingUNet, MaskedImage, select_distinct
from realfill.models.items import Items
from realfill.models.pipelines import load_pipeline, load_single_file


@dataclass(frozen=True, eq=False)
class UNetCondition(Items):
    """All that the U-Net is told."""

    prompt_embeds: Tensor  # (B, tokens, width)
    image: MaskedImage


class StableDiffusionInpaint(InpaintingUNet):
    """Drives the parts of a stock `StableDiffusionInpaintPipeline`."""

    def __init__(
        self,
        pipeline: StableDiffusionInpaintPipeline,
        *,
        name: str,
        weights_hash: str,
        dtype: torch.dtype | None = None,
    ) -> None:
        """`dtype`: what products are computed in, where it is not the weights' own (autocast)."""
        super().__init__(
            pipeline,
            name=name,
            family="stable_diffusion",
            weights_hash=weights_hash,
            text_parts=[pipeline.text_encoder],
            dtype=dtype,
            autoencoder_dtype=dtype,
        )
        self.text_encoder, self.tokenizer = pipeline.text_encoder, pipeline.tokenizer

    def condition(self, image: Any, prompts: Sequence[str], context: Context = ()) -> UNetCondition:
        """See `Backbone.condition`."""
        return UNetCondition(self.prompt_embeds(prompts), image)

    def prompt_embeds(self, prompts: Sequence[str]) -> Tensor:
        """(B, tokens, width) with gradient; each distinct prompt goes through the text encoder once."""
        distinct, where = select_distinct(prompts, self.device)
        ids = self._tokenize(self.tokenizer, distinct)
        with autocast_to(self.dtype, self._stored, self.device):
            hidden: Tensor = self.text_encoder(ids)[0]
        return hidden if where is None else hidden[where]

    def predict(self, noisy: Tensor, t: Tensor, condition: Any) -> Tensor:
        """See `Backbone.predict`. Float32 out, whatever the U-Net computes in."""
        return self._predict(noisy, t, condition.image, condition.prompt_embeds)

    def trainable(self) -> dict[str, nn.Module]:
        """U-Net and text encoder (§3.4)."""
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    def lora_targets(self, layers: Layers) -> Mapping[str, Sequence[str]]:
        """See `Backbone.lora_targets`."""
        return {"unet": UNET_TARGETS[layers], "text_encoder": CLIP_TARGETS[layers]}

    def pipeline_class(self) -> Any:
        """The stock pipeline."""
        return StableDiffusionInpaintPipeline


def load_folder(
    folder: Path, *, name: str, device: str, dtype: torch.dtype, weights_hash: str
) -> StableDiffusionInpaint:
    """From a stock diffusers folder; safetensors only.

    Raises:
        WeightsError: the folder is incomplete, damaged or another kind of model.
    """
    pipeline = load_pipeline(
        StableDiffusionInpaintPipeline,
        folder,
        name=name,
        device=device,
        dtype=dtype,
        safety_checker=None,
        feature_extractor=None,
    )
    return StableDiffusionInpaint(pipeline, name=name, weights_hash=weights_hash, dtype=dtype)


def load_file(file: Path, *, name: str, device: str, dtype: torch.dtype, weights_hash: str) -> StableDiffusionInpaint:
    """From a single .safetensors checkpoint in the original layout; its configs come from the hub or its cache.

    Raises:
        WeightsError: the file is damaged, another kind of model, or its configs cannot be had.
    """
    pipeline = load_single_file(
        StableDiffusionInpaintPipeline,
        file,
        _configs_for(file),
        device=device,
        dtype=dtype,
        safety_checker=None,
        feature_extractor=None,
    )
    return StableDiffusionInpaint(pipeline, name=name, weights_hash=weights_hash, dtype=dtype)


# Width of the text that the U-Net attends to → where the configs are. Named by us, because what diffusers
# would take for Stable Diffusion 2 was deleted from the hub.
_CONFIGS = {
    768: "stable-diffusion-v1-5/stable-diffusion-inpainting",
    1024: "sd2-community/stable-diffusion-2-inpainting",
}


def _configs_for(file: Path) -> str:
    """The hub id whose configs fit a single-file checkpoint, told by its header alone."""
    width = read_tensor_header(file)[FAMILIES["stable_diffusion"].file_tensor]["shape"][1]
    if width not in _CONFIGS:
        raise WeightsError(
            "{name} is not a Stable Diffusion 1.5 or 2 checkpoint in the original layout; give "
            "such a file, or a diffusers folder.",
            name=file.name,
        )
    return _CONFIGS[width]
