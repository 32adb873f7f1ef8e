"""Stable Diffusion inpainting models (1.5, 2, and our mini): 9-channel U-Net, one CLIP text encoder."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionInpaintPipeline
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from realfill.device.memory_plan import MemoryPlan
from realfill.errors import WeightsError
from realfill.models.autoencoder import Autoencoder, autocast_to, fastest_layout, recompute_activations
from realfill.models.backbone import Context, EncodedItems, Layers, Pictures, Spec, blank_hole, stored_dtype
from realfill.models.fast.switch import use_fast
from realfill.models.fast.unet import speed_up
from realfill.models.items import Items
from realfill.models.latent_grid import known_cells, nearest_cells
from realfill.models.scheduler import DDPM

# PEFT's `target_modules`. Where a small base must learn a scene, attention alone is too little: its first levels have
# none.
_UNET_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_UNET_ALL = (
    *_UNET_ATTENTION,
    *("proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "conv_shortcut"),
)
_CLIP_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
UNET_TARGETS: Mapping[Layers, Sequence[str]] = {"attention": _UNET_ATTENTION, "all": _UNET_ALL}
CLIP_TARGETS: Mapping[Layers, Sequence[str]] = {
    "attention": _CLIP_ATTENTION,
    "all": (*_CLIP_ATTENTION, "fc1", "fc2"),
}


@dataclass(frozen=True, eq=False)
class MaskedImage(Items):
    """What stands in a U-Net's channels beside the noisy latents."""

    hole: Tensor  # (B, 1, h, w) of 0 and 1
    masked: Tensor  # (B, c, h, w) latents of the picture with its hole blanked


@dataclass(frozen=True, eq=False)
class UNetCondition(Items):
    """All that the U-Net is told."""

    prompt_embeds: Tensor  # (B, tokens, width)
    image: MaskedImage


