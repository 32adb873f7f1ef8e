"""Progress: a bar that renews itself on a terminal, few plain lines elsewhere, and honest times."""

import io

import pytest

from realfill.cli.progress import Progress
from realfill.events import (
    DenoisingStep,
    Downloading,
    Failed,
    Notice,
    SeedReady,
    SeedScored,
    StageDone,
    StageStarted,
    TrainStep,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("realfill.cli.progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


def _steps(show: Progress, clock: list[float], *, first: int = 1, last: int = 10, total: int = 10) -> None:
    show(StageStarted("train", total, first - 1))
    for step in range(first, last + 1):
        clock[0] += 2.0
        show(TrainStep(step, total, 0.5, 1e-4, 1e-4, 2.0))


def test_a_line_every_few_seconds_where_nobody_looks(clock: list[float]) -> None:
    stream = io.StringIO()
    _steps(Progress(stream), clock)
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    assert lines[0].startswith("training")
    assert [line.split()[1] for line in lines[1:]] == ["3/10", "6/10", "9/10"]


def test_time_left_counts_what_is_left_at_the_pace_of_now(clock: list[float]) -> None:
    stream = io.StringIO()
    _steps(Progress(stream), clock, first=51, last=53, total=150)
    assert "50 of 150 there already" in stream.getvalue()
    assert "53/150" in stream.getvalue() and "3 min 14 s left" in stream.getvalue()  # 97 steps of 2 s


def test_a_bar_renews_itself_on_a_terminal_and_leaves_one_line(clock: list[float]) -> None:
    stream = Terminal()
    show = Progress(stream)
    _steps(show, clock)
    text = stream.getvalue()
    assert "\n" not in text
    last = text.rsplit("\r", 1)[1]
    assert last.startswith("training: 100%") and "10/10" in last and "loss 0.5000  2 s/step" in last
    show(StageDone("train", 20.0))
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("\rtraining: done in 20 s\n")
    assert all(len(part) < 100 for part in stream.getvalue().split("\r"))


def test_a_bar_counts_what_was_there_and_tells_the_time_left(clock: list[float]) -> None:
    stream = Terminal()
    show = Progress(stream)
    _steps(show, clock, first=51, last=53, total=150)
    last = stream.getvalue().rsplit("\r", 1)[1]
    assert "53/150" in last and "<03:14" in last  # 97 steps of 2 s


def test_nothing_unfinished_is_left_where_the_work_ends_in_the_middle(clock: list[float]) -> None:
    stream = Terminal()
    show = Progress(stream)
    _steps(show, clock, last=3)
    show.close()
    assert stream.getvalue().endswith("\r") and stream.getvalue().split("\r")[-2].strip() == ""


@pytest.mark.parametrize(("stream", "left"), [(io.StringIO(), "18 s left"), (Terminal(), "<00:17")])
def test_a_sentence_stands_on_a_line_of_its_own_and_whole(clock: list[float], stream: io.StringIO, left: str) -> None:
    show = Progress(stream)
    show(StageStarted("sample", 4))
    clock[0] += 6
    show(SeedReady(3, 1, 4, 6.0))
    sentence = "The hole is enlarged 2.0 times. " * 5
    show(Notice(sentence))
    show(StageStarted("select", 4))
    clock[0] += 6
    show(SeedScored(3, 123, 1, 4))
    show(Failed("not here", True))
    lines = stream.getvalue().replace("\r", "\n").split("\n")
    assert sentence.strip() in [line.strip() for line in lines]
    assert any("seed 3: 123 matches" in line and left in line for line in lines)
    assert not any("not here" in line for line in lines)
    assert lines[-1] == ""


def test_a_download_says_bytes_speed_and_time_left(clock: list[float]) -> None:
    stream, terminal = io.StringIO(), Terminal()
    for output in (stream, terminal):
        show = Progress(output)
        show(StageStarted("prepare", 1))
        for done in range(10):
            clock[0] += 2.0
            show(Downloading(done * 10**9, 16 * 10**9, 25e6))
    lines = [line for line in stream.getvalue().splitlines() if "downloading" in line]
    assert lines[0] == "downloading 2.0 GB of 16.0 GB · 25 MB/s · 9 min 20 s left"
    assert len(lines) == 3  # not every one
    assert "downloading 9.0 GB of 16.0 GB" in terminal.getvalue()


def test_denoising_is_told_step_by_step_and_now_and_then_in_a_file(clock: list[float]) -> None:
    stream, terminal = io.StringIO(), Terminal()
    for output in (stream, terminal):
        show = Progress(output)
        show(StageStarted("sample", 8))
        for step in range(1, 6):
            clock[0] += 2.0
            show(DenoisingStep(step, 25, 8))
    lines = [line for line in stream.getvalue().splitlines() if "denoising" in line]
    assert lines == ["denoising, step 3/25 of 8 seeds"]  # not every one
    assert "denoising, step 5/25 of 8 seeds" in terminal.getvalue()
