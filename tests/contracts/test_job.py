"""The whole job of every family: train, resume, sample as the stock pipeline does, rank, export, and its adapter."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from realfill import config
from realfill.config import GuideConfig, SampleConfig, TrainConfig
from realfill.imaging.crop import CropTransform, crop_around
from realfill.imaging.photo import read_photo
from realfill.models.backbone import Backbone
from realfill.models.lora import LayerDropout, adapter_parameters, attach_adapters, detach_adapters, save_lora
from realfill.models.registry import load_backbone
from realfill.pipeline import complete
from realfill.runs.run import Run
from realfill.sampling import sample
from realfill.sampling.draft_prior import DraftPrior, make_start
from realfill.scene.scene import Scene
from realfill.training import train
from realfill.training.batches import draw_batch, prepare_views
from realfill.training.loader import draw_noise
from realfill.training.loss import realfill_loss
from tests.families import JOBS, TINY, StockCall
from tests.sampling.decoded import decoded_pixels

PROMPT = "a photo of sks"
TRAIN = TrainConfig(steps=4, batch=3, rank=4, checkpoint_every=2, learning_rate_unet=1e-2, learning_rate_text=1e-2)


@pytest.fixture(scope="module", params=JOBS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def place(family: str, tiny_bases: dict[str, Path]) -> Path:
    return tiny_bases[family]


@pytest.fixture(scope="module")
def _loaded(place: Path) -> Backbone:
    return load_backbone(str(place), device="cpu", dtype=torch.float32)


@pytest.fixture
def backbone(_loaded: Backbone) -> Iterator[Backbone]:
    yield _loaded
    detach_adapters(_loaded)


def crop_of(scene: Scene) -> CropTransform:
    return crop_around(scene.hole, size=32, multiple=8, context=0.5)


def adapted(backbone: Backbone, folder: Path) -> Path:
    """Attaches an adapter whose weights matter, and saves it."""
    attach_adapters(backbone, TrainConfig(rank=4, alpha=8.0), seed=1)
    generator = torch.Generator().manual_seed(8)
    for parameter in adapter_parameters(backbone).values():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    save_lora(backbone, folder)
    return folder


def denoised(
    backbone: Backbone,
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    *,
    priors: Sequence[DraftPrior] = (),
    **given: Any,
) -> Tensor:
    """The latents (1, c, h, w) that a seed ends with."""
    ends: list[Tensor] = []
    decode = backbone.decode

    def listening(latents: Tensor) -> Tensor:
        ends.append(latents)
        return decode(latents)

    settings = SampleConfig.model_validate({"sampler": "ddim", **given})
    with monkeypatch.context() as patch:
        patch.setattr(backbone, "decode", listening)
        list(sample.sample(backbone, scene, crop_of(scene), settings, prompt=PROMPT, seeds=[1], priors=priors))
    return torch.cat(ends)


def sampled(
    backbone: Backbone, scene: Scene, seeds: list[int], monkeypatch: pytest.MonkeyPatch, **given: Any
) -> Tensor:
    """The decoded pixels (B, 3, H, W) of some seeds before they are rounded to eight bits."""
    settings = SampleConfig.model_validate({"sampler": "ddim", "steps": 4, **given})
    with decoded_pixels(backbone, monkeypatch) as decoded:
        list(sample.sample(backbone, scene, crop_of(scene), settings, prompt=PROMPT, seeds=seeds))
    return torch.cat(decoded)


def test_a_scene_ends_as_a_ranked_set_and_a_result(place: Path, toy_scene: Path, tmp_path: Path) -> None:
    settings = config.make(
        "quick",
        {
            **{"base": str(place), "fit.size": 32, "train.steps": 2, "train.batch": 2, "train.rank": 2},
            **{"sample.seeds": "0-2", "sample.steps": 2, "select.matcher": "sift", "export.match_colour": False},
        },
    )
    outcome = complete(tmp_path / "run", scene=toy_scene, config=settings, device="cpu")
    run = Run.open(tmp_path / "run")
    assert sorted(run.seeds_done()) == [0, 1, 2]
    assert run.read("scores")["seeds"][0]["seed"] == outcome.seed
    assert run.fact("base")["family"] == load_backbone(str(place), device="cpu").spec.family
    assert outcome.result is not None
    before, after = read_photo(run.scene_folder / "target" / "target.png"), read_photo(outcome.result)
    hole = read_photo(run.scene_folder / "target" / "mask.png")[..., 0] > 0
    far = ~_grown(hole, settings.export.feather)
    assert np.array_equal(before[far], after[far]) and not np.array_equal(before[hole], after[hole])


def _grown(hole: Any, pixels: int) -> Any:
    plane = torch.from_numpy(hole)[None, None].float()
    return torch.nn.functional.max_pool2d(plane, 2 * pixels + 1, 1, pixels)[0, 0].numpy() > 0


@pytest.mark.parametrize("pool", [0, 3])
def test_a_training_that_was_interrupted_is_the_training(
    backbone: Backbone, toy: Scene, tmp_path: Path, pool: int
) -> None:
    settings = TRAIN.model_copy(update={"pool": pool})

    def finish(folder: Path, stop_after: int | None = None) -> dict[str, Tensor]:
        steps = train.train(backbone, toy, crop_of(toy), settings, seed=3, folder=folder)
        for step in steps:
            if step.step == stop_after:
                steps.close()
        return {name: value.detach().clone() for name, value in adapter_parameters(backbone).items()}

    whole = finish(tmp_path / "whole")
    finish(tmp_path / "cut", stop_after=3)
    again = finish(tmp_path / "cut")
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    assert any(value.abs().max() > 1e-3 for name, value in whole.items() if "lora_B" in name)


def test_layers_are_dropped_at_their_rate(backbone: Backbone) -> None:
    attach_adapters(backbone, TRAIN, seed=1)
    gates = LayerDropout(backbone, rate=0.1, seed=3)
    drawn = []
    for step in range(400):
        gates.draw(step)
        drawn.append(gates.gates)
    gates.close()
    found = torch.stack(drawn)
    assert len(found[0]) > 5 and len(set(found.sum(0).tolist())) > 1
    count = found.numel()
    assert float((found == 0).float().mean()) == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / count) ** 0.5)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_sampling_is_the_stock_pipelines_and_its_loader_takes_the_adapter(
    family: str,
    place: Path,
    backbone: Backbone,
    toy: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    guidance: float,
) -> None:
    if guidance not in TINY[family].guidances:
        pytest.skip("the stock pipeline has no classifier-free guidance")
    lora = adapted(backbone, tmp_path / "lora")
    pipeline = backbone.pipeline_class().from_pretrained(place, variant=TINY[family].variant, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(lora)
    crop, seeds = crop_of(toy), [17, 3]
    call = StockCall(backbone, toy, crop, PROMPT, guidance, steps=4, seeds=seeds)
    theirs = TINY[family].fill(pipeline, call)
    ours = sampled(backbone, toy, seeds, monkeypatch, guidance=guidance)
    assert ours.shape == (2, 3, crop.height, crop.width)
    torch.testing.assert_close(ours / 2 + 0.5, theirs, atol=1e-4, rtol=0)
    assert theirs.std() > 0.01 and not torch.allclose(theirs[0], theirs[1], atol=1e-2)
    detach_adapters(backbone)
    assert not torch.allclose(sampled(backbone, toy, seeds, monkeypatch, guidance=guidance), ours, atol=1e-3)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm++"])
def test_a_seed_alone_equals_itself_in_a_batch(
    backbone: Backbone, toy: Scene, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = sampled(backbone, toy, [17], monkeypatch, sampler=sampler)
    together = sampled(backbone, toy, [2, 17, 0], monkeypatch, sampler=sampler)
    torch.testing.assert_close(alone[0], together[1], atol=1e-4, rtol=0)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_known_cells_that_are_held_are_the_targets(
    backbone: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = denoised(backbone, toy, monkeypatch, steps=3, hold=True)
    pictures = sample.sampling_input(toy, crop_of(toy))
    known = backbone.latent_known(1 - pictures.hole) > 0.5
    clean, known = (part.expand(latents.shape) for part in (backbone.encode(pictures.pixels), known))
    assert torch.equal(latents[known], clean[known])
    assert not torch.isclose(latents[~known], clean[~known], atol=1e-3).all()


@pytest.mark.parametrize("ask", ["loss", "seed"])
def test_what_the_targets_hole_holds_adds_nothing(
    backbone: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    paint = np.random.default_rng(2).integers(0, 256, toy.target.shape, dtype=np.uint8)
    other = dataclasses.replace(toy, target=np.where(toy.hole[..., None], paint, toy.target))
    known = dataclasses.replace(toy, target=np.where(toy.hole[..., None], toy.target, paint))
    compute: dict[str, Callable[[Scene], Tensor]] = {
        "loss": lambda scene: _losses(backbone, scene),
        "seed": lambda scene: sampled(backbone, scene, [5], monkeypatch),
    }
    assert torch.equal(compute[ask](toy), compute[ask](other))
    assert not torch.equal(compute[ask](toy), compute[ask](known))


def _losses(backbone: Backbone, scene: Scene) -> Tensor:
    """The losses of eight items, all photos beside each."""
    from realfill.training.context import SceneContext

    views = prepare_views(scene, crop_of(scene), TRAIN, cell=backbone.spec.loss_cell)
    batch = draw_batch(views, TRAIN, seed=1, step=2, indices=range(8))
    assert any(batch.is_target)
    times, noises = zip(*(draw_noise(backbone, views, TRAIN, seed=1, step=2, index=i) for i in range(8)), strict=True)
    beside = SceneContext(backbone, views)
    context = [beside.all(numbers) for numbers in batch.context]
    with torch.no_grad():
        return realfill_loss(backbone, batch, t=torch.cat(times), noise=torch.cat(noises), context=context)


def test_seeds_begin_from_the_draft_in_the_familys_own_latents(
    backbone: Backbone, toy: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The less noise the draft is redone from, the nearer the picture stays to it."""
    crop, rng = crop_of(toy), np.random.default_rng(4)
    photo = rng.integers(0, 256, (crop.height, crop.width, 3), dtype=np.uint8)
    sure = np.ones(photo.shape[:2], np.float32)

    def distance(strength: float) -> float:
        guide = GuideConfig(draft=True, warm=1.0, strength=strength, known=True)
        prior = DraftPrior(photo, sure, crop.crop_hole(toy.hole), guide)
        (latents,) = denoised(backbone, toy, monkeypatch, priors=[prior], steps=40)
        return float((latents - make_start(prior, backbone).clean[0]).square().mean())

    near, far = distance(0.05), distance(1.0)
    assert near < 0.3 * far
