"""Several scenes at once: an executor maps a function over paths."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Executor(Protocol):
    """Calls a function with every item; results come in any order."""

    def map(self, fn: Callable[[Path], Result], items: Sequence[Path]) -> Iterator[Result]:
        """The first exception ends the iteration; what was finished before it stays finished."""
        ...


class Serial:
    """One after another, in this process."""

    def map(self, fn: Callable[[Path], Result], items: Sequence[Path]) -> Iterator[Result]:
        """See `Executor.map`; in the order given."""
        return (fn(item) for item in items)


class Processes:
    """So many fresh processes; `fn` and its results travel by pickle."""

    def __init__(self, count: int) -> None:
        self._count = count

    def map(self, fn: Callable[[Path], Result], items: Sequence[Path]) -> Iterator[Result]:
        """See `Executor.map`."""
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        pool = ProcessPoolExecutor(min(self._count, max(1, len(items))), mp_context=context)
        try:
            for future in as_completed([pool.submit(fn, item) for item in items]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def choose_executor(workers: int) -> Executor:
    """One worker is this process."""
    return Serial() if workers <= 1 else Processes(workers)
