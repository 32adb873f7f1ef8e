"""Held-out patches: always the same, without influence on training, and a sentence when they say enough."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from realfill import config
from realfill.config import Config
from realfill.device.process_group import ProcessGroup
from realfill.errors import OutOfMemory
from realfill.events import Event, HeldOut, Notice
from realfill.pipeline import validation
from realfill.pipeline.resources import Resources
from realfill.pipeline.session import Session
from realfill.pipeline.stages import complete
from realfill.pipeline.validation import HeldOutLoss
from realfill.runs.run import Run
from tests.tiny import tensors_of


@pytest.fixture
def settings(tiny_base: Path) -> Config:
    changes = {"base": str(tiny_base), "train.steps": 3, "train.batch": 1, "train.rank": 2, "sample.seeds": "5"}
    return config.make("mini", {**changes, "select.matcher": "sift", "guide.draft": False, "train.patience": 2})


def make_resources(
    settings: Config, scene: Path, folder: Path, events: list[Event] | None = None
) -> tuple[Session, Resources]:
    run = Run.create(folder, settings, scene)
    report = (lambda event: None) if events is None else events.append
    session = Session(run, report, device="cpu", processes=ProcessGroup("cpu"))
    return session, Resources(session)


def _adapter(folder: Path) -> dict[str, bytes]:
    tensors = load_file(folder / "lora" / "pytorch_lora_weights.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def test_training_that_is_watched_is_training_that_is_not(settings: Config, toy_scene: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    complete(tmp_path / "with", scene=toy_scene, config=settings, device="cpu", report=events.append, until="train")
    without = config.change(settings, {"train.patience": 0})
    quiet: list[Event] = []
    complete(tmp_path / "without", scene=toy_scene, config=without, device="cpu", report=quiet.append, until="train")
    measured = [event for event in events if isinstance(event, HeldOut)]
    assert [event.step for event in measured] == [1, 2, 3]
    assert all(event.loss > 0 for event in measured) and len({event.loss for event in measured}) > 1
    assert not any(isinstance(event, HeldOut) for event in quiet)
    assert _adapter(tmp_path / "with") == _adapter(tmp_path / "without")


def test_the_patches_are_references_and_the_same_whenever_they_are_made(
    settings: Config, toy_scene: Path, tmp_path: Path
) -> None:
    work = make_resources(settings, toy_scene, tmp_path / "run")
    step = HeldOutLoss(*work)._patches
    torch.rand(3)
    again = HeldOutLoss(*work)._patches
    assert all(torch.equal(one, other) for one, other in zip(tensors_of(step), tensors_of(again), strict=True))
    times = step.t.tolist()
    assert times == sorted(set(times)) and times[0] > 0 and times[-1] < 1000
    assert step.items.known.all()  # nothing unknown: none of them shows the target
    assert 0.05 < float(step.items.items.image.hole.mean()) < 0.95
    assert len(step) == validation.PATCHES


def test_a_smaller_plan_measures_the_same(settings: Config, toy_scene: Path, tmp_path: Path) -> None:
    from realfill.device.memory_plan import MemoryPlan
    from realfill.models.lora import attach_adapters

    session, resources = make_resources(settings, toy_scene, tmp_path / "run")
    attach_adapters(resources.backbone, settings.train, seed=0)
    held_out = HeldOutLoss(session, resources)
    assert held_out._loss(MemoryPlan(3, 1, 1)) == pytest.approx(held_out._loss(MemoryPlan(16, 1, 1)), rel=1e-4)


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([5, 4, 3, 2, 1], []),
        ([5, 4, 4.5, 4.2, 4.1, 4.3], [2]),
        ([5, 4, 4.5, 4.2, 3, 3.1, 3.1], [2, 5]),
        ([5, 4, 4.5, 3, 3.5], []),
    ],
)
def test_it_offers_to_stop_once_where_the_loss_no_longer_falls(
    settings: Config, toy_scene: Path, tmp_path: Path, losses: list[float], said: list[int]
) -> None:
    events: list[Event] = []
    held_out = HeldOutLoss(*make_resources(settings, toy_scene, tmp_path / "run", events))
    for step, loss in enumerate(losses, 1):
        held_out._compare(step, loss)
    sentences = [event.sentence for event in events if isinstance(event, Notice)]
    assert sentences == [
        f"The loss on held-out patches has not fallen since step {step}; stopping now loses little." for step in said
    ]


def test_a_long_training_is_not_measured_all_the_time(settings: Config, toy_scene: Path, tmp_path: Path) -> None:
    wanted = config.change(settings, {"train.steps": 2000})
    assert HeldOutLoss(*make_resources(wanted, toy_scene, tmp_path / "run"))._every == validation.SELDOM


def test_too_little_memory_ends_the_measuring_and_not_the_training(
    settings: Config, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> float:
        raise OutOfMemory("no room")

    monkeypatch.setattr(HeldOutLoss, "_loss", full)
    events: list[Event] = []
    complete(tmp_path / "run", scene=toy_scene, config=settings, device="cpu", report=events.append, until="train")
    assert Run.open(tmp_path / "run").is_trained
    assert sum(isinstance(event, Notice) and "held-out" in event.sentence for event in events) == 1
