"""What the server writes on the terminal, bounded: gradio puts whole requests into its tracebacks."""

import sys
import time
from pathlib import Path
from typing import Any, TextIO

LINE = 1000  # characters
MINUTE, A_MINUTE = 60.0, 2**16  # seconds, and characters in so many
LARGEST = 4 * 2**20  # bytes of a log file before it makes room


class BoundedStream:
    """A text stream that cuts long lines, and is silent for the rest of a minute in which too much was said."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._column = self._said = 0
        self._minute = time.monotonic()

    def write(self, text: str) -> int:
        """Writes what fits; returns the length of all, as a stream does."""
        now = time.monotonic()
        if now - self._minute >= MINUTE:
            self._minute, self._said = now, 0
        if self._said < A_MINUTE:
            cut = "".join(self._cut(line) for line in text.splitlines(keepends=True))[: A_MINUTE - self._said]
            self._said += len(cut)
            note = "[more was said in this minute]\n" if self._said >= A_MINUTE else ""
            self._stream.write(cut + note)
        return len(text)

    def _cut(self, line: str) -> str:
        end = "\n" if line.endswith("\n") else ""
        body, room = line.removesuffix("\n"), max(0, LINE - self._column)
        first_beyond = self._column <= LINE < self._column + len(body)
        self._column = 0 if end else self._column + len(body)
        return body[:room] + (" …" if first_beyond else "") + end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def bound_output() -> None:
    """Bounds what this process says on its terminal from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, BoundedStream):
            setattr(sys, name, BoundedStream(stream))


def rotate(log: Path, largest: int = LARGEST) -> None:
    """Moves a log file that has grown large to `NAME.1`, in the place of the one before."""
    try:
        if log.stat().st_size > largest:
            log.replace(log.with_name(f"{log.name}.1"))
    except OSError:  # there is none yet, or somebody holds it open on Windows: it goes on in the same file
        return
