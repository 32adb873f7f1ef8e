"""SDXL: what it is told of prompts, sizes and crops, its autoencoder's precision, and what of it is downloaded."""

import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

from realfill.config import TrainConfig
from realfill.imaging.crop import crop_around
from realfill.models.backbone import Pictures
from realfill.models.registry import hub_files, load_backbone
from realfill.models.stable_diffusion_xl import StableDiffusionXLInpaint
from realfill.scene.scene import Scene
from realfill.training.batches import draw_batch, prepare_views
from tests.tiny import backbone_in, condition_of


@pytest.fixture(scope="module")
def xl(tiny_bases: dict[str, Path]) -> StableDiffusionXLInpaint:
    loaded = load_backbone(str(tiny_bases["sdxl"]), device="cpu", dtype=torch.float32)
    assert isinstance(loaded, StableDiffusionXLInpaint)
    return loaded


def test_its_autoencoder_computes_in_float32_whatever_the_rest_does(tiny_bases: dict[str, Path]) -> None:
    half: Any = backbone_in(tiny_bases["sdxl"], "stored in bf16")
    assert half.unet.dtype == torch.bfloat16 and half.vae.dtype == torch.float32
    exact: Any = load_backbone(str(tiny_bases["sdxl"]), device="cpu", dtype=torch.float32)
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    torch.testing.assert_close(half.encode(pixels), exact.encode(pixels), atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_an_empty_prompt_is_zeros(xl: StableDiffusionXLInpaint) -> None:
    pixels, hole = torch.zeros(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    told: Any = condition_of(xl, pixels, hole, ["a photo of sks", ""])
    for embeds in (told.prompt_embeds, told.pooled_prompt_embeds):
        assert embeds[0].abs().sum() > 0 and not embeds[1].any()


@torch.no_grad()
def test_training_tells_where_each_crop_lies_in_its_photo(
    xl: StableDiffusionXLInpaint, toy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photo's height and width, top and left of the crop, its height and width, all at the crop's scale."""
    config, fit = TrainConfig(batch=6), crop_around(toy.hole, size=32, multiple=8, context=0.5)
    batch = draw_batch(prepare_views(toy, fit, config, cell=2), config, seed=1, step=0, indices=range(6))
    asked: list[torch.Tensor] = []
    forward = xl.unet.forward

    def listen(*args: Any, added_cond_kwargs: dict[str, torch.Tensor], **options: Any) -> Any:
        asked.append(added_cond_kwargs["time_ids"])
        return forward(*args, added_cond_kwargs=added_cond_kwargs, **options)

    monkeypatch.setattr(xl.unet, "forward", listen)
    items = xl.encode_items(batch)
    xl.predict(items.clean, torch.full((6,), 500), xl.condition(items.image, batch.prompts))
    (told,) = asked
    assert torch.equal(told, batch.place)
    height, width, top, left = told[:, :4].unbind(1)
    assert torch.equal(told[:, 4:], torch.tensor([[fit.height, fit.width]]).expand(6, 2).float())
    assert (top >= 0).all() and (left >= 0).all() and len(set(top.tolist())) > 1
    assert (top + fit.height <= height + 1).all() and (left + fit.width <= width + 1).all()
    assert isinstance(batch, Pictures)


def test_the_half_precision_files_alone_are_downloaded() -> None:
    patterns = hub_files("sdxl")
    allowed, ignored = patterns["allow_patterns"], patterns["ignore_patterns"]

    def comes(name: str) -> bool:
        return any(fnmatch.fnmatch(name, one) for one in allowed) and not any(
            fnmatch.fnmatch(name, one) for one in ignored
        )

    unet = "unet/diffusion_pytorch_model"
    assert comes(f"{unet}.fp16.safetensors") and comes("unet/config.json") and comes("tokenizer_2/vocab.json")
    assert not any(comes(f"{unet}{end}") for end in (".safetensors", ".fp16.bin", ".bin"))
