"""A tiny random base of every family, and what its stock autoencoder does, for the tests that all families inherit."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, Flux2KleinPipeline
from PIL import Image
from torch import Tensor

from realfill.imaging.crop import CropTransform, crop_whole
from realfill.models.backbone import Backbone
from realfill.sampling.sample import sampling_input
from realfill.scene.scene import Scene
from tests.tiny import make_base, make_fill_base, make_klein_base, make_xl_base


@dataclass(frozen=True)
class StockCall:
    """What a stock pipeline is asked to fill in."""

    backbone: Backbone  # ours on the same base, for what the stock pipeline would draw at random
    scene: Scene
    crop: CropTransform
    prompt: str
    guidance: float
    steps: int
    seeds: Sequence[int]

    @property
    def target(self) -> Image.Image:
        """The target at working size."""
        return Image.fromarray(self.crop.crop_photo(self.scene.target))

    @property
    def mask(self) -> Image.Image:
        """Its hole, white."""
        return Image.fromarray(self.crop.crop_hole(self.scene.hole).astype(np.uint8) * 255)

    def generators(self) -> list[torch.Generator]:
        """One for each seed."""
        return [torch.Generator().manual_seed(seed) for seed in self.seeds]

    def image_condition(self) -> Any:
        """What the network is shown of the target."""
        return self.backbone.image_condition(sampling_input(self.scene, self.crop))


@dataclass(frozen=True)
class TinyBase:
    """How a family's tiny base is made and read."""

    make: Callable[[Path], Path]  # writes the diffusers folder
    predicts: str  # its prediction type
    encode: Callable[[Any, Tensor], Tensor]  # latents of pixels by the stock autoencoder
    decode: Callable[[Any, Tensor], Tensor]
    variant: str | None = None  # of its weight files
    guidances: Sequence[float] = (1.0, 3.0)  # that the stock pipeline knows
    fill: Callable[[Any, StockCall], Tensor] = lambda pipeline, call: torch.empty(0)  # (B, 3, H, W) in 0..1


def _encode_scaled(vae: Any, pixels: Tensor) -> Tensor:
    latents: Tensor = vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor
    return latents


def _decode_scaled(vae: Any, latents: Tensor) -> Tensor:
    pixels: Tensor = vae.decode(latents / vae.config.scaling_factor).sample
    return pixels


def _stable_diffusion(prediction_type: str) -> TinyBase:
    def make(folder: Path) -> Path:
        return make_base(folder, prediction_type=prediction_type)

    return TinyBase(make, prediction_type, _encode_scaled, _decode_scaled)


def _fill_xl(pipeline: Any, call: StockCall) -> Tensor:
    count = len(call.seeds)
    settings = {"timestep_spacing": "trailing", "clip_sample": False}
    pipeline.scheduler = DDIMScheduler.from_config({**pipeline.scheduler.config, **settings})
    images: Tensor = pipeline(
        [call.prompt] * count,
        image=[call.target] * count,
        mask_image=[call.mask] * count,
        masked_image_latents=call.image_condition().masked.expand(count, -1, -1, -1),
        height=call.crop.height,
        width=call.crop.width,
        strength=1.0,
        num_inference_steps=call.steps,
        guidance_scale=call.guidance,
        generator=call.generators(),
        output_type="pt",
    ).images
    return images


def _encode_patched(vae: Any, pixels: Tensor) -> Tensor:
    """`Flux2KleinPipeline._encode_vae_image`."""
    latents = Flux2KleinPipeline._patchify_latents(vae.encode(pixels).latent_dist.mode())
    mean, variance = (part.view(1, -1, 1, 1) for part in (vae.bn.running_mean, vae.bn.running_var))
    patched: Tensor = (latents - mean) / torch.sqrt(variance + vae.config.batch_norm_eps)
    return patched


