"""Which runs are done in turns, and that no worker takes those."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from realfill import config
from realfill.errors import OptionError
from realfill.jobs import queue
from realfill.runs.run import Run
from ui.runs.turns import Turns
from ui.runs.watch import RunWatch


def _work(folder: str, seconds: float) -> Iterator[object]:
    assert not folder, "no turn was to be taken"
    yield seconds


TURNS = Turns(_work, base="sd2", size=512, multiple=8)


def _make(folder: Path, scene: Path, **changes: object) -> Run:
    return Run.ensure(folder, config.make("quick", changes), scene)


def test_drafts_and_mini_are_computed_at_once(toy_scene: Path, tmp_path: Path) -> None:
    assert TURNS.takes(_make(tmp_path / "sd2", toy_scene))
    assert not TURNS.takes(_make(tmp_path / "mini", toy_scene, base="mini"))
    assert not TURNS.takes(_make(tmp_path / "draft", toy_scene, **{"guide.only": True, "guide.draft": True}))


def test_another_base_is_refused(toy_scene: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="bases mini and sd2"):
        TURNS.takes(_make(tmp_path / "sdxl", toy_scene, base="sdxl"))


def test_a_run_that_waits_for_its_turn_is_no_workers(toy_scene: Path, tmp_path: Path) -> None:
    run = _make(tmp_path / "run", toy_scene)
    TURNS.wait(run)
    assert queue.waits_for_turn(run.status())
    assert not queue.waiting_runs(tmp_path) and not queue.wants_worker(run.folder)
    assert RunWatch(run).look().line() == queue.WAITS_FOR_TURN and RunWatch(run).look().is_live
    run.request_stop()
    assert list(TURNS.take(run)) == []


def test_a_run_in_the_workers_queue_takes_no_turn(toy_scene: Path, tmp_path: Path) -> None:
    run = _make(tmp_path / "run", toy_scene)
    queue.submit(run)
    assert list(TURNS.take(run)) == []
    assert [one.folder.name for one in queue.waiting_runs(tmp_path)] == ["run"]
