"""What comes of one item of many, and trying again what may still come out well."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from realfill.errors import EXIT_INPUT, Interrupted, RealFillError, RunBusy, exit_code

# bad: the input is refused · failed: an error · stopped: on purpose · busy: somebody else works on it · timeout: its
# time was over · lost: its process, or the machine, died
Ending = Literal["done", "bad", "failed", "stopped", "busy", "timeout", "lost"]
Value = TypeVar("Value")

_MAY_PASS: tuple[Ending, ...] = ("failed", "timeout", "lost")
BUSY_PATIENCE = (
    120.0  # seconds that are waited for whoever works on an item, a worker that was left behind for instance
)
_BUSY_PAUSE = 1.0  # seconds between tries


@dataclass(frozen=True)
class ItemResult(Generic[Value]):
    """How the work on one item ended: a value where it is done, else a sentence."""

    item: Path
    ending: Ending
    value: Value | None = None
    sentence: str = ""
    seconds: float = 0.0  # of the last try
    where: str = ""  # host and worker of the last try
    tries: int = 1


Results = Generator[ItemResult[Value], None, None]


def call_function(function: Callable[[Path], Value], item: Path) -> ItemResult[Value]:
    """The function's value for an item as a result; its errors become sentences and never come through."""
    start = time.monotonic()
    try:
        result = ItemResult(item, "done", function(item))
    except (Exception, KeyboardInterrupt) as error:
        result = ItemResult(item, _ending(error), sentence=_sentence(error))
    return dataclasses.replace(result, seconds=round(time.monotonic() - start, 3))


def retry_items(run: Callable[[Sequence[Path]], Results[Value]], items: Sequence[Path], retries: int) -> Results[Value]:
    """The last result of every item. What may pass is tried again after all others have had their turn.

    `run` gives one result for each item it is handed. An item that is busy costs no try; it is waited for.
    """
    tries: Counter[Path] = Counter()
    left, busy_until = list(items), float("inf")
    while left:
        again: list[Path] = []
        only_busy = True
        for result in run(left):
            tries[result.item] += result.ending != "busy"
            waits = result.ending == "busy" and time.monotonic() < busy_until
            passes = result.ending in _MAY_PASS and tries[result.item] <= retries
            if waits or passes:
                again.append(result.item)
                only_busy = only_busy and waits
            else:
                yield dataclasses.replace(result, tries=tries[result.item])
        if again and only_busy:
            busy_until = min(busy_until, time.monotonic() + BUSY_PATIENCE)
            time.sleep(_BUSY_PAUSE)
        else:
            busy_until = float("inf")
        left = again


def _ending(error: BaseException) -> Ending:
    if isinstance(error, RunBusy):
        return "busy"
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return "stopped"
    return "bad" if exit_code(error) == EXIT_INPUT else "failed"


def _sentence(error: BaseException) -> str:
    if isinstance(error, RealFillError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "Stopped as asked; the same command goes on from here."
    return f"A defect in RealFill: {type(error).__name__}: {error}"
