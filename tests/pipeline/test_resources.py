"""The base that makes the seeds, where it is another than the one that was trained."""

from pathlib import Path
from typing import Any

import pytest

from realfill import config
from realfill.errors import WeightsError
from realfill.events import Stage
from realfill.imaging.photo import read_photo
from realfill.pipeline import complete
from realfill.runs.run import Run
from tests.tiny import make_klein_base


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_klein_base(tmp_path_factory.mktemp("distilled") / "klein", is_distilled=True, seed=99)


def settings(base: Path, **changes: Any) -> config.Config:
    few: dict[str, Any] = {
        **{"base": str(base), "fit.size": 32, "train.steps": 1, "train.batch": 1, "train.rank": 2},
        **{"sample.seeds": "0", "sample.steps": 2, "sample.guidance": 1.0, "select.matcher": "sift"},
    }
    return config.make("quick", {**few, **changes})


def test_a_distilled_base_makes_the_seeds_with_the_adapter_of_the_other(
    tiny_bases: dict[str, Path], distilled: Path, toy_scene: Path, tmp_path: Path
) -> None:
    folder, base = tmp_path / "run", tiny_bases["klein"]
    complete(folder, scene=toy_scene, config=settings(base), device="cpu", until="sample")
    own = Run.open(folder).read_seed(0)
    assert Run.open(folder).fact("sampling_base") is None
    complete(folder, config=settings(base, **{"sample.base": str(distilled)}), device="cpu", until="sample")
    run = Run.open(folder)
    assert (own != run.read_seed(0)).any()
    assert run.fact("base")["name"] == str(base) and run.fact("sampling_base")["name"] == str(distilled)
    assert run.fact("base")["weights_hash"] != run.fact("sampling_base")["weights_hash"]
    complete(folder, config=settings(base), device="cpu", until="sample")
    assert (own == Run.open(folder).read_seed(0)).all()


def test_a_base_of_another_family_cannot_make_the_seeds(
    tiny_bases: dict[str, Path], tiny_base: Path, toy_scene: Path, tmp_path: Path
) -> None:
    wrong = settings(tiny_bases["klein"], **{"sample.base": str(tiny_base)})
    ways: list[tuple[Stage, int]] = [("sample", 0), ("train", 1)]
    for until, preview_every in ways:
        changed = config.change(wrong, {"train.preview_every": preview_every})
        with pytest.raises(WeightsError, match=r"sample\.base.*stable_diffusion.*flux2_klein"):
            complete(tmp_path / until, scene=toy_scene, config=changed, device="cpu", until=until)


def test_previews_are_drawn_by_the_base_that_makes_the_seeds_and_training_stays_the_same(
    tiny_bases: dict[str, Path], distilled: Path, toy_scene: Path, tmp_path: Path
) -> None:
    base = tiny_bases["klein"]
    changes = {"train.steps": 2, "train.learning_rate_unet": 0.05, "train.pool": 0}
    for name, other in (("own", {}), ("distilled", {"sample.base": str(distilled)})):
        settings_of = settings(base, **{**changes, **other, "train.preview_every": 2})
        complete(tmp_path / name, scene=toy_scene, config=settings_of, device="cpu", until="train")
    complete(tmp_path / "without", scene=toy_scene, config=settings(base, **changes), device="cpu", until="train")
    runs = {name: Run.open(tmp_path / name) for name in ("own", "distilled", "without")}
    found = {name: run.previews()[0][1].read_bytes() for name, run in runs.items() if run.previews()}
    assert set(found) == {"own", "distilled"} and found["own"] != found["distilled"]
    adapters = {(run.lora / "pytorch_lora_weights.safetensors").read_bytes() for run in runs.values()}
    assert len(adapters) == 1
    seeds = settings(base, **{**changes, "sample.base": str(distilled), "train.preview_every": 2})
    complete(tmp_path / "distilled", config=seeds, device="cpu", until="sample")  # the seed is the preview's
    assert (Run.open(tmp_path / "distilled").read_seed(0) == read_photo(runs["distilled"].previews()[0][1])).all()
