"""The processes in which a worker gets runs done: a fresh one for each, or one warm process for all.

`WarmProcess` starts `python -m realfill.cli.warm_process` and writes one run folder a line to it; that process answers
when it has taken the folder, and with an exit code when it is done with it. It goes through the same entry as a typed
command; it keeps torch imported and the last base loaded. After anything but "done" and "stopped" it ends, and the
next run gets a new one, so a crash costs the run it happened in and no other.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypedDict

from realfill.errors import EXIT_DONE, EXIT_INTERRUPTED
from realfill.files import WINDOWS

TAKEN = b"taken"  # the answer to a folder; without it, whoever wrote it knows that nobody has seen it
ENDED = -1  # the code of a process that did not say one
LOG = "log.txt"  # in the run's folder
GOOD_EXITS = (EXIT_DONE, EXIT_INTERRUPTED)  # codes after which the process is as good as new
_STOP = "stop"  # in the run's folder; see runs/status.py
_WORKER_ENDS = b"the worker ends"  # in a stop file that no person asked for; theirs are empty
# subprocess has their names on Windows alone: CREATE_NEW_PROCESS_GROUP keeps Ctrl-C out, CREATE_NO_WINDOW gives a
# console of its own, so that closing the window of another ends nothing
_NEW_GROUP, _NO_WINDOW = 0x00000200, 0x08000000


class DetachedOptions(TypedDict, total=False):
    """Keyword arguments of `subprocess.Popen`."""

    start_new_session: bool
    creationflags: int


def detached_options() -> DetachedOptions:
    """What starts a process of its own: Ctrl-C in the terminal, or closing it, does not reach it."""
    return {"creationflags": _NEW_GROUP | _NO_WINDOW} if WINDOWS else {"start_new_session": True}


class RunProcess(Protocol):
    """Gets one run after another done."""

    def start(self) -> None:
        """Gets ready ahead of the first run."""

    def work(self, folder: Path) -> int:
        """Works on the run in a folder until that ends; returns an exit code. What is said goes to its log.txt."""

    def stop(self) -> None:
        """Asks what is going on to end and save itself; for signal handlers."""

    def close(self) -> None:
        """Ends the process, if one waits for work."""


class _StoppableProcess:
    """A process that is asked to end by SIGTERM or, on Windows, where that kills at once, by the run's stop file."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None  # of the run in work
        self._stopped = False

    def stop(self) -> None:
        """See `RunProcess.stop`."""
        self._stopped = True
        if self._process is None or self._process.poll() is not None:
            return
        if not WINDOWS:
            self._process.send_signal(signal.SIGTERM)
        elif self._folder is not None:  # one that waits for work ends when it is closed
            with contextlib.suppress(OSError), (self._folder / _STOP).open("xb") as file:
                file.write(_WORKER_ENDS)  # never over a person's wish, which says the same

    @contextlib.contextmanager
    def _note_folder(self, folder: Path) -> Iterator[None]:
        """Lets `stop` know the run in work.

        Afterwards a stop file is a person's wish, or it is not there: the run then goes back into the queue.
        """
        self._folder = folder
        try:
            yield
        finally:
            self._folder = None
            with contextlib.suppress(OSError):
                if self._stopped and (folder / _STOP).read_bytes() == _WORKER_ENDS:
                    (folder / _STOP).unlink()


class FreshProcess(_StoppableProcess):
    """A process for each run: `command` with the run's folder as its last argument."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__()
        self._command = list(command)

    def start(self) -> None:
        """See `RunProcess.start`: there is nothing to get ready."""

    def work(self, folder: Path) -> int:
        """See `RunProcess.work`."""
        code = ENDED
        with contextlib.suppress(OSError), self._note_folder(folder), (folder / LOG).open("ab") as log:
            # apart: Ctrl-C in the terminal reaches the worker, which asks the child to stop once
            command, nothing = [*self._command, str(folder)], subprocess.DEVNULL
            self._process = subprocess.Popen(command, stdin=nothing, stdout=log, stderr=log, **detached_options())
            if self._stopped:  # the signal came while the child was being started
                self.stop()
            code = self._process.wait()
            self._process = None
        return code

    def close(self) -> None:
        """See `RunProcess.close`: none waits."""


class WarmProcess(_StoppableProcess):
    """One process for all runs, started anew when it has ended."""

    def __init__(self, command: Sequence[str] = ()) -> None:
        super().__init__()
        self._command = list(command) or [sys.executable, "-m", "realfill.cli.warm_process"]

    def start(self) -> None:
        """See `RunProcess.start`: the process is there."""
        if self._process is None and not self._stopped:
            pipe = subprocess.PIPE
            with contextlib.suppress(OSError):
                self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, **detached_options())

    def work(self, folder: Path) -> int:
        """See `RunProcess.work`."""
        with self._note_folder(folder):
            return self._send(folder)

    def _send(self, folder: Path) -> int:
        for _ in range(2):
            self.start()
            process = self._process
            if process is None or process.stdin is None:
                return ENDED
            if self._stopped:  # the signal came while the process was being started
                self.stop()
            with contextlib.suppress(OSError):
                process.stdin.write(json.dumps(str(folder.resolve())).encode() + b"\n")
                process.stdin.flush()
                if _read_line(process) == TAKEN:
                    return self._read_exit_code(process)
            self.close()  # it ended while it waited, and has not seen this run: another one gets it
        return ENDED

    def _read_exit_code(self, process: "subprocess.Popen[bytes]") -> int:
        line = _read_line(process)
        code = int(line) if line.isdigit() else None
        if code not in GOOD_EXITS:
            self.close()
        return code if code is not None else process.returncode or ENDED

    def close(self) -> None:
        """See `RunProcess.close`."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                process.communicate()  # closes its input, and waits for its end


def serve(work: Callable[[Path], int], between: Callable[[], None] = lambda: None) -> None:
    """The process at the other end of `WarmProcess`: takes folders from stdin, answers on stdout.

    `work` does a run and returns an exit code; all that it prints goes to the run's log.txt. `between` is called after
    each that ended well, before the next one is waited for.
    """
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)  # a stray print between two runs is not an answer
        for line in sys.stdin:
            folder = Path(json.loads(line))
            with contextlib.suppress(OSError):
                answers.write(TAKEN + b"\n")
            with redirect_output(folder / LOG):
                code = work(folder)
            with contextlib.suppress(OSError):  # the worker has gone; the run is done all the same
                answers.write(f"{code}\n".encode())
            if code not in GOOD_EXITS:
                break
            between()


def _read_line(process: "subprocess.Popen[bytes]") -> bytes:
    return process.stdout.readline().strip() if process.stdout is not None else b""


@contextlib.contextmanager
def redirect_output(path: Path) -> Iterator[None]:
    """Everything that this process prints, libraries in C included, goes to the end of a file."""
    terminal = os.dup(1), os.dup(2)
    with path.open("ab") as log:
        _flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        _flush()
        for number, copy in zip((1, 2), terminal, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
