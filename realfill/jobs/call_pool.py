"""Work on bytes that nobody vouches for, in processes that may be killed: a few warm ones with bounds.

A call is a line of JSON to a process that runs `call_server.serve`, and so is the answer: nothing that such a process
says is run here, as a pickle's would be. One that takes too much memory or time, or breaks off, is ended and replaced,
and the answer is a sentence that names what was worked on.
"""

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from realfill import errors
from realfill.errors import RealFillError, SceneError
from realfill.jobs.child_process import detached_options
from realfill.sentences import Sentence

STARTS_WITHIN = 120.0  # seconds; on a machine under load the imports alone take many
_PATIENCE = 4  # seconds by the clock for each of processor time, on a machine that does much else
_LOOKS = 0.1  # seconds between looks at the memory of a process that does not bound itself
_LONGEST_LINE = 64 * 2**20  # bytes of an answer
# One heap for all threads: each further one takes 64 MB of the addresses that are counted.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
_CURE = Sentence("save it again as a plain JPEG or PNG, or smaller.")
_log = logging.getLogger("realfill.calls")


class PoolBusy(SceneError):
    """Too many calls are waiting already; it passes."""


@dataclass(frozen=True)
class Bounds:
    """What calls may take."""

    processes: int = 2  # that work at once
    waiting: int = 24  # calls that wait for one; of the page's forty threads some stay free for everything else
    memory: int = 3 * 2**30  # bytes of one process, beyond what it takes by itself


class CallPool:
    """Processes that answer calls, started when they are needed and kept."""

    def __init__(self, command: Sequence[str], folder: Path, bounds: Bounds = Bounds()) -> None:
        """`command` starts in `folder`, gets the bytes of memory as its last argument and serves calls."""
        self._command, self._folder, self._bounds = command, folder, bounds
        self._idle: list[_Child] = []
        self._busy = self._waiting = 0
        self._changed = threading.Condition()

    def call(self, name: str, arguments: Mapping[str, Any], *, subject: str, seconds: float) -> Any:
        """What the operation `name` returns in `seconds` of processor time, and `_PATIENCE` times as many by the clock.

        Raises:
            SceneError: it took too much memory or time, or broke off; the sentence names `subject`.
            PoolBusy: too many calls are waiting.
            RealFillError, OSError: what the operation raised, by its name.
        """
        with self._borrow() as child:
            fresh = child.is_fresh()
            try:
                return child.ask(name, arguments, subject, seconds)
            except _MemoryUsed:
                if fresh:
                    raise
        with self._borrow(fresh=True) as child:  # what it kept of earlier calls took its part
            return child.ask(name, arguments, subject, seconds)

    def start(self) -> None:
        """Starts a process ahead of the first call, in the background."""

        def start_one() -> None:
            with contextlib.suppress(RealFillError, OSError), self._borrow() as child:
                child.start()

        threading.Thread(target=start_one, name="decoder", daemon=True).start()

    def close(self) -> None:
        """Ends the processes that wait for calls."""
        with self._changed:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    @contextlib.contextmanager
    def _borrow(self, *, fresh: bool = False) -> "Iterator[_Child]":
        """A process for one call, with `fresh` a new one; the one that was used last, for what it keeps from then."""
        with self._changed:
            if self._waiting >= self._bounds.waiting:
                raise PoolBusy("Many photos are being opened at the moment; try again in a moment.")
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._busy < self._bounds.processes)
            finally:
                self._waiting -= 1
            self._busy += 1
            child = self._idle.pop() if self._idle and not fresh else self._new_child()
        try:
            yield child
        finally:
            with self._changed:
                self._busy -= 1
                keeps = child.is_alive() and len(self._idle) + self._busy < self._bounds.processes
                if keeps:
                    self._idle.append(child)
                self._changed.notify()
            if not keeps:
                child.end()

    def _new_child(self) -> "_Child":
        return _Child([*self._command, str(self._bounds.memory)], self._folder, self._bounds.memory)


class _MemoryUsed(SceneError):
    """A call took all the memory that its process has."""


