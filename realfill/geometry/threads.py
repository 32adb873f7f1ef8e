"""Work on several photos side by side: OpenCV and numpy let go of the interpreter while they compute."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

THREADS = 2  # OpenCV shares each operation among all cores already; these fill the gaps between them


def map_threads(function: Callable[..., Result], *items: Iterable[Any]) -> list[Result]:
    """`list(map(function, *items))`, two calls at a time.

    Raises:
        Exception: what the first call that failed raised, after all that began have ended.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, *items))
