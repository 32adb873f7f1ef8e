"""Eq. 3: against a computation by hand, and that the target's hole counts nothing."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from realfill.config import TrainConfig
from realfill.imaging.crop import crop_around
from realfill.models.backbone import Backbone
from realfill.models.latent_grid import known_cells
from realfill.models.lora import adapter_parameters, attach_adapters
from realfill.models.registry import load_backbone_folder
from realfill.models.stable_diffusion import StableDiffusionInpaint
from realfill.scene.scene import Scene
from realfill.training.batches import Batch, draw_batch, prepare_views
from realfill.training.loss import realfill_loss

CONFIG = TrainConfig()


def batch_of(scene: Scene, count: int = 6) -> Batch:
    fit = crop_around(scene.hole, size=32, multiple=8, context=0.5)
    views = prepare_views(scene, fit, CONFIG, cell=2)
    return draw_batch(views, CONFIG, seed=1, step=2, indices=range(count))


def noise_for(batch: Batch) -> tuple[Tensor, Tensor]:
    count, _, height, width = batch.pixels.shape
    generator = torch.Generator().manual_seed(5)
    t = torch.randint(1000, (count,), generator=generator)
    return t, torch.randn(count, 4, height // 2, width // 2, generator=generator)


def by_hand(backbone: StableDiffusionInpaint, batch: Batch, t: Tensor, noise: Tensor) -> list[float]:
    """Eq. 3 item by item from the networks themselves."""
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    products = np.cumprod(1 - betas)
    losses = []
    for index in range(len(t)):
        x, m = batch.pixels[index : index + 1], batch.hole[index : index + 1]
        clean = backbone.vae.encode(x).latent_dist.mean * 0.7
        masked = backbone.vae.encode((1 - m) * x).latent_dist.mean * 0.7
        product = float(products[t[index]])
        eps = noise[index : index + 1]
        noisy = product**0.5 * clean + (1 - product) ** 0.5 * eps
        target = {
            "epsilon": eps,
            "sample": clean,
            "v_prediction": product**0.5 * eps - (1 - product) ** 0.5 * clean,
        }[backbone.process.prediction_type]
        tokens = backbone.tokenizer(batch.prompts[index], padding="max_length", max_length=77, return_tensors="pt")
        words = backbone.text_encoder(tokens.input_ids).last_hidden_state
        output = backbone.unet(torch.cat([noisy, m[..., ::2, ::2], masked], 1), t[index], words).sample
        errors = ((output - target)[0] ** 2).mean(0)
        counted = []
        for row, column in np.ndindex(errors.shape):
            if batch.weight[index, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].all():
                counted.append(float(errors[row, column]))
        losses.append(float(np.mean(counted)))
    return losses


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@torch.no_grad()
def test_the_loss_is_equation_three(toy: Scene, tiny_bases: dict[str, Path], kind: str) -> None:
    backbone = load_backbone_folder(tiny_bases[kind], dtype=torch.float32)
    assert isinstance(backbone, StableDiffusionInpaint)
    batch = batch_of(toy)
    assert any(batch.is_target) and not all(batch.is_target)
    t, noise = noise_for(batch)
    loss = realfill_loss(backbone, batch, t=t, noise=noise)
    assert loss.shape == (len(batch.prompts),)
    torch.testing.assert_close(loss, torch.tensor(by_hand(backbone, batch, t, noise)), atol=1e-4, rtol=1e-4)


def loss_and_gradient(backbone: Backbone, batch: Batch) -> list[Tensor]:
    attach_adapters(backbone, CONFIG, seed=4)
    t, noise = noise_for(batch)
    losses = realfill_loss(backbone, batch, t=t, noise=noise)
    torch.autograd.backward(losses.mean())
    gradients = [parameter.grad for parameter in adapter_parameters(backbone).values()]
    return [losses.detach(), *(g for g in gradients if g is not None)]


def test_the_targets_hole_adds_nothing_to_loss_and_gradient(tiny: Backbone, toy: Scene) -> None:
    paint = np.random.default_rng(2).integers(0, 256, toy.target.shape, dtype=np.uint8)
    other = dataclasses.replace(toy, target=np.where(toy.hole[..., None], paint, toy.target))
    assert any(batch_of(toy).is_target)
    before, after = loss_and_gradient(tiny, batch_of(toy)), loss_and_gradient(tiny, batch_of(other))
    assert len(before) == len(after) > 1
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def predicting(backbone: Backbone, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Put `answer(noisy, t)` in the place of the network, to know what the loss must be."""
    monkeypatch.setattr(backbone, "predict", lambda noisy, t, condition: answer(noisy, t))


def test_only_known_cells_pull(tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(toy, 12)
    t, noise = noise_for(batch)
    leaf = torch.zeros_like(noise, requires_grad=True)
    predicting(tiny, monkeypatch, lambda *_: leaf)
    torch.autograd.backward(realfill_loss(tiny, batch, t=t, noise=noise).sum())
    assert leaf.grad is not None
    known = torch.ones(12, 1, *noise.shape[2:])
    for index, row, column in np.ndindex(12, *noise.shape[2:]):
        pixels = batch.weight[index, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        known[index, 0, row, column] = float(pixels.all())
    assert torch.equal(leaf.grad != 0, (known > 0).expand_as(noise))
    assert (known == 0).any()


def test_a_large_hole_counts_as_much_as_a_reference(
    tiny: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(toy, 4)
    weight = torch.ones_like(batch.weight)
    weight[1, :, 4:] = 0
    weight[2, :, :, 2:20] = 0
    weight[3, :, 1:, 1:] = 0
    weight[3, :, :2, :2] = 1
    batch = dataclasses.replace(batch, weight=weight)
    t, noise = noise_for(batch)
    predicting(tiny, monkeypatch, lambda *_: noise + 2)
    torch.testing.assert_close(realfill_loss(tiny, batch, t=t, noise=noise), torch.full((4,), 4.0))


def test_a_cell_that_one_unknown_pixel_touches_counts_nothing() -> None:
    weight = torch.ones(1, 1, 8, 12)
    weight[0, 0, 3, 7] = 0
    assert known_cells(weight, 4)[0, 0].tolist() == [[1, 0, 1], [1, 1, 1]]
