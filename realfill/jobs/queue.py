"""The queue of runs, as files: whoever adds a run, and the worker that takes them one at a time, oldest first.

A run is waiting when its state says "queued"; its ticket is the time it was added. The work itself is another
process', which goes through the same command a person would type, so that a crash costs one run; that process
stays warm for the next run (see hands.py). The device lock lets one process of a user at a time compute on a
device, whether it was started by a worker or by hand.
"""

import contextlib
import getpass
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from realfill import files
from realfill.errors import DiskFull, RunBusy, RunError
from realfill.jobs.child_process import WELL, Hand, Once, Warm
from realfill.locks import Lock
from realfill.runs.run import Run, folders, opened
from realfill.runs.status import Status, Workplace

ATTEMPTS = 3  # a run over which the process died this often is not tried again by itself
_POLL = 0.5  # seconds between looks at the folder
_FOREVER = float("inf")
_UNREADABLE = (RunError, OSError, ValueError, TypeError, OverflowError)  # what a damaged state.json can lead to


def submit(run: Run) -> int:
    """Puts a run at the end of the queue and returns its place there, 1 for the next one.

    A run that waits already keeps its place; one that is worked on is left alone.

    Raises:
        RunBusy: the run is being worked on.
    """
    with run.lock():
        if run.status().state != "queued":
            run.forget("stop")
            run.enter("queued", ticket=time.time_ns(), attempts=0)
    return position(run)


def waiting(runs_dir: Path) -> list[Run]:
    """The queued runs of a folder of runs, in the order they are taken."""
    runs = (opened(folder) for folder in _in_line(runs_dir))
    return [run for run in runs if run is not None]


def position(run: Run) -> int:
    """The place of a run among the waiting ones, 1 for the next; 0 when it does not wait."""
    here = run.folder.resolve()
    line = _in_line(here.parent)
    return line.index(here) + 1 if here in line else 0


def _in_line(runs_dir: Path) -> list[Path]:
    """The folders of the queued runs in order, by their state files alone: looked at twice a second."""
    statuses = [(status_of(folder), folder) for folder in folders(runs_dir)]
    queued = [
        (status.ticket, folder.name, folder) for status, folder in statuses if status and status.state == "queued"
    ]
    return [folder for _, _, folder in sorted(queued)]


def status_of(folder: Path) -> Status | None:
    """What the run in a folder is doing, for looking at many; None where its state cannot be read.

    Such a run must not stop the others; it says itself what is wrong when it is opened.
    """
    with contextlib.suppress(*_UNREADABLE):
        return Workplace(folder).status()
    return None