class _Child:
    """One process, and the answers that come from it."""

    def __init__(self, command: Sequence[str], folder: Path, memory: int) -> None:
        self._command, self._folder, self._memory = command, folder, memory
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._limited = True  # by itself
        self._calls = 0

    def is_alive(self) -> bool:
        """Whether it can take a call."""
        return self._process is not None and self._process.poll() is None

    def is_fresh(self) -> bool:
        """Whether it has kept nothing of a call before."""
        return not self._calls

    def start(self) -> None:
        """Starts the process and waits until it can take calls.

        Raises:
            OSError: it cannot be started.
        """
        self.end()  # what is left of one that ended while it waited
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL  # libraries complain of each damaged byte, in any amount
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env={**os.environ, **_ENVIRONMENT},
            stdin=pipe,
            stdout=pipe,
            stderr=nothing,
            **detached_options(),
        )
        self._answers, self._calls = queue.SimpleQueue(), 0
        listening = (self._process, self._answers)
        threading.Thread(target=_listen, args=listening, name="decoder", daemon=True).start()
        try:
            self._limited = bool(json.loads(self._answers.get(timeout=STARTS_WITHIN))["limited"])
        except (queue.Empty, ValueError, KeyError) as error:
            self.end()
            raise OSError("a process for untrusted files does not start") from error

    def ask(self, name: str, arguments: Mapping[str, Any], subject: str, seconds: float) -> Any:
        """See `CallPool.call`."""
        if not self.is_alive():
            self.start()
        assert self._process is not None and self._process.stdin is not None
        call = {"name": name, "arguments": dict(arguments), "seconds": seconds}
        self._calls += 1
        with contextlib.suppress(OSError):  # where it has ended, its answer is its end
            self._process.stdin.write(json.dumps(call).encode() + b"\n")
            self._process.stdin.flush()
        return self._read(self._wait(subject, seconds), subject, seconds)

    def end(self) -> None:
        """Ends the process at once, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError, ValueError):
                    if pipe is not None:
                        pipe.close()

    def _wait(self, subject: str, seconds: float) -> bytes:
        """The answer's line; empty where the process has ended by itself."""
        until = time.monotonic() + _PATIENCE * seconds
        while (left := until - time.monotonic()) > 0:
            try:
                return self._answers.get(timeout=left if self._limited else min(left, _LOOKS))
            except queue.Empty:
                if not self._limited and self._resident_bytes() > self._memory:
                    self.end()
                    raise _MemoryUsed(self._memory_sentence(subject)) from None
        self.end()
        raise SceneError(_time_sentence(subject, _PATIENCE * seconds))

    def _resident_bytes(self) -> int:
        with contextlib.suppress(psutil.Error):
            if self._process is not None:
                return int(psutil.Process(self._process.pid).memory_info().rss)
        return 0

    def _read(self, line: bytes, subject: str, seconds: float) -> Any:
        """The value in an answer, or the error in it, raised."""
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self._explain_end(subject, seconds)
        if "value" in answer:
            return answer["value"]
        if "memory" in answer:
            self.end()
            raise _MemoryUsed(self._memory_sentence(subject))
        if "error" in answer:
            raise _rebuild_error(str(answer["error"]), str(answer.get("sentence")), answer.get("number"))
        _log.error("a process for untrusted files failed: %s", str(answer.get("defect"))[:4000])
        raise RuntimeError("a process for untrusted files failed")

    def _explain_end(self, subject: str, seconds: float) -> SceneError:
        """What there is to say of a process that ended, or said what is no answer."""
        process = self._process
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = None if process is None else process.wait(5)
            if code is not None and -code == getattr(signal, "SIGXCPU", None):
                self.end()
                return SceneError(_time_sentence(subject, seconds))
        self.end()
        return SceneError(
            "{subject} cannot be opened: the decoder broke off over it; {cure}", subject=subject, cure=_CURE
        )

    def _memory_sentence(self, subject: str) -> Sentence:
        return Sentence(
            "{subject} takes more than {memory} GB of memory to open; {cure}",
            subject=subject,
            memory=f"{self._memory / 2**30:.3g}",
            cure=_CURE,
        )


def _listen(process: "subprocess.Popen[bytes]", answers: "queue.SimpleQueue[bytes]") -> None:
    """Hands on what a process says, and an empty line at its end; one that says more than it was asked is ended."""
    assert process.stdout is not None
    with contextlib.suppress(OSError, ValueError):  # closed by `_Child.end` meanwhile
        while line := process.stdout.readline(_LONGEST_LINE):
            answers.put(line)
            if answers.qsize() > 1:
                process.kill()
                break
    answers.put(b"")


def _time_sentence(subject: str, seconds: float) -> Sentence:
    return Sentence(
        "{subject} takes more than {seconds} seconds to open; {cure}",
        subject=subject,
        seconds=f"{seconds:.0f}",
        cure=_CURE,
    )


def _rebuild_error(kind: str, sentence: str, number: Any) -> Exception:
    """The error that a process told of: one of ours by its name, with the system's refusal as its cause."""
    refusal = OSError(number, os.strerror(number)) if type(number) is int else None
    if kind == "OSError":
        return refusal or OSError(sentence)
    known = getattr(errors, kind, SceneError)
    error = known(sentence) if isinstance(known, type) and issubclass(known, RealFillError) else SceneError(sentence)
    error.__cause__ = refusal
    return error
