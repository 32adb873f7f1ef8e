"""Previews while training: there, small, and without any influence on what training makes."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from realfill import config
from realfill.config import Config
from realfill.device.process_group import ProcessGroup
from realfill.errors import OutOfMemory
from realfill.events import Event, Notice, PreviewReady
from realfill.pipeline import previews
from realfill.pipeline.previews import PreviewMaker
from realfill.pipeline.resources import Resources
from realfill.pipeline.session import Session
from realfill.pipeline.stages import complete
from realfill.runs.run import Run
from realfill.sampling import sample


@pytest.fixture
def settings(tiny_base: Path) -> Config:
    changes = {"base": str(tiny_base), "train.steps": 4, "train.batch": 1, "train.rank": 2, "sample.seeds": "5"}
    return config.make("mini", {**changes, "sample.steps": 1, "select.matcher": "sift", "guide.draft": False})


def _adapter(folder: Path) -> dict[str, bytes]:
    tensors = load_file(folder / "lora" / "pytorch_lora_weights.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def test_training_with_previews_is_training_without(settings: Config, toy_scene: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    with_them = config.change(settings, {"train.preview_every": 2})
    complete(tmp_path / "with", scene=toy_scene, config=with_them, device="cpu", report=events.append, until="train")
    complete(tmp_path / "without", scene=toy_scene, config=settings, device="cpu", until="train")
    run = Run.open(tmp_path / "with")
    assert [step for step, _ in run.previews()] == [2, 4]
    assert [event.step for event in events if isinstance(event, PreviewReady)] == [2, 4]
    assert run.previews()[0][1].read_bytes() != run.previews()[1][1].read_bytes()
    assert Run.open(tmp_path / "without").previews() == []
    assert _adapter(tmp_path / "with") == _adapter(tmp_path / "without")


def test_previews_may_be_switched_on_for_a_run_that_was_begun(
    settings: Config, toy_scene: Path, tmp_path: Path
) -> None:
    run = Run.create(tmp_path / "run", settings, toy_scene)
    run.update(config.change(settings, {"train.preview_every": 3}))
    assert Run.open(run.folder).config.train.preview_every == 3


def test_too_little_memory_ends_the_previews_and_not_the_training(
    settings: Config, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutOfMemory("no room")

    monkeypatch.setattr(sample, "sample", full)
    events: list[Event] = []
    changed = config.change(settings, {"train.preview_every": 1})
    complete(tmp_path / "run", scene=toy_scene, config=changed, device="cpu", report=events.append, until="train")
    assert Run.open(tmp_path / "run").is_trained
    assert sum(isinstance(event, Notice) and "previews" in event.sentence for event in events) == 1


def test_a_long_training_leaves_a_strip_and_not_a_thousand(
    settings: Config, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = config.change(settings, {"train.steps": 2000, "train.preview_every": 10})
    run = Run.create(tmp_path / "run", changed, toy_scene)
    session = Session(run, lambda event: None, device="cpu", processes=ProcessGroup("cpu"))
    maker = PreviewMaker(session, Resources(session))
    made: list[int] = []
    monkeypatch.setattr(maker, "_make", made.append)
    for step in range(1, 2001):
        maker.make_if_due(step)
    assert previews.LONGEST / 2 < len(made) <= previews.LONGEST
    assert all(step % 10 == 0 for step in made)
