import itertools
import os
import threading
import time
import urllib.parse
from pathlib import Path

import numpy as np
import pytest

from realfill import config
from realfill.events import (
    WAITS_FOR_DEVICE,
    Downloading,
    Event,
    HeldOut,
    Notice,
    PreviewReady,
    SeedReady,
    SeedScored,
    StageStarted,
    TrainStep,
)
from realfill.imaging import photo
from realfill.jobs import queue
from realfill.runs.run import Run
from realfill.runs.status import State
from tests.waiting import wait_until
from ui.runs import costs
from ui.runs.story import Story, running_line
from ui.runs.thumbnails import Thumbnails
from ui.runs.watch import FileCache, RunSnapshot, RunWatch


def step(number: int, loss: float = 0.5, seconds: float = 2.0, total: int = 10) -> TrainStep:
    return TrainStep(number, total, loss, 1e-3, 1e-4, seconds)


def story(*events: Event) -> Story:
    told = Story()
    for event in events:
        told.add(event)
    return told


def final_look(watch: RunWatch) -> RunSnapshot:
    """The first look after which nothing is news."""
    looks: list[RunSnapshot] = []

    def quiet() -> bool:
        looks.append(watch.look())
        return not looks[-1].has_news

    wait_until(quiet, "nothing is news")
    return looks[-1]


def picture(run: Run, seed: int) -> None:
    run.write_seed(seed, np.full((16, 24, 3), 10 * seed, np.uint8))


def test_the_line_says_what_is_done_and_how_fast() -> None:
    told = story(StageStarted("train", 10), step(1, seconds=60.0), step(2), step(3))
    assert running_line(told) == "Learning the scene · step 3 of 10 · 2 s a step"


def test_the_bar_does_not_go_back(run: Run) -> None:
    watch = RunWatch(run)
    shares: list[float] = []
    with run.lock():
        run.enter("running")
        run.append(StageStarted("train", 6))
        for seconds in (1.0, 1.0, 1.0, 30.0, 30.0):
            run.append(step(len(shares) + 1, seconds=seconds))
            left = watch.look().left
            assert left is not None
            shares.append(left.share)
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] < 1
    run.enter("done")
    assert watch.look().left is None


def test_the_tabs_title_tells_how_far_it_is(run: Run) -> None:
    run.labels.update(name="Kitchen <1>")
    with run.lock():
        run.enter("running")
        for event in (StageStarted("train", 10), step(1), step(2)):
            run.append(event)
        look = RunWatch(run).look()
        assert look.left is not None
        assert f'data-title="{100 * look.left.share:.0f} % · Kitchen &lt;1&gt;"' in look.bar()
    run.enter("done")
    assert 'data-title="✓ Kitchen &lt;1&gt;"' in RunWatch(run).look().bar()


def test_a_run_that_was_stopped_says_where_and_how_it_goes_on(run: Run) -> None:
    run.enter("stopped", "Stopped as asked; the same command goes on from here.")
    assert RunWatch(run).look().line() == "Stopped. Resume goes on."
    run.append(StageStarted("train", 75))
    run.append(step(36))
    assert RunWatch(run).look().line() == "Stopped at step 36. Resume goes on."
    run.enter("stopped", "A copy; resume goes on.")
    assert RunWatch(run).look().line() == "A copy; resume goes on."


def test_resuming_forgets_the_losses_after_the_checkpoint() -> None:
    told = story(
        StageStarted("train", 10), *[step(n, loss=float(n)) for n in range(1, 8)], HeldOut(4, 1.0), HeldOut(7, 1.0)
    )
    told.add(StageStarted("train", 10, 5))
    assert sorted(told.losses) == [1, 2, 3, 4, 5] and sorted(told.held_out) == [4]
    told.add(step(6, loss=60.0))
    assert told.losses[6] == 60.0


def test_a_new_stage_starts_a_new_clock() -> None:
    told = story(StageStarted("train", 10), step(1), StageStarted("sample", 4, 1))
    assert told.spent_now == 0
    told.add(SeedReady(3, 2, 4, 5.0))
    assert told.spent_now == pytest.approx(10.0)  # one was there before
    told.add(StageStarted("select", 4))
    told.add(SeedScored(3, 10, 1, 4))
    assert running_line(told) == "Counting matches · seed 1 of 4"


def test_a_notice_is_shown_once() -> None:
    assert story(Notice("a"), Notice("b"), Notice("a")).notices == ["a", "b"]


def test_that_it_waited_is_forgotten_once_it_goes_on() -> None:
    told = story(Notice("a"), Notice(WAITS_FOR_DEVICE), StageStarted("train", 10))
    assert told.notices == ["a", WAITS_FOR_DEVICE]
    told.add(step(1))
    assert told.notices == ["a"]


