"""Stable Diffusion 2 inpainting at full size with random weights: speed and memory do not depend on the values.

The sizes are those of the published model (U-Net 866 M, autoencoder 84 M, text encoder 340 M parameters); nothing is
downloaded. `tiny` has the same parts at a few hundred thousand parameters, for a dry run on a CPU.
"""

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from realfill.arrays import Photo
from realfill.imaging.crop import CropTransform
from realfill.scene import scene as scenes
from realfill.scene.scene import Scene, crop_to_fill
from tools.mini import vocabulary

PROMPT = "a photo of sks"
_CROSS = ("CrossAttnDownBlock2D",) * 3, ("CrossAttnUpBlock2D",) * 3


@dataclass(frozen=True)
class Scale:
    """How large the parts are."""

    pixels: int
    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]


FULL = Scale(
    pixels=512,
    unet={
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "attention_head_dim": (5, 10, 20, 20),  # the number of heads, by this config's old name
        "cross_attention_dim": 1024,
        "norm_num_groups": 32,
        "down_block_types": (*_CROSS[0], "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *_CROSS[1]),
    },
    vae={
        "sample_size": 512,
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "scaling_factor": 0.18215,
    },
    text={
        "vocab_size": 49408,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "num_attention_heads": 16,
        "projection_dim": 512,
        "hidden_act": "gelu",
    },
)
TINY = Scale(
    pixels=64,
    unet={
        "sample_size": 16,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "attention_head_dim": (1, 2),
        "cross_attention_dim": 16,
        "norm_num_groups": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
    vae={
        "sample_size": 64,
        "block_out_channels": (8, 8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "scaling_factor": 0.18215,
    },
    text={
        "vocab_size": 2000,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 16,
        "hidden_act": "gelu",
    },
)
# As many layers as at full size, thin: what kernels a step has depends on nothing else.
DEEP = Scale(
    pixels=64,
    unet={
        **FULL.unet,
        "sample_size": 8,
        "block_out_channels": (8, 16, 16, 16),
        "attention_head_dim": (1, 2, 2, 2),
        "cross_attention_dim": 16,
        "norm_num_groups": 4,
    },
    vae={**FULL.vae, "sample_size": 64, "block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4},
    text={
        **FULL.text,
        "vocab_size": 2000,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "projection_dim": 16,
    },
)
SCALES = {"full": FULL, "tiny": TINY}


def networks(scale: Scale, *, device: str) -> tuple[UNet2DConditionModel, AutoencoderKL, CLIPTextModel]:
    """U-Net, autoencoder and text encoder with torch's own random first weights, in fp32 on a device."""
    count = len(scale.vae["block_out_channels"])
    with torch.device(device):  # a billion random numbers take half a minute on a CPU
        unet = UNet2DConditionModel(in_channels=9, out_channels=4, use_linear_projection=True, **scale.unet)
        vae = AutoencoderKL(
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * count,
            up_block_types=("UpDecoderBlock2D",) * count,
            **scale.vae,
        )
        text = CLIPTextModel(CLIPTextConfig(**scale.text, max_position_embeddings=77))
    for part in (unet, vae, text):
        part.requires_grad_(False).eval()
    return unet, vae, text


def pipeline(scale: Scale, *, device: str, dtype: torch.dtype) -> StableDiffusionInpaintPipeline:
    """A stock pipeline with random weights, the same ones for every dtype on one device."""
    torch.manual_seed(7)
    unet, vae, text = networks(scale, device=device)
    _enliven(unet, vae, scale.pixels)
    pipe = StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=_tokenizer(),
        unet=unet,
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return pipe if dtype == torch.float32 else pipe.to(dtype)


def scene(folder: Path, pixels: int) -> tuple[Scene, CropTransform]:
    """Five references of one flat world and a square target of it, one and a half times `pixels` a side.

    The hole is a square, half a working size a side in the middle, so that the working size is pixels x pixels.
    """
    side = pixels * 3 // 2
    world = picture(side * 2)
    for name in ("ref", "target"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(5):
        top, left = side // 8 * index, side // 6 * (4 - index)
        _write(folder / "ref" / f"{index}.png", world[top : top + side, left : left + side])
    hole = np.zeros((side, side), np.uint8)
    edge = (side - pixels // 2) // 2
    hole[edge : side - edge, edge : side - edge] = 255
    _write(folder / "target" / "target.png", world[side // 4 : side // 4 + side, side // 3 : side // 3 + side])
    _write(folder / "target" / "mask.png", hole)
    loaded = scenes.load(folder)
    return loaded, crop_to_fill(loaded, size=pixels, multiple=pixels // 8, context=0.5)


@torch.no_grad()
def _enliven(unet: UNet2DConditionModel, vae: AutoencoderKL, pixels: int) -> None:
    """Scales the last layers so that outputs vary by about 1 and 0.5: errors of a flat output would not be seen.

    By powers of two, so that the weights come out equal wherever the estimate differs in its last digits.
    """
    device, cells = unet.device, min(32, pixels // 4)
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, 9, cells, cells, generator=generator).to(device)
    prompt_embeds = torch.randn(2, 77, unet.config.cross_attention_dim, generator=generator).to(device)
    spread = unet(noisy, torch.tensor([500, 500], device=device), prompt_embeds).sample.std()
    unet.conv_out.weight.mul_(2.0 ** float(torch.log2(1.0 / spread).round()))
    spread = vae.decode(noisy[:, :4]).sample.std()
    vae.decoder.conv_out.weight.mul_(2.0 ** float(torch.log2(0.5 / spread).round()))


@functools.cache
def _tokenizer() -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        return vocabulary.build(Path(folder))


def picture(side: int) -> Photo:
    """A detailed square picture of `side` pixels."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(30, 226, (side // 16 + 1, side // 16 + 1, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.asarray(np.clip(smooth + rng.integers(-20, 21, smooth.shape), 0, 255), np.uint8)


def _write(path: Path, photo: Photo) -> None:
    encoded, data = cv2.imencode(".png", photo if photo.ndim == 2 else photo[..., ::-1])
    assert encoded
    path.write_bytes(data.tobytes())
