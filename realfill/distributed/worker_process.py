"""A process that calls one function with one path after another, and may hang or die: the next call gets a new one.

The process is spawned, since CUDA does not survive a fork. It leads a session of its own, so that Ctrl-C reaches only
whoever started it, and it ends itself, as SIGTERM would, when that process has gone.
"""

import contextlib
import multiprocessing
import os
import pickle
import platform
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from realfill.distributed.results import Ending, ItemResult, Value, call_function
from realfill.garbage import collect_rarely
from realfill.humanize import duration

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

GRACE = 60.0  # seconds that a process has in order to save its work and end, once it was asked to
_ENDS_WITHIN = 5.0  # seconds, of a process without work
_KILLED = -getattr(signal, "SIGKILL", 9)  # the exit code
_LOOK = 0.2  # seconds between looks at the wish to stop
_LEAVES_GOOD: tuple[Ending, ...] = ("done", "bad", "busy")  # endings after which the process is as good as new


@dataclass(frozen=True)
class Task(Generic[Value]):
    """What workers do: `function` with each item, inside `context` for all of them. It travels by pickle.

    `after_kill` hears of an item whose process was killed and not by us, before that is tried again.
    """

    function: Callable[[Path], Value]
    context: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext
    timeout: float = float("inf")  # seconds for one item
    after_kill: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Place:
    """Where a worker is, in words, and the variables of its process."""

    name: str = field(default_factory=platform.node)
    environment: Mapping[str, str] = field(default_factory=dict)


def own_locks(worker: str) -> dict[str, str]:
    """The variables of a worker to whom a scheduler has given its device: nobody else waits for it."""
    folder = Path(os.environ.get("REALFILL_LOCKS") or tempfile.gettempdir())
    user = os.getuid() if hasattr(os, "getuid") else ""
    return {"REALFILL_LOCKS": str(folder / f"realfill-locks-{user}" / worker)}


def share_cores(workers: int) -> dict[str, str]:
    """The variables of each of so many workers that share this machine's cores; a person's own choice stays."""
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, cores // workers))}


class WorkerProcess(Generic[Value]):
    """One process at a time, started when it is needed. Other threads and signal handlers may `stop` or `kill` it."""

    def __init__(self, task: Task[Value], place: Place) -> None:
        self._task, self._place = task, place
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._stop = threading.Event()

    def call(self, item: Path) -> ItemResult[Value]:
        """The result of one item, whatever happens to the process over it."""
        start = time.monotonic()
        result = self._call(item)
        return replace(result, where=self._place.name, seconds=round(time.monotonic() - start, 3))

    def stop(self) -> None:
        """Asks the process to save its work and end; what is called later is not begun."""
        self._stop.set()

    def finish(self) -> None:
        """Stops, and waits until the process has saved its work; for signal handlers of the thread that calls."""
        self.stop()
        if (process := self._process) is not None and self._connection is not None:
            process.terminate()
            wait([self._connection, process.sentinel], GRACE)

    def kill(self) -> None:
        """Ends the process at once."""
        self._stop.set()
        if (process := self._process) is not None:
            process.kill()

    def close(self) -> int | None:
        """Ends the process, at once where it is at work; returns its exit code, None where there is no process."""
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        if process is None or connection is None:
            return None
        connection.close()  # one that waits for work ends by that
        process.join(_ENDS_WITHIN)
        if process.is_alive():
            process.kill()
            process.join()
        return process.exitcode

    def _call(self, item: Path) -> ItemResult[Value]:
        if self._stop.is_set():
            return ItemResult(item, "stopped", sentence="Not begun; the same command goes on from here.")
        process, connection = self._start()
        with contextlib.suppress(OSError):  # it has died: that is seen below
            connection.send(item)
        timed_out = not self._wait(process, connection, self._task.timeout)
        if timed_out or self._stop.is_set():
            process.terminate()
            self._wait(process, connection, GRACE, to_the_end=True)
        result: ItemResult[Value] | None = _receive(connection)
        if result is not None and result.ending in _LEAVES_GOOD:
            return result
        if result is None:  # dead, or past its time
            process.kill()
        code = self.close()
        if self._stop.is_set():
            return ItemResult(item, "stopped", sentence="Stopped as asked; the same command goes on from here.")
        if timed_out:
            took = duration(self._task.timeout)
            return ItemResult(item, "timeout", sentence=f"It was not done within {took} (--timeout).")
        if code == _KILLED and self._task.after_kill is not None:
            self._task.after_kill(item)
        return result or ItemResult(item, "lost", sentence=f"The working process ended unexpectedly (code {code}).")

    def _start(self) -> "tuple[SpawnProcess, Connection]":
        if self._process is None or self._connection is None or not self._process.is_alive():
            self.close()
            context = multiprocessing.get_context("spawn")
            self._connection, other = context.Pipe()
            # in bytes: the variables are set before anything of ours is imported there
            work = pickle.dumps((self._task.function, self._task.context))
            arguments = (other, dict(self._place.environment), work)
            self._process = context.Process(target=_serve, args=arguments, name="realfill worker")
            self._process.start()
            other.close()
        return self._process, self._connection

    def _wait(
        self, process: "SpawnProcess", connection: Connection, seconds: float, *, to_the_end: bool = False
    ) -> bool:
        """Waits for an answer or the process' end; False when the seconds are over. A wish to stop ends it too."""
        until = time.monotonic() + seconds
        while not wait([connection, process.sentinel], min(_LOOK, max(0.0, until - time.monotonic()))):
            if time.monotonic() >= until:
                return False
            if self._stop.is_set() and not to_the_end:
                break
        return True


def _receive(connection: Connection) -> Any:
    """The answer that lies ready, or None."""
    try:
        return connection.recv() if connection.poll() else None
    except (EOFError, OSError):
        return None


def _serve(connection: Connection, environment: Mapping[str, str], work: bytes) -> None:
    """The other end of `WorkerProcess`: an item comes in, its result goes out, until the connection is closed."""
    os.environ.update(environment)
    if hasattr(os, "setsid"):
        os.setsid()
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    collect_rarely()  # before the libraries are imported, which the work names
    function, context = pickle.loads(work)
    with context():
        while True:
            try:
                item = connection.recv()
                connection.send(call_function(function, item))
            except (EOFError, OSError):
                return


def _end_with_parent() -> None:
    """A run in work saves itself at SIGTERM; it would otherwise keep its lock, and a device, for nobody."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