def test_looking_again_at_an_unchanged_run_gives_the_same_key(run: Run) -> None:
    watch = RunWatch(run)
    run.append(StageStarted("train", 10))
    before = watch.look().key()
    assert watch.look().key() == before
    run.append(step(1))
    after = watch.look()
    assert after.key() != before
    assert after.story.losses == {1: 0.5}


def test_each_kind_of_news_changes_its_own_part(run: Run, folder: Path) -> None:
    watch = RunWatch(run, Thumbnails())
    first = watch.look()
    picture(run, 3)
    second = watch.look()
    until = time.monotonic() + 60
    while not second.cells[0].url and time.monotonic() < until:  # a thread makes the small picture
        second = watch.look()
    assert second.seeds_key() != first.seeds_key()
    assert second.losses_key() == first.losses_key()
    run.append(step(1))
    third = watch.look()
    assert third.losses_key() != second.losses_key()
    assert third.seeds_key() == second.seeds_key()


def test_a_replaced_event_file_is_read_from_its_start(run: Run) -> None:
    watch = RunWatch(run)
    for number in range(1, 6):
        run.append(step(number))
    watch.look()
    (run.folder / "events.jsonl").unlink()
    run.append(step(1, loss=9.0))
    assert watch.look().story.losses == {1: 9.0}


