"""Work on several photos side by side: OpenCV and numpy let go of the interpreter while they compute."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

THREADS = 2  # OpenCV shares each operation among all cores already; these fill the gaps between them


def map_threads(function: Callable[..., Result], *items: Iterable[Any]) -> list[Result]:
    """`list(map(function, *items))`, two calls at a time.

    Raises:
        Exception: what the first call that failed raised, after all that began have ended.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, *items))


class Once(Generic[Result]):
    """What several threads need: the first that asks makes it, the others wait for it."""

    def __init__(self, make: Callable[[], Result]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: list[Result] = []

    def __call__(self) -> Result:
        """What was made, always the same."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]
