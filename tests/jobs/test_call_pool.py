"""Calls answered by processes with bounds: what one of them can cost, and what is said of it."""

import errno
import os
import signal
import sys
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from realfill.errors import DiskFull, OptionError, SceneError
from realfill.jobs import call_pool, call_server
from realfill.jobs.call_pool import Bounds, CallPool, PoolBusy
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
MB = 2**20
# What stands in for `realfill.cli.decode_process`: a real process with operations for each thing that may happen.
PROCESS = """
    import errno, os, resource, signal, sys, time
    from pathlib import Path
    from realfill.errors import DiskFull, OptionError
    from realfill.jobs import call_server
    kept = []
    def echo(value):
        print("a stray line on standard output")
        return value
    def pid():
        return os.getpid()
    def limits():
        return [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)]
    def take(size):
        return len(bytearray(size))
    def keep(size):
        kept.append(bytearray(size))
    def burn():
        while True:
            pass
    def wait(begun, until):
        Path(begun).touch()
        while not Path(until).exists():
            time.sleep(0.01)
    def hog(size):
        kept.append(bytearray(size))
        time.sleep(600)
    def die(sign):
        os.kill(os.getpid(), sign)
    def flood():
        for number in range(3, 20):
            try:
                if os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
                    os.write(number, b"1\\n" * 10)
            except OSError:
                pass
    def refuse():
        raise OptionError("There is no such thing; choose another.")
    def fill():
        raise DiskFull("The disk is full.") from OSError(errno.ENOSPC, "No space left on device")
    def deny():
        raise OSError(errno.EACCES, "Permission denied")
    def fail():
        raise ZeroDivisionError("a defect")
    operations = {one.__name__: one for one in (
        echo, pid, limits, take, keep, hog, burn, wait, die, flood, refuse, fill, deny, fail)}
    unbounded = sys.argv[1:2] == ["unbounded"]
    if unbounded:
        call_server.limit_memory = lambda size: False
    call_server.serve(operations, int(sys.argv[-1]))
"""


def pool_of(*arguments: str, **bounds: int) -> CallPool:
    chosen = Bounds(**{"memory": 256 * MB, **bounds})
    return CallPool([sys.executable, "-c", textwrap.dedent(PROCESS), *arguments], ROOT, chosen)


@pytest.fixture
def pool() -> Iterator[CallPool]:
    made = pool_of()
    yield made
    made.close()


def ask(pool: CallPool, name: str, seconds: float = 60.0, **arguments: Any) -> Any:
    return pool.call(name, arguments, subject="holiday.png", seconds=seconds)


def test_calls_are_answered_by_one_process_that_stays(pool: CallPool) -> None:
    assert ask(pool, "echo", value={"a": [1, None, "ü"]}) == {"a": [1, None, "ü"]}
    assert ask(pool, "pid") == ask(pool, "pid") != os.getpid()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to it")
def test_the_process_has_its_limits_from_the_system(pool: CallPool) -> None:
    memory, processor, core = ask(pool, "limits", seconds=7)
    assert 256 * MB < memory[0] == memory[1] < 256 * MB + 2**33
    assert 7 <= processor[0] < 60
    assert core == [0, 0]


@pytest.mark.parametrize("arguments", [[], ["unbounded"]], ids=["by the system", "watched"])
def test_too_much_memory_is_a_sentence_and_the_next_call_has_a_fresh_process(arguments: Sequence[str]) -> None:
    pool = pool_of(*arguments)
    first = ask(pool, "pid")
    assert ask(pool, "take", size=100 * MB) == 100 * MB
    with pytest.raises(SceneError, match=r"^holiday\.png takes more than 0\.25 GB of memory to open; save it again"):
        ask(pool, "hog", size=400 * MB)
    assert ask(pool, "pid") != first
    assert not psutil.pid_exists(first)
    pool.close()


def test_what_a_process_kept_of_earlier_calls_is_not_held_against_a_later_one(pool: CallPool) -> None:
    first = ask(pool, "pid")
    ask(pool, "keep", size=200 * MB)
    assert ask(pool, "take", size=150 * MB) == 150 * MB
    assert ask(pool, "pid") != first


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of processor time there")
def test_too_much_time_is_a_sentence(pool: CallPool) -> None:
    with pytest.raises(SceneError, match=r"^holiday\.png takes more than \d seconds to open; save it again"):
        ask(pool, "burn", seconds=1)
    with pytest.raises(SceneError, match="takes more than 60 seconds"):
        ask(pool, "die", sign=int(signal.SIGXCPU))  # as the system does at the limit
    assert ask(pool, "echo", value=3) == 3


