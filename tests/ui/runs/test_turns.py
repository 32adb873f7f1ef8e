"""Which runs are done in turns, and that no worker takes those."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from realfill import config
from realfill.errors import OptionError
from realfill.events import StageStarted, TrainStep
from realfill.jobs import queue
from realfill.runs.run import Run
from ui.runs import costs
from ui.runs.turns import Turns
from ui.runs.watch import RunWatch
from ui.tabs.train import base_choices, cost_html


def _work(folder: str, seconds: float) -> Iterator[object]:
    assert not folder, "no turn was to be taken"
    yield seconds


TURNS = Turns(_work, base="sd2", size=512, multiple=8)


def _make(folder: Path, scene: Path, **changes: object) -> Run:
    return Run.ensure(folder, config.make("quick", changes), scene)


def test_drafts_and_mini_are_computed_at_once() -> None:
    assert TURNS.takes(config.make("quick", {}))
    assert not TURNS.takes(config.make("mini", {}))
    assert not TURNS.takes(config.make("quick", {"guide.only": True, "guide.draft": True}))


def test_another_base_is_refused() -> None:
    with pytest.raises(OptionError, match="bases mini and sd2"):
        TURNS.takes(config.make("quick", {"base": "sdxl"}))


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


def test_how_many_turns_it_takes_is_said_before(tmp_path: Path) -> None:
    settings = config.make("quick", {"train.steps": 100, "sample.seeds": "0-9"})
    assert "the first run tells" in cost_html(tmp_path, settings, "quick", TURNS)
    costs.remember(tmp_path, settings, "step", [1.0] * 9)
    costs.remember(tmp_path, settings, "seed", [2.0])
    told = cost_html(tmp_path, settings, "quick", TURNS)
    assert "shares of 45 s" in told and "4 of them at least" in told  # 120 s, and 37 s of each are worked
    assert "GPU with" not in told and "downloads" not in told
    assert "costs none of your quota" in cost_html(tmp_path, config.make("mini", {}), "mini", TURNS)
    assert "bases mini and sd2" in cost_html(tmp_path, config.make("quick", {"base": "sdxl"}), "quick", TURNS)
    assert [name for _, name in base_choices("sd2", tmp_path, TURNS.bases)] == ["mini", "sd2"]


def test_between_two_turns_it_is_said_how_far_it_is(toy_scene: Path, tmp_path: Path) -> None:
    run = _make(tmp_path / "run", toy_scene, **{"train.steps": 100})
    watch, shares = RunWatch(run), []
    for first in (1, 41):
        run.append(StageStarted("train", 100, first - 1))
        for step in range(first, first + 40):
            run.append(TrainStep(step, 100, 0.5, 1e-3, 1e-4, 1.0))
        TURNS.wait(run)
        look = watch.look()
        assert f"step {first + 39} of 100" in look.line() and look.line().endswith(queue.WAITS_FOR_TURN)
        assert look.left is not None and "<progress" in look.bar()
        shares.append(look.left.share)
    run.append(StageStarted("train", 100, 80))  # nothing is measured of this turn yet
    watch.look()
    run.append(TrainStep(81, 100, 0.5, 1e-3, 1e-4, 1.0))
    last = watch.look().left
    assert last is not None and 0.2 < shares[0] < shares[1] <= last.share
