import io
import sys
from pathlib import Path

import pytest

from ui import logs
from ui.logs import BoundedStream, bound_output, rotate


def test_short_lines_stay_and_long_ones_are_cut() -> None:
    out = io.StringIO()
    stream = BoundedStream(out)
    assert stream.write("short\n" + "x" * 5000 + "\nnext\n") == 5012
    assert out.getvalue() == "short\n" + "x" * logs.LINE + " …\nnext\n"


def test_a_line_in_pieces_is_one_line() -> None:
    out = io.StringIO()
    stream = BoundedStream(out)
    for _ in range(40):
        stream.write("y" * 100)
    stream.write("\nend\n")
    assert out.getvalue() == "y" * logs.LINE + " …\nend\n"


def test_a_minute_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("ui.logs.time.monotonic", lambda: now)
    out = io.StringIO()
    stream = BoundedStream(out)
    for _ in range(10_000):
        stream.write("a traceback\n" * 10)
    assert len(out.getvalue()) <= logs.A_MINUTE + 100
    assert out.getvalue().endswith("[more was said in this minute]\n")
    now += logs.MINUTE
    stream.write("later\n")
    assert out.getvalue().endswith("minute]\nlater\n")


def test_both_streams_of_the_process_are_bounded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bound_output()
    first = sys.stdout
    bound_output()
    assert sys.stdout is first and isinstance(sys.stderr, BoundedStream)
    sys.stdout.write("z" * 5000)
    sys.stdout.flush()
    assert len(out.getvalue()) < 1100


def test_a_log_that_has_grown_makes_room(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    rotate(log)  # there is none yet
    for text in ("older", "newer"):
        log.write_text(text)
        rotate(log, largest=5)
        assert log.exists()
        rotate(log, largest=4)
        assert not log.exists()
        assert (tmp_path / "worker.log.1").read_text() == text