def test_one_that_only_waits_is_ended_too(pool: CallPool, tmp_path: Path) -> None:
    first = ask(pool, "pid")
    with pytest.raises(SceneError, match="takes more than 2 seconds"):
        ask(pool, "wait", seconds=0.5, begun=str(tmp_path / "begun"), until="/nowhere")
    assert not psutil.pid_exists(first)


def test_one_that_breaks_off_is_a_sentence(pool: CallPool) -> None:
    with pytest.raises(SceneError, match=r"^holiday\.png cannot be opened: the decoder broke off over it; save it"):
        ask(pool, "die", sign=9)
    assert ask(pool, "echo", value=3) == 3


def test_one_that_was_killed_while_it_waited_is_replaced_unnoticed(pool: CallPool) -> None:
    first = psutil.Process(ask(pool, "pid"))
    first.kill()
    wait_until(lambda: not pool._idle[0].is_alive(), "its end")
    assert ask(pool, "pid") != first.pid


def test_one_that_says_more_than_it_was_asked_is_ended(pool: CallPool) -> None:
    first = ask(pool, "pid")
    with pytest.raises(SceneError, match="broke off"):
        ask(pool, "flood")
    assert not psutil.pid_exists(first)
    assert ask(pool, "pid") != first


def test_errors_come_through_as_what_they_are(pool: CallPool, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OptionError, match="no such thing; choose another"):
        ask(pool, "refuse")
    with pytest.raises(DiskFull) as full:
        ask(pool, "fill")
    assert isinstance(full.value.__cause__, OSError) and full.value.__cause__.errno == errno.ENOSPC
    with pytest.raises(PermissionError):
        ask(pool, "deny")
    first = ask(pool, "pid")
    with pytest.raises(RuntimeError):
        ask(pool, "fail")
    assert "ZeroDivisionError: a defect" in caplog.text
    assert ask(pool, "pid") == first


def test_two_work_at_once_and_no_more(tmp_path: Path) -> None:
    pool, until = pool_of(processes=2, waiting=3), tmp_path / "until"
    with ThreadPoolExecutor(4) as threads:
        calls = [
            threads.submit(ask, pool, "wait", begun=str(tmp_path / f"begun{one}"), until=str(until)) for one in range(4)
        ]
        wait_until(lambda: pool._waiting == 2 and len(list(tmp_path.glob("begun*"))) == 2, "two at work, two waiting")
        with ThreadPoolExecutor(1) as more:
            third = more.submit(ask, pool, "pid")
            wait_until(lambda: pool._waiting == 3, "a third that waits")
            with pytest.raises(PoolBusy, match="try again in a moment"):
                ask(pool, "pid")
            assert len(list(tmp_path.glob("begun*"))) == 2
            until.touch()
            third.result()
        for call in calls:
            call.result()
    assert len(pool._idle) == 2
    pool.close()


def test_a_process_ends_with_who_started_it(pool: CallPool) -> None:
    process = psutil.Process(ask(pool, "pid"))
    (child,) = pool._idle
    assert child._process is not None and child._process.stdin is not None
    child._process.stdin.close()  # what a kill of the page's process does
    child._process.wait(60)
    assert not process.is_running()


def test_a_process_is_started_ahead(pool: CallPool) -> None:
    pool.start()
    wait_until(lambda: bool(pool._idle), "a process that waits")
    assert ask(pool, "pid") == pool._idle[0]._process.pid  # type: ignore[union-attr]


def test_one_that_does_not_start_is_no_endless_wait() -> None:
    with pytest.raises(OSError, match="does not start"):
        ask(CallPool([sys.executable, "-c", "raise SystemExit(3)"], ROOT), "pid")


@pytest.mark.parametrize("line", [b"", b"no answer\n", b"[" * 100_000, b"[1]\n", b'"x"\n'])
def test_what_is_no_answer_is_the_end_of_a_process(line: bytes) -> None:
    child = call_pool._Child([], ROOT, MB)
    with pytest.raises(SceneError, match="broke off"):
        raise child._read(line, "holiday.png", 1.0)


def test_nothing_of_ours_but_an_error_of_ours_is_rebuilt() -> None:
    for kind in ("os", "RealFillError.x", "exit_code", "SystemExit"):
        assert type(call_pool._rebuild_error(kind, "A sentence.", None)) is SceneError
    assert type(call_pool._rebuild_error("DiskFull", "A sentence.", "x")) is DiskFull


def test_a_missing_argument_is_a_defect_and_no_end() -> None:
    answer = call_server.answer_call({"pid": os.getpid}, "pid", {"what": 3})
    assert "TypeError" in answer["defect"]
    assert "KeyError" in call_server.answer_call({}, "pid", {})["defect"]
