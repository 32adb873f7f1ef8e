"""Tiny pipelines of random weights for the baselines that need their own bases."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    PaintByExamplePipeline,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.deprecated.paint_by_example.image_encoder import PaintByExampleImageEncoder
from transformers import CLIPImageProcessorPil, CLIPVisionConfig


def text_to_image(folder: Path, inpainting: Path) -> Path:
    """A text-to-image pipeline with the parts of a tiny inpainting base, and a U-Net of 4 channels."""
    parts = StableDiffusionInpaintPipeline.from_pretrained(inpainting, safety_checker=None).components
    torch.manual_seed(8)
    parts["unet"] = _unet(4, size=32)
    StableDiffusionPipeline(
        **{name: parts[name] for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")},
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def paint_by_example(folder: Path) -> Path:
    """A Paint-by-Example pipeline at 64 pixels."""
    torch.manual_seed(9)
    vision = CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=5,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=16,
    )
    vae = AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=64,
    )
    PaintByExamplePipeline(
        vae=vae,
        image_encoder=PaintByExampleImageEncoder(vision),
        unet=_unet(9, size=32),
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        requires_safety_checker=False,
    ).save_pretrained(folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["image_encoder"] = ["paint_by_example", "PaintByExampleImageEncoder"]  # as published
    index["feature_extractor"] = ["transformers", "CLIPFeatureExtractor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _unet(channels: int, *, size: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=2,
    )
