"""A tiny random base of every family, and what its stock autoencoder does, for the tests that all families inherit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor

from realfill.imaging.crop import CropTransform
from realfill.models.backbone import Backbone
from realfill.sampling.sample import sampling_input
from realfill.scene.scene import Scene
from tests.tiny import make_base, make_xl_base


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


TINY: Mapping[str, TinyBase] = {
    "epsilon": _stable_diffusion("epsilon"),
    "v_prediction": _stable_diffusion("v_prediction"),
    "sample": _stable_diffusion("sample"),
    "sdxl": TinyBase(make_xl_base, "epsilon", _encode_scaled, _decode_scaled, variant="fp16", fill=_fill_xl),
}
JOBS = ("sdxl",)
"""Families whose whole job `tests.contracts.test_job` does; Stable Diffusion's has tests of its own in every folder."""
