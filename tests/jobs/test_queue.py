"""The queue: in order, one at a time, each once, and nothing is lost when a process dies."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from realfill import config
from realfill.errors import DiskFull, RunBusy
from realfill.jobs import queue
from realfill.jobs.device_lock import _device_file, hold_device
from realfill.jobs.queue import claim, queue_position, waiting_runs
from realfill.jobs.worker import Worker
from realfill.runs.run import Run
from realfill.runs.status import RunFolder

# What stands in for `realfill complete`: a real process that takes the run as the command line does.
CHILD = """
    import os, signal, sys, time
    from pathlib import Path
    from realfill.jobs.queue import claim
    from realfill.runs.run import Run
    run = Run.open(Path(sys.argv[-1]))
    with claim(run) as mine:
        if mine:
            run.enter("running")
            with (run.folder.parent / "taken").open("a") as file:
                file.write(run.folder.name + "\\n")
            {act}
"""
FINISH = 'run.enter("done")'
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
WAIT = """
            stop = []
            signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
            while not stop and not run.stop_requested():
                time.sleep(0.01)
            run.enter("stopped", "as asked")
"""


def _child(act: str) -> list[str]:
    return [
        sys.executable,
        "-c",
        textwrap.dedent(CHILD).format(act=textwrap.dedent(act).strip().replace("\n", "\n        ")),
    ]


@pytest.fixture
def make(toy_scene: Path, tmp_path: Path) -> Callable[[str], Run]:
    def make_run(name: str) -> Run:
        return Run.create(tmp_path / "runs" / name, config.make("mini", {}), toy_scene)

    return make_run


def _work(runs_dir: Path, command: Sequence[str], *, idle: float = 0.2) -> int:
    return Worker(runs_dir, command, idle=idle).work()


def _taken(runs_dir: Path) -> list[str]:
    return (runs_dir / "taken").read_text().split()


def _until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("never became true")


def test_first_come_first_served(make: Callable[[str], Run], tmp_path: Path) -> None:
    first, second, third = make("c"), make("a"), make("b")
    make("never submitted")
    assert [queue.submit(run) for run in (first, second, third)] == [1, 2, 3]
    assert queue.submit(first) == 1  # again: keeps its place
    assert [queue_position(run) for run in (first, second, third)] == [1, 2, 3]
    assert _work(tmp_path / "runs", _child(FINISH)) == 3
    assert _taken(tmp_path / "runs") == ["c", "a", "b"]
    assert {run.status().state for run in (first, second, third)} == {"done"}
    assert waiting_runs(tmp_path / "runs") == [] and queue_position(first) == 0


def test_a_waiting_run_is_given_another_place(make: Callable[[str], Run], tmp_path: Path) -> None:
    runs = {name: make(name) for name in "abcd"}
    for run in runs.values():
        queue.submit(run)

    def order() -> str:
        return "".join(run.folder.name for run in waiting_runs(tmp_path / "runs"))

    queue.move(runs["d"], 1)
    assert order() == "dabc"
    queue.move(runs["d"], 3)
    assert order() == "abdc"
    queue.move(runs["a"], 99)
    queue.move(runs["b"], 0)
    assert order() == "bdca"
    for _ in range(80):  # however often
        queue.move(runs["a"], 2)
        queue.move(runs["a"], 4)
    assert order() == "bdca" and runs["c"].status().attempts == 0
    late = make("e")
    assert queue.submit(late) == 5  # who comes later still waits behind
    runs["b"].request_stop()
    queue.move(runs["b"], 4)
    assert order() == "dcae" and runs["b"].status().state == "stopped"
    assert _work(tmp_path / "runs", _child(FINISH)) == 4
    assert "".join(_taken(tmp_path / "runs")) == "dcae"


def test_runs_with_one_ticket_part_when_one_is_moved(make: Callable[[str], Run], tmp_path: Path) -> None:
    runs = [make(name) for name in "abc"]
    for run in runs:
        run.enter("queued", ticket=7)
    queue.move(runs[2], 1)
    assert [run.folder.name for run in waiting_runs(tmp_path / "runs")] == ["c", "a", "b"]


def test_a_paused_queue_begins_nothing_and_goes_on(make: Callable[[str], Run], tmp_path: Path) -> None:
    runs_dir, said = tmp_path / "runs", list[str]()
    queue.submit(make("a"))
    queue.pause(runs_dir)
    assert Worker(runs_dir, _child(FINISH), idle=0.1).work(said.append) == 0
    assert said == ["The queue is paused; no run begins."] and len(waiting_runs(runs_dir)) == 1
    worker = Worker(runs_dir, _child(FINISH), idle=60)
    thread = threading.Thread(target=worker.work, args=(said.append,))
    thread.start()
    _until(lambda: len(said) == 2)
    queue.unpause(runs_dir)
    queue.unpause(runs_dir)
    taken = runs_dir / "taken"
    _until(lambda: taken.exists() and _taken(runs_dir) == ["a"])  # its process takes time to begin
    worker.stop()
    thread.join()
    assert "The queue goes on." in said and not queue.is_paused(runs_dir)


def test_a_run_in_work_is_not_queued(make: Callable[[str], Run]) -> None:
    run = make("a")
    with Run.open(run.folder).lock(), pytest.raises(RunBusy):
        queue.submit(run)


def test_a_stopped_run_leaves_the_queue_and_may_come_back(make: Callable[[str], Run], tmp_path: Path) -> None:
    one, two = make("a"), make("b")
    queue.submit(one)
    queue.submit(two)
    one.request_stop()
    assert [run.folder.name for run in waiting_runs(tmp_path / "runs")] == ["b"]
    assert queue.submit(one) == 2
    assert not one.stop_requested()


def test_only_a_waiting_free_run_can_be_claimed(make: Callable[[str], Run]) -> None:
    run = make("a")
    with claim(run) as mine:
        assert not mine  # not queued
    queue.submit(run)
    with claim(run) as mine, claim(Run.open(run.folder)) as others:
        assert (mine, others) == (True, False)
        assert run.locked
    assert not run.locked


def test_each_run_is_taken_once_by_many(make: Callable[[str], Run], tmp_path: Path) -> None:
    runs = [make(name) for name in "abcd"]
    for run in runs:
        queue.submit(run)
    command = _child('time.sleep(0.05); run.enter("done")')
    racers = [subprocess.Popen([*command, str(run.folder)]) for run in runs for _ in range(3)]
    assert [racer.wait() for racer in racers] == [0] * 12
    assert sorted(_taken(tmp_path / "runs")) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("act", [DIE, "sys.exit(1)"])
def test_a_dying_process_is_tried_again_a_few_times(make: Callable[[str], Run], tmp_path: Path, act: str) -> None:
    bad, good = make("bad"), make("good")
    queue.submit(bad)
    assert _work(tmp_path / "runs", _child(act)) == queue.ATTEMPTS
    status = bad.status()
    assert status.state == "failed"
    assert "log.txt" in status.sentence
    queue.submit(good)
    assert _work(tmp_path / "runs", _child(FINISH)) == 1
    queue.submit(bad)  # a person may try again
    assert _work(tmp_path / "runs", _child(FINISH)) == 1
    assert bad.status().state == good.status().state == "done"


@pytest.mark.parametrize(("state", "code"), [("stopped", 3), ("failed", 1)])
def test_a_person_quicker_than_the_worker_is_no_death(
    make: Callable[[str], Run], tmp_path: Path, state: str, code: int
) -> None:
    """Started again between the end of the process' work and the worker's look at it."""
    run = make("a")
    queue.submit(run)
    act = f"""
    import sys
    from pathlib import Path
    from realfill.jobs import queue
    from realfill.jobs.queue import claim
    from realfill.runs.run import Run
    run = Run.open(Path(sys.argv[-1]))
    seen = run.folder / "seen"
    first = not seen.exists()
    with claim(run):
        seen.write_text(repr((run.status().attempts, run.status().sentence)))
        run.enter("{state}" if first else "done")
    if first:
        queue.submit(run)
        sys.exit({code})
