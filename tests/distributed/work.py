"""What the executors' tests call in other processes. An item is a file whose name says what happens to it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from realfill.errors import Interrupted, RunBusy, SceneError, StageError


def work(item: Path) -> str:
    """Writes down its process beside the item, and does what the name says."""
    tries = item.with_suffix(".tries")
    with tries.open("a") as file:
        file.write(f"{os.getpid()}\n")
    count = len(tries.read_text().splitlines())
    match item.stem.split("-")[0]:
        case "bad":
            raise SceneError(f"{item.name} is no picture.")
        case "fails":
            raise StageError(f"{item.name} cannot go on.")
        case "defect":
            raise ZeroDivisionError("by zero")
        case "dies" if count == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "busy" if count == 1:
            raise RunBusy(f"{item.name} is taken.")
        case "hangs":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        case "saves":
            _work_until_stopped(item)
    return f"{item.stem} {count}"


def count_lines(item: Path) -> int:
    """The lines of what `work` wrote beside an item."""
    with contextlib.suppress(FileNotFoundError):
        return len(item.with_suffix(".tries").read_text().splitlines())
    return 0


def note_kill(item: Path) -> None:
    """Hears of a process that was killed."""
    item.with_suffix(".killed").touch()


@contextlib.contextmanager
def context() -> Iterator[None]:
    """Writes down the process that it is entered in, where the tests want that."""
    if folder := os.environ.get("REALFILL_TEST_CONTEXTS"):
        (Path(folder) / f"{os.getpid()}.context").touch()
    yield


def _work_until_stopped(item: Path) -> None:
    """As a run: SIGTERM lets the current step end, and that is saved."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    item.with_suffix(".begun").touch()
    until = time.monotonic() + 60
    while not stopped and time.monotonic() < until:
        time.sleep(0.01)
    item.with_suffix(".saved").touch()
    raise Interrupted("Stopped as asked.")
