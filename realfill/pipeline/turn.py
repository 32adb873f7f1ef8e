"""A share of a device's time: work that is cut into turns waits for its next one instead of being stopped."""

import threading
import time
from dataclasses import dataclass, field


def read_clock() -> float:
    """Seconds that pass while a turn lasts."""
    return time.monotonic()


@dataclass(frozen=True)
class Turn:
    """Until a moment by `read_clock`, or until somebody ends it."""

    until: float = float("inf")
    _ended: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def lasting(cls, seconds: float) -> "Turn":
        """One that begins now."""
        return cls(read_clock() + seconds)

    def end(self) -> None:
        """Lets the work stop after the item in hand."""
        self._ended.set()

    def is_over(self) -> bool:
        """Whether the work is to be saved now."""
        return self._ended.is_set() or read_clock() >= self.until

    def count_fitting(self, seconds: float) -> int:
        """How many items of so many seconds are likely to be done in what is left; 1 at least."""
        left = self.until - read_clock()
        return max(1, int(min(left / max(seconds, 1e-3), 1e6)))
