"""What surrounds the stages of a run: its lock, state, events and signals, and the device that it computes on."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from realfill import files
from realfill.device.devices import cap_memory
from realfill.device.process_group import ProcessGroup
from realfill.errors import Interrupted, OutOfMemory, RealFillError, RunBusy, StageError, TurnOver
from realfill.events import WAITS_FOR_DEVICE, Event, Failed, Notice, Report, Stage, StageDone, StageStarted
from realfill.jobs.device_lock import hold_device
from realfill.jobs.queue import WAITS_FOR_TURN, wait_for_turn
from realfill.pipeline.turn import Turn
from realfill.runs.run import Run
from realfill.sentences import Sentence


class Session:
    """One process' work on one run; with a `turn`, in what is left of that."""

    def __init__(
        self, run: Run, report: Report, *, device: str, processes: ProcessGroup, turn: Turn | None = None
    ) -> None:
        self.run, self.device, self.processes, self.turn = run, device, processes, turn
        self.seconds: dict[Stage, float] = {}
        self.notices: list[str] = []
        self._report = report
        self._signal = 0  # the one that came, if any
        self._until_end = contextlib.ExitStack()  # what is released when the session ends
        self._has_device = False
        self._reporting = threading.RLock()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Holds the run's lock, watches signals, and leaves the run in the state that the block ended in."""
        with self._until_end, contextlib.ExitStack() as stack:
            if self.processes.is_main:
                self._enter_run(stack)
            stack.enter_context(self._catch_signals())
            try:
                with _explain_system_errors(self.run.folder):
                    yield
            except BaseException as error:
                self._record_failure(error)
                raise

    def _enter_run(self, stack: contextlib.ExitStack) -> None:
        was_locked = self.run.locked  # by whoever opened the session, who has looked at the stop file
        stack.enter_context(self.run.lock())
        for folder in ("", "seeds", "checkpoints"):
            files.sweep(self.run.folder / folder)
        if not was_locked:
            self.run.forget("stop")
        self.run.enter("running")

    def _record_failure(self, error: BaseException) -> None:
        sentence = str(error)
        if not isinstance(error, (RealFillError, KeyboardInterrupt)):
            sentence = f"A defect in RealFill: {type(error).__name__}: {error}"
        if not self.processes.is_main or not self._owns_run():
            return
        # Each last word by itself: the disk may be full, or nobody may listen, and the error is what counts. A state
        # that stays "running" without a lock reads "interrupted".
        if isinstance(error, TurnOver):
            with contextlib.suppress(RealFillError):
                wait_for_turn(self.run)
            return
        if isinstance(error, (Interrupted, KeyboardInterrupt, RunBusy)):
            with contextlib.suppress(RealFillError):
                self.run.enter("stopped", sentence or Sentence("Stopped; the same command goes on from here."))
            return
        with contextlib.suppress(RealFillError, OSError):
            self.report(Failed(sentence, resumable=isinstance(error, StageError)))
        with contextlib.suppress(RealFillError):
            self.run.enter("failed", sentence)

    def _owns_run(self) -> bool:
        """Whether the run's state is ours to write."""
        try:
            self.run.check_lock()
        except RunBusy:
            return False
        return True

    @contextlib.contextmanager
    def _catch_signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM lets the current item end, the second does not wait."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def take(number: int, frame: object) -> None:
            if self._signal:
                raise KeyboardInterrupt
            self._signal = number

        handlers = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def check(self) -> None:
        """To be called between items.

        Raises:
            Interrupted: a signal came or a stop was asked for, in any of the processes.
            TurnOver: the turn is over.
            RunBusy: a process on another machine has taken the run over.
        """
        self.run.check_lock()
        stop = bool(self._signal) or (self.processes.is_main and self.run.stop_requested())
        if self.processes.any_true(stop):
            raise Interrupted("Stopped as asked; the same command goes on from here.")
        if self.turn is not None and self.turn.is_over():
            raise TurnOver(WAITS_FOR_TURN)

    def take_device(self) -> None:
        """Waits until no other run of this user computes on the device; it is held until the session ends."""
        if self._has_device:
            return
        self._has_device = True
        if self.processes.is_main:
            waits = None if self.processes.is_shared else lambda: self.say(WAITS_FOR_DEVICE)
            self._until_end.enter_context(hold_device(self.device, check=self.check, waits=waits))
        cap_memory(self.processes.device(self.device))

    def report(self, event: Event) -> None:
        """Writes an event down and passes it on, one at a time; only the main process of several does."""
        if self.processes.is_main:
            with self._reporting:  # seeds are denoised in several threads
                if isinstance(event, Notice) and event.sentence not in self.notices:
                    self.notices.append(event.sentence)
                self.run.append(event)
                self._report(event)

    def say(self, sentence: str, *, important: bool = False) -> None:
        """Reports a notice, once."""
        if sentence not in self.notices:
            self.report(Notice(sentence, important))

    @contextlib.contextmanager
    def stage(self, stage: Stage, total: int, done: int = 0) -> Iterator[None]:
        """Reports a stage's beginning and end and takes its time."""
        start = time.monotonic()
        self.report(StageStarted(stage, total, done))
        try:
            yield
        finally:
            self.seconds[stage] = round(time.monotonic() - start, 3)
        self.report(StageDone(stage, self.seconds[stage]))


@contextlib.contextmanager
def _explain_system_errors(folder: Path) -> Iterator[None]:
    """Gives the system's two ways to run out of something a sentence."""
    try:
        with files.speak_full_disk(folder):
            yield
    except MemoryError as error:
        sentence = "The computer's memory is full; close other programs or give a smaller working size (fit.size)."
        raise OutOfMemory(sentence) from error
