"""Every backbone answers the same questions; a new family adds its tiny base to `bases` and inherits them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from realfill.config import TrainConfig
from realfill.models.backbone import Backbone, blank_hole
from realfill.models.lora import adapter_parameters, attach_adapters, detach_adapters
from realfill.models.registry import load_backbone
from tests.tiny import WAYS, Way, backbone_in

HEIGHT, WIDTH = 32, 48


@pytest.fixture(scope="module", params=["epsilon", "v_prediction", "sample"])
def place(request: pytest.FixtureRequest, tiny_bases: dict[str, Path]) -> tuple[str, Path]:
    return request.param, tiny_bases[request.param]


@pytest.fixture(scope="module")
def _loaded(place: tuple[str, Path]) -> Backbone:
    return load_backbone(str(place[1]), device="cpu", dtype=torch.float32)


@pytest.fixture
def backbone(_loaded: Backbone) -> Iterator[Backbone]:
    yield _loaded
    detach_adapters(_loaded)


def pixels(count: int = 2, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def hole(count: int = 2) -> Tensor:
    holes = torch.zeros(count, 1, HEIGHT, WIDTH)
    holes[:, :, 5:19, 11:30] = 1
    return holes


def latents(backbone: Backbone, count: int = 2, seed: int = 1) -> Tensor:
    shape = (count, backbone.spec.latent_channels, HEIGHT // backbone.spec.cell, WIDTH // backbone.spec.cell)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_spec_is_that_of_the_base(backbone: Backbone, place: tuple[str, Path]) -> None:
    assert backbone.spec.name == str(place[1])
    assert backbone.process.prediction_type == place[0]
    assert backbone.spec.size % backbone.spec.multiple == 0
    assert backbone.spec.multiple % backbone.spec.cell == 0


def test_the_hash_follows_the_weights(backbone: Backbone, place: tuple[str, Path], tmp_path: Path) -> None:
    assert len(backbone.spec.weights_hash) == 64
    assert load_backbone(str(place[1]), device="cpu").spec.weights_hash == backbone.spec.weights_hash


def test_encode_gives_float_latents_of_the_stated_shape(backbone: Backbone) -> None:
    result = backbone.encode(pixels())
    assert result.shape == latents(backbone).shape
    assert result.dtype == torch.float32
    assert not result.requires_grad


def test_encode_is_the_mode_and_draws_nothing(backbone: Backbone) -> None:
    before = torch.random.get_rng_state()
    assert torch.equal(backbone.encode(pixels()), backbone.encode(pixels()))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_words_and_cells_are_those_of_a_condition(backbone: Backbone) -> None:
    condition = backbone.condition(pixels(), hole(), ["a photo of sks", ""])
    assert torch.equal(backbone.prompt_embeds(["a photo of sks", ""]), condition.prompt_embeds)
    assert torch.equal(backbone.latent_hole(hole()), condition.hole)
    assert torch.equal(backbone.encode(blank_hole(pixels(), hole())), condition.masked)


def test_latents_and_pixels_lie_in_the_usual_order(backbone: Backbone) -> None:
    condition = backbone.condition(pixels(), hole(), ["a", "a"])
    with torch.no_grad():
        found = [backbone.predict(latents(backbone), torch.tensor([5, 900]), condition)]
    found += [backbone.encode(pixels()), backbone.decode(latents(backbone)), condition.masked, condition.hole]
    assert all(one.is_contiguous() for one in found)


def test_latents_are_scaled_as_the_base_says(backbone: Backbone, place: tuple[str, Path]) -> None:
    stock = backbone.pipeline_class().from_pretrained(place[1], safety_checker=None).vae
    with torch.no_grad():
        raw = stock.encode(pixels()).latent_dist.mean
        torch.testing.assert_close(backbone.encode(pixels()), raw * stock.config.scaling_factor)
        wanted = stock.decode(latents(backbone) / stock.config.scaling_factor).sample.clamp(-1, 1)
    torch.testing.assert_close(backbone.decode(latents(backbone)), wanted)


def test_decode_gives_pixels_in_range(backbone: Backbone) -> None:
    result = backbone.decode(50 * latents(backbone))
    assert result.shape == (2, 3, HEIGHT, WIDTH)
    assert result.min() >= -1 and result.max() <= 1
    assert not result.requires_grad


def test_what_lies_under_the_hole_has_no_influence(backbone: Backbone) -> None:
    painted = torch.where(hole() > 0, torch.full_like(pixels(), float("nan")), pixels())
    clean, other = (backbone.condition(p, hole(), ["a photo of sks", ""]) for p in (pixels(), painted))
    assert torch.equal(clean.masked, other.masked)
    assert torch.equal(clean.hole, other.hole)


def test_hidden_pixels_are_grey_and_known_ones_are_kept(backbone: Backbone) -> None:
    condition = backbone.condition(pixels(), hole(), ["a", "a"])
    assert torch.equal(condition.masked, backbone.encode(pixels() * (1 - hole())))


def test_the_hole_is_shrunk_by_nearest(backbone: Backbone) -> None:
    condition = backbone.condition(pixels(), hole(), ["a", "a"])
    cell = backbone.spec.cell
    assert torch.equal(condition.hole, hole()[..., ::cell, ::cell])


def test_items_of_a_condition_do_not_mix(backbone: Backbone) -> None:
    prompts = ["a photo of sks", "", "a photo of sks"]
    together = backbone.condition(pixels(3), hole(3), prompts)
    assert torch.equal(together.prompt_embeds[0], together.prompt_embeds[2])
    for index, prompt in enumerate(prompts):
        alone = backbone.condition(pixels(3)[index : index + 1], hole(1), [prompt])
        torch.testing.assert_close(alone.prompt_embeds[0], together.prompt_embeds[index], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone.masked[0], together.masked[index], atol=1e-5, rtol=0)
    assert not torch.allclose(together.prompt_embeds[0], together.prompt_embeds[1])


@torch.no_grad()
def test_predict_computes_each_item_alone_and_listens_to_all_it_is_told(backbone: Backbone) -> None:
    condition = backbone.condition(pixels(), hole(), ["a photo of sks", "a photo of sks"])
    noisy, t = latents(backbone), torch.tensor([700, 20])
    result = backbone.predict(noisy, t, condition)
    assert result.shape == noisy.shape and result.dtype == torch.float32
    first = backbone.predict(noisy[:1], t[:1], backbone.condition(pixels()[:1], hole(1), ["a photo of sks"]))
    torch.testing.assert_close(first[0], result[0], atol=1e-5, rtol=0)
    others = {
        "t": backbone.predict(noisy, t - 10, condition),
        "prompt": backbone.predict(noisy, t, backbone.condition(pixels(), hole(), ["", ""])),
        "picture": backbone.predict(noisy, t, backbone.condition(pixels(2, 9), hole(), ["a photo of sks"] * 2)),
        "hole": backbone.predict(noisy, t, backbone.condition(pixels(), hole() * 0, ["a photo of sks"] * 2)),
        "noisy": backbone.predict(-noisy, t, condition),
    }
    assert not [name for name, other in others.items() if torch.equal(other, result)]


@torch.no_grad()
def test_a_repeated_condition_is_the_condition_for_each(backbone: Backbone) -> None:
    condition = backbone.condition(pixels(1), hole(1), ["a photo of sks"])
    noisy, t = latents(backbone, 3), torch.tensor(300)
    many = backbone.predict(noisy, t, condition.repeat(3))
    for index in range(3):
        one = backbone.predict(noisy[index : index + 1], t, condition)
        torch.testing.assert_close(one[0], many[index], atol=1e-5, rtol=0)


def test_a_loaded_base_is_frozen_and_in_evaluation_mode(backbone: Backbone) -> None:
    networks = backbone.trainable()
    assert "unet" in networks
    for network in networks.values():
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_gradients_reach_every_adapter_and_nothing_else(backbone: Backbone) -> None:
    attach_adapters(backbone, TrainConfig(layers="attention"), seed=1)
    condition = backbone.condition(pixels(), hole(), ["a photo of sks", ""])
    torch.autograd.backward(backbone.predict(latents(backbone), torch.tensor([5, 900]), condition).square().mean())
    ours = adapter_parameters(backbone)
    for name, network in backbone.trainable().items():
        for key, parameter in network.named_parameters():
            assert (parameter.grad is not None) == (f"{name}.{key}" in ours)
        ups = [p.grad for n, p in ours.items() if n.startswith(name) and "lora_B" in n]
        assert all(grad is not None and grad.abs().sum() > 0 for grad in ups)


@pytest.mark.parametrize("way", WAYS)
def test_it_runs_in_half_precision_with_float_results(place: tuple[str, Path], way: Way) -> None:
    half = backbone_in(place[1], way)
    assert half.encode(pixels()).dtype == torch.float32
    condition = half.condition(pixels(), hole(), ["a", ""])
    with torch.no_grad():
        assert half.predict(latents(half), torch.tensor([5, 900]), condition).dtype == torch.float32
    assert half.decode(latents(half)).dtype == torch.float32
