"""Every backbone answers the same questions; a new family adds its tiny base to `tests.families` and inherits them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from realfill.config import TrainConfig
from realfill.models.backbone import Backbone, Layers
from realfill.models.lora import adapter_parameters, attach_adapters, detach_adapters
from realfill.models.registry import load_backbone
from tests.families import TINY
from tests.tiny import WAYS, Way, backbone_in, condition_of, tensors_of, whole_pictures

HEIGHT, WIDTH = 32, 48


@pytest.fixture(scope="module", params=TINY)
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
    shape = backbone.spec.latent_shape(HEIGHT, WIDTH)
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def times(backbone: Backbone) -> Tensor:
    """Two times, much noise and little, in the process' own units."""
    return backbone.process.spread_times(50)[[35, 1]]


def test_spec_is_that_of_the_base(backbone: Backbone, place: tuple[str, Path]) -> None:
    assert backbone.spec.name == str(place[1])
    assert backbone.process.prediction_type == TINY[place[0]].predicts
    assert backbone.spec.cell % backbone.spec.loss_cell == 0
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


def test_an_item_is_encoded_as_its_picture_and_its_condition_are(backbone: Backbone) -> None:
    pictures = whole_pictures(pixels(), hole())
    encoded = backbone.encode_items(pictures)
    torch.testing.assert_close(encoded.clean, backbone.encode(pixels()), atol=1e-5, rtol=0)
    for mine, other in zip(tensors_of(encoded.image), tensors_of(backbone.image_condition(pictures)), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


def test_latents_and_pixels_lie_in_the_usual_order(backbone: Backbone) -> None:
    condition = condition_of(backbone, pixels(), hole(), ["a", "a"])
    with torch.no_grad():
        found = [backbone.predict(latents(backbone), times(backbone), condition)]
    found += [backbone.encode(pixels()), backbone.decode(latents(backbone))]
    assert all(one.is_contiguous() for one in found)


def test_latents_are_those_of_the_stock_autoencoder(backbone: Backbone, place: tuple[str, Path]) -> None:
    stock = backbone.pipeline_class().from_pretrained(place[1], variant=TINY[place[0]].variant, dtype=torch.float32).vae
    with torch.no_grad():
        wanted = TINY[place[0]].encode(stock, pixels())
        torch.testing.assert_close(backbone.encode(pixels()), wanted, atol=1e-5, rtol=1e-5)
        pictures = TINY[place[0]].decode(stock, latents(backbone)).clamp(-1, 1)
    torch.testing.assert_close(backbone.decode(latents(backbone)), pictures, atol=1e-5, rtol=1e-5)


def test_decode_gives_pixels_in_range(backbone: Backbone) -> None:
    result = backbone.decode(50 * latents(backbone))
    assert result.shape == (2, 3, HEIGHT, WIDTH)
    assert result.min() >= -1 and result.max() <= 1
    assert not result.requires_grad


def test_what_lies_under_the_hole_has_no_influence(backbone: Backbone) -> None:
    painted = torch.where(hole() > 0, torch.full_like(pixels(), float("nan")), pixels())
    clean, other = (
        tensors_of(condition_of(backbone, seen, hole(), ["a photo of sks", ""])) for seen in (pixels(), painted)
    )
    assert all(torch.equal(one, same) for one, same in zip(clean, other, strict=True))
    assert torch.equal(backbone.encode_masked(pixels(), hole()), backbone.encode_masked(painted, hole()))


def test_without_a_hole_a_masked_picture_is_the_picture(backbone: Backbone) -> None:
    nothing = torch.zeros_like(hole())
    assert torch.equal(backbone.encode_masked(pixels(), nothing), backbone.encode(pixels()))
    assert not torch.allclose(backbone.encode_masked(pixels(), hole()), backbone.encode(pixels()), atol=1e-2)


def test_the_loss_counts_no_cell_that_an_unknown_pixel_touches(backbone: Backbone) -> None:
    weight, cell = 1 - hole(1), backbone.spec.loss_cell
    known = backbone.latent_known(weight).expand(1, *backbone.spec.latent_shape(HEIGHT, WIDTH))
    touched = torch.nn.functional.max_pool2d(hole(1), cell)
    assert 0 < float(touched.mean()) < 1
    assert float(known.mean()) == pytest.approx(float(1 - touched.mean()))
    whole = torch.nn.functional.max_pool2d(hole(1), backbone.spec.cell)
    assert known[(whole == 0).expand_as(known)].all()
    hidden = -torch.nn.functional.max_pool2d(-hole(1), backbone.spec.cell)
    assert not known[(hidden == 1).expand_as(known)].any()


def test_items_of_a_condition_do_not_mix(backbone: Backbone) -> None:
    prompts = ["a photo of sks", "", "a photo of sks"]
    together = condition_of(backbone, pixels(3), hole(3), prompts)
    for index, prompt in enumerate(prompts):
        alone = condition_of(backbone, pixels(3)[index : index + 1], hole(1), [prompt])
        for one, other in zip(tensors_of(alone), tensors_of(together.part(index, index + 1)), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@torch.no_grad()
def test_predict_computes_each_item_alone_and_listens_to_all_it_is_told(backbone: Backbone) -> None:
    condition = condition_of(backbone, pixels(), hole(), ["a photo of sks", "a photo of sks"])
    noisy, t = latents(backbone), times(backbone)
    result = backbone.predict(noisy, t, condition)
    assert result.shape == noisy.shape and result.dtype == torch.float32
    first = backbone.predict(noisy[:1], t[:1], condition_of(backbone, pixels()[:1], hole(1), ["a photo of sks"]))
    torch.testing.assert_close(first[0], result[0], atol=1e-5, rtol=0)
    prompts = ["a photo of sks"] * 2
    others = {
        "t": backbone.predict(noisy, t - 10, condition),
        "prompt": backbone.predict(noisy, t, condition_of(backbone, pixels(), hole(), ["", ""])),
        "picture": backbone.predict(noisy, t, condition_of(backbone, pixels(2, 9), hole(), prompts)),
        "hole": backbone.predict(noisy, t, condition_of(backbone, pixels(), hole() * 0, prompts)),
        "noisy": backbone.predict(-noisy, t, condition),
    }
    assert not [name for name, other in others.items() if torch.equal(other, result)]


@torch.no_grad()
def test_what_stands_beside_an_item_is_seen_where_the_family_says_so(backbone: Backbone) -> None:
    beside = [backbone.encode(pixels(1, seed)) for seed in (4, 5)]
    noisy, t, prompts = latents(backbone, 3), times(backbone)[:1].expand(3), ["a photo of sks"] * 3
    plain = backbone.predict(noisy, t, condition_of(backbone, pixels(3), hole(3), prompts))
    context = [beside, beside[::-1], []]
    seen = backbone.predict(noisy, t, condition_of(backbone, pixels(3), hole(3), prompts, context))
    same = [torch.allclose(one, other, atol=1e-5) for one, other in zip(plain, seen, strict=True)]
    assert same == [not backbone.spec.has_context, not backbone.spec.has_context, True]


@torch.no_grad()
def test_a_repeated_condition_is_the_condition_for_each(backbone: Backbone) -> None:
    context = [[backbone.encode(pixels(1, 4))]] if backbone.spec.has_context else []
    condition = condition_of(backbone, pixels(1), hole(1), ["a photo of sks"], context)
    noisy, t = latents(backbone, 3), times(backbone)[0]
    many = backbone.predict(noisy, t, condition.repeat(3))
    for index in range(3):
        one = backbone.predict(noisy[index : index + 1], t, condition)
        torch.testing.assert_close(one[0], many[index], atol=1e-5, rtol=0)


def test_a_loaded_base_is_frozen_and_in_evaluation_mode(backbone: Backbone) -> None:
    networks = backbone.trainable()
    assert next(iter(networks)) in ("unet", "transformer")
    assert networks.keys() == backbone.lora_targets("attention").keys() == backbone.lora_targets("all").keys()
    for network in networks.values():
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("layers", ["attention", "all"])
def test_gradients_reach_every_adapter_and_nothing_else(backbone: Backbone, layers: Layers) -> None:
    attach_adapters(backbone, TrainConfig(layers=layers), seed=1)
    condition = condition_of(backbone, pixels(), hole(), ["a photo of sks", ""])
    torch.autograd.backward(backbone.predict(latents(backbone), times(backbone), condition).square().mean())
    ours = adapter_parameters(backbone)
    for name, network in backbone.trainable().items():
        for key, parameter in network.named_parameters():
            assert (parameter.grad is not None) == (f"{name}.{key}" in ours)
        ups = [p.grad for n, p in ours.items() if n.startswith(f"{name}.") and "lora_B" in n]
        assert ups and all(grad is not None and grad.abs().sum() > 0 for grad in ups)


@pytest.mark.parametrize("way", WAYS)
def test_it_runs_in_half_precision_with_float_results(place: tuple[str, Path], way: Way) -> None:
    half = backbone_in(place[1], way)
    assert half.encode(pixels()).dtype == torch.float32
    condition = condition_of(half, pixels(), hole(), ["a", ""])
    with torch.no_grad():
        assert half.predict(latents(half), times(half), condition).dtype == torch.float32
    assert half.decode(latents(half)).dtype == torch.float32
