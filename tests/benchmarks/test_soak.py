"""The soak in short; `python -m benchmarks.reliability.soak --minutes 20` is the long form (docs/robustness.md)."""

from pathlib import Path

import pytest

from benchmarks.reliability import soak


@pytest.mark.long  # what it holds is held by the tests of jobs, runs and the page one by one
def test_kills_a_full_disk_and_hostile_files_lose_nothing(tiny_base: Path, toy_scene: Path) -> None:
    report = soak.soak(0.3, clients=3, kills=3, base=tiny_base, scene=toy_scene)
    assert report["lost"] == 0 and report["defects"] == []
    assert report["bit-identical"] == report["finished"] == report["runs started"] > 0
