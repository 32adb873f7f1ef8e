"""Tiny pipelines with random weights and toy scenes with a known answer, for tests that need the real code path.

torch is imported by what needs it, since scenes are also made for folders of tests that never do.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from realfill.models.backbone import Backbone, Context, Pictures
    from realfill.models.items import Items


def make_base(folder: Path, *, prediction_type: str = "epsilon", size: int = 64) -> Path:
    """A stock inpainting pipeline of 0.2 M random parameters, 1/2 scale, as a diffusers folder."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from tools.mini import vocabulary

    torch.manual_seed(5)
    tokenizer = vocabulary.build(folder / "tokenizer")
    vae = AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=size,
        scaling_factor=0.7,
    )
    unet = UNet2DConditionModel(
        sample_size=size // 2,
        in_channels=9,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=2,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            projection_dim=16,
            bos_token_id=len(tokenizer) - 2,
            eos_token_id=len(tokenizer) - 1,
            pad_token_id=len(tokenizer) - 1,
        )
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        clip_sample=False,
        steps_offset=1,
    )
    pipeline = StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def make_xl_base(folder: Path) -> Path:
    """A stock SDXL inpainting pipeline of random parameters, 1/2 scale, half precision in two shards a part."""
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLInpaintPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from tools.mini import vocabulary

    torch.manual_seed(6)
    tokenizers = [vocabulary.build(folder / name) for name in ("tokenizer", "tokenizer_2")]
    words = len(tokenizers[0])
    vae = AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=64,
        scaling_factor=0.13025,
        force_upcast=True,
    )
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=9,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=32,
        attention_head_dim=2,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 24,
    )
    text = CLIPTextConfig(
        vocab_size=words,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=24,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )
    pipeline = StableDiffusionXLInpaintPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
        unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
    )
    pipeline.to(torch.float16).save_pretrained(folder, variant="fp16", max_shard_size="100KB")
    return folder


def make_klein_base(folder: Path, *, is_distilled: bool = False, seed: int = 7) -> Path:
    """A stock FLUX.2 klein pipeline of random parameters, autoencoder at 1/2 scale, in shards."""
    import torch
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = {token: number for number, token in enumerate([*sorted(ByteLevel.alphabet()), *special])}
    tokenizer = Qwen2TokenizerFast(
        vocab=words, merges=[], pad_token=special[0], eos_token=special[2], additional_special_tokens=[special[1]]
    )
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n"
    )
    text = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(words),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=27,  # the pipeline reads hidden states 9, 18 and 27
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=4,
        )
    )
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        mid_block_add_attention=False,
    )
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2)
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=24,
        guidance_embeds=False,
        axes_dims_rope=(4, 4, 4, 4),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0, base_shift=0.5, max_shift=1.15)
    pipeline = Flux2KleinPipeline(
        scheduler=scheduler,
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        transformer=transformer,
        is_distilled=is_distilled,
    )
    pipeline.save_pretrained(folder, max_shard_size="60KB")
    return folder


def make_fill_base(folder: Path) -> Path:
    """A stock FLUX.1 Fill pipeline of random parameters, autoencoder at 1/2 scale."""
    import torch
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxFillPipeline, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel, T5TokenizerFast

    from tools.mini import vocabulary

    torch.manual_seed(8)
    tokenizer = vocabulary.build(folder / "tokenizer")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0)]
    pieces += [(letter, -2.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    clip = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=16,
        bos_token_id=len(tokenizer) - 2,
        eos_token_id=len(tokenizer) - 1,
        pad_token_id=len(tokenizer) - 1,
    )
    t5 = T5Config(vocab_size=len(pieces), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        mid_block_add_attention=False,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    transformer = FluxTransformer2DModel(
        in_channels=48,
        out_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        guidance_embeds=True,
        axes_dims_rope=(4, 4, 8),
    )
    pipeline = FluxFillPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, shift=3.0, base_shift=0.5, max_shift=1.15, max_image_seq_len=4096
        ),
        vae=vae,
        text_encoder=CLIPTextModel(clip),
        tokenizer=tokenizer,
        text_encoder_2=T5EncoderModel(t5),
        tokenizer_2=T5TokenizerFast(vocab=pieces, extra_ids=0),
        transformer=transformer,
    )
    pipeline.save_pretrained(folder)
    return folder


