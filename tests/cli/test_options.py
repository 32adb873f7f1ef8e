"""What is typed becomes settings; what a run has stays unless it is changed."""

from pathlib import Path

import pytest

from realfill import config
from realfill.cli import options
from realfill.cli.options import Options, scene_folder
from realfill.errors import OptionError, RunError, WeightsError
from realfill.runs.run import Run
from realfill.scene import examples


def test_what_is_given_and_nothing_else(tmp_path: Path) -> None:
    assert Options().changes() == {}
    given = Options(
        base="mini", set=["train.steps=5", "train.prompt=a = b"], seeds="0-3", matcher="sift", variants=True
    )
    assert given.changes() == {
        "base": "mini",
        "train.steps": "5",
        "train.prompt": "a = b",
        "sample.seeds": "0-3",
        "select.matcher": "sift",
        "variants": True,
    }
    with pytest.raises(OptionError, match="no value"):
        Options(set=["train.steps"]).changes()


@pytest.mark.parametrize("index", ["{}", '{"_class_name": "ZImagePipeline"}'])
def test_a_folder_of_another_kind_of_model_is_refused_with_what_would_do(tmp_path: Path, index: str) -> None:
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(WeightsError, match="StableDiffusionXLInpaintPipeline, Flux2KleinPipeline"):
        Options(base=str(tmp_path)).changes()


def test_paths_become_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model_index.json").write_text('{"_class_name": "FluxFillPipeline"}')
    changes = Options(base="base", matcher_weights=Path("loftr.ckpt")).changes()
    assert changes == {"base": str(tmp_path / "base"), "select.weights": str(tmp_path / "loftr.ckpt")}
    assert Options(base="owner/name").changes() == {"base": "owner/name"}
    (tmp_path / "mini").mkdir()
    assert Options(base="mini").changes() == {"base": "mini"}


@pytest.mark.parametrize(
    ("given", "base", "steps"),
    [
        (Options(base="mini"), "mini", config.PRESETS["mini"].train.steps),
        (Options(base="sd2"), "sd2", 500),
        (Options(base="mini", preset="paper"), "mini", 2000),
        (Options(base="sd2", set=["train.steps=7"]), "sd2", 7),
        (Options(preset="mini"), "mini", config.PRESETS["mini"].train.steps),
        (Options(device="cpu"), "mini", config.PRESETS["mini"].train.steps),
    ],
)
def test_presets_follow_the_base(tmp_path: Path, given: Options, base: str, steps: int) -> None:
    made = given.config(tmp_path / "none")
    assert (made.base, made.train.steps) == (base, steps)


def test_a_run_keeps_its_settings(tmp_path: Path, toy_scene: Path) -> None:
    first = config.make("quick", {"base": "mini", "train.steps": 9})
    folder = Run.create(tmp_path / "run", first, toy_scene).folder
    assert Options().config(folder) == first
    assert Options(seeds="1").config(folder) == config.change(first, {"sample.seeds": "1"})
    assert Options(preset="quick", base="mini", set=["train.steps=9"]).config(folder) == first
    with pytest.raises(RunError, match=r"train\.rank"):
        Run.ensure(folder, Options(preset="quick", base="mini", set=["train.rank=4"]).config(folder))


def test_examples_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "FOLDER", tmp_path)
    (tmp_path / "bowl" / "target").mkdir(parents=True)
    assert scene_folder(None, "bowl") == tmp_path / "bowl"
    with pytest.raises(OptionError, match="the examples are: bowl"):
        scene_folder(None, "../../etc")
    with pytest.raises(OptionError, match="not both"):
        scene_folder(tmp_path, "bowl")
    assert scene_folder(tmp_path, None) == tmp_path


def test_where_a_run_lives(tmp_path: Path) -> None:
    assert options.run_folder(None, tmp_path / "berry_bowl") == Path("runs/berry_bowl")
    assert options.run_folder(tmp_path, None) == tmp_path
    with pytest.raises(OptionError, match="Give a scene folder"):
        options.run_folder(None, None)
