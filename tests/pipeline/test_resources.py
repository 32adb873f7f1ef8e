"""The base that makes the seeds, where it is another than the one that was trained."""

from pathlib import Path
from typing import Any

import pytest

from realfill import config
from realfill.errors import WeightsError
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
    with pytest.raises(WeightsError, match=r"sample\.base.*stable_diffusion.*flux2_klein"):
        complete(tmp_path / "run", scene=toy_scene, config=wrong, device="cpu", until="sample")
