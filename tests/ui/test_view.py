import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realfill.events import Event, Notice, SeedReady, SeedScored, StageStarted, TrainStep
from realfill.runs import Run
from ui import view
from ui.view import Story, Watch


def step(number: int, loss: float = 0.5, seconds: float = 2.0, total: int = 10) -> TrainStep:
    return TrainStep(number, total, loss, 1e-3, 1e-4, seconds)


def story(*events: Event) -> Story:
    told = Story()
    for event in events:
        told.add(event)
    return told


def picture(run: Run, seed: int) -> None:
    run.write_seed(seed, np.full((16, 24, 3), 10 * seed, np.uint8))


def scored(run: Run, **matches: int) -> None:
    run.write("scores", {"seeds": [{"seed": int(seed[1:]), "matches": count} for seed, count in matches.items()]})


def test_time_left_is_the_median_of_the_recent_steps() -> None:
    told = story(StageStarted("train", 10), step(1, seconds=60.0), step(2), step(3))
    assert told.seconds_left == pytest.approx(2.0 * 7)
    line = view.running_line(told)
    assert "step 3 of 10" in line
    assert "14 s left" in line


def test_resuming_forgets_the_losses_after_the_checkpoint() -> None:
    told = story(StageStarted("train", 10), *[step(n, loss=float(n)) for n in range(1, 8)])
    told.add(StageStarted("train", 10, 5))
    assert sorted(told.losses) == [1, 2, 3, 4, 5]
    told.add(step(6, loss=60.0))
    assert told.losses[6] == 60.0


def test_a_new_stage_starts_a_new_clock() -> None:
    told = story(StageStarted("train", 10), step(1), StageStarted("sample", 4, 1))
    assert told.seconds_left is None
    told.add(SeedReady(3, 2, 4, 5.0))
    assert told.seconds_left == pytest.approx(10.0)
    told.add(StageStarted("select", 4))
    told.add(SeedScored(3, 10, 1, 4))
    assert view.running_line(told) == "Counting matches · seed 1 of 4"


def test_a_notice_is_shown_once() -> None:
    assert story(Notice("a"), Notice("b"), Notice("a")).notices == ["a", "b"]


@given(st.integers(0, 3000))
def test_the_plot_stays_small_and_keeps_the_last_step(steps: int) -> None:
    table = view.loss_table({number: 1 / number for number in range(1, steps + 1)})
    assert len(table) <= 2 * view.POINTS
    if steps:
        assert table["step"].max() == steps
        raw = table[table["line"] == "each step"]
        assert math.isclose(raw["loss"].iloc[-1], 1 / steps)


def test_a_constant_loss_is_its_own_smoothing() -> None:
    table = view.loss_table(dict.fromkeys(range(1, 50), 0.25))
    assert np.allclose(table["loss"], 0.25)


def test_seeds_come_in_the_order_of_their_matches(run: Run) -> None:
    for seed in (0, 1, 2, 5):
        picture(run, seed)
    scored(run, s5=30, s1=1, s7=0)  # 7 has no picture
    assert [(seed.seed, seed.rank) for seed in view.seeds(run)] == [(5, 1), (1, 2), (0, None), (2, None)]
    assert [seed.caption for seed in view.seeds(run)][:3] == [
        "#1 · 30 matches · seed 5",
        "#2 · 1 match · seed 1",
        "seed 0 · not counted yet",
    ]


def test_looking_again_at_an_unchanged_run_gives_the_same_key(run: Run) -> None:
    watch = Watch(run)
    run.append(StageStarted("train", 10))
    before = watch.look().key()
    assert watch.look().key() == before
    run.append(step(1))
    after = watch.look()
    assert after.key() != before
    assert after.story.losses == {1: 0.5}


def test_each_kind_of_news_changes_its_own_part(run: Run) -> None:
    watch = Watch(run)
    first = watch.look()
    picture(run, 3)
    second = watch.look()
    assert second.seeds_key() != first.seeds_key()
    assert second.losses_key() == first.losses_key()
    run.append(step(1))
    third = watch.look()
    assert third.losses_key() != second.losses_key()
    assert third.seeds_key() == second.seeds_key()


def test_a_replaced_event_file_is_read_from_its_start(run: Run) -> None:
    watch = Watch(run)
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
    watch = Watch(run)
    assert sorted(watch.look().story.losses) == [1]
    run.append(step(2))
    assert sorted(watch.look().story.losses) == [1, 2]


def test_the_state_is_text_and_not_markup(run: Run) -> None:
    run.enter("failed", f"<img src=x onerror=alert(1)> in {run.folder}/scene")
    look = Watch(run).look()
    assert "<img" not in look.bar()
    assert str(run.folder) not in look.bar()
    run.append(Notice("<script>"))
    assert "<script>" not in Watch(run).look().notices()


def test_live_states_are_the_ones_with_news_to_come(run: Run) -> None:
    with run.lock():
        live = {}
        for state in ("queued", "running", "stopped", "failed", "done"):
            run.enter(state)
            live[state] = Watch(run).look().live
    assert live == {"queued": True, "running": True, "stopped": False, "failed": False, "done": False}


def test_the_gallery_is_made_of_thumbnails_in_the_pages_folder(run: Run, folder: Path) -> None:
    picture(run, 1)
    (path, caption) = Watch(run).look().gallery()[0]
    assert Path(path).is_relative_to(folder)
    assert "seed 1" in caption
    before = Path(path).read_bytes()
    run.write_seed(1, np.full((16, 24, 3), 200, np.uint8))
    assert Path(Watch(run).look().gallery()[0][0]).read_bytes() != before