def world(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A detailed picture (H, W, 3) of which scenes show parts."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(30, 226, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(picture + rng.integers(-20, 21, (height, width, 3)), 0, 255)
    return np.asarray(noisy, np.uint8)


def make_scene(folder: Path) -> Path:
    """Two references (96 x 80), a target (120 x 90) with a white box as its hole, and the truth."""
    (folder / "ref").mkdir(parents=True)
    (folder / "target").mkdir()
    picture = world(120, 160)
    for index, (top, left) in enumerate([(10, 20), (25, 40)]):
        Image.fromarray(picture[top : top + 80, left : left + 96]).save(folder / "ref" / f"{index}.png")
    truth = picture[15:105, 20:140]
    hole = np.zeros(truth.shape[:2], np.uint8)
    hole[30:60, 40:85] = 255
    Image.fromarray(truth).save(folder / "target" / "gt.png")
    Image.fromarray(np.where(hole[..., None] > 0, np.uint8(255), truth)).save(folder / "target" / "target.png")
    Image.fromarray(hole).save(folder / "target" / "mask.png")
    return folder


def make_wide_scene(folder: Path) -> Path:
    """A target (320 x 240) and two references of one flat world, detailed enough for geometry; the truth is known."""
    (folder / "ref").mkdir(parents=True)
    (folder / "target").mkdir()
    picture = world(300, 400)
    for index, (top, left) in enumerate([(40, 60), (20, 10)]):
        Image.fromarray(picture[top : top + 240, left : left + 320]).save(folder / "ref" / f"{index}.png")
    truth = picture[30:270, 40:360]
    hole = np.zeros(truth.shape[:2], np.uint8)
    hole[90:150, 110:200] = 255
    Image.fromarray(truth).save(folder / "target" / "gt.png")
    Image.fromarray(np.where(hole[..., None] > 0, np.uint8(255), truth)).save(folder / "target" / "target.png")
    Image.fromarray(hole).save(folder / "target" / "mask.png")
    return folder


Way = Literal["float32", "bf16", "stored in bf16"]
WAYS: tuple[Way, ...] = get_args(Way)


def backbone_in(base: Path, way: Way) -> "Backbone":
    """A base in float32, in bf16 as processors compute it (float32 weights, autocast), or all bf16 as GPUs do."""
    import torch

    from realfill.models import backbone
    from realfill.models.registry import load_backbone

    dtype = torch.float32 if way == "float32" else torch.bfloat16
    if way != "stored in bf16":
        return load_backbone(str(base), device="cpu", dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone, "stored_dtype", lambda device, dtype: dtype)
        return load_backbone(str(base), device="cpu", dtype=dtype)


def whole_pictures(pixels: "Tensor", hole: "Tensor") -> "Pictures":
    """B pictures (B, 3, H, W) that are no crops of larger ones, with their holes (B, 1, H, W)."""
    from realfill.models.backbone import Pictures
    from realfill.models.pixels import whole_place

    return Pictures(pixels, hole, whole_place(*pixels.shape[-2:]).expand(len(pixels), 6))


def condition_of(
    backbone: "Backbone", pixels: "Tensor", hole: "Tensor", prompts: "Sequence[str]", context: "Context" = ()
) -> "Items":
    """The condition of whole pictures with their holes and prompts."""
    return backbone.condition(backbone.image_condition(whole_pictures(pixels, hole)), prompts, context)


def tensors_of(items: "Items") -> "list[Tensor]":
    """All tensors of items, in the order of their fields."""
    found: list[Tensor] = []

    def keep(tensor: "Tensor") -> "Tensor":
        found.append(tensor)
        return tensor

    items.map_tensors(keep)
    return found
