"""Progress: one line that renews itself on a terminal, few plain lines elsewhere, and honest times."""

import io

import pytest

from realfill.cli.progress import Progress
from realfill.events import Failed, Notice, SeedReady, SeedScored, StageDone, StageStarted, TrainStep


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("realfill.cli.progress.time.monotonic", lambda: now[0])
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


def test_one_line_renews_itself_on_a_terminal(clock: list[float]) -> None:
    stream = Terminal()
    show = Progress(stream)
    _steps(show, clock)
    show(StageDone("train", 20.0))
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith(
        "training: done in 20 s".ljust(len("training 10/10  loss 0.5000  2 s/step  0 s left")) + "\n"
    )
    assert all(len(part) < 80 for part in stream.getvalue().split("\r"))


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_sentence_stands_on_a_line_of_its_own_and_whole(clock: list[float], stream: io.StringIO) -> None:
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
    text = stream.getvalue().replace("\r", "\n")
    assert sentence.strip() in [line.strip() for line in text.split("\n")]
    assert "seed 3: 123 matches" in text and "18 s left" in text
    assert "not here" not in text
    assert text.endswith("\n")
