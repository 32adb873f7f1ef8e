"""Which pictures and counts hold for what a run asks now; nothing that was made is thrown away."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from realfill import config
from realfill.config import Config
from realfill.errors import OptionError, RunError
from realfill.pipeline import scores
from realfill.pipeline.stages import complete
from realfill.runs.export import crop_of_run
from realfill.runs.run import Run
from tests.tiny import make_scene

STEPS = 4


@pytest.fixture(scope="module")
def settings(tiny_base: Path) -> Config:
    training = {"base": str(tiny_base), "train.steps": STEPS, "train.batch": 1, "train.rank": 2}
    training["train.decay"] = 0.0  # with a falling rate, a training that was meant to be longer is another one
    keep = {"train.checkpoint_every": 2, "train.keep_checkpoints": 4, "train.learning_rate_unet": 0.05}
    return config.make(
        "mini",
        {**training, **keep, "sample.seeds": "0-1", "sample.steps": 2, "select.matcher": "sift", "guide.draft": False},
    )


@pytest.fixture(scope="module")
def finished(settings: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; not to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALFILL_LOCKS", str(folder))
        complete(folder / "run", scene=make_scene(folder / "toy"), config=settings, device="cpu")
    return folder / "run"


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Run:
    """A finished run of the test's own."""
    return Run.open(Path(shutil.copytree(finished, tmp_path / "run")))


def _pictures(run: Run) -> dict[int, bytes]:
    return {seed: run.seed_path(seed).read_bytes() for seed in run.seeds_done()}


def test_a_counted_seed_has_its_points(done: Run) -> None:
    fit = done.fact("fit")
    for entry in done.read("scores")["seeds"]:
        record = json.loads(done.matches_path(entry["seed"]).read_text())
        assert record["size"] == [fit["width"], fit["height"]]
        assert record["counts"] == entry["per_reference"]
        assert [part["size"] for part in record["references"]] == [[96, 80], [96, 80]]
        for part, count in zip(record["references"], entry["per_reference"], strict=True):
            points = np.array(part["points"]).reshape(-1, 5)
            assert len(points) == min(count, scores.MOST_POINTS)
            assert ((points[:, :2] > -1) & (points[:, :2] < 96)).all()
            assert (np.diff(points[:, 4]) <= 0).all()


def test_what_the_crop_holds_beyond_the_photo_counts_nothing(settings: Config, toy_scene: Path, tmp_path: Path) -> None:
    for name in ("target", "mask"):
        file = next((toy_scene / "target").glob(f"{name}.*"))
        strip = np.asarray(Image.open(file))[40:64]
        if name == "mask":
            strip = np.where(np.arange(strip.shape[1]) < 60, 255, 0).astype(np.uint8)[None].repeat(len(strip), 0)
        Image.fromarray(strip).save(file)
    for truth in (toy_scene / "target").glob("gt.*"):
        truth.unlink()
    complete(tmp_path / "run", scene=toy_scene, config=settings, device="cpu", until="sample")
    run = Run.open(tmp_path / "run")
    fit = crop_of_run(run)
    assert fit is not None and fit.outside_photo().any()
    reference = Image.open(next(iter(sorted((run.scene_folder / "ref").iterdir()))))
    pixels = np.tile(np.asarray(reference.convert("RGB")), (2, 2, 1))[: fit.height, : fit.width]
    run.write_seed(0, np.ascontiguousarray(pixels))  # matches everywhere
    complete(run, device="cpu")
    parts = json.loads(run.matches_path(0).read_text())["references"]
    points = [(x, y) for part in parts for *_, x, y, _ in part["points"]]
    beyond = fit.outside_photo()

    def outside(x: float, y: float) -> bool:  # however the file's one decimal was rounded
        return all(beyond[int(y + half), int(x + 0.5)] for half in (0.44, 0.56))

    assert points and not any(outside(x, y) for x, y in points)


def test_more_steps_go_on_where_training_ended(done: Run, settings: Config, toy_scene: Path, tmp_path: Path) -> None:
    before = _pictures(done)
    longer = config.change(settings, {"train.steps": STEPS + 3})
    complete(done.folder, config=longer, device="cpu")
    complete(tmp_path / "at once", scene=toy_scene, config=longer, device="cpu")
    again, at_once = Run.open(done.folder), Run.open(tmp_path / "at once")
    assert again.is_trained and again.adapter_steps == STEPS + 3
    name = "lora/pytorch_lora_weights.safetensors"
    ours, reference = load_file(again.folder / name), load_file(at_once.folder / name)
    assert all(ours[key].equal(reference[key]) for key in reference)
    assert _pictures(again) == _pictures(at_once) != before
    earlier = again.folder / "earlier" / "1"
    assert {path.name for path in earlier.iterdir()} == {"seeds", "scores.json", "matches"}
    assert {int(path.stem): path.read_bytes() for path in (earlier / "seeds").glob("*.png")} == before


def test_until_the_longer_training_is_done_the_old_adapter_stays(done: Run, settings: Config) -> None:
    done.update(config.change(settings, {"train.steps": STEPS + 3}))
    opened = Run.open(done.folder)
    assert not opened.is_trained and opened.lora.is_dir() and opened.adapter_steps == STEPS
    with pytest.raises(RunError, match=r"train\.steps"):
        opened.update(config.change(settings, {"train.steps": 1}))


def test_an_earlier_checkpoint_fills_in_otherwise(done: Run, settings: Config) -> None:
    finished = _pictures(done)
    assert done.checkpoint_steps() == [2, 4]
    complete(done.folder, config=config.change(settings, {"sample.checkpoint": 2}), device="cpu")
    earlier = _pictures(done)
    complete(done.folder, config=config.change(settings, {"sample.checkpoint": 4}), device="cpu")
    last = _pictures(done)
    assert earlier.keys() == finished.keys() and earlier != finished
    assert last == finished  # the newest checkpoint is the finished adapter
    with pytest.raises(OptionError, match=r"step 3.*2, 4"):
        complete(done.folder, config=config.change(settings, {"sample.checkpoint": 3}), device="cpu")


def test_pictures_from_before_a_setting_existed_hold(done: Run) -> None:
    made = done.read("seeds/made")
    done.write("seeds/made", {name: made[name] for name in ("sampler", "steps", "guidance", "prompt")})
    scores.set_aside_others(done)
    assert done.seeds_done() == [0, 1] and not (done.folder / "earlier").exists()


def test_what_is_set_aside_never_meets_the_scores_of_others(done: Run, settings: Config) -> None:
    """Killed between the moves, the next start moves the rest; counts of old pictures never rank new ones."""
    done.update(config.change(settings, {"sample.steps": 1}))
    (done.folder / "earlier" / "1").mkdir(parents=True)
    (done.folder / "scores.json").rename(done.folder / "earlier" / "1" / "scores.json")
    scores.set_aside_others(done)
    assert done.seeds_done() == [] and done.read("scores") == {}
    assert len(list((done.folder / "earlier").rglob("*.png"))) == 2
