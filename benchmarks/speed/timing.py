"""How the speed benchmarks measure and report: rows that are printed at once, checks, and a time budget.

Device work is asynchronous, so every clock here waits for the device before it is read. Times are medians over
blocks of calls after a warm-up; a row says how many calls it stands for.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.options import print_json
from realfill.errors import RealFillError

BLOCK = 4  # calls between two readings of the clock: waiting for the device after each would hide its queue


@dataclass(frozen=True)
class Timed:
    """Seconds of one call (median over the blocks), calls that were timed, and the most device memory in bytes."""

    seconds: float
    calls: int
    peak: int | None  # None on a CPU, where no such number is kept


class DeviceTimer:
    """A device's clock and its memory."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._cuda = device.startswith("cuda")

    def now(self) -> float:
        """Seconds, once the device has done all it was given."""
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def reset_peak(self) -> None:
        """Frees what nobody uses and forgets the peak."""
        if self._cuda:
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int | None:
        """The most bytes allocated on the device since `reset_peak`."""
        return int(torch.cuda.max_memory_allocated()) if self._cuda else None

    def time(self, call: Callable[[], Any], *, warm_up: int, calls: int, until: float) -> Timed:
        """`warm_up` untimed calls, then at most `calls` timed ones, fewer where `until` (perf_counter) comes first."""
        for _ in range(warm_up):
            call()
        blocks: list[float] = []
        count = 0
        while count < calls and (not blocks or time.perf_counter() < until):
            size = min(BLOCK, calls - count)
            began = self.now()
            for _ in range(size):
                call()
            blocks.append((self.now() - began) / size)
            count += size
        return Timed(statistics.median(blocks), count, self.peak())

    def time_steps(self, steps: Iterator[Any], *, warm_up: int, calls: int, until: float) -> Timed:
        """As `time`, where one call is one item of an iterator; the iterator stays open."""
        return self.time(lambda: next(steps), warm_up=warm_up, calls=calls, until=until)


@dataclass
class SpeedReport:
    """The rows of a run. Every row is printed as it comes, so that a run that is cut off still tells."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    section: str = ""
    budget: float = 0.0  # seconds the section may take
    until: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def run(self, name: str, work: Callable[[], None], *, budget: float) -> None:
        """One section: its rows, or one row that says why it broke off; the next section runs all the same."""
        self.section, self.budget, began = name, budget, time.perf_counter()
        self.until = began + budget
        sys.stdout.write(f"\n{name}\n")
        try:
            work()
        except (RuntimeError, ValueError, OSError, RealFillError) as error:  # out of memory is a RuntimeError
            self.add("broke off", failed=f"{type(error).__name__}: {error}".splitlines()[0][:300])
        self.add("section", seconds=round(time.perf_counter() - began, 1))

    def skip_if_late(self, name: str) -> bool:
        """Whether the section's time is spent; a row says that `name` was left out."""
        if time.perf_counter() < self.until:
            return False
        self.add(name, skipped=f"the section's {self.budget:.0f} s were spent")
        return True

    def add(self, name: str, timed: Timed | None = None, **values: Any) -> dict[str, Any]:
        """Adds and prints a row; `timed` becomes ms, calls and peak_gb."""
        row: dict[str, Any] = {"section": self.section, "name": name}
        if timed is not None:
            row |= {"ms": timed.seconds * 1000, "calls": timed.calls}
            if timed.peak is not None:
                row["peak_gb"] = timed.peak / 1e9
        row |= values
        self.rows.append(row)
        text = "  ".join(f"{key} {_short(value)}" for key, value in row.items() if key not in ("section", "name"))
        sys.stdout.write(f"  {name:<44} {text}\n")
        sys.stdout.flush()
        return row

    def check(self, name: str, value: float, limit: float) -> None:
        """A row with a difference and what it may be at most; not a number never passes."""
        self.add(name, value=value, limit=limit, ok=bool(value <= limit))

    def find(self, name: str, **values: Any) -> dict[str, Any] | None:
        """The first row of this name with these values."""
        return next((row for row in self.rows if row["name"] == name and values.items() <= row.items()), None)

    def ratio(self, slow: str, fast: str, **values: Any) -> float | None:
        """How many times longer the row `slow` took than `fast`, where both were measured."""
        first, second = self.find(slow, **values), self.find(fast, **values)
        if first is None or second is None or "ms" not in first or "ms" not in second:
            return None
        return float(first["ms"] / second["ms"])

    def finish(self, *, as_json: bool, **facts: Any) -> int:
        """The closing lines; the exit code is 1 where a check failed or a section broke off."""
        bad = [row["name"] for row in self.rows if row.get("ok") is False or "failed" in row]
        seconds = round(time.perf_counter() - self.began, 1)
        sys.stdout.write(f"\n{seconds} s; " + (f"failed: {', '.join(bad)}\n" if bad else "all checks passed\n"))
        if as_json:
            print_json(**facts, seconds=seconds, ok=not bad, rows=self.rows)
        return 1 if bad else 0


def relative(value: torch.Tensor, reference: torch.Tensor) -> float:
    """‖value − reference‖ / ‖reference‖ in double precision."""
    value, reference = value.detach().double().cpu(), reference.detach().double().cpu()
    return float((value - reference).norm() / reference.norm())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
