"""`python -m realfill.cli.fetch_process NAME`: fetches the weights of a base, or of what marks by pointing.

It works for the page and may be killed at any moment; what came stays, and the next one goes on. It says one JSON
object a line: {"done", "total", "speed"} in bytes and bytes a second, and at last {"over": true} or {"error": a
sentence}.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from realfill import published
from realfill.bases import sources
from realfill.errors import EXIT_DONE, RealFillError, exit_code
from realfill.garbage import collect_rarely

POINTER = "sam2.1-tiny"  # what marks by pointing
_BETWEEN = 0.3  # seconds between two lines


def main(arguments: Sequence[str]) -> int:
    """Fetches and returns an exit code."""
    collect_rarely()
    last = 0.0
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # what a library prints is no answer

        def say(**answer: Any) -> None:
            answers.write(json.dumps(answer) + "\n")

        def watch(done: int, total: int, speed: float) -> None:
            nonlocal last
            if time.monotonic() - last >= _BETWEEN:
                last = time.monotonic()
                say(done=done, total=total, speed=speed)

        try:
            if arguments[0] == POINTER:
                published.fetch(published.SAM, watch)
            else:
                from realfill.models.registry import fetch_bases

                fetch_bases(sources(arguments[0]), watch)
        except RealFillError as error:
            say(error=str(error))
            return exit_code(error)
        say(over=True)
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
