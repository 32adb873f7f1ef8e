"""Progress on stderr: on a terminal one line that updates itself, else a plain one now and then; results as JSON."""

import json
import shutil
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, TextIO

from realfill.events import Event, Failed, Notice, SeedReady, SeedScored, Stage, StageDone, StageStarted, TrainStep
from realfill.humanize import duration

_QUIET = 5.0  # seconds between plain lines
_RECENT = 20  # items whose mean time tells how long the rest will take
_DOING: dict[Stage, str] = {
    "prepare": "loading the model",
    "train": "training",
    "sample": "sampling",
    "select": "matching",
    "export": "exporting",
}


class Progress:
    """Shows events as they come; call it with each."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._stage: Stage = "prepare"
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._shown = self._item = 0.0  # when a line was last written, when the last item ended
        self._width = 0  # of the line that stands there unfinished

    def __call__(self, event: Event) -> None:
        """Shows one event."""
        now = time.monotonic()
        if isinstance(event, StageStarted):
            self._stage, self._item = event.stage, now
            self._recent.clear()
            there = f", {event.done} of {event.total} there already" if event.done else ""
            self._line(f"{_DOING[event.stage]}{there} …", now, last=not self._live)
        elif isinstance(event, StageDone):
            self._line(f"{_DOING[event.stage]}: done in {duration(event.seconds)}", now, last=True)
        elif isinstance(event, TrainStep):
            more = f"  loss {event.loss:.4f}  {event.seconds:.2g} s/step"
            self._counted(event.step, event.total, more, now)
        elif isinstance(event, SeedReady):
            self._counted(event.done, event.total, f"  seed {event.seed}", now)
        elif isinstance(event, SeedScored):
            self._counted(event.done, event.total, f"  seed {event.seed}: {event.matches} matches", now)
        elif isinstance(event, Notice):
            self._line(event.sentence, now, last=True, whole=True)
        elif isinstance(event, Failed):
            self._line("", now, last=True)  # the sentence is written where the command ends

    def _counted(self, done: int, total: int, more: str, now: float) -> None:
        self._recent.append(now - self._item)
        self._item = now
        if not self._live and now - self._shown < _QUIET:
            return
        left = sum(self._recent) / len(self._recent) * (total - done)
        self._line(f"{_DOING[self._stage]} {done}/{total}{more}  {duration(left)} left", now, last=not self._live)

    def _line(self, text: str, now: float, *, last: bool, whole: bool = False) -> None:
        """Writes over the unfinished line; `last` finishes it, `whole` lets a long sentence run on."""
        if not text and not self._width:
            return
        if self._live and not whole:
            text = text[: shutil.get_terminal_size().columns - 1]
        start = "\r" if self._live else ""
        self._stream.write(f"{start}{text.ljust(self._width)}{chr(10) if last else ''}")
        self._stream.flush()
        self._width = 0 if last else len(text)
        self._shown = now


def print_json(data: Mapping[str, Any]) -> None:
    """One JSON object as the last line of stdout."""
    sys.stdout.write(json.dumps(data, default=str) + "\n")
    sys.stdout.flush()
