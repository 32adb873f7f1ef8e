"""The queue of runs, as files: whoever adds a run, and the worker that takes them one at a time, oldest first.

A run is waiting when its state says "queued"; its ticket is the time it was added. One without a ticket waits for who
hands out turns of a device, and no worker takes it. The work itself is another process', which goes through the same
command a person would type, so that a crash costs one run; that process stays warm for the next run (see
child_process.py). The device lock lets one process of a user at a time compute on a device, whether it was started by
a worker or by hand.

While `.paused` lies beside the runs no waiting run is begun; the one in work goes on.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from realfill import files
from realfill.errors import DiskFull, RealFillError, RunBusy, RunError
from realfill.files import speak_refusals
from realfill.locks import Lock
from realfill.runs.listing import open_or_none, run_folders
from realfill.runs.run import Run
from realfill.runs.status import RunFolder, Status
from realfill.sentences import Sentence

ATTEMPTS = 3  # a run over which the process died this often is not tried again by itself
FOREVER = float("inf")
PAUSED = ".paused"  # beside the runs
WAITS_FOR_TURN = Sentence("Waits for its next share of the GPU; keep this page open.")


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
    return queue_position(run)


def wait_for_turn(run: RunFolder, sentence: str = WAITS_FOR_TURN) -> None:
    """Leaves a run, whose lock the caller holds, to who hands out turns: it waits, and no worker takes it."""
    run.enter("queued", sentence, ticket=0, attempts=0)


def waits_for_turn(status: Status) -> bool:
    """Whether a run is left to who hands out turns, or was when its process died."""
    return not status.ticket and status.state in ("queued", "interrupted")


def waiting_runs(runs_dir: Path) -> list[Run]:
    """The queued runs of a folder of runs, in the order they are taken."""
    runs = (open_or_none(folder) for folder in _queued_folders(runs_dir))
    return [run for run in runs if run is not None]


def queue_position(run: Run) -> int:
    """The place of a run among the waiting ones, 1 for the next; 0 when it does not wait."""
    folder = run.folder.resolve()
    queued = _queued_folders(folder.parent)
    return queued.index(folder) + 1 if folder in queued else 0


def folders_before(run: Run) -> list[Path]:
    """The folders of the runs that a waiting one waits for, in order: those in work, then those that wait before it."""
    folder = run.folder.resolve()
    queued = _queued_folders(folder.parent)
    statuses = ((read_status(one), one) for one in run_folders(folder.parent))
    working = [one for status, one in statuses if status is not None and status.state == "running"]
    return [*working, *queued[: queued.index(folder)]] if folder in queued else []


def move(run: Run, place: int) -> None:
    """Gives a waiting run another place among the waiting ones, 1 for the next; one that does not wait stays.

    All keep the tickets that are there, handed out anew, so that a run which is taken up meanwhile is not missed.
    """
    folder = run.folder.resolve()
    queued = _queued_folders(folder.parent)
    if folder not in queued:
        return
    tickets = [status.ticket for one in queued if (status := read_status(one)) is not None]
    queued.remove(folder)
    queued.insert(min(max(place, 1), len(queued) + 1) - 1, folder)
    last = 0
    for one, ticket in zip(queued, tickets, strict=False):
        last = max(ticket, last + 1)
        with contextlib.suppress(RunError, DiskFull), RunFolder(one).lock():
            status = RunFolder(one).status()
            if status.state == "queued" and status.ticket != last:
                RunFolder(one).enter("queued", status.sentence, ticket=last)


def pause(runs_dir: Path) -> None:
    """Has no waiting run of a folder begin until `unpause`."""
    files.write_bytes(runs_dir / PAUSED, b"")


def unpause(runs_dir: Path) -> None:
    """Lets waiting runs begin again."""
    with speak_refusals(runs_dir / PAUSED):
        (runs_dir / PAUSED).unlink(missing_ok=True)


def is_paused(runs_dir: Path) -> bool:
    """Whether waiting runs are held back."""
    return (runs_dir / PAUSED).exists()


def _queued_folders(runs_dir: Path) -> list[Path]:
    """The folders of the queued runs in order, by their state files alone: looked at twice a second."""
    statuses = [(read_status(folder), folder) for folder in run_folders(runs_dir)]
    queued = [
        (status.ticket, folder.name, folder)
        for status, folder in statuses
        if status and status.state == "queued" and status.ticket
    ]
    return [folder for _, _, folder in sorted(queued)]


def read_status(folder: Path) -> Status | None:
    """What the run in a folder is doing, for looking at many; None where its state cannot be read.

    Such a run must not stop the others; it says itself what is wrong when it is opened.
    """
    with contextlib.suppress(RealFillError, OSError):
        return RunFolder(folder).status()
    return None


@contextlib.contextmanager
def claim(run: Run) -> Iterator[bool]:
    """Locks a waiting run for work; False when someone else took it or took it out of the queue meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(run.lock())
        except RunBusy:
            yield False
        else:
            yield run.status().state == "queued"


def requeue_abandoned(runs_dir: Path) -> None:
    """Puts queued runs whose worker died back into their place, each at most `ATTEMPTS` times."""
    for folder in run_folders(runs_dir):
        run, status = RunFolder(folder), read_status(folder)
        if status is not None and _is_abandoned(status):
            with contextlib.suppress(RunError, DiskFull), run.lock():
                if run.status().state in ("running", "interrupted"):  # holding its lock, we know that nobody works
                    run.enter("queued", status.sentence, attempts=status.attempts + 1)


def wants_worker(folder: Path) -> bool:
    """Whether the run in a folder waits for a worker, or was left behind by one that died."""
    status = read_status(folder)
    return status is not None and bool(status.ticket) and (status.state == "queued" or _is_abandoned(status))


def _is_abandoned(status: Status) -> bool:
    return status.state == "interrupted" and bool(status.ticket) and status.attempts + 1 < ATTEMPTS


def worker_alive(runs_dir: Path) -> bool:
    """Whether a worker serves this folder of runs."""
    return not Lock(runs_dir / ".worker.lock").is_free()
