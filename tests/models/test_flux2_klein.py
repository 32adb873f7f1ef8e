"""FLUX.2 klein: two ways to show the hole to a network that has no channel for a mask."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from realfill import config
from realfill.config import MaskForm, SampleConfig, TrainConfig
from realfill.imaging.crop import crop_around, crop_whole
from realfill.models.backbone import Backbone, Pictures
from realfill.models.lora import adapter_parameters, attach_adapters, detach_adapters
from realfill.models.pixels import fill_smoothly
from realfill.models.registry import load_backbone
from realfill.pipeline import complete
from realfill.runs.run import Run
from realfill.sampling.sample import sample, sampling_input
from realfill.scene.scene import Scene
from tests.sampling.decoded import decoded_pixels
from tests.tiny import tensors_of, whole_pictures


@pytest.fixture(scope="module")
def _loaded(tiny_bases: dict[str, Path]) -> Backbone:
    return load_backbone(str(tiny_bases["klein"]), device="cpu", dtype=torch.float32)


@pytest.fixture
def klein(_loaded: Backbone) -> Iterator[Backbone]:
    yield _loaded
    _loaded.use_mask_form("green")


def pictures() -> Pictures:
    hole = torch.zeros(2, 1, 32, 48)
    hole[0, :, 5:19, 11:30] = 1
    hole[1] = 1  # everything is hidden from an item now and then
    return whole_pictures(torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1, hole)


def other_paint(known: Pictures) -> Pictures:
    painted = torch.where(known.hole > 0, torch.full_like(known.pixels, float("nan")), known.pixels)
    return Pictures(painted, known.hole, known.place)


@pytest.mark.parametrize("form", ["green", "picture"])
def test_what_lies_under_the_hole_never_reaches_the_network(klein: Backbone, form: MaskForm) -> None:
    klein.use_mask_form(form)
    shown, other = (
        tensors_of(klein.image_condition(pictures())),
        tensors_of(klein.image_condition(other_paint(pictures()))),
    )
    assert all(torch.equal(one, same) and one.isfinite().all() for one, same in zip(shown, other, strict=True))
    items = tensors_of(klein.encode_items(pictures()).image)
    for one, same in zip(shown, items, strict=True):
        torch.testing.assert_close(one, same, atol=1e-5, rtol=0)


def test_a_mask_that_is_a_picture_stands_beside_the_smoothly_filled_photo(klein: Backbone) -> None:
    klein.use_mask_form("picture")
    given = pictures()
    (latents,) = tensors_of(klein.image_condition(given))
    assert latents.shape[1] == 2
    white_where_missing = torch.where(given.hole > 0, 1.0, -1.0).expand(-1, 3, -1, -1)
    torch.testing.assert_close(latents[:, 1], klein.encode(white_where_missing), atol=1e-5, rtol=0)
    filled = klein.decode(latents[:, 0])
    assert not torch.allclose(filled, klein.decode(klein.encode_masked(given.pixels, given.hole)), atol=1e-2)


def test_its_sampling_is_the_stock_pipelines(
    klein: Backbone, tiny_bases: dict[str, Path], toy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    klein.use_mask_form("picture")
    crop = crop_around(toy.hole, size=32, multiple=8, context=0.5)
    pipeline: Any = klein.pipeline_class().from_pretrained(tiny_bases["klein"], dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.image_processor.check_image_input = lambda image: image  # it refuses sides below 64 pixels
    filled = crop.crop_photo(toy.target)
    hole = crop.crop_hole(toy.hole)
    shown = sampling_input(toy, crop)
    exact = fill_smoothly(shown.pixels, shown.hole)
    images = [Image.fromarray(filled), Image.fromarray(hole.astype(np.uint8) * 255).convert("RGB")]
    for photo in toy.references:
        whole = crop_whole(*photo.shape[:2], size=math.isqrt(crop.width * crop.height), multiple=klein.spec.multiple)
        images.append(Image.fromarray(whole.crop_photo(photo)))
    encode = pipeline._encode_vae_image
    calls: list[int] = []

    def encode_exactly(image: Tensor, generator: Any) -> Tensor:
        calls.append(1)  # the first picture without the rounding to eight bits
        encoded: Tensor = encode(exact if len(calls) == 1 else image, generator)
        return encoded

    pipeline._encode_vae_image = encode_exactly
    theirs: Tensor = pipeline(
        image=images,
        prompt="a photo of sks",
        height=crop.height,
        width=crop.width,
        num_inference_steps=4,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).images
    settings = SampleConfig(sampler="ddim", steps=4)
    with decoded_pixels(klein, monkeypatch) as decoded:
        list(sample(klein, toy, crop, settings, prompt="a photo of sks", seeds=[5]))
    torch.testing.assert_close(torch.cat(decoded) / 2 + 0.5, theirs, atol=1e-4, rtol=0)


def test_a_run_uses_the_form_that_its_settings_name(
    tiny_bases: dict[str, Path], toy_scene: Path, tmp_path: Path
) -> None:
    found = {}
    for form in ("green", "picture"):
        settings = config.make(
            "quick",
            {
                **{"base": str(tiny_bases["klein"]), "fit.size": 32, "train.steps": 1, "train.batch": 1},
                **{"train.pool": 0, "train.rank": 2, "train.mask_form": form, "sample.seeds": "0", "sample.steps": 2},
                **{"sample.guidance": 1.0, "sample.hold": False, "select.matcher": "sift"},
            },
        )
        complete(tmp_path / form, scene=toy_scene, config=settings, device="cpu", until="sample")
        found[form] = Run.open(tmp_path / form).read_seed(0)
    assert (found["green"] != found["picture"]).any()


def test_the_single_blocks_output_projection_is_adapted(klein: Backbone) -> None:
    attach_adapters(klein, TrainConfig(rank=2), seed=1)
    names = {name.removesuffix(".lora_A.default.weight") for name in adapter_parameters(klein)}
    detach_adapters(klein)
    blocks = len(klein.trainable()["transformer"].single_transformer_blocks)  # type: ignore[arg-type]
    assert blocks and {f"transformer.single_transformer_blocks.{i}.attn.to_out" for i in range(blocks)} <= names
