"""Runs in turns: on a ZeroGPU Space a process has a GPU for a minute at most, in the request of who asks for it.

A run waits without a place in the workers' queue. The page of its owner asks for one turn after another, so a closed
tab costs nobody a GPU; between two turns there are only files. What needs no GPU is done before the first turn and
after the last one, by a process of its own (`realfill.cli.turn_process`).
"""

import contextlib
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr

from realfill.bases import EMBEDDED
from realfill.config import Config
from realfill.errors import DiskFull, OptionError, RealFillError, RunBusy
from realfill.geometry.propose import are_saved
from realfill.jobs import queue
from realfill.jobs.child_process import LOG
from realfill.runs.run import Run
from realfill.sentences import Sentence

from . import costs

SECONDS = 45.0  # of the GPU that one turn asks for
MARGIN = 8.0  # seconds before the end of a turn at which its work is saved
_LOOK = 0.5  # seconds between looks at a process
_ROOT = Path(__file__).resolve().parents[2]
Work = Callable[[str, float], Iterator[object]]
"""Works on a run's folder for so many seconds at most; what it yields says only that it goes on. It raises gr.Error
where the GPU is not given, or is taken away."""


class Turns:
    """Hands out turns; `base` is the one that is on the GPU, whose size and multiple are in pixels."""

    def __init__(self, work: Work, *, base: str, size: int, multiple: int, seconds: float = SECONDS) -> None:
        self._work, self._base, self._seconds = work, base, seconds
        self._size, self._multiple = size, multiple
        self._guard, self._taken = threading.Lock(), set[str]()
        self._prepared: set[str] = set()  # by name, as far as this process knows

    @property
    def bases(self) -> tuple[str, str]:
        """The bases that runs can have here: `mini` at once, the other one in turns."""
        return EMBEDDED, self._base

    def takes(self, config: Config) -> bool:
        """Whether a run is done in turns: drafts and `mini` are computed at once, on the processor.

        Raises:
            OptionError: it wants a base that is not here.
        """
        if config.guide.only or config.base == EMBEDDED:
            return False
        if config.base != self._base or config.sample.base not in ("", self._base):
            one, other = self.bases
            raise OptionError(
                Sentence("This Space has the bases {one} and {other}; choose one of them.", one=one, other=other)
            )
        return True

    def describe(self, config: Config, runs_dir: Path) -> Sentence:
        """What to know of a run's turns before it begins, from what steps and seeds took here before."""
        try:
            if not self.takes(config):
                return Sentence("It needs no GPU, so it costs none of your quota.")
        except OptionError as refusal:
            return refusal.sentence
        work = costs.run_seconds(runs_dir, config)
        if work is None:
            return Sentence(
                "It is trained in shares of {seconds} s of the GPU, on your own quota and while this page is open; "
                "how many, the first run tells.",
                seconds=round(self._seconds),
            )
        return Sentence(
            "It is trained in shares of {seconds} s of the GPU, on your own quota and while this page is open: "
            "{count} of them at least.",
            seconds=round(self._seconds),
            count=max(1, math.ceil(work / (self._seconds - MARGIN))),
        )

    def wait(self, run: Run) -> None:
        """Lets a run wait for its turn.

        Raises:
            RunBusy: it is being worked on.
        """
        with run.lock():
            run.forget("stop")
            queue.wait_for_turn(run)

    def take(self, run: Run) -> Iterator[None]:
        """One turn for a run that waits for it, in the request that is being answered; nothing for any other run.

        What went wrong stands in the run's state.
        """
        name = run.folder.name
        with self._guard:
            if name in self._taken or not _is_free(run):
                return
            self._taken.add(name)
        try:
            yield from self._take(run)
        finally:
            with self._guard:
                self._taken.discard(name)

    def _take(self, run: Run) -> Iterator[None]:
        if run.folder.name not in self._prepared and not _is_prepared(run):
            yield from self._run_process(run, "prepare")
            self._prepared.add(run.folder.name)
            return
        before = _progress(run)
        if not _is_filled(run):
            refusal = ""
            try:
                for _ in self._work(str(run.folder.resolve()), self._seconds):
                    yield
            except gr.Error as error:
                refusal = str(error.message)
            self._settle(run, before, refusal)
        if _is_filled(run) and run.status().state == "queued":
            yield from self._run_process(run, "export")

    def _settle(self, run: Run, before: tuple[int, ...], refusal: str) -> None:
        """Sees to it that a run waits on only where another turn would bring it further."""
        with contextlib.suppress(RunBusy, DiskFull), run.lock():
            status, gained = run.status(), _progress(run) != before
            if status.state not in ("queued", "running", "interrupted"):
                return
            if gained:
                queue.wait_for_turn(run)
            elif refusal and status.state == "queued":  # it was not begun
                run.enter(
                    "stopped",
                    Sentence("The GPU was not given: {why}. Resume goes on from here.", why=refusal.rstrip(".")),
                )
            else:
                run.enter(
                    "failed",
                    Sentence(
                        "A share of {seconds} s of the GPU was too short for one step or picture; take a smaller "
                        "working size or batch, or fewer steps a picture.",
                        seconds=round(self._seconds),
                    ),
                )

    def _run_process(self, run: Run, stage: str) -> Iterator[None]:
        command = [sys.executable, "-m", "realfill.cli.turn_process", str(run.folder.resolve()), stage]
        with (run.folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                [*command, str(self._size), str(self._multiple)],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        while process.poll() is None:
            yield
            time.sleep(_LOOK)
        if process.returncode and queue.waits_for_turn(run.status()):
            with contextlib.suppress(RunBusy, DiskFull), run.lock():
                code = process.returncode
                run.enter("failed", Sentence("The working process ended unexpectedly (code {code}).", code=code))


def _is_free(run: Run) -> bool:
    """Whether a run waits for a turn; one whose process was killed is let wait again."""
    try:
        with run.lock():
            status = run.status()
            if status.ticket or status.state not in ("queued", "running", "interrupted"):
                return False
            if status.state != "queued":
                queue.wait_for_turn(run)
            return True
    except RealFillError:  # somebody works on it
        return False


def _is_prepared(run: Run) -> bool:
    guide = run.config.guide
    drafted = (run.draft_folder / "draft.json").exists() and are_saved(run.proposals_folder, guide.proposals)
    return run.fact("fit") is not None and (drafted or not guide.draft)


def _is_filled(run: Run) -> bool:
    return run.is_trained and not set(run.config.seeds) - set(run.seeds_done())


def _progress(run: Run) -> tuple[int, ...]:
    return max(run.checkpoint_steps(), default=0), int(run.is_trained), len(run.seeds_done())
