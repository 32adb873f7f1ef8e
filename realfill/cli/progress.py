"""Progress on stderr: a tqdm bar on a terminal, elsewhere a plain line now and then; results as JSON on stdout."""

import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from realfill.batch.table import SceneRow
from realfill.events import (
    DenoisingStep,
    Downloading,
    Event,
    Failed,
    Notice,
    ProposalReady,
    SeedReady,
    SeedScored,
    Stage,
    StageDone,
    StageStarted,
    TrainStep,
)
from realfill.humanize import duration, transfer

_QUIET = 5.0  # seconds between plain lines
_RECENT = 20  # items whose mean time tells how long the rest will take
_DOING: dict[Stage, str] = {
    "prepare": "getting ready",
    "train": "training",
    "sample": "sampling",
    "select": "matching",
    "export": "exporting",
}


class Progress:
    """Shows events as they come; call it with each, and close it where the work may end in the middle."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._display: _Display = _Bar(stream) if stream.isatty() else _Lines(stream)

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        display = self._display
        match event:
            case StageStarted(stage, total, done):
                display.start(_DOING[stage], total, done)
            case StageDone(stage, seconds):
                display.close()
                display.say(f"{_DOING[stage]}: done in {duration(seconds)}")
            case Downloading(done, total, speed):
                display.tell(f"downloading {transfer(done, total, speed)}")
            case TrainStep(step, total, loss, seconds=seconds):
                display.count(step, total, f"loss {loss:.4f}  {seconds:.2g} s/step")
            case DenoisingStep(step, total, seeds):
                display.tell(f"denoising, step {step}/{total} of {'a seed' if seeds == 1 else f'{seeds} seeds'}")
            case ProposalReady(done, total):
                display.count(done, total, f"proposal {done}")
            case SeedReady(seed, done, total):
                display.count(done, total, f"seed {seed}")
            case SeedScored(seed, matches, done, total):
                display.count(done, total, f"seed {seed}: {matches} matches")
            case Notice(sentence):
                display.say(sentence)
            case Failed():
                display.close()  # the sentence is written where the command ends

    def close(self) -> None:
        """Leaves nothing unfinished on the terminal."""
        self._display.close()


class BatchProgress:
    """Shows the scenes of a batch as they end, with the time left; call it with each."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._display: _Display = _Bar(stream) if stream.isatty() else _Lines(stream, quiet=0.0)

    def __call__(self, row: SceneRow | None, done: int, total: int) -> None:
        """Shows the row of a scene that has ended, None at the beginning; `done` of `total` have."""
        if row is None:
            self._display.start("scenes", total, done)
        else:
            self._display.count(done, total, f"{row.scene}: {row.state}, {duration(row.seconds)}")

    def close(self) -> None:
        """Leaves nothing unfinished on the terminal."""
        self._display.close()


class _Display(Protocol):
    def start(self, doing: str, total: int, done: int) -> None:
        """Work on so many items begins."""

    def count(self, done: int, total: int, details: str) -> None:
        """One more of its items is done."""

    def tell(self, details: str) -> None:
        """How far something is that has no items."""

    def say(self, sentence: str) -> None:
        """A sentence on a line of its own, however long."""

    def close(self) -> None:
        """Nothing unfinished stays on the terminal."""


class _QuietTqdm(tqdm):  # type: ignore[misc]
    monitor_interval = 0  # no thread: every event is shown


class _Bar:
    """A bar for the stage in work and finished lines above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Any = None

    def start(self, doing: str, total: int, done: int) -> None:
        self.close()
        options: dict[str, Any] = {"dynamic_ncols": True, "leave": False, "mininterval": 0, "miniters": 1}
        self._bar = _QuietTqdm(desc=doing, total=total, initial=done, file=self._stream, **options)

    def count(self, done: int, total: int, details: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(details, refresh=False)
            self._bar.update(done - self._bar.n)

    def tell(self, details: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(details)

    def say(self, sentence: str) -> None:
        if self._bar is None:
            self._stream.write(f"{sentence}\n")
        else:
            _QuietTqdm.write(sentence, file=self._stream)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class _Lines:
    """Plain lines for a file or a pipe; of many items only one every few seconds."""

    def __init__(self, stream: TextIO, quiet: float = _QUIET) -> None:
        self._stream, self._quiet = stream, quiet
        self._doing = ""
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._last_line = self._last_item = 0.0  # when a line was last written, when the last item ended

    def start(self, doing: str, total: int, done: int) -> None:
        self._doing, self._last_item = doing, time.monotonic()
        self._recent.clear()
        there = f", {done} of {total} there already" if done else ""
        self.say(f"{doing}{there} …")

    def count(self, done: int, total: int, details: str) -> None:
        now = time.monotonic()
        self._recent.append(now - self._last_item)
        self._last_item = now
        if now - self._last_line >= self._quiet:
            left = sum(self._recent) / len(self._recent) * (total - done)
            self.say(f"{self._doing} {done}/{total}  {details}  {duration(left)} left")

    def tell(self, details: str) -> None:
        if time.monotonic() - self._last_line >= self._quiet:
            self.say(details)

    def say(self, sentence: str) -> None:
        self._stream.write(f"{sentence}\n")
        self._stream.flush()
        self._last_line = time.monotonic()

    def close(self) -> None:
        """Every line is finished."""


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object as the last line of stdout."""
    sys.stdout.write(json.dumps(data, default=str) + "\n")
    sys.stdout.flush()
