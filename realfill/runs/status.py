"""A run folder while it is worked on: who works on it, what it is doing, what happened, and how to ask for a stop.

events.jsonl       what happened, append only; a torn last line is tolerated
state.json, lock   queued · running · stopped · failed · done; interrupted is derived from a dead heartbeat
stop               there while a stop is asked for
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from realfill import files
from realfill.errors import RunBusy, RunError
from realfill.events import Event, from_json, to_json
from realfill.files import speak_refusals
from realfill.locks import STALE, Lock
from realfill.sentences import Sentence

State = Literal["queued", "running", "stopped", "failed", "done", "interrupted"]
LIVE: tuple[State, ...] = ("queued", "running")


@dataclass(frozen=True)
class Status:
    """What a run is doing, and one sentence about it (may be empty)."""

    state: State
    sentence: str
    since: float  # when it came into this state, in seconds since 1970
    ticket: int = 0  # its place among queued runs; 0: never queued
    attempts: int = 0  # how often a worker's process died over it


class RunFolder:
    """The part of a run that changes while it is worked on: lock, state, events and the wish to stop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock(folder / "lock")

    @property
    def locked(self) -> bool:
        """Whether this very object holds the lock."""
        return self._lock.is_held

    def check_lock(self) -> None:
        """To be called between items, by who holds the lock.

        Raises:
            RunBusy: a process on another machine has taken it, on a disk whose locks do not reach that far.
        """
        if self._lock.is_held and not self._lock.is_ours():
            raise RunBusy(
                "A process on another machine has taken over {folder}; this one leaves it alone.", folder=self.folder
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Makes this process the only one that works here; may be nested on the same object.

        Raises:
            RunBusy: another process works here.
        """
        if self._lock.is_held:
            yield
            return
        if not self._lock.acquire():
            raise RunBusy("Another process is working on {folder}; wait for it or stop it first.", folder=self.folder)
        try:
            yield
        finally:
            self._lock.release()

    def append(self, event: Event) -> None:
        """Adds an event to events.jsonl."""
        files.append_line(self.folder / "events.jsonl", json.dumps(to_json(event), ensure_ascii=False))

    def events(self, offset: int = 0) -> tuple[list[Event], int]:
        """Events from byte `offset` on, and the offset for the next call; torn or unknown lines are passed over."""
        lines, offset = files.read_lines(self.folder / "events.jsonl", offset)
        events: list[Event] = []
        for line in lines:
            with contextlib.suppress(ValueError, AttributeError):  # what a killed writer left of a line
                events.append(from_json(files.parse_json(line)))
        return events, offset

    def status(self) -> Status:
        """What the run is doing. A run whose process died comes out as `interrupted`.

        Raises:
            RunError: state.json was changed by hand to something else.
        """
        path = self.folder / "state.json"
        data = files.read_json(path) or {}
        state, sentence = str(data.get("state")), str(data.get("sentence", ""))
        if state not in get_args(State):
            state, sentence = "stopped", Sentence("Not started yet.")
        elif state == "running" and self._is_abandoned():
            state, sentence = "interrupted", Sentence("The work ended unexpectedly; starting again goes on from there.")
        try:
            since, ticket, attempts = float(data.get("since", 0)), data.get("ticket", 0), data.get("attempts", 0)
            if not math.isfinite(since):
                raise ValueError("a time that is no number")
            return Status(cast(State, state), sentence, since, int(ticket), int(attempts))
        except (TypeError, ValueError, OverflowError) as error:
            sentence = Sentence(
                "{path} does not hold what RealFill writes there ({error}); delete it.", path=path, error=error
            )
            raise RunError(sentence) from error

    def enter(self, state: State, sentence: str = "", **numbers: int) -> None:
        """Writes the state; `ticket` and `attempts` stay as they are unless given."""
        path = self.folder / "state.json"
        old = files.read_json(path) or {}
        place = {name: old[name] for name in ("ticket", "attempts") if name in old}
        entry: dict[str, Any] = {"state": state, "sentence": sentence, "since": round(time.time(), 3)}
        files.write_json(path, {**entry, "pid": os.getpid(), **place, **numbers})

    def request_stop(self) -> None:
        """Asks whoever works here to stop after the current item; a waiting run leaves the queue at once."""
        files.write_bytes(self.folder / "stop", b"")
        with contextlib.suppress(RunBusy), self.lock():
            state = self.status().state
            if state == "queued":
                self.enter("stopped", Sentence("Taken out of the queue."))
            elif state == "running":  # nobody holds the lock: the process has died
                self.enter("stopped", Sentence("Stopped; starting again goes on from there."))

    def stop_requested(self) -> bool:
        """Whether a stop was asked for since the work was last asked for."""
        return (self.folder / "stop").exists()

    def forget(self, *names: str) -> None:
        """Removes files of the folder by name, those that are there."""
        for name in names:
            with speak_refusals(self.folder / name):
                (self.folder / name).unlink(missing_ok=True)

    def _is_abandoned(self) -> bool:
        if abs(self._lock.age()) <= STALE:  # below 0: the clock went back
            return False
        try:
            return self._lock.is_free()
        except RunError:  # a read-only folder: nobody can work on it
            return True
