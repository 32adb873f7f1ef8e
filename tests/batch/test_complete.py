"""One scene of a batch, up to where the method begins."""

import pickle
from pathlib import Path

import pytest

from realfill import config
from realfill.batch.complete import CompleteScene
from realfill.config import Config
from realfill.errors import SceneError
from realfill.runs.run import Run


def _config(folder: Path) -> Config:
    return config.make("mini", {"train.batch": 8})


def _work(runs: Path) -> CompleteScene:
    loaded = pickle.loads(pickle.dumps(CompleteScene(runs, _config, "cpu")))
    assert isinstance(loaded, CompleteScene)
    return loaded


def test_a_refused_scene_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "scenes" / "bad" / "ref").mkdir(parents=True)
    with pytest.raises(SceneError, match="bad is not a scene"):
        _work(tmp_path / "runs")(tmp_path / "scenes" / "bad")
    assert not (tmp_path / "runs").exists()


def test_done_is_what_these_settings_have_made(toy_scene: Path, tmp_path: Path) -> None:
    work = _work(tmp_path / "runs")
    assert not work.is_done(toy_scene)
    run = Run.create(tmp_path / "runs" / toy_scene.name, _config(tmp_path), toy_scene)
    run.result.touch()
    assert not work.is_done(toy_scene)
    run.enter("done")
    assert work.is_done(toy_scene)
    run.update(config.change(run.config, {"sample.seeds": "0-99"}))
    assert not work.is_done(toy_scene)


def test_after_a_kill_half_is_computed_at_once(toy_scene: Path, tmp_path: Path) -> None:
    work = _work(tmp_path / "runs")
    work.lower_memory(toy_scene)  # before there is a run
    run = Run.create(tmp_path / "runs" / toy_scene.name, _config(tmp_path), toy_scene)
    for expected in (4, 2, 1, 1):
        work.lower_memory(toy_scene)
        assert Run.open(run.folder).config.train.micro_batch == expected
