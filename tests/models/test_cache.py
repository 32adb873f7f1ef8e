"""What stays loaded from one run to the next, and that nothing depends on it."""

import os
from pathlib import Path

import numpy as np
import pytest

from realfill import config
from realfill.config import Config
from realfill.models import cache, lora
from realfill.models.backbone import Backbone
from realfill.models.cache import keep_models, load_adapter, load_base, note_adapter
from realfill.models.lora import attach_adapters
from realfill.pipeline import stages
from realfill.runs.run import Run

FEW = {
    "train.steps": 2,
    "train.batch": 1,
    "train.rank": 2,
    "sample.steps": 2,
    "sample.batch": 1,
    "select.matcher": "sift",
}


@pytest.fixture
def quick(tiny_base: Path) -> Config:
    return config.make("mini", {**FEW, "base": str(tiny_base), "sample.seeds": "0", "guide.proposals": 0})


def _loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Records every adapter that is read from a file."""
    seen: list[Path] = []
    real = lora.load_lora

    def load(backbone: Backbone, folder: Path, settings: config.TrainConfig) -> None:
        seen.append(folder)
        real(backbone, folder, settings)

    monkeypatch.setattr(lora, "load_lora", load)
    return seen


def test_the_base_stays_until_another_is_asked_for_or_its_files_change(tiny_bases: dict[str, Path]) -> None:
    one, other = str(tiny_bases["epsilon"]), str(tiny_bases["sample"])
    assert load_base(one, "cpu") is not load_base(one, "cpu")
    with keep_models():
        first = load_base(one, "cpu")
        assert load_base(one, "cpu") is first
        second = load_base(other, "cpu")
        assert second.spec.name == other
        weights = next(Path(other).rglob("unet/*.safetensors"))
        os.utime(weights, (1, 1))
        assert load_base(other, "cpu") is not second
    assert load_base(one, "cpu") is not first


def test_more_seeds_of_a_warm_run_are_those_of_a_cold_one(
    quick: Config, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = _loads(monkeypatch)
    more = config.change(quick, {"sample.seeds": "0-1"})
    with keep_models():
        for settings in (quick, more):
            stages.complete(tmp_path / "warm", scene=toy_scene, config=settings, device="cpu")
        assert read == []  # training left it on the base
        stages.complete(tmp_path / "other", scene=toy_scene, config=config.change(quick, {"seed": 9}), device="cpu")
        last = config.change(quick, {"sample.seeds": "0-2"})
        stages.complete(tmp_path / "warm", config=last, device="cpu")
        assert read == [tmp_path / "warm" / "lora"]  # the other run's was there
    for settings in (quick, last):
        stages.complete(tmp_path / "cold", scene=toy_scene, config=settings, device="cpu")
    one, two = Run.open(tmp_path / "warm"), Run.open(tmp_path / "cold")
    for seed in (0, 1, 2):
        np.testing.assert_array_equal(one.read_seed(seed), two.read_seed(seed))


def test_an_adapter_counts_as_there_only_while_nobody_touched_it(
    quick: Config, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = _loads(monkeypatch)
    with keep_models():
        base = load_base(str(tiny_base), "cpu")
        attach_adapters(base, quick.train, seed=1)
        lora.save_lora(base, tmp_path)
        note_adapter(base, tmp_path, quick.train)
        load_adapter(base, tmp_path, quick.train)
        assert read == []
        attach_adapters(base, quick.train, seed=2)  # another run's training
        load_adapter(base, tmp_path, quick.train)
        assert len(read) == 1
        load_adapter(base, tmp_path, quick.train)
        assert len(read) == 1
        cache.forget_adapter()
        load_adapter(base, tmp_path, quick.train)
        assert len(read) == 2
        for file in tmp_path.iterdir():
            os.utime(file, (1, 1))
        load_adapter(base, tmp_path, quick.train)
        assert len(read) == 3