@contextlib.contextmanager
def claimed(run: Run) -> Iterator[bool]:
    """Locks a waiting run for work; False when someone else took it or took it out of the queue meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(run.lock())
        except RunBusy:
            yield False
        else:
            yield run.status().state == "queued"


@contextlib.contextmanager
def device(name: str, *, check: Callable[[], None], waits: Callable[[], None] | None = None) -> Iterator[None]:
    """Holds a device, such as "cuda" or "cpu", for this process alone, among all of this user on this machine.

    Where it is taken, `waits` is called once and then `check` between tries, which may raise to give up.
    Without `waits` a taken device is an error.

    Raises:
        RunBusy: the device is taken and `waits` is None.
    """
    lock = Lock(_device_file(name))
    if not lock.acquire():
        if waits is None:
            raise RunBusy(f"Another RealFill run is using the device {name}; wait for it or stop it first.")
        waits()
        lock.acquire(patience=_FOREVER, check=check)
    try:
        yield
    finally:
        lock.release()


def _device_file(name: str) -> Path:
    """REALFILL_LOCKS moves the lock files, for tests and for machines without a common temporary folder."""
    folder = Path(os.environ.get("REALFILL_LOCKS") or tempfile.gettempdir())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "") if name.startswith("cuda") else ""
    with contextlib.suppress(OSError, KeyError, ImportError):
        visible = f"{getpass.getuser()}-{visible}"  # another user's lock file could not be opened
    return folder / f"realfill-{re.sub(r'[^A-Za-z0-9]+', '-', f'{visible}-{name}').strip('-')}.lock"


class Worker:
    """Takes the waiting runs of a folder one after another. One worker a folder.

    `command`: what works on one run, its folder comes last; without it, a warm process works on all of them.
    `idle`: seconds without work after which the worker ends, and the warm process with it; 0 waits for ever.
    """

    def __init__(self, runs_dir: Path, command: Sequence[str] = (), *, idle: float = 0.0) -> None:
        self.runs_dir = runs_dir
        self.idle = idle or _FOREVER
        self._hand: Hand = Once(command) if command else Warm()
        self._lock = Lock(runs_dir / ".worker.lock")
        self._stop = threading.Event()
        self._beyond: set[Path] = set()  # runs that cannot be worked on

    def stop(self) -> None:
        """Ends the worker; the run in work saves itself and goes back into the queue. For signal handlers."""
        self._stop.set()
        self._hand.stop()

    def work(self, say: Callable[[str], None] = lambda sentence: None) -> int:
        """Works until stopped or idle for too long; returns how many runs it took.

        Raises:
            RunBusy: another worker serves this folder.
        """
        with contextlib.ExitStack() as stack:
            if not self._lock.acquire():
                raise RunBusy(f"Another worker serves {self.runs_dir} already.")
            stack.callback(self._lock.release)
            stack.callback(self._hand.close)
            return self._loop(say)

    def _loop(self, say: Callable[[str], None]) -> int:
        count, last = 0, time.monotonic()
        self._hand.start()
        files.sweep(self.runs_dir)
        requeue_abandoned(self.runs_dir)
        while not self._stop.is_set():
            if runs := [run for run in waiting(self.runs_dir) if run.folder not in self._beyond]:
                self._take(runs[0], say)
                count, last = count + 1, time.monotonic()
            elif time.monotonic() - last >= self.idle:
                break
            else:
                requeue_abandoned(self.runs_dir)
            self._stop.wait(_POLL)  # also leaves the device free for a moment, for who waits by hand
        return count

    def _take(self, run: Run, say: Callable[[str], None]) -> None:
        """Works on a run. One whose files allow no work or no end of it would be first in line for ever."""
        try:
            say(f"Working on {run.name}.")
            self._do(run)
            status = run.status()
            say(f"{run.name}: {status.state}. {status.sentence}")
        except RunError as error:
            self._beyond.add(run.folder)
            say(f"{run.folder.name} is passed over until the worker starts anew: {error}")

    def _do(self, run: Run) -> None:
        ticket = run.status().ticket
        code = self._hand.work(run.folder)
        if not (run.folder / "run.json").exists():  # deleted meanwhile; a lock would make the folder anew
            return
        with contextlib.suppress(RunBusy, DiskFull), run.lock():
            self._settle(run, code, ticket)

    def _settle(self, run: Run, code: int, ticket: int) -> None:
        """Sees to it that a run whose process has ended is not left as queued or running.

        One that waits again under a new ticket was put into the queue by a person since, and one that waits after
        a process that ended well was busy elsewhere: over neither of them anything died.
        """
        status = run.status()
        waits = status.state == "queued" and (status.ticket != ticket or code in WELL)
        died = status.state in ("running", "interrupted", "queued") and not waits
        if self._stop.is_set() and (died or status.state == "stopped") and not run.stop_requested():
            run.enter("queued", "Waits for the next start.")
        elif died:
            attempts = status.attempts + 1
            why = f"The working process ended unexpectedly (code {code}); {run.folder / 'log.txt'} may say why."
            run.enter("queued" if attempts < ATTEMPTS else "failed", why, attempts=attempts)


def requeue_abandoned(runs_dir: Path) -> None:
    """Puts queued runs whose worker died back into their place, each at most `ATTEMPTS` times."""
    for folder in folders(runs_dir):
        run, status = Workplace(folder), status_of(folder)
        if status is not None and _abandoned(status):
            with contextlib.suppress(RunError, DiskFull), run.lock():
                if run.status().state in ("running", "interrupted"):  # holding its lock, we know that nobody works
                    run.enter("queued", status.sentence, attempts=status.attempts + 1)


def wants_worker(folder: Path) -> bool:
    """Whether the run in a folder waits for a worker, or was left behind by one that died."""
    status = status_of(folder)
    return status is not None and (status.state == "queued" or _abandoned(status))


def _abandoned(status: Status) -> bool:
    return status.state == "interrupted" and bool(status.ticket) and status.attempts + 1 < ATTEMPTS


def worker_alive(runs_dir: Path) -> bool:
    """Whether a worker serves this folder of runs."""
    return not Lock(runs_dir / ".worker.lock").free()
