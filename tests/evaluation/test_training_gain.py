"""Training on a scene must be worth it: on every example scene seeds from noise beat the untrained base's.

Seeds that begin from a proposal (`guide.draft`) look alike, trained or not: geometry has said what there is to say.

Minutes a scene on one CPU core, so it runs only when asked for: `pytest -m training`. REALFILL_EXAMPLE_BENCH names a
folder that `realfill bench assets/scenes -o FOLDER --base mini --preset mini --matcher sift --set guide.draft=false
--method untrained --method realfill` has made, wholly or in part; what it holds is used, after a check of its
settings, and only what is missing is made.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from realfill import config
from realfill.evaluation.dataset import Case, read_truth
from realfill.evaluation.generate import generate_missing
from realfill.evaluation.metrics.base import Picture, read_picture
from realfill.evaluation.plan import BenchmarkPlan, Scoring
from realfill.evaluation.store import Store
from realfill.events import Event
from realfill.scene import examples
from realfill.scene.examples import Example

pytest.importorskip("torchmetrics", reason="torchmetrics is in requirements-bench.txt")
ALL = examples.examples()


def _silent(event: Event) -> None: ...


def _psnr(store: Store, method: str, case: Case) -> list[float]:
    from realfill.evaluation.metrics.pixels import Psnr

    scene = case.scene()
    pictures = [read_picture(store.picture_path(method, case.name, seed)) for seed in store.seeds(method, case.name)]
    return Psnr().measure(Picture(read_truth(case, scene), "truth"), scene.hole, pictures)


@pytest.mark.training
@pytest.mark.parametrize("example", ALL, ids=[example.name for example in ALL])
def test_training_beats_the_untrained_base(example: Example, tmp_path: Path) -> None:
    case = Case(example.name, example.folder)
    folder = Path(os.environ.get("REALFILL_EXAMPLE_BENCH") or tmp_path)
    wanted = config.make("mini", {"base": "mini", "select.matcher": "sift", "guide.draft": False})
    plan = BenchmarkPlan(folder, ("untrained", "realfill"), wanted, Scoring(matchers=("sift",)))
    assert [one.trouble for one in generate_missing(plan, case, _silent)] == ["", ""]
    store = Store(folder)
    made = [store.read_record(method, case.name) for method in plan.methods]
    assert made[0]["base"]["weights_hash"] == made[1]["base"]["weights_hash"]
    assert not any(one["from_draft"] for one in made)
    before, after = (_psnr(store, method, case) for method in plan.methods)
    assert len(before) == len(after) >= 8
    assert np.mean(after) > np.mean(before)