"""
    assert _work(tmp_path / "runs", [sys.executable, "-c", textwrap.dedent(act)]) == 2
    assert run.status().state == "done" and run.status().attempts == 0
    assert (run.folder / "seen").read_text() == "(0, '')"


def test_a_run_that_was_busy_elsewhere_keeps_its_place_and_its_tries(
    make: Callable[[str], Run], tmp_path: Path
) -> None:
    run, rounds = make("a"), tmp_path / "rounds"
    queue.submit(run)
    # the first processes find the run locked, as while it is being copied, and end well without having taken it
    act = f"""
    from pathlib import Path
    import sys
    from realfill.jobs import queue
    from realfill.jobs.queue import claim
    from realfill.runs.run import Run
    run, rounds = Run.open(Path(sys.argv[-1])), Path({str(rounds)!r})
    rounds.write_text((rounds.read_text() if rounds.exists() else "") + "x")
    if len(rounds.read_text()) > queue.ATTEMPTS + 1:
        run.enter("done")
"""
    _work(tmp_path / "runs", [sys.executable, "-c", textwrap.dedent(act)])
    assert (run.status().state, run.status().attempts) == ("done", 0)


def test_a_command_that_does_not_start_does_not_loop(make: Callable[[str], Run], tmp_path: Path) -> None:
    run = make("a")
    queue.submit(run)
    _work(tmp_path / "runs", [str(tmp_path / "no-such-program")])
    assert run.status().state == "failed"


def test_a_worker_that_is_stopped_puts_its_run_back(make: Callable[[str], Run], tmp_path: Path) -> None:
    run = make("a")
    queue.submit(run)
    worker = Worker(tmp_path / "runs", _child(WAIT))
    thread = threading.Thread(target=worker.work)
    thread.start()
    _until(lambda: run.status().state == "running")
    assert queue.worker_alive(tmp_path / "runs")
    with pytest.raises(RunBusy, match="Another worker"):
        Worker(tmp_path / "runs").work()
    time.sleep(0.3)  # the child sets its signal handler just after
    worker.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert run.status().state == "queued"
    assert not queue.worker_alive(tmp_path / "runs")
    assert _work(tmp_path / "runs", _child(FINISH)) == 1
    assert run.status().state == "done"


def test_a_person_who_stops_a_run_has_the_last_word(make: Callable[[str], Run], tmp_path: Path) -> None:
    run = make("a")
    queue.submit(run)
    worker = Worker(tmp_path / "runs", _child(WAIT), idle=0.2)
    thread = threading.Thread(target=worker.work)
    thread.start()
    _until(lambda: run.status().state == "running")
    run.request_stop()
    thread.join(30)
    assert (run.status().state, run.status().sentence) == ("stopped", "as asked")


def test_a_run_whose_worker_was_killed_goes_on(make: Callable[[str], Run], tmp_path: Path) -> None:
    queued, by_hand, hopeless = make("a"), make("b"), make("c")
    queued.enter("running", ticket=5)
    by_hand.enter("running")
    hopeless.enter("running", ticket=6, attempts=queue.ATTEMPTS)
    for run in (queued, by_hand, hopeless):
        with run.lock():
            pass
        os.utime(run.folder / "lock", (0, 0))
    assert _work(tmp_path / "runs", _child(FINISH)) == 1
    assert [run.status().state for run in (queued, by_hand, hopeless)] == ["done", "interrupted", "interrupted"]


DAMAGED = ("", "[]", '{"state": "queued", "ticket": "x"}', '{"state": "queued", "since": null}', '{"ticket": 1e999}')


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_state_stops_no_other_run(make: Callable[[str], Run], tmp_path: Path, text: str) -> None:
    bad, good, left = make("a"), make("b"), make("c")
    queue.submit(good)
    left.enter("running", ticket=5)
    with left.lock():
        pass
    os.utime(left.folder / "lock", (0, 0))
    (bad.folder / "state.json").write_text(text)
    assert queue.read_status(bad.folder) is None
    assert not queue.wants_worker(bad.folder) and queue.wants_worker(good.folder)
    assert queue_position(good) == 1
    assert _work(tmp_path / "runs", _child(FINISH)) == 2
    assert good.status().state == left.status().state == "done"
    assert (bad.folder / "state.json").read_text() == text


def test_a_run_that_cannot_be_worked_on_holds_up_no_other(make: Callable[[str], Run], tmp_path: Path) -> None:
    bad, nameless, good = make("a"), make("b"), make("c")
    for run in (bad, nameless, good):
        queue.submit(run)
    (bad.folder / "lock").unlink()
    (bad.folder / "lock").mkdir()  # as unopenable as another user's
    (nameless.folder / "labels.json").write_text("")
    sentences: list[str] = []
    Worker(tmp_path / "runs", _child(FINISH), idle=0.2).work(sentences.append)
    assert good.status().state == "done"
    assert [sentence.split(":")[0] for sentence in sentences if "passed over" in sentence] == [
        "a is passed over until the worker starts anew",
        "b is passed over until the worker starts anew",
    ]


def test_a_full_disk_does_not_end_the_worker(
    make: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [make("a"), make("b")]
    for run in left:
        run.enter("running", ticket=5)
        with run.lock():
            pass
        os.utime(run.folder / "lock", (0, 0))
    tried: list[str] = []

    def full(run: RunFolder, *_: object, **__: object) -> None:
        tried.append(run.folder.name)
        os.utime(run.folder / "lock", (0, 0))
        raise DiskFull("The disk is full.")

    monkeypatch.setattr(RunFolder, "enter", full)
    queue.requeue_abandoned(tmp_path / "runs")
    assert tried == ["a", "b"]
    assert _work(tmp_path / "runs", _child(FINISH)) == 0


def test_one_at_a_time_on_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path / "locks"))
    calls: list[str] = []

    def give_up() -> None:
        raise InterruptedError

    def nothing() -> None:
        return

    with hold_device("cpu", check=nothing):
        with pytest.raises(RunBusy, match="device cpu"), hold_device("cpu", check=nothing):
            pass
        with (
            pytest.raises(InterruptedError),
            hold_device("cpu", check=give_up, waits=lambda: calls.append("waits")),
        ):
            pass
        with hold_device("cuda:1", check=nothing):  # another device is another matter
            pass
    assert calls == ["waits"]
    with hold_device("cpu", check=nothing, waits=lambda: calls.append("never")):
        pass
    assert calls == ["waits"]


def test_devices_that_cuda_hides_are_not_shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REALFILL_LOCKS", str(tmp_path))
    names = set()
    for visible in ("0", "1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        names |= {_device_file("cuda"), _device_file("cpu")}
    assert len(names) == 3
    assert all(name.parent == tmp_path for name in names)
