"""A lock has one holder among all processes, and none after its holder was killed."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from realfill.errors import RunError
from realfill.locks import BEAT, STALE, Lock, find_disk_trouble

HOLD = """
import sys, time
from pathlib import Path
from realfill.locks import Lock
assert Lock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


def _holder(path: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_another_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "lock")
    with _holder(lock.path) as process:
        assert not lock.is_free()
        assert not lock.acquire(patience=0.3)
        process.kill()
    assert lock.is_free()
    assert lock.acquire(patience=0)
    lock.release()


def test_one_of_two_objects_in_a_process(tmp_path: Path) -> None:
    one, two = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert one.is_free() and one.acquire() and one.acquire()
    assert one.is_held and not one.is_free() and not two.is_free()
    assert not two.acquire(patience=0)
    one.release()
    one.release()
    assert two.acquire(patience=0)
    two.release()


def test_looking_never_takes_it_from_the_holder(tmp_path: Path) -> None:
    holder, looker = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert holder.acquire()
    assert not any(looker.is_free() for _ in range(20))
    assert not Lock(tmp_path / "lock").acquire(patience=0)
    holder.release()


def test_a_look_at_the_wrong_moment_does_not_cost_the_lock(tmp_path: Path) -> None:
    """`free` holds the lock for a moment; `acquire` is patient enough to outlast it."""
    path, end = tmp_path / "lock", threading.Event()

    def look() -> None:
        while not end.is_set():
            Lock(path).is_free()
            time.sleep(0.001)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(5):
            lock = Lock(path)
            assert lock.acquire(patience=5)
            lock.release()
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES])
def test_what_says_that_another_holds_it_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr("fcntl.flock", _failing(code))
    lock = Lock(tmp_path / "lock")
    assert not lock.acquire(patience=0)
    assert not lock.is_free()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_disk_without_locks_is_a_sentence_and_not_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr("fcntl.flock", _failing(code))
    lock = Lock(tmp_path / "lock")
    with pytest.raises(RunError, match=r"REALFILL_LOCKS.* on another disk") as caught:
        lock.acquire(patience=0.2)
    assert str(tmp_path) in str(caught.value) and os.strerror(code) in str(caught.value)
    lock.path.touch()
    with pytest.raises(RunError, match="another disk"):
        lock.is_free()
    assert not lock.is_held
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]  # no marker instead of a lock


def _failing(code: int) -> Callable[[int, int], None]:
    def flock(handle: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    return flock


def test_a_link_in_the_place_of_the_lock_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="cannot be written"):
        Lock(tmp_path / "lock").acquire(patience=0)


def test_waiting_may_be_given_up(tmp_path: Path) -> None:
    holder, waiter = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    assert holder.acquire()
    with pytest.raises(InterruptedError):
        waiter.acquire(patience=float("inf"), check=check)
    assert not waiter.is_held
    holder.release()


def test_the_heartbeat_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realfill.locks.BEAT", 0.05)
    lock = Lock(tmp_path / "lock")
    assert lock.age() == float("inf")
    assert lock.acquire()
    os.utime(lock.path, (0, 0))
    _until(lambda: lock.age() < STALE)
    lock.release()
    assert BEAT < STALE / 3


def _until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("never became true")


# ── a disk that is shared by machines which do not see one another's locks ──

BLIND = """
import sys
from pathlib import Path
from realfill import locks
locks.HOST, locks.lock_descriptor, locks.BEAT = sys.argv[2], lambda handle, blocking: True, 3600.0
lock = locks.Lock(Path(sys.argv[1]))
print(lock.acquire(patience=0), flush=True)
for line in sys.stdin:
    print(lock.is_ours(), flush=True)
"""


class BlindProcess:
    """A process on a machine of its own, by name, whose disk gives every lock to everybody."""

    def __init__(self, path: Path, host: str) -> None:
        pipe, command = subprocess.PIPE, [sys.executable, "-c", BLIND, str(path), host]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.acquired = self._answer()

    def is_ours(self) -> bool:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _answer(self) -> bool:
        assert self.process.stdout is not None
        return self.process.stdout.readline() == "True\n"


def test_a_heart_that_beats_elsewhere_holds_the_lock_where_the_disk_gives_it_to_all(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = BlindProcess(path, "one")
    second = BlindProcess(path, "two")
    try:
        assert first.acquired and not second.acquired and first.is_ours()
        first.kill()
        old = time.time() - 2 * STALE
        os.utime(path, (old, old))
        third = BlindProcess(path, "three")
        assert third.acquired
        third.kill()
    finally:
        first.kill()
        second.kill()


def test_of_two_that_both_think_they_own_it_the_first_learns_that_it_does_not(tmp_path: Path) -> None:
    """Both looked before either had written its name."""
    path = tmp_path / "lock"
    first = BlindProcess(path, "one")
    os.utime(path, (0, 0))  # the second still sees the lock as it was
    second = BlindProcess(path, "two")
    try:
        assert first.acquired and second.acquired
        assert not first.is_ours() and second.is_ours()
    finally:
        first.kill()
        second.kill()


def test_a_disk_that_cannot_rename_or_lock_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_disk_trouble(tmp_path / "runs") == "" and list((tmp_path / "runs").iterdir()) == []
    (tmp_path / "file").touch()
    assert "file" in find_disk_trouble(tmp_path / "file" / "runs")
    with monkeypatch.context() as patch:
        patch.setattr("realfill.files.replace", lambda source, target: None)
        assert find_disk_trouble(tmp_path / "loses") != ""

    def refuse(handle: int, blocking: bool) -> bool:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("realfill.locks.lock_descriptor", refuse)
    assert "Nothing can be locked" in find_disk_trouble(tmp_path / "unlockable")