class StableDiffusionInpaint:
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
        channels = pipeline.unet.config.in_channels
        latent_channels = pipeline.vae.config.latent_channels
        if channels != 2 * latent_channels + 1:
            raise WeightsError(
                f"Base '{name}' is not an inpainting model (its U-Net takes {channels} channels, not "
                f"{2 * latent_channels + 1}). Take an inpainting checkpoint."
            )
        self.vae, self.unet = pipeline.vae, pipeline.unet
        self.text_encoder, self.tokenizer = pipeline.text_encoder, pipeline.tokenizer
        for part in (self.vae, self.unet, self.text_encoder):
            part.requires_grad_(False).eval()
        self._stored = self.unet.dtype  # asking walks through the whole network
        self.device, self.dtype = self.unet.device, dtype or self._stored
        # Latents and pixels outside of the networks stay in the usual order.
        self._layout = fastest_layout(self.device)
        self.unet.to(memory_format=self._layout)
        if self.device.type == "cpu" and use_fast():
            speed_up(self.unet)
        self._autoencoder = Autoencoder(self.vae, dtype=self.dtype)
        self._tokenizing = threading.Lock()  # a fast tokenizer refuses a second thread
        self.process = DDPM(pipeline.scheduler.config)
        cell = self._autoencoder.cell
        self.spec = Spec(
            name=name,
            family="stable_diffusion",
            size=int(self.unet.config.sample_size) * cell,
            multiple=cell * 2 ** (len(self.unet.config.block_out_channels) - 1),
            cell=cell,
            latent_channels=latent_channels,
            loss_cell=cell,
            weights_hash=weights_hash,
        )

    def encode(self, pixels: Tensor) -> Tensor:
        """See `Backbone.encode`. The result is float32, whatever it is computed in."""
        return self._autoencoder.encode(pixels) * float(self.vae.config.scaling_factor)

    def decode(self, latents: Tensor) -> Tensor:
        """See `Backbone.decode`."""
        return self._autoencoder.decode(latents / self.vae.config.scaling_factor)

    def encode_masked(self, pixels: Tensor, hole: Tensor) -> Tensor:
        """See `Backbone.encode_masked`: grey stands in the hole."""
        return self.encode(blank_hole(pixels, hole))

    def image_condition(self, pictures: Pictures) -> MaskedImage:
        """See `Backbone.image_condition`. The hole is shrunk by nearest, as the stock pipeline does."""
        return MaskedImage(self._latent_hole(pictures.hole), self.encode_masked(pictures.pixels, pictures.hole))

    def encode_items(self, pictures: Pictures) -> EncodedItems:
        """See `Backbone.encode_items`."""
        both = self.encode(torch.cat([pictures.pixels, blank_hole(pictures.pixels, pictures.hole)]))
        clean, masked = both.chunk(2)
        return EncodedItems(clean, MaskedImage(self._latent_hole(pictures.hole), masked))

    def condition(self, image: Any, prompts: Sequence[str], context: Context = ()) -> UNetCondition:
        """See `Backbone.condition`."""
        return UNetCondition(self.prompt_embeds(prompts), image)

    def latent_known(self, weight: Tensor) -> Tensor:
        """See `Backbone.latent_known`."""
        return known_cells(weight, self.spec.cell)

    def prompt_embeds(self, prompts: Sequence[str]) -> Tensor:
        """(B, tokens, width) with gradient; each distinct prompt goes through the text encoder once."""
        distinct = sorted(set(prompts))
        with self._tokenizing:
            tokens = self.tokenizer(
                distinct,
                padding="max_length",
                max_length=self.tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
        with autocast_to(self.dtype, self._stored, self.device):
            hidden: Tensor = self.text_encoder(tokens.input_ids.to(self.device))[0]
        return hidden[torch.tensor([distinct.index(prompt) for prompt in prompts], device=self.device)]

    def _latent_hole(self, hole: Tensor) -> Tensor:
        return nearest_cells(hole.to(self.device), self.spec.cell)

    def predict(self, noisy: Tensor, t: Tensor, condition: Any) -> Tensor:
        """See `Backbone.predict`. Float32 out, whatever the U-Net computes in."""
        inputs = torch.cat([noisy, condition.image.hole, condition.image.masked], 1)
        inputs = inputs.to(self.dtype, memory_format=self._layout)
        with autocast_to(self.dtype, self._stored, self.device):
            output: Tensor = self.unet(inputs, t.to(self.device), condition.prompt_embeds.to(self.dtype)).sample
        return output.float().contiguous()

    def trainable(self) -> dict[str, nn.Module]:
        """U-Net and text encoder (§3.4)."""
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    def lora_targets(self, layers: Layers) -> Mapping[str, Sequence[str]]:
        """See `Backbone.lora_targets`."""
        return {"unet": UNET_TARGETS[layers], "text_encoder": CLIP_TARGETS[layers]}

    def pipeline_class(self) -> Any:
        """The stock pipeline."""
        return StableDiffusionInpaintPipeline

    def use_plan(self, plan: MemoryPlan | None) -> None:
        """See `Backbone.use_plan`."""
        recompute_activations(self.unet, plan)
        self._autoencoder.use_plan(plan)


def load_folder(
    folder: Path, *, name: str, device: str, dtype: torch.dtype, weights_hash: str
) -> StableDiffusionInpaint:
    """From a stock diffusers folder; safetensors only.

    Raises:
        WeightsError: the folder is incomplete, damaged or another kind of model.
    """
    try:
        # Every part is named: transformers 5 would read text encoder weights as stored, fp16 on a CPU.
        pipeline = StableDiffusionInpaintPipeline.from_pretrained(
            folder,
            dtype=stored_dtype(device, dtype),
            safety_checker=None,
            feature_extractor=None,
            use_safetensors=True,
            local_files_only=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(f"Base '{name}' could not be loaded from {folder}: {_first_line(error)}") from error
    return _make_backbone(pipeline, name=name, device=device, dtype=dtype, weights_hash=weights_hash)


def load_file(file: Path, *, name: str, device: str, dtype: torch.dtype, weights_hash: str) -> StableDiffusionInpaint:
    """From a single .safetensors checkpoint in the original layout; its configs come from the hub or its cache.

    Raises:
        WeightsError: the file is damaged, another kind of model, or its configs cannot be had.
    """
    source = _configs_for(file)
    try:
        pipeline = StableDiffusionInpaintPipeline.from_single_file(
            str(file), config=source, torch_dtype=stored_dtype(device, dtype), safety_checker=None
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise WeightsError(
            f"{file.name} could not be loaded as an inpainting checkpoint: {_first_line(error)} Its configs are those "
            f"of {source}; without network, give that model's folder (hf download {source} --local-dir FOLDER) instead."
        ) from error
    return _make_backbone(pipeline, name=name, device=device, dtype=dtype, weights_hash=weights_hash)


def _make_backbone(
    pipeline: StableDiffusionInpaintPipeline, *, name: str, device: str, dtype: torch.dtype, weights_hash: str
) -> StableDiffusionInpaint:
    pipeline = pipeline.to(device, stored_dtype(device, dtype))
    return StableDiffusionInpaint(pipeline, name=name, weights_hash=weights_hash, dtype=dtype)


# Width of the text that the U-Net attends to → where the configs are. Named by us, because what diffusers
# would take for Stable Diffusion 2 was deleted from the hub.
_CONFIGS = {
    768: "stable-diffusion-v1-5/stable-diffusion-inpainting",
    1024: "sd2-community/stable-diffusion-2-inpainting",
}
_WIDTH_KEY = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def _configs_for(file: Path) -> str:
    """The hub id whose configs fit a single-file checkpoint, told by its header alone."""
    try:
        with safe_open(str(file), framework="pt") as tensors:
            width = tensors.get_slice(_WIDTH_KEY).get_shape()[1] if _WIDTH_KEY in tensors.keys() else 0  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{file.name} is damaged or no safetensors file: {_first_line(error)} Fetch it again."
        ) from error
    if width not in _CONFIGS:
        raise WeightsError(
            f"{file.name} is not a Stable Diffusion 1.5 or 2 checkpoint in the original layout; "
            "give such a file, or a diffusers folder."
        )
    return _CONFIGS[width]


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0][:300].rstrip(".") if text else type(error).__name__) + "."
