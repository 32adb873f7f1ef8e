"""The worker: takes queued runs one at a time, oldest first, and gives each to a process."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from realfill import files
from realfill.errors import DiskFull, RunBusy, RunError
from realfill.jobs.child_process import GOOD_EXITS, FreshProcess, RunProcess, WarmProcess
from realfill.jobs.queue import ATTEMPTS, FOREVER, is_paused, requeue_abandoned, waiting_runs
from realfill.locks import Lock
from realfill.runs.run import Run
from realfill.sentences import Sentence

_POLL = 0.5  # seconds between looks at the folder


class Worker:
    """Takes the waiting runs of a folder one after another. One worker a folder.

    `command`: what works on one run, its folder comes last; without it, a warm process works on all of them.
    `idle`: seconds without work after which the worker ends, and the warm process with it; 0 waits for ever.
    """

    def __init__(self, runs_dir: Path, command: Sequence[str] = (), *, idle: float = 0.0) -> None:
        self.runs_dir = runs_dir
        self.idle = idle or FOREVER
        self._process: RunProcess = FreshProcess(command) if command else WarmProcess()
        self._lock = Lock(runs_dir / ".worker.lock")
        self._stop = threading.Event()
        self._unusable: set[Path] = set()  # runs that cannot be worked on

    def stop(self) -> None:
        """Ends the worker; the run in work saves itself and goes back into the queue. For signal handlers."""
        self._stop.set()
        self._process.stop()

    def work(self, say: Callable[[str], None] = lambda sentence: None) -> int:
        """Works until stopped or idle for too long; returns how many runs it took.

        Raises:
            RunBusy: another worker serves this folder.
        """
        with contextlib.ExitStack() as stack:
            if not self._lock.acquire():
                raise RunBusy("Another worker serves {runs_dir} already.", runs_dir=self.runs_dir)
            stack.callback(self._lock.release)
            stack.callback(self._process.close)
            return self._loop(say)

    def _loop(self, say: Callable[[str], None]) -> int:
        count, last, paused = 0, time.monotonic(), False
        self._process.start()
        files.sweep(self.runs_dir)
        requeue_abandoned(self.runs_dir)
        while not self._stop.is_set():
            if is_paused(self.runs_dir) != paused:
                paused = not paused
                say("The queue is paused; no run begins." if paused else "The queue goes on.")
            if runs := [] if paused else self._find_work():
                self._take(runs[0], say)
                count, last = count + 1, time.monotonic()
            elif time.monotonic() - last >= self.idle:
                break
            else:
                requeue_abandoned(self.runs_dir)
            self._stop.wait(_POLL)  # also leaves the device free for a moment, for who waits by hand
        return count

    def _find_work(self) -> list[Run]:
        return [run for run in waiting_runs(self.runs_dir) if run.folder not in self._unusable]

    def _take(self, run: Run, say: Callable[[str], None]) -> None:
        """Works on a run. One whose files allow no work or no end of it would be first in line for ever."""
        try:
            say(f"Working on {run.labels.name}.")
            self._run_process(run)
            status = run.status()
            say(f"{run.labels.name}: {status.state}. {status.sentence}")
        except RunError as error:
            self._unusable.add(run.folder)
            say(f"{run.folder.name} is passed over until the worker starts anew: {error}")

    def _run_process(self, run: Run) -> None:
        ticket = run.status().ticket
        code = self._process.work(run.folder)
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
        waits = status.state == "queued" and (status.ticket != ticket or code in GOOD_EXITS)
        died = status.state in ("running", "interrupted", "queued") and not waits
        if self._stop.is_set() and (died or status.state == "stopped") and not run.stop_requested():
            run.enter("queued", Sentence("Waits for the next start."))
        elif died:
            attempts = status.attempts + 1
            why = Sentence(
                "The working process ended unexpectedly (code {code}); {log} may say why.",
                code=code,
                log=run.folder / "log.txt",
            )
            run.enter("queued" if attempts < ATTEMPTS else "failed", why, attempts=attempts)
