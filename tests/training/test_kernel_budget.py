"""Kernels and waits of a training step of Stable Diffusion 2's layers, in thin, counted on a pretended card.

A kernel takes 6-10 µs to start whatever it computes, so their number is what a fast card waits for. It depends on
the layers alone, not on their width.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.speed import random_sd2
from realfill import config as settings
from realfill.config import TrainConfig
from realfill.device.memory_plan import MemoryPlan
from realfill.imaging.crop import crop_around
from realfill.models import lora
from realfill.models.fast import switch
from realfill.models.out_of_memory import MemoryBudget
from realfill.models.registry import load_backbone
from realfill.models.stable_diffusion import StableDiffusionInpaint
from realfill.scene.scene import Scene
from realfill.training import train
from tests.pretended_card import CARDS, pretend_card

QUICK = settings.PRESETS["quick"].train.model_copy(update={"steps": 3, "batch": 2, "pool": 1})


def test_a_steady_step_keeps_its_budget(tmp_path: Path) -> None:
    """`quick`, all items of its pool encoded, no autoencoder; the goal was 3,500 kernels and one wait."""
    with pretend_card(CARDS["H200"]) as card:
        pipeline = random_sd2.pipeline(random_sd2.DEEP, device="cpu", dtype=torch.bfloat16).to("cuda")
        backbone = StableDiffusionInpaint(pipeline, name="sd2", weights_hash="")
        scene, crop = random_sd2.scene(tmp_path / "scene", 64)
        steps = train.train(backbone, scene, crop, QUICK, seed=0, folder=tmp_path / "checkpoints")
        next(steps)
        card.reset_counts()
        next(steps)
        kernels, waits = card.kernels, dict(card.waits)
        steps.close()
    assert 2400 < kernels <= 2700
    assert sum(waits.values()) == 1, waits


def test_layers_that_are_computed_as_one_learn_the_same(
    tiny_base: Path, toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queries, keys and values in one product, each by itself, and PEFT's own way."""
    crop = crop_around(toy.hole, size=32, multiple=8, context=0.5)
    config = TrainConfig(steps=3, batch=2, learning_rate_unet=1e-2, learning_rate_text=1e-2, layer_dropout=0.3)

    def learn(name: str) -> tuple[list[float], int]:
        with pretend_card(CARDS["H200"]) as card:
            backbone = load_backbone(str(tiny_base), device="cuda")
            assert backbone.dtype == torch.bfloat16
            steps = list(train.train(backbone, toy, crop, config, seed=0, folder=tmp_path / name))
            return [step.loss for step in steps], card.kernels

    joined, fewest = learn("joined")
    monkeypatch.setattr(lora, "find_siblings", lambda network, layers: zip(layers))
    apart, more = learn("apart")
    monkeypatch.setenv(switch.VARIABLE, "1")
    plain, most = learn("plain")
    assert fewest < more < most
    assert joined == pytest.approx(apart, rel=5e-3)
    assert joined == pytest.approx(plain, rel=2e-2)


def test_a_parked_autoencoder_makes_one_journey_a_step(tiny_base: Path, toy: Scene, tmp_path: Path) -> None:
    """The step's items are encoded before its four pieces need the room."""
    journeys: list[str] = []
    with pretend_card(CARDS["RTX 3070"]):
        backbone: Any = load_backbone(str(tiny_base), device="cuda")
        move = backbone.vae.to

        def moved(place: Any) -> Any:
            journeys.append(str(place))
            return move(place)

        backbone.vae.to = moved
        budget = MemoryBudget(MemoryPlan(items=1, seeds=1, pictures=1, parked=True))
        crop, config = crop_around(toy.hole, size=32, multiple=8, context=0.5), TrainConfig(steps=3, batch=4)
        steps = train.train(backbone, toy, crop, config, seed=0, folder=tmp_path, budget=budget)
        next(steps)
        journeys.clear()
        next(steps)
        found = list(journeys)
        steps.close()
    assert found == ["cuda:0", "cpu"]
