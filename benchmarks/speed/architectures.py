"""Bases without values: the networks of each named base at its published size, on torch's `meta` device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2Transformer2DModel,
    FluxTransformer2DModel,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from benchmarks.speed import random_sd2
from realfill.models.backbone import Backbone
from realfill.models.flux2_klein import Flux2Klein, KleinCondition, ShownImage
from realfill.models.flux_fill import FillCondition, FillImage, FluxFill
from realfill.models.inpainting_unet import MaskedImage
from realfill.models.items import Items
from realfill.models.registry import find_base
from realfill.models.stable_diffusion import StableDiffusionInpaint, UNetCondition
from realfill.models.stable_diffusion_xl import StableDiffusionXLInpaint, XLCondition
from realfill.models.text_encoders import TextEncoders

NO_TEXT = TextEncoders(load=lambda: None, identity=lambda: "")  # embeddings are given


@dataclass(frozen=True)
class Shapes:
    """A base of which only shapes are known."""

    backbone: Backbone
    networks: Mapping[str, nn.Module]  # all that has weights, the denoiser first, the autoencoder as `vae`
    condition: Callable[[int], Items]  # of so many items at the base's own size


def mini(dtype: torch.dtype) -> Shapes:
    """As it lies in the project."""
    place = find_base("mini")
    assert place is not None
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(str(place / "unet"))
        vae = AutoencoderKL.from_config(str(place / "vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(place / "text_encoder"))
    return _stable_diffusion("mini", unet, vae, text, dtype)


def sd2(dtype: torch.dtype) -> Shapes:
    """Stable Diffusion 2 inpainting."""
    return _stable_diffusion("sd2", *random_sd2.networks(random_sd2.FULL, device="meta"), dtype)


def _stable_diffusion(name: str, unet: Any, vae: Any, text: Any, dtype: torch.dtype) -> Shapes:
    networks = {"unet": unet, "vae": vae, "text_encoder": text}
    for part in networks.values():
        part.to(dtype)
    schedule = DDIMScheduler(beta_schedule="scaled_linear")
    pipeline: Any = SimpleNamespace(**networks, tokenizer=None, scheduler=schedule)
    backbone = StableDiffusionInpaint(pipeline, name=name, weights_hash="")

    def condition(count: int) -> Items:
        prompt_embeds = empty(count, 77, int(unet.config.cross_attention_dim), dtype=dtype)
        return UNetCondition(prompt_embeds, _masked(backbone, count, dtype))

    return Shapes(backbone, networks, condition)


def sdxl(dtype: torch.dtype) -> Shapes:
    """Stable Diffusion XL inpainting 0.1, by the configs of its repository."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=128,
            in_channels=9,
            out_channels=4,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=2,
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        vae = AutoencoderKL(
            latent_channels=4,
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            sample_size=1024,
            scaling_factor=0.13025,
        )
        small: dict[str, Any] = {"vocab_size": 49408, "max_position_embeddings": 77}
        first = CLIPTextModel(
            CLIPTextConfig(
                **small, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
            )
        )
        second = CLIPTextModelWithProjection(
            CLIPTextConfig(
                **small,
                hidden_size=1280,
                intermediate_size=5120,
                num_hidden_layers=32,
                num_attention_heads=20,
                projection_dim=1280,
            )
        )
    networks: dict[str, Any] = {"unet": unet, "vae": vae, "text_encoder": first, "text_encoder_2": second}
    for part in networks.values():
        part.to(dtype)
    pipeline: Any = SimpleNamespace(
        **networks,
        tokenizer=None,
        tokenizer_2=None,
        scheduler=DDIMScheduler(beta_schedule="scaled_linear"),
        config=SimpleNamespace(force_zeros_for_empty_prompt=True),
    )
    backbone = StableDiffusionXLInpaint(pipeline, name="sdxl", weights_hash="")

    def condition(count: int) -> Items:
        texts = empty(count, 77, 2048, dtype=dtype), empty(count, 1280, dtype=dtype)
        return XLCondition(*texts, _masked(backbone, count, dtype))

    return Shapes(backbone, networks, condition)


def klein(dtype: torch.dtype, *, doubles: int = 5, singles: int = 20) -> Shapes:
    """FLUX.2 klein base 4B, by the configs of its repository; one photo as large as the picture stands beside it."""
    with torch.device("meta"):
        transformer = Flux2Transformer2DModel(
            in_channels=128,
            num_layers=doubles,
            num_single_layers=singles,
            attention_head_dim=128,
            num_attention_heads=24,
            joint_attention_dim=7680,
            guidance_embeds=False,
        )
        vae = AutoencoderKLFlux2()
    networks: dict[str, Any] = {"transformer": transformer, "vae": vae}
    for part in networks.values():
        part.to(dtype)
    pipeline: Any = SimpleNamespace(**networks, scheduler=_flow_schedule())
    backbone = Flux2Klein(pipeline, NO_TEXT, name="klein", weights_hash="")

    def condition(count: int) -> Items:
        latents = empty(count, *backbone.spec.latent_shape(backbone.spec.size, backbone.spec.size), dtype=dtype)
        beside = ((latents[:1],),) * count
        return KleinCondition(empty(count, 512, 7680, dtype=dtype), ShownImage(latents[:, None]), beside)

    return Shapes(backbone, networks, condition)


def flux_fill(dtype: torch.dtype, *, doubles: int = 19, singles: int = 38) -> Shapes:
    """FLUX.1 Fill dev, by the configs of its repository."""
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(
            in_channels=384, out_channels=64, num_layers=doubles, num_single_layers=singles, guidance_embeds=True
        )
        vae = AutoencoderKL(
            latent_channels=16,
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            sample_size=1024,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
    networks: dict[str, Any] = {"transformer": transformer, "vae": vae}
    for part in networks.values():
        part.to(dtype)
    pipeline: Any = SimpleNamespace(**networks, scheduler=_flow_schedule())
    backbone = FluxFill(pipeline, NO_TEXT, name="flux-fill", weights_hash="")

    def condition(count: int) -> Items:
        channels, height, width = backbone.spec.latent_shape(backbone.spec.size, backbone.spec.size)
        masked = empty(count, channels, height, width, dtype=dtype)
        hole = empty(count, backbone.spec.cell**2, height, width, dtype=dtype)
        texts = empty(count, 512, 4096, dtype=dtype), empty(count, 768, dtype=dtype)
        return FillCondition(*texts, FillImage(masked, hole))

    return Shapes(backbone, networks, condition)


def _flow_schedule() -> FlowMatchEulerDiscreteScheduler:
    return FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)


def _masked(backbone: Backbone, count: int, dtype: torch.dtype) -> MaskedImage:
    channels, height, width = backbone.spec.latent_shape(backbone.spec.size, backbone.spec.size)
    hole, masked = empty(count, 1, height, width, dtype=dtype), empty(count, channels, height, width, dtype=dtype)
    return MaskedImage(hole, masked, empty(count, 6, dtype=dtype))


def empty(*shape: int, dtype: torch.dtype) -> Tensor:
    """A tensor without values."""
    return torch.empty(shape, device="meta", dtype=dtype)


ARCHITECTURES: Mapping[str, Callable[[torch.dtype], Shapes]] = {
    "mini": mini,
    "sd2": sd2,
    "sdxl": sdxl,
    "klein": klein,
    "flux-fill": flux_fill,
}
WIDTHS: Mapping[str, torch.dtype] = {"mini": torch.float32}  # what the estimates are stated for; the others: bf16
