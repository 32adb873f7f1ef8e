"""The fast way against the plain one through PEFT and diffusers: forward, gradients, a training step, a filled seed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.models.upsampling import Upsample2D
from torch import Tensor

from realfill.arrays import Photo
from realfill.config import SampleConfig, TrainConfig
from realfill.imaging.crop import crop_around
from realfill.models import lora
from realfill.models.backbone import Backbone
from realfill.models.fast.lanes import split_lanes
from realfill.models.fast.switch import VARIABLE
from realfill.models.lora import adapter_parameters, attach_adapters, lora_layers
from realfill.models.registry import load_backbone_folder
from realfill.sampling import sample
from realfill.scene.scene import Scene
from realfill.training import train
from tests.tiny import WAYS, backbone_in, condition_of

CONFIG = TrainConfig(steps=1, batch=2, layers="all", rank=4, alpha=8.0)
CUDA = {"cuda, float32": torch.float32, "cuda, bf16": torch.bfloat16}
PLACES = [*WAYS, *(pytest.param(place, marks=pytest.mark.gpu) for place in CUDA)]


@dataclass(frozen=True)
class Results:
    """What one of both ways computes."""

    prediction: Tensor
    prompt_embeds: Tensor
    gradients: Tensor  # of all adapters, one after the other
    loss: float
    clipped: Tensor  # the same after a training step
    photo: Photo


@pytest.fixture(scope="module", params=PLACES)
def results(
    request: pytest.FixtureRequest, tiny_base: Path, toy: Scene, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Results, Results]:
    """Where it is computed, and what comes out on the fast and on the plain way."""
    place = str(request.param)
    if place in CUDA and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    both = []
    for value in ("", "1"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, value)
            both.append(compute_all(load(tiny_base, place), toy, tmp_path_factory.mktemp("run")))
    return place, both[0], both[1]


def load(base: Path, place: str) -> Backbone:
    if place in CUDA:
        return load_backbone_folder(base, device="cuda", dtype=CUDA[place])
    return backbone_in(base, next(way for way in WAYS if way == place))


def compute_all(backbone: Backbone, scene: Scene, folder: Path) -> Results:
    """Forward and gradients with about half of the layers switched off, then a seed, then a step of training."""
    attach_adapters(backbone, CONFIG, seed=1)
    generator = torch.Generator().manual_seed(8)
    for parameter in adapter_parameters(backbone).values():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    dropout = lora.LayerDropout(backbone, rate=0.5, seed=2)
    dropout.draw(0)
    prediction, prompt_embeds, gradients = predict(backbone)
    dropout.close()
    crop = crop_around(scene.hole, size=32, multiple=8, context=0.5)
    settings = SampleConfig(sampler="ddim", steps=2)
    (candidate,) = sample.sample(backbone, scene, crop, settings, prompt="a photo of sks", seeds=[7])
    (step,) = train.train(backbone, scene, crop, CONFIG, seed=3, folder=folder)
    clipped = join([value.grad for value in adapter_parameters(backbone).values() if value.grad is not None])
    return Results(prediction, prompt_embeds, gradients, step.loss, clipped, candidate.photo)


def predict(backbone: Backbone) -> tuple[Tensor, Tensor, Tensor]:
    """The prediction, the prompts' embeddings, and the gradients of the prediction's mean square."""
    generator = torch.Generator().manual_seed(2)
    pixels = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    hole = (torch.rand(2, 1, 32, 32, generator=generator) < 0.3).float()
    noisy, t = torch.randn(2, 4, 16, 16, generator=generator), torch.tensor([900, 30])
    prompts = ["a photo of sks", ""]
    condition: Any = condition_of(backbone, pixels.to(backbone.device), hole.to(backbone.device), prompts)
    prediction = backbone.predict(noisy.to(backbone.device), t.to(backbone.device), condition)
    gradients = torch.autograd.grad(prediction.square().mean(), list(adapter_parameters(backbone).values()))
    return prediction.detach(), condition.prompt_embeds.detach(), join(gradients)


def join(tensors: Any) -> Tensor:
    return torch.cat([tensor.flatten().float() for tensor in tensors])


def bound(place: str) -> float:
    """Largest relative distance: of sums in another order; in bf16 every product is rounded to 2⁻⁸ of itself."""
    if "bf16" in place:
        return 0.05
    return 1e-2 if place in CUDA else 1e-5  # cuDNN convolves in TF32, whose products are rounded to 2⁻¹¹


def distance(mine: Tensor, other: Tensor) -> float:
    return float((mine - other).float().norm() / other.float().norm())


def test_the_forward_pass_is_the_same(results: tuple[str, Results, Results]) -> None:
    place, fast, plain = results
    assert distance(fast.prediction, plain.prediction) < bound(place)
    assert distance(fast.prompt_embeds, plain.prompt_embeds) < bound(place)


def test_gradients_are_the_same_and_zeros_where_a_layer_is_off(results: tuple[str, Results, Results]) -> None:
    place, fast, plain = results
    assert distance(fast.gradients, plain.gradients) < bound(place)
    off = plain.gradients == 0
    assert off.any() and not fast.gradients[off].any()


def test_a_training_step_is_the_same(results: tuple[str, Results, Results]) -> None:
    place, fast, plain = results
    assert fast.loss == pytest.approx(plain.loss, rel=bound(place))
    assert distance(fast.clipped, plain.clipped) < bound(place)


def test_a_filled_seed_is_the_same(results: tuple[str, Results, Results]) -> None:
    place, fast, plain = results
    difference = np.abs(fast.photo.astype(int) - plain.photo)
    assert difference.max() <= (16 if "bf16" in place else 1) and difference.mean() < (2 if "bf16" in place else 0.1)


def test_the_switch_takes_every_part_of_it_away(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, cores: Callable[[int], None]
) -> None:
    cores(2)
    parts = {}
    for value in ("0", "1"):
        monkeypatch.setenv(VARIABLE, value)
        backbone = load(tiny_base, "float32")
        attach_adapters(backbone, CONFIG, seed=1)
        parts[value] = own_parts(backbone)
    assert parts == {"0": {"lanes", "products", "enlarging", "attention", "merging"}, "1": set()}


def own_parts(backbone: Backbone) -> set[str]:
    """What is ours in place of PEFT's and diffusers'."""
    unet: Any = backbone.trainable()["unet"]
    layer = next(lora_layers(unet))
    layer.lora_B["default"].weight.data.fill_(0.1)
    weight = layer.base_layer.weight.detach().clone()
    with lora.merge_adapters(backbone):
        is_merged = not torch.equal(layer.base_layer.weight, weight)
    parts = {
        "lanes": len(split_lanes(backbone.device, 4)) > 1,
        "products": any("forward" in vars(layer) for layer in lora_layers(unet)),
        "enlarging": any("forward" in vars(module) for module in unet.modules() if isinstance(module, Upsample2D)),
        "attention": any(type(processor) is not AttnProcessor2_0 for processor in unet.attn_processors.values()),
        "merging": is_merged,
    }
    return {name for name, is_own in parts.items() if is_own}
