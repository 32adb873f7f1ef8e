"""How long each folder's tests take: `python -m pytest -p tests.folder_seconds`.

Processor seconds are those of the tests' process and of all that it started (servers, workers, Chromium): a busy
machine hardly changes them. Wall seconds say how long somebody waited. What a session's fixture costs counts for the
test that was first to ask for it.
"""

import contextlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import PurePosixPath

import psutil
import pytest

PROPERTY = "seconds"  # of reports: processor and wall seconds since the test before ended
SLOWEST = 40  # tests that are listed one by one


class Clock:
    """Processor and wall seconds between one reading and the next, without what reading costs."""

    def __init__(self) -> None:
        self._last = self._read()

    def lap(self) -> tuple[float, float]:
        """What went by since the last lap."""
        now = self._read()
        lap = (
            max(0.0, now[0] - self._last[0]),
            now[1] - self._last[1],
        )  # who ends and is not waited for takes its own along
        self._last = self._read()
        return lap

    @staticmethod
    def _read() -> tuple[float, float]:
        times = os.times()
        seconds = times.user + times.system + times.children_user + times.children_system
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                seconds += sum(child.cpu_times()[:4])
        return seconds, time.monotonic()


CLOCK = Clock()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test's last report carries what it took, also from a worker to the process that sums up."""
    report = yield
    if call.when == "teardown":
        report.user_properties.append((PROPERTY, json.dumps(CLOCK.lap())))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A table of folders, and the slowest tests."""
    tests: dict[str, tuple[float, float]] = {}
    for report in [report for reports in terminalreporter.stats.values() for report in reports]:
        for name, value in getattr(report, "user_properties", ()):
            if name == PROPERTY:
                tests[report.nodeid] = json.loads(value)
    folders: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for nodeid, seconds in tests.items():
        folders[str(PurePosixPath(nodeid.partition("::")[0]).parent)].append(seconds)
    write = terminalreporter.write_line
    terminalreporter.section("seconds by folder")
    write("| folder | tests | processor s | wall s |\n|---|---:|---:|---:|")
    for folder, laps in [*sorted(folders.items()), ("all", list(tests.values()))]:
        write(f"| {folder} | {len(laps)} | {sum(lap[0] for lap in laps):.0f} | {sum(lap[1] for lap in laps):.0f} |")
    terminalreporter.section(f"the {SLOWEST} slowest, in processor and wall seconds")
    for nodeid, (processor, wall) in sorted(tests.items(), key=lambda test: -test[1][0])[:SLOWEST]:
        write(f"{processor:7.2f} {wall:7.2f}  {nodeid}")
