"""The queue of runs, as files: whoever adds a run, and the worker that takes them one at a time, oldest first.

A run is waiting when its state says "queued"; its ticket is the time it was added. Each run is worked on by a
process of its own, the same command a person would type, so that a crash of one costs nothing but that one,
and memory comes back. The device lock lets one process of a user at a time compute on a device, whether it
was started by a worker or by hand.
"""

import contextlib
import getpass
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from realfill import files
from realfill.errors import DiskFull, RunBusy, RunError
from realfill.locks import Lock
from realfill.runs import Run, listing

ATTEMPTS = 3  # a run over which the process died this often is not tried again by itself
_POLL = 0.5  # seconds between looks at the folder
_FOREVER = float("inf")


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
    tickets = {run.folder.name: (run.status(), run) for run in listing(runs_dir)}
    queued = [(status.ticket, name, run) for name, (status, run) in tickets.items() if status.state == "queued"]
    return [run for _, _, run in sorted(queued, key=lambda item: item[:2])]


def position(run: Run) -> int:
    """The place of a run among the waiting ones, 1 for the next; 0 when it does not wait."""
    names = [other.folder.name for other in waiting(run.folder.resolve().parent)]
    return names.index(run.folder.resolve().name) + 1 if run.folder.resolve().name in names else 0


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

    `command` is what works on a run, its folder comes last. `idle`: seconds without work after which
    the worker ends; 0 waits for ever.
    """

    def __init__(self, runs_dir: Path, command: Sequence[str] = (), *, idle: float = 0.0) -> None:
        self.runs_dir = runs_dir
        self.command = list(command) or [sys.executable, "-m", "realfill", "complete", "--queued", "--run"]
        self.idle = idle or _FOREVER
        self._lock = Lock(runs_dir / ".worker.lock")
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Ends the worker; the run in work saves itself and goes back into the queue. For signal handlers."""
        self._stop.set()
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)

    def work(self, say: Callable[[str], None] = lambda sentence: None) -> int:
        """Works until stopped or idle for too long; returns how many runs it took.

        Raises:
            RunBusy: another worker serves this folder.
        """
        with contextlib.ExitStack() as stack:
            if not self._lock.acquire():
                raise RunBusy(f"Another worker serves {self.runs_dir} already.")
            stack.callback(self._lock.release)
            return self._loop(say)

    def _loop(self, say: Callable[[str], None]) -> int:
        count, last = 0, time.monotonic()
        files.sweep(self.runs_dir)
        requeue_abandoned(self.runs_dir)
        while not self._stop.is_set():
            if runs := waiting(self.runs_dir):
                say(f"Working on {runs[0].name}.")
                self._do(runs[0])
                say(f"{runs[0].name}: {runs[0].status().state}. {runs[0].status().sentence}")
                count, last = count + 1, time.monotonic()
            elif time.monotonic() - last >= self.idle:
                break
            else:
                requeue_abandoned(self.runs_dir)
            self._stop.wait(_POLL)  # also leaves the device free for a moment, for who waits by hand
        return count

    def _do(self, run: Run) -> None:
        code = -1
        with contextlib.suppress(OSError), (run.folder / "log.txt").open("ab") as log:
            # a group of its own: Ctrl-C in the terminal reaches the worker, which asks the child to stop once
            command, nothing = [*self.command, str(run.folder)], subprocess.DEVNULL
            self._child = subprocess.Popen(command, stdin=nothing, stdout=log, stderr=log, start_new_session=True)
            if self._stop.is_set():  # the signal came while the child was being started
                self.stop()
            code = self._child.wait()
            self._child = None
        with contextlib.suppress(RunBusy, DiskFull), run.lock():
            self._settle(run, code)

    def _settle(self, run: Run, code: int) -> None:
        """Sees to it that a run whose process has ended is not left as queued or running."""
        status = run.status()
        died = status.state in ("running", "interrupted", "queued")
        if self._stop.is_set() and (died or status.state == "stopped") and not run.stop_requested():
            run.enter("queued", "Waits for the next start.")
        elif died:
            attempts = status.attempts + 1
            why = f"The working process ended unexpectedly (code {code}); {run.folder / 'log.txt'} may say why."
            run.enter("queued" if attempts < ATTEMPTS else "failed", why, attempts=attempts)


def requeue_abandoned(runs_dir: Path) -> None:
    """Puts queued runs whose worker died back into their place, each at most `ATTEMPTS` times."""
    for run in listing(runs_dir):
        status = run.status()
        if status.state == "interrupted" and status.ticket and status.attempts + 1 < ATTEMPTS:
            with contextlib.suppress(RunError), run.lock():
                if run.status().state in ("running", "interrupted"):  # holding its lock, we know that nobody works
                    run.enter("queued", status.sentence, attempts=status.attempts + 1)


def worker_alive(runs_dir: Path) -> bool:
    """Whether a worker serves this folder of runs."""
    return not Lock(runs_dir / ".worker.lock").free()
