"""Runs done one after another by a process that stays warm, and what a crash of it costs."""

import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from realfill import config
from realfill.errors import EXIT_DEFECT, EXIT_DONE, EXIT_INTERRUPTED
from realfill.jobs import child_process, queue
from realfill.jobs.child_process import FreshProcess, WarmProcess, detached_options
from realfill.jobs.worker import Worker
from realfill.runs.run import Run

# What stands in for `realfill.cli.warm_process`: a real process; what a run's folder is called says what happens.
WARM_PROCESS = """
    import os, signal, subprocess, sys, time
    from realfill.jobs import child_process
    from realfill.runs.run import Run
    def work(folder):
        print("working on", folder.name, "in", os.getpid(), flush=True)
        subprocess.run([sys.executable, "-c", "print('from a child')"])
        if "dies" in folder.name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "waits" in folder.name:
            stop = []
            signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
            (folder / "ready").touch()
            while not stop:
                time.sleep(0.01)
            return 3
        if "asked" in folder.name:
            (folder / "ready").touch()
            while not (folder / "stop").exists():
                time.sleep(0.01)
            if (folder / "run.json").exists():
                Run.open(folder).enter("stopped")
            return 3
        if (folder / "run.json").exists():
            Run.open(folder).enter("done")
        return 1 if "fails" in folder.name else 0
    child_process.serve(work)
"""


@pytest.fixture
def process() -> Iterator[WarmProcess]:
    started = WarmProcess([sys.executable, "-c", textwrap.dedent(WARM_PROCESS)])
    yield started
    started.close()


def _folder(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def _pid(folder: Path) -> int:
    return int((folder / "log.txt").read_text().split("\n")[0].split()[-1])


def test_one_process_for_all_and_a_log_for_each(process: WarmProcess, tmp_path: Path) -> None:
    one, two = _folder(tmp_path, "one"), _folder(tmp_path, "two")
    assert [process.work(one), process.work(two)] == [EXIT_DONE, EXIT_DONE]
    assert _pid(one) == _pid(two)
    assert (one / "log.txt").read_text().splitlines()[1:] == ["from a child"]
    assert "two" not in (one / "log.txt").read_text()


@pytest.mark.parametrize(("name", "code"), [("dies", -signal.SIGKILL), ("fails", EXIT_DEFECT)])
def test_a_crash_costs_one_run_and_the_next_gets_a_fresh_process(
    process: WarmProcess, tmp_path: Path, name: str, code: int
) -> None:
    bad, good = _folder(tmp_path, name), _folder(tmp_path, "good")
    assert process.work(bad) == code
    assert process.work(good) == EXIT_DONE
    assert _pid(bad) != _pid(good)


def test_a_process_that_was_killed_while_it_waited_is_replaced(process: WarmProcess, tmp_path: Path) -> None:
    one, two = _folder(tmp_path, "one"), _folder(tmp_path, "two")
    process.work(one)
    os.kill(_pid(one), signal.SIGKILL)
    assert process.work(two) == EXIT_DONE  # at once: its end of the pipe may still be open
    assert _pid(one) != _pid(two)


def test_stop_reaches_the_run_in_work_and_then_nothing_is_left(process: WarmProcess, tmp_path: Path) -> None:
    folder, codes = _folder(tmp_path, "waits"), list[int]()
    thread = threading.Thread(target=lambda: codes.append(process.work(folder)))
    thread.start()
    _until_ready(folder)
    process.stop()
    thread.join(20)
    assert codes == [EXIT_INTERRUPTED]
    process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(_pid(folder), 0)


def _until_ready(folder: Path) -> None:
    until = time.monotonic() + 20
    while not (folder / "ready").exists() and time.monotonic() < until:
        time.sleep(0.01)


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """How a process is asked to stop on Windows; this system starts it in its own way."""
    monkeypatch.setattr(child_process, "WINDOWS", True)
    monkeypatch.setattr(child_process, "detached_options", lambda: {"start_new_session": True})


def test_a_process_of_its_own_on_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "WINDOWS", True)
    assert detached_options() == {"creationflags": 0x08000200}  # CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP
    monkeypatch.setattr(child_process, "WINDOWS", False)
    assert detached_options() == {"start_new_session": True}


@pytest.mark.parametrize("kind", [FreshProcess, WarmProcess])
def test_both_kinds_start_their_process_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[FreshProcess] | type[WarmProcess]
) -> None:
    flags: list[object] = []

    def start(*_: object, creationflags: int = 0, **__: object) -> None:
        flags.append(creationflags)
        raise OSError

    monkeypatch.setattr(child_process, "WINDOWS", True)
    monkeypatch.setattr("subprocess.Popen", start)
    assert kind(["any"]).work(_folder(tmp_path, "one")) == child_process.ENDED
    assert set(flags) == {0x08000200}


@pytest.mark.usefixtures("windows")
def test_on_windows_a_stop_goes_by_the_folder_and_leaves_nothing_there(process: WarmProcess, tmp_path: Path) -> None:
    folder, codes = _folder(tmp_path, "asked"), list[int]()
    process.work(_folder(tmp_path, "before"))
    thread = threading.Thread(target=lambda: codes.append(process.work(folder)))
    thread.start()
    _until_ready(folder)
    process.stop()
    thread.join(20)
    assert codes == [EXIT_INTERRUPTED]  # a signal would have killed it
    assert not (folder / "stop").exists()
    process.stop()  # waiting for work it is left alone, until it is closed
    assert os.listdir(tmp_path / "before") == ["log.txt"]
    process.close()


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize("person", [False, True])
def test_on_windows_a_worker_puts_its_run_back_unless_a_person_stopped_it(
    process: WarmProcess, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, person: bool
) -> None:
    monkeypatch.setattr("realfill.jobs.worker.WarmProcess", lambda: process)
    run = Run.create(tmp_path / "runs" / "asked", config.make("mini", {}), toy_scene)
    queue.submit(run)
    worker = Worker(tmp_path / "runs")
    thread = threading.Thread(target=worker.work)
    thread.start()
    _until_ready(run.folder)
    if person:
        (run.folder / "stop").touch()
    worker.stop()
    thread.join(20)
    assert run.status().state == ("stopped" if person else "queued")
    assert run.stop_requested() == person


def test_a_command_that_does_not_start_is_a_code(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "one")
    assert WarmProcess(["/no/such/program"]).work(folder) == child_process.ENDED
    assert FreshProcess(["/no/such/program"]).work(folder) == child_process.ENDED


def test_the_worker_goes_on_after_a_crash(
    process: WarmProcess, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realfill.jobs.worker.WarmProcess", lambda: process)
    runs = [Run.create(tmp_path / "runs" / name, config.make("mini", {}), toy_scene) for name in ("dies", "good")]
    for run in runs:
        queue.submit(run)
    assert Worker(tmp_path / "runs", idle=0.1).work() == queue.ATTEMPTS + 1
    assert [run.status().state for run in runs] == ["failed", "done"]


def test_a_run_that_was_deleted_in_work_stays_deleted(
    process: WarmProcess, toy_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realfill.jobs.worker.WarmProcess", lambda: process)
    run = Run.create(tmp_path / "runs" / "waits", config.make("mini", {}), toy_scene)
    queue.submit(run)
    worker = Worker(tmp_path / "runs", idle=0.1)
    thread = threading.Thread(target=worker.work)
    thread.start()
    _until_ready(run.folder)
    pid = _pid(run.folder)
    run.folder.rename(tmp_path / "elsewhere")
    os.kill(pid, signal.SIGTERM)
    thread.join(20)
    assert not run.folder.exists()