def test_a_torn_line_hides_nothing_that_follows(run: Run) -> None:
    run.append(step(1))
    with (run.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "TrainS')
    watch = RunWatch(run)
    assert sorted(watch.look().story.losses) == [1]
    run.append(step(2))
    assert sorted(watch.look().story.losses) == [1, 2]


def test_the_state_is_text_and_not_markup(run: Run) -> None:
    run.enter("failed", f"<img src=x onerror=alert(1)> in {run.folder}/scene")
    look = RunWatch(run).look()
    assert "<img" not in look.bar()
    assert str(run.folder) not in look.bar()
    run.append(Notice("<script>"))
    assert "<script>" not in RunWatch(run).look().notices()


def test_live_states_are_the_ones_with_news_to_come(run: Run) -> None:
    with run.lock():
        live = {}
        for state in ("queued", "running", "stopped", "failed", "done"):
            run.enter(state)
            live[state] = RunWatch(run).look().is_live
    assert live == {"queued": True, "running": True, "stopped": False, "failed": False, "done": False}


@pytest.mark.parametrize(("state", "line"), [("done", "Done."), ("stopped", "Stopped. Resume goes on.")])
def test_a_state_without_a_sentence_of_its_own_says_one(run: Run, state: State, line: str) -> None:
    run.enter(state)
    assert RunWatch(run).look().line() == line


def test_pictures_that_are_being_made_are_news(run: Run, folder: Path) -> None:
    picture(run, 1)
    with run.lock():
        run.enter("done")
    thumbs, go_on = Thumbnails(), threading.Event()
    thumbs._pool.submit(go_on.wait)  # the thread that makes them is busy
    watch = RunWatch(run, thumbs)
    first = watch.look()
    assert (first.is_live, first.has_news, first.cells[0].url) == (False, True, "")
    go_on.set()
    last = final_look(watch)
    assert not last.has_news
    assert last.key() != first.key()
    assert Path(urllib.parse.unquote(last.cells[0].url.partition("=")[2])).is_relative_to(folder)


def test_other_settings_of_the_run_are_seen(run: Run) -> None:
    watch = RunWatch(run, Thumbnails())
    before = watch.look()
    again = Run.open(run.folder)
    again.update(config.change(again.config, {"sample.seeds": "0-9"}))
    after = watch.look()
    assert after.grid()["planned"] == 10
    assert after.seeds_key() != before.seeds_key()


def test_the_facts_of_training(run: Run) -> None:
    for number in range(1, 7):
        run.append(TrainStep(number, 10, 0.5, 1e-3, 1e-4, 2.0, 3_000_000_000))
    run.append(StageStarted("train", 10, 6))
    for number in (7, 8):
        run.append(TrainStep(number, 10, 0.25, 1e-3, 1e-4, 1.5, 3_100_000_000))
    with run.lock():
        run.enter("running")
        facts = RunWatch(run).look().facts()
    for text in ("8 of 10", "10 s to 45 s", "1.5 s", "3.1 GB", "0.438"):
        assert f"<dd>{text}</dd>" in facts
    with run.lock():
        run.enter("stopped")
    assert "<dt>Time left</dt><dd>–</dd>" in RunWatch(run).look().facts()


def test_after_training_its_speed_and_memory_stay_known() -> None:
    told = story(StageStarted("train", 10), TrainStep(10, 10, 0.5, 1e-3, 1e-4, 2.0, 77))
    told.add(StageStarted("sample", 2))
    told.add(SeedReady(0, 1, 2, 5.0))
    told.add(StageStarted("select", 2))
    assert (told.step_seconds, told.seed_seconds, told.memory) == ([2.0], [5.0], 77)
    assert told.seconds == []


def test_the_strip_shows_previews_by_step(run: Run, folder: Path) -> None:
    assert "switched off" in RunWatch(run, Thumbnails()).look().previews()
    run.update(config.change(run.config, {"train.preview_every": 5}))
    assert "every 5 steps" in RunWatch(run, Thumbnails()).look().previews()
    (run.folder / "previews").mkdir()
    for number in (10, 5):
        photo.save_photo(np.full((8, 8, 3), number, np.uint8), run.folder / "previews" / f"{number:06d}.png")
    watch = RunWatch(run, Thumbnails())
    look = final_look(watch)
    assert [step for step, _ in look.strip] == [5, 10]
    assert look.previews().index("after 5 steps") < look.previews().index("after 10 steps")


def test_previews_after_the_checkpoint_are_made_again() -> None:
    told = story(StageStarted("train", 30), PreviewReady(10), PreviewReady(20), StageStarted("train", 30, 15))
    assert told.previews == [10]
    told.add(PreviewReady(20))
    told.add(PreviewReady(20))
    assert told.previews == [10, 20]


def settle(*paths: Path) -> None:
    """Makes files look as if they had been written a minute ago."""
    for path in paths:
        os.utime(path, (time.time() - 60, time.time() - 60))


def test_files_that_did_not_change_are_not_read_again(tmp_path: Path) -> None:
    reads = itertools.count(1)
    (tmp_path / "a").touch()
    kept = FileCache(lambda: next(reads), lambda count: True, "a", "b")
    assert [kept.read(tmp_path) for _ in range(2)] == [1, 2]  # it has just changed, and may have changed again since
    settle(tmp_path / "a")
    assert [kept.read(tmp_path) for _ in range(3)] == [3, 3, 3]
    (tmp_path / "b").touch()
    assert kept.read(tmp_path) == 4
    settle(tmp_path / "b")
    assert [kept.read(tmp_path) for _ in range(2)] == [5, 5]
    (tmp_path / "a").unlink()
    assert kept.read(tmp_path) == 6


def test_what_is_not_whole_is_read_again(tmp_path: Path) -> None:
    values = iter([0, 0, 1, 2])
    kept = FileCache(lambda: next(values), bool, "a")
    assert [kept.read(tmp_path) for _ in range(4)] == [0, 0, 1, 1]


def test_marks_and_seeds_are_seen_though_nothing_was_read_for_a_while(run: Run, folder: Path) -> None:
    for seed in (1, 2):
        picture(run, seed)
    watch = RunWatch(run, Thumbnails())
    look = final_look(watch)
    settle(run.folder / "run.json", run.folder / "seeds")
    assert watch.look().cells is not look.cells
    assert watch.look().cells is watch.look().cells
    run.labels.mark(2, "starred", on=True)
    assert [cell.star for cell in watch.look().cells] == [False, True]
    settle(run.folder / "labels.json")
    picture(run, 3)
    assert len(watch.look().cells) == 3


def test_a_waiting_run_says_who_is_before_it_and_when_it_begins(toy_scene: Path, tmp_path: Path) -> None:
    settings = config.make("mini", {"train.steps": 100, "sample.seeds": "0-9"})
    runs = [Run.create(tmp_path / "runs" / name, settings, toy_scene) for name in ("working", "first", "second")]
    for run in runs[1:]:
        queue.submit(run)
    watch = RunWatch(runs[2], Thumbnails())
    before = watch.look()
    key = before.key()
    assert before.line() == "Waiting; 1 before it."
    costs.remember(tmp_path / "runs", settings, "step", [1.0] * 6)
    costs.remember(tmp_path / "runs", settings, "seed", [2.0])
    assert watch.look().line() == "Waiting; 1 before it, begins in about 2 min 00 s."
    runs[0].enter("running")
    with runs[0].lock():
        assert watch.look().line() == "Waiting; 2 before it, begins in about 4 min 00 s."
        assert watch.look().key() != key
    runs[0].enter("done")
    runs[1].request_stop()
    assert watch.look().line().startswith("Starting")


def test_a_download_is_told_until_the_stage_ends() -> None:
    told = Story()
    told.add(StageStarted("prepare", 1))
    told.add(Downloading(8 * 10**9, 16 * 10**9, 50e6))
    assert running_line(told) == "Downloading the model · 8.0 GB of 16.0 GB · 50 MB/s · 2 min 40 s left"
    told.add(StageStarted("train", 10))
    assert "Downloading" not in running_line(told)
