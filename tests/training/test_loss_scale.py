"""fp16: gradients right to a hundredth by a scaled loss, steps left out where it was too large, exact resume."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from realfill import config
from realfill.errors import Diverged
from realfill.imaging.crop import crop_around
from realfill.models.backbone import Backbone
from realfill.models.lora import adapter_parameters
from realfill.models.registry import is_present, load_backbone
from realfill.runs.layout import checkpoint_path
from realfill.scene.scene import Scene
from realfill.training import loss_scale, train
from realfill.training.checkpoints import TrainState
from realfill.training.loss_scale import make_scaler, scaler_state
from tests.pretended_card import CARDS, pretend_card

CPU = torch.device("cpu")
MINI = config.PRESETS["mini"].train.model_copy(update={"steps": 1, "batch": 1, "pool": 1, "layers": "attention"})


def gradient(backbone: Backbone, scene: Scene, folder: Path) -> Tensor:
    """All adapters' gradients of a first step."""
    crop = crop_around(scene.hole, size=32, multiple=32, context=0.5)
    list(train.train(backbone, scene, crop, MINI, seed=1, folder=folder))
    gradients = [value.grad for value in adapter_parameters(backbone).values() if value.grad is not None]
    return torch.cat([one.float().flatten() for one in gradients]).cpu()


def test_fp16_gradients_are_those_of_float32(toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """U-Net and text encoder in fp16; pictures are encoded in float32, a hundred times as quick on a processor."""
    if not is_present("mini"):
        pytest.skip("the embedded base is not in this checkout")
    with pretend_card(CARDS["T4"]):
        wide = load_backbone("mini", device="cuda", dtype=torch.float32)
        half = load_backbone("mini", device="cuda")
        assert half.dtype == torch.float16
        monkeypatch.setattr(half, "encode", wide.encode)
        exact = gradient(wide, toy, tmp_path / "float32")
        scaled = gradient(half, toy, tmp_path / "scaled")
        monkeypatch.setattr(loss_scale, "_FIRST", 1.0)
        plain = gradient(half, toy, tmp_path / "plain")
    assert float((scaled - exact).norm() / exact.norm()) < 0.01
    assert float((plain - exact).norm() / exact.norm()) > 0.02  # what the scale is for; worse in larger pictures


def step(scaler: torch.amp.GradScaler, optimiser: torch.optim.Optimizer, parameter: Tensor, gradient: float) -> None:
    parameter.grad = torch.full_like(parameter, gradient) * float(scaler.get_scale())
    scaler.unscale_(optimiser)
    train.update_parameters(scaler, optimiser)


def test_a_step_that_overflows_is_left_out_and_the_scale_halved() -> None:
    parameter = torch.ones(3, requires_grad=True)
    optimiser = torch.optim.AdamW([parameter], lr=0.1, fused=True)
    scaler = make_scaler(CPU, fp16=True)
    step(scaler, optimiser, parameter, float("inf"))
    assert torch.equal(parameter, torch.ones(3))
    assert scaler.get_scale() == loss_scale._FIRST / 2
    step(scaler, optimiser, parameter, 1.0)
    assert not torch.equal(parameter, torch.ones(3))


def test_scale_and_count_of_good_steps_are_in_the_checkpoint(tmp_path: Path) -> None:
    def make() -> tuple[Tensor, torch.optim.Optimizer, torch.amp.GradScaler, TrainState]:
        parameter = torch.ones(3, requires_grad=True)
        optimiser = torch.optim.AdamW([parameter], lr=0.1, fused=True)
        scaler = make_scaler(CPU, fp16=True)
        return parameter, optimiser, scaler, TrainState({"only": parameter}, optimiser, scaler)

    parameter, optimiser, scaler, state = make()
    for value in (float("inf"), 1.0, 0.5):
        step(scaler, optimiser, parameter, value)
    state.step = 3
    state.save(tmp_path, keep=1)
    assert checkpoint_path(tmp_path, 3).is_dir()
    other, _, resumed, again = make()
    again.resume(tmp_path)
    assert again.step == 3 and torch.equal(other, parameter)
    before, after = scaler_state(scaler), scaler_state(resumed)
    assert before is not None and after is not None and torch.equal(before, after)
    assert before.tolist() == [loss_scale._FIRST / 2, 2]


def test_only_a_scale_that_cannot_be_lowered_further_ends_the_training() -> None:
    reading = train.Reading(0, torch.tensor(0.5), torch.tensor(float("inf")))
    scaler = make_scaler(CPU, fp16=True)
    assert train.check_finite(reading, scaler) == 0.5
    scaler.update(loss_scale.LEAST)
    with pytest.raises(Diverged):
        train.check_finite(reading, scaler)
    with pytest.raises(Diverged):
        train.check_finite(reading, make_scaler(CPU, fp16=False))
