"""Sampling: the stock pipeline's pictures, whatever the batch, and no seed is lost."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionInpaintPipeline,
)
from PIL import Image
from torch import Tensor

from realfill.config import SampleConfig, SamplerName, TrainConfig
from realfill.errors import OutOfMemory
from realfill.imaging.crop import CropTransform, crop_around, crop_whole
from realfill.models.backbone import Backbone
from realfill.models.lora import adapter_parameters, attach_adapters, save_lora
from realfill.models.registry import find_base, is_present, load_backbone, load_backbone_folder
from realfill.sampling import sample
from realfill.sampling.sample import sampling_input
from realfill.scene.scene import Scene
from tests.sampling.decoded import decoded_pixels

PROMPT = "a photo of sks"
KINDS = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler, "dpm++": DPMSolverMultistepScheduler}


def fit_of(scene: Scene) -> CropTransform:
    fit = crop_around(scene.hole, size=48, multiple=8, context=0.7)
    assert fit.width != fit.height
    return fit


def config(sampler: SamplerName = "ddim", **changes: Any) -> SampleConfig:
    return SampleConfig.model_validate({"sampler": sampler, "steps": 4, "batch": 3, **changes})


def pictures(
    backbone: Backbone, scene: Scene, settings: SampleConfig, seeds: list[int]
) -> dict[int, np.ndarray[Any, Any]]:
    made = sample.sample(backbone, scene, fit_of(scene), settings, prompt=PROMPT, seeds=seeds)
    return {candidate.seed: candidate.photo for candidate in made}


def raw(
    backbone: Backbone, scene: Scene, settings: SampleConfig, seeds: list[int], monkeypatch: pytest.MonkeyPatch
) -> Tensor:
    """The decoded pixels (B, 3, H, W) before they are rounded to eight bits."""
    with decoded_pixels(backbone, monkeypatch) as decoded:
        pictures(backbone, scene, settings, seeds)
    return torch.cat(decoded)


def adapted(backbone: Backbone, folder: Path) -> Path:
    """Attach an adapter whose weights matter, and save it."""
    attach_adapters(backbone, TrainConfig(alpha=16.0), seed=1)
    generator = torch.Generator().manual_seed(8)
    for parameter in adapter_parameters(backbone).values():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    save_lora(backbone, folder)
    return folder


@pytest.mark.parametrize(
    ("sampler", "guidance", "kind"),
    [
        ("ddpm", 1.0, "epsilon"),
        ("ddpm", 1.0, "v_prediction"),
        ("ddim", 1.0, "sample"),
        ("ddim", 3.0, "epsilon"),
        ("dpm++", 1.0, "epsilon"),
        ("dpm++", 2.5, "v_prediction"),
    ],
)
def test_our_sampling_is_the_stock_pipelines(
    tiny_bases: dict[str, Path],
    toy: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sampler: SamplerName,
    guidance: float,
    kind: str,
) -> None:
    backbone = load_backbone_folder(tiny_bases[kind], dtype=torch.float32)
    fit, seeds = fit_of(toy), [17, 3]
    lora = adapted(backbone, tmp_path / "lora")
    image: Any = backbone.image_condition(sampling_input(toy, fit))
    masked = image.masked

    pipeline = StableDiffusionInpaintPipeline.from_pretrained(tiny_bases[kind], safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(lora)
    pipeline.scheduler = KINDS[sampler].from_config(
        {**pipeline.scheduler.config, "timestep_spacing": "trailing", "clip_sample": False}
    )
    theirs = pipeline(
        [PROMPT] * 2,
        image=[Image.fromarray(fit.crop_photo(toy.target))] * 2,
        mask_image=[Image.fromarray(fit.crop_hole(toy.hole).astype(np.uint8) * 255)] * 2,
        masked_image_latents=masked.expand(2, *masked.shape[1:]),
        height=fit.height,
        width=fit.width,
        strength=1.0,
        num_inference_steps=8,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="pt",
    ).images
    ours = raw(backbone, toy, config(sampler, steps=8, guidance=guidance), seeds, monkeypatch) / 2 + 0.5
    assert ours.shape[-2:] == (fit.height, fit.width)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    assert theirs.std() > 0.01
    assert not torch.allclose(theirs[0], theirs[1], atol=1e-2)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm++"])
def test_a_seed_alone_equals_itself_in_a_batch(
    tiny: Backbone, toy: Scene, sampler: SamplerName, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = raw(tiny, toy, config(sampler), [17], monkeypatch)
    together = raw(tiny, toy, config(sampler, batch=4), [2, 17, 0, 5], monkeypatch)
    torch.testing.assert_close(alone[0], together[1], atol=1e-4, rtol=0)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_candidates_come_in_order_at_working_size(tiny: Backbone, toy: Scene) -> None:
    seeds = [5, 1, 9, 0, 4]
    made = list(sample.sample(tiny, toy, fit_of(toy), config(), prompt=PROMPT, seeds=seeds))
    assert [candidate.seed for candidate in made] == seeds
    for candidate in made:
        assert candidate.photo.shape == (fit_of(toy).height, fit_of(toy).width, 3)
        assert candidate.photo.dtype == np.uint8
    assert not list(sample.sample(tiny, toy, fit_of(toy), config(), prompt=PROMPT, seeds=[]))


def test_sampling_reads_no_global_state(tiny: Backbone, toy: Scene) -> None:
    first = pictures(tiny, toy, config("ddpm"), [3])
    torch.rand(5)
    state = torch.random.get_rng_state()
    assert np.array_equal(pictures(tiny, toy, config("ddpm"), [3])[3], first[3])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_condition_matters(tiny: Backbone, toy: Scene) -> None:
    plain = pictures(tiny, toy, config(), [3])[3]
    assert not np.array_equal(pictures(tiny, toy, config(guidance=4.0), [3])[3], plain)
    other = dataclasses.replace(toy, target=255 - toy.target)
    assert not np.array_equal(pictures(tiny, other, config(), [3])[3], plain)
    made = sample.sample(tiny, toy, fit_of(toy), config(), prompt="a dog", seeds=[3])
    assert not np.array_equal(next(made).photo, plain)


@pytest.mark.parametrize("value", [0, 90, 255])
def test_the_targets_hole_adds_nothing_to_the_result(tiny: Backbone, toy: Scene, value: int) -> None:
    other = dataclasses.replace(toy, target=np.where(toy.hole[..., None], np.uint8(value), toy.target))
    settings = config("ddpm")
    assert np.array_equal(pictures(tiny, other, settings, [3])[3], pictures(tiny, toy, settings, [3])[3])


def test_a_blank_canvas_gives_variants(tiny: Backbone, toy: Scene) -> None:
    blank = dataclasses.replace(toy, hole=np.ones_like(toy.hole))
    fit = crop_whole(*blank.hole.shape, size=48, multiple=8)
    made = list(sample.sample(tiny, blank, fit, config(), prompt=PROMPT, seeds=[0, 1]))
    assert not np.array_equal(made[0].photo, made[1].photo)
    other = dataclasses.replace(blank, target=255 - blank.target)
    again = list(sample.sample(tiny, other, fit, config(), prompt=PROMPT, seeds=[0]))
    assert np.array_equal(again[0].photo, made[0].photo)


def short_of_memory(backbone: Backbone, most: int) -> tuple[Callable[..., Tensor], list[int]]:
    """`predict` on a device that holds `most` items, and the sizes it was asked for."""
    predict, sizes = backbone.predict, []

    def wrapped(noisy: Tensor, t: Tensor, condition: Any) -> Tensor:
        sizes.append(len(noisy))
        if len(noisy) > most:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return predict(noisy, t, condition)

    return wrapped, sizes


@pytest.mark.usefixtures("one_lane")
def test_out_of_memory_halves_the_batch_and_loses_no_seed(
    tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = list(range(7))
    plain = raw(tiny, toy, config("ddpm", batch=7), seeds, monkeypatch)
    wrapped, sizes = short_of_memory(tiny, 2)
    monkeypatch.setattr(tiny, "predict", wrapped)
    short = raw(tiny, toy, config("ddpm", batch=7), seeds, monkeypatch)
    torch.testing.assert_close(short, plain, atol=1e-4, rtol=0)
    # Halved, then the adapters beside the weights, then halved again; and not tried again.
    assert [size for size in sizes if size > 2] == [7, 4, 4]


def test_one_seed_too_many_says_so(tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped, _ = short_of_memory(tiny, 0)
    monkeypatch.setattr(tiny, "predict", wrapped)
    with pytest.raises(OutOfMemory, match="memory"):
        pictures(tiny, toy, config(), [1, 2])


def test_mini_samples_through_the_stock_pipeline_too(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded base on a real scene, from the sampler `mini` uses: what a stranger's pipeline shows."""
    if not is_present("mini"):
        pytest.skip("the embedded base is not in this checkout")
    from realfill.scene import scene as scenes

    real = scenes.load(shared / "scenes" / "berry_bowl")
    backbone = load_backbone("mini", device="cpu", dtype=torch.float32)
    fit = crop_around(real.hole, size=96, multiple=backbone.spec.multiple, context=0.5)
    lora = adapted(backbone, tmp_path / "lora")
    image: Any = backbone.image_condition(sampling_input(real, fit))
    place = find_base("mini")
    assert place is not None
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(place, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(lora)
    theirs = pipeline(
        PROMPT,
        image=Image.fromarray(fit.crop_photo(real.target)),
        mask_image=Image.fromarray(fit.crop_hole(real.hole).astype(np.uint8) * 255),
        masked_image_latents=image.masked,
        height=fit.height,
        width=fit.width,
        num_inference_steps=3,
        guidance_scale=1.0,
        generator=[torch.Generator().manual_seed(17)],
        output_type="pt",
    ).images
    made = sample.sample(backbone, real, fit, config("ddim", steps=3), prompt=PROMPT, seeds=[17])
    difference = next(made).photo / 255 - theirs[0].permute(1, 2, 0).numpy()
    assert np.abs(difference).max() <= 0.5 / 255 + 1e-4
