"""Waiting for what another process or thread does and tells nobody of: it is looked at again and again."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

LONGEST = 180.0  # seconds, for a machine that does much else; nothing is asserted about how long something takes
BETWEEN = 0.02


def wait_until(look: Callable[[], Seen], what: str, seconds: float = LONGEST) -> Seen:
    """The first answer of `look` that is true; AssertionError with `what` was waited for when there is none in time."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, f"in {seconds:.0f} s never: {what}"
        time.sleep(BETWEEN)
    return seen