def _decode_patched(vae: Any, latents: Tensor) -> Tensor:
    """The end of `Flux2KleinPipeline.__call__`."""
    mean, variance = (part.view(1, -1, 1, 1) for part in (vae.bn.running_mean, vae.bn.running_var))
    latents = latents * torch.sqrt(variance + vae.config.batch_norm_eps) + mean
    pixels: Tensor = vae.decode(Flux2KleinPipeline._unpatchify_latents(latents)).sample
    return pixels


def _fill_klein(pipeline: Any, call: StockCall) -> Tensor:
    """The target painted green, then all references whole, as pictures that the pipeline edits by."""
    green = np.where(np.asarray(call.mask)[..., None] > 0, np.array([0, 255, 0], np.uint8), np.asarray(call.target))
    images, size = [Image.fromarray(green)], math.isqrt(call.crop.width * call.crop.height)
    for photo in call.scene.references:
        whole = crop_whole(*photo.shape[:2], size=size, multiple=call.backbone.spec.multiple)
        images.append(Image.fromarray(whole.crop_photo(photo)))
    pipeline.image_processor.check_image_input = lambda image: image  # it refuses sides below 64 pixels
    result: Tensor = pipeline(
        image=images,
        prompt=[call.prompt] * len(call.seeds),
        height=call.crop.height,
        width=call.crop.width,
        num_inference_steps=call.steps,
        guidance_scale=call.guidance,
        generator=call.generators(),
        output_type="pt",
    ).images
    return result


def _encode_shifted(vae: Any, pixels: Tensor) -> Tensor:
    """`FluxFillPipeline.prepare_mask_latents`, in patches."""
    latents = (vae.encode(pixels).latent_dist.mode() - vae.config.shift_factor) * vae.config.scaling_factor
    patched: Tensor = Flux2KleinPipeline._patchify_latents(latents)
    return patched


def _decode_shifted(vae: Any, latents: Tensor) -> Tensor:
    latents = Flux2KleinPipeline._unpatchify_latents(latents) / vae.config.scaling_factor + vae.config.shift_factor
    pixels: Tensor = vae.decode(latents).sample
    return pixels


def _fill_flux(pipeline: Any, call: StockCall) -> Tensor:
    """Ours are the first noise, in patches, and the masked picture's mode, which the pipeline would draw at random."""
    encode = pipeline.vae.encode

    def encode_mode(pixels: Tensor) -> Any:
        posterior = encode(pixels)
        posterior.latent_dist.sample = lambda generator=None: posterior.latent_dist.mode()
        return posterior

    pipeline.vae.encode = encode_mode
    shape = (1, *call.backbone.spec.latent_shape(call.crop.height, call.crop.width))
    noise = torch.cat([torch.randn(shape, generator=generator) for generator in call.generators()])
    images: Tensor = pipeline(
        prompt=[call.prompt] * len(call.seeds),
        image=call.target,
        mask_image=call.mask,
        latents=noise.flatten(2).transpose(1, 2),
        height=call.crop.height,
        width=call.crop.width,
        num_inference_steps=call.steps,
        guidance_scale=30.0,
        output_type="pt",
    ).images
    return images


TINY: Mapping[str, TinyBase] = {
    "epsilon": _stable_diffusion("epsilon"),
    "v_prediction": _stable_diffusion("v_prediction"),
    "sample": _stable_diffusion("sample"),
    "sdxl": TinyBase(make_xl_base, "epsilon", _encode_scaled, _decode_scaled, variant="fp16", fill=_fill_xl),
    "klein": TinyBase(make_klein_base, "flow_prediction", _encode_patched, _decode_patched, fill=_fill_klein),
    "flux-fill": TinyBase(
        make_fill_base, "flow_prediction", _encode_shifted, _decode_shifted, guidances=(1.0,), fill=_fill_flux
    ),
}
JOBS = ("sdxl", "klein", "flux-fill")
"""Families whose whole job `tests.contracts.test_job` does; Stable Diffusion's has tests of its own in every folder."""
