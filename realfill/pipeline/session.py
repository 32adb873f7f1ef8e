"""What surrounds the stages of a run: lock, state, events, signals, and the models that are loaded once."""

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realfill import files
from realfill.device.process_group import ProcessGroup
from realfill.errors import Interrupted, OutOfMemory, RealFillError, RunBusy, RunError, StageError
from realfill.events import Event, Failed, Notice, Report, Stage, StageDone, StageStarted
from realfill.geometry.draft import Draft, load_draft
from realfill.imaging.crop import CropTransform
from realfill.jobs.device_lock import hold_device
from realfill.runs.export import crop_of_run
from realfill.runs.run import Run
from realfill.scene import scene as scenes
from realfill.scene.scene import crop_to_fill

if TYPE_CHECKING:
    from realfill.matching.matcher import Matcher
    from realfill.models.backbone import Backbone
    from realfill.models.out_of_memory import MemoryBudget


class Session:
    """One process' work on one run. `run`, `scene`, `fit` and `backbone` are what the stages work with."""

    def __init__(self, run: Run, report: Report, *, device: str, processes: ProcessGroup) -> None:
        self.run, self.device, self.processes = run, device, processes
        self.seconds: dict[Stage, float] = {}
        self.notices: list[str] = []
        self._report = report
        self._signal = 0
        self._kept = contextlib.ExitStack()
        self._adapted = self._has_device = False

    # ── what the stages work with, each loaded when first asked for ──

    @functools.cached_property
    def scene(self) -> scenes.Scene:
        """The run's own copy of the scene."""
        return scenes.load(self.run.scene_folder, variants=self.run.config.variants)

    @functools.cached_property
    def backbone(self) -> "Backbone":
        """The base, on the device. Later processes must find the very weights that the first one used.

        Raises:
            WeightsError: it cannot be had.
            RunError: the base under that name has changed since the run began.
        """
        from realfill.models.cache import load_base

        self.take_device()
        backbone = load_base(self.run.config.base, self.processes.device(self.device))
        spec = backbone.spec
        base = {"name": spec.name, "family": spec.family, "weights_hash": spec.weights_hash}
        before = self.run.fact("base")
        if before is not None and before["weights_hash"] != spec.weights_hash:
            raise RunError(f"The base '{spec.name}' has changed since this run began; give a new --run folder.")
        if self.processes.is_main:
            precision = str(backbone.dtype).removeprefix("torch.")
            self.run.record(base=base, device=self.device, precision=precision)
        return backbone

    @functools.cached_property
    def fit(self) -> CropTransform:
        """How the target became the working size; the same for all the run's life."""
        if known := crop_of_run(self.run):
            return known
        wanted = self.run.config.fit
        size, multiple = (
            _DRAFT_FIT if self.run.config.guide.only else (self.backbone.spec.size, self.backbone.spec.multiple)
        )
        fit = crop_to_fill(self.scene, size=wanted.size or size, multiple=multiple, context=wanted.context)
        if self.processes.is_main:
            self.run.record(fit=fit.to_json())
        return fit

    @functools.cached_property
    def economy(self) -> "MemoryBudget":
        """The memory plan, chosen from what is free once the base is loaded."""
        from realfill.models.out_of_memory import plan_memory

        return plan_memory(self.backbone, self.fit, self.run.config, processes=self.processes.count, say=self.say)

    @functools.cached_property
    def draft(self) -> Draft | None:
        """The run's draft by geometry; None where it is not asked for."""
        return load_draft(self.run.draft_folder) if self.run.config.guide.draft else None

    @functools.cached_property
    def matcher(self) -> "tuple[Matcher, str | None]":
        """The matcher, on the device, and what to say where another stands in for the one asked for.

        Raises:
            WeightsError: the file that the run names cannot be used.
        """
        from realfill.matching.registry import load_matcher_or_sift

        self.take_device()
        return load_matcher_or_sift(self.run.config.select, self.processes.device(self.device))

    def adapted(self) -> "Backbone":
        """The backbone with the run's trained adapter in it."""
        from realfill.models import cache
        from realfill.models.cache import load_adapter
        from realfill.models.lora import adapter_parameters
        from realfill.training.checkpoints import load_checkpoint_adapter

        step = self.run.config.sample.checkpoint
        if not self._adapted:
            load_adapter(self.backbone, self.run.lora, self.run.config.train)
            self._adapted = True
        if step:
            cache.forget_adapter()  # what is written over it now is not the finished one any more
            load_checkpoint_adapter(self.run.checkpoints, step, adapter_parameters(self.backbone))
        return self.backbone

    def trained(self) -> None:
        """Says that the backbone carries the finished adapter already, having just been trained."""
        from realfill.models.cache import note_adapter

        if self.processes.is_main:
            note_adapter(self.backbone, self.run.lora, self.run.config.train)
        self._adapted = True

    def take_device(self) -> None:
        """Waits until no other run of this user computes on the device; kept until the session ends."""
        if not self.processes.is_main or self._has_device:
            return
        sentence = "Another RealFill run is using the device; this one goes on when it has finished."
        waits = None if self.processes.is_shared else lambda: self.say(sentence)
        self._has_device = True
        self._kept.enter_context(hold_device(self.device, check=self.check, waits=waits))

    # ── what they tell ──

    def report(self, event: Event) -> None:
        """Writes an event down and passes it on; only the main process of several does."""
        if self.processes.is_main:
            if isinstance(event, Notice) and event.sentence not in self.notices:
                self.notices.append(event.sentence)
            self.run.append(event)
            self._report(event)

    def say(self, sentence: str) -> None:
        """Reports a notice."""
        self.report(Notice(sentence))

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

    def check(self) -> None:
        """To be called between items.

        Raises:
            Interrupted: a signal came or a stop was asked for, in any of the processes.
        """
        stop = bool(self._signal) or (self.processes.is_main and self.run.stop_requested())
        if self.processes.any_true(stop):
            raise Interrupted("Stopped as asked; the same command goes on from here.")

    # ── the frame ──

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Holds the run's lock, watches signals, and leaves the run in the state that the block ended in."""
        with self._kept, contextlib.ExitStack() as stack:
            if self.processes.is_main:
                fresh = not self.run.locked  # else whoever holds it has looked at the stop file
                stack.enter_context(self.run.lock())
                for folder in ("", "seeds", "checkpoints"):
                    files.sweep(self.run.folder / folder)
                if fresh:
                    self.run.forget("stop")
                self.run.enter("running")
            stack.enter_context(self._signals())
            try:
                with _sentences(self.run.folder):
                    yield
            except BaseException as error:
                self._leave(error)
                raise

    def _leave(self, error: BaseException) -> None:
        sentence = str(error)
        if not isinstance(error, (RealFillError, KeyboardInterrupt)):
            sentence = f"A defect in RealFill: {type(error).__name__}: {error}"
        with contextlib.suppress(RealFillError):  # on a full disk the state stays "running", so it reads "interrupted"
            if not self.processes.is_main:
                return
            if isinstance(error, (Interrupted, KeyboardInterrupt, RunBusy)):
                self.run.enter("stopped", sentence or "Stopped; the same command goes on from here.")
            else:
                self.report(Failed(sentence, resumable=isinstance(error, StageError)))
                self.run.enter("failed", sentence)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM lets the current item end, the second does not wait."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def take(number: int, frame: object) -> None:
            if self._signal:
                raise KeyboardInterrupt
            self._signal = number

        before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def closed(items: Iterator[Any]) -> Iterator[None]:
    """Lets a generator end in order, training with a checkpoint, before an error goes on its way."""
    try:
        yield
    finally:
        if isinstance(items, Generator):
            items.close()


_DRAFT_FIT = (512, 8)  # size and multiple where no base says them; the export takes the draft's own detail


@contextlib.contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    """Gives the system's two ways to run out of something a sentence."""
    try:
        with files.speak_full_disk(folder):
            yield
    except MemoryError as error:
        sentence = "The computer's memory is full; close other programs or give a smaller working size (fit.size)."
        raise OutOfMemory(sentence) from error
