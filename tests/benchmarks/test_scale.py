"""The scale benchmark: what it simulates, and in a long form that it measures."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks.reliability.scale import Cluster, TimedScene, measure_engine, measure_kills, simulate
from realfill.distributed.executors import Processes, local_places


def test_without_preemptions_the_time_is_the_work_shared_out() -> None:
    calm = simulate(Cluster(scenes=640, workers=64, spread=0.0, between_preemptions=0.0))
    assert calm.wall == pytest.approx(10 * 150.0) and calm.ideal == calm.wall and calm.preemptions == 0


def test_preemptions_cost_what_was_not_saved_and_the_restart() -> None:
    """One worker: wall = work + lost work + restarts, exactly."""
    cluster = Cluster(scenes=200, workers=1, between_preemptions=600.0, restart=60.0)
    stormy = simulate(cluster)
    assert stormy.preemptions > 10
    assert stormy.wall == pytest.approx(stormy.ideal + stormy.lost_work + 60.0 * stormy.preemptions)
    assert stormy.lost_work <= cluster.checkpoint * stormy.preemptions
    assert simulate(cluster) == stormy != simulate(cluster, seed=1)


@pytest.mark.long
def test_engines_and_kills_are_measured(toy_scene: Path, tiny_base: Path, tmp_path: Path) -> None:
    import shutil

    scenes = [Path(shutil.copytree(toy_scene, tmp_path / "scenes" / str(number))) for number in range(4)]
    work = TimedScene(tmp_path / "a", str(tiny_base))
    row = measure_engine("local", lambda: nullcontext(Processes(local_places(1))), work, scenes, few=3)
    assert row.done == 4 and 0 < row.cpu_a_scene < row.first_cpu and 0 < row.start < row.wall
    assert row.start_cpu > 0 and row.alone > 0
    killed = measure_kills(TimedScene(tmp_path / "b", str(tiny_base)), scenes, kills=2)
    assert killed.lost == 0 and killed.tries == 4 + killed.kills
    assert killed.recovery > 0 or not killed.kills
