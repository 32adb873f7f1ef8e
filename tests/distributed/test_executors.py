"""One process or several: a result for every item, whatever the others come to."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from realfill.distributed import results, worker_process
from realfill.distributed.executors import Executor, Processes, Serial, local_places
from realfill.distributed.results import ItemResult, Results, retry_items
from realfill.distributed.worker_process import Place, Task, WorkerProcess
from realfill.errors import Interrupted
from tests.distributed.work import context, count_lines, note_kill, work
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "contexts"
    folder.mkdir()
    monkeypatch.setenv("REALFILL_TEST_CONTEXTS", str(folder))
    return folder


def _items(folder: Path, *names: str) -> list[Path]:
    return [folder / f"{name}.scene" for name in names]


def _endings(executor: Executor, task: Task[str], items: list[Path]) -> dict[str, tuple[str, int]]:
    return {result.item.stem: (result.ending, result.tries) for result in executor.map(task, items)}


def test_in_this_process(tmp_path: Path) -> None:
    found = list(Serial().map(Task(work), _items(tmp_path, "a", "bad", "fails", "defect", "b")))
    assert [(result.ending, result.value) for result in found] == [
        ("done", "a 1"),
        ("bad", None),
        ("failed", None),
        ("failed", None),
        ("done", "b 1"),
    ]
    assert [result.sentence for result in found[1:4]] == [
        "bad.scene is no picture.",
        "fails.scene cannot go on.",
        "A defect in RealFill: ZeroDivisionError: by zero",
    ]


def test_processes_outlive_what_happens_to_them(tmp_path: Path, contexts: Path) -> None:
    """Bad input is not tried again, a death costs one try, and each process does several items in one context."""
    items = _items(tmp_path, "a", "b", "dies", "bad", "fails", "busy")
    task = Task(work, context, after_kill=note_kill)
    assert _endings(Processes(local_places(2), retries=1), task, items) == {
        "a": ("done", 1),
        "b": ("done", 1),
        "dies": ("done", 2),
        "bad": ("bad", 1),
        "fails": ("failed", 2),
        "busy": ("done", 1),
    }
    assert (tmp_path / "dies.killed").exists() and not (tmp_path / "fails.killed").exists()
    assert len(list(contexts.iterdir())) <= 5  # two at the beginning, one after each of a death and two failures
    assert count_lines(tmp_path / "dies.scene") == 2


def test_an_item_that_hangs_ends_at_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "GRACE", 0.1)
    worker = WorkerProcess(Task(work, timeout=0.1), Place("here"))
    hung = worker.call(tmp_path / "hangs.scene")
    assert hung.ending == "timeout" and "--timeout" in hung.sentence and hung.where == "here"
    worker.close()


def test_who_ends_early_waits_until_work_is_saved(tmp_path: Path) -> None:
    endless = Processes(local_places(1)).map(Task(work), _items(tmp_path, "a", "saves", "b"))
    assert next(endless).value == "a 1"
    wait_until((tmp_path / "saves.begun").exists, "work has begun")
    endless.close()
    assert (tmp_path / "saves.saved").exists() and not (tmp_path / "b.tries").exists()


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from realfill.distributed.worker_process import Place, Task, WorkerProcess\n"
        "from tests.distributed.work import work\n"
        "if __name__ == '__main__':\n    WorkerProcess(Task(work), Place()).call(Path(sys.argv[1]))\n"
    )
    (tmp_path / "driver.py").write_text(code)
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "saves.scene")]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as driver:
        wait_until((tmp_path / "saves.begun").exists, "work has begun")
        child = int((tmp_path / "saves.tries").read_text())
        driver.kill()
    wait_until((tmp_path / "saves.saved").exists, "work is saved")
    wait_until(lambda: not psutil.pid_exists(child), "the process ends")


def test_in_this_process_a_stop_ends_all(tmp_path: Path) -> None:
    def stop(item: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="goes on from here"):
        list(Serial().map(Task(stop), [tmp_path]))


def test_what_is_busy_is_waited_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))

    def busy(items: object) -> Results[str]:
        yield ItemResult(tmp_path, "busy", sentence="taken")

    (last,) = retry_items(busy, [tmp_path], 0)
    assert last.ending == "busy" and results.BUSY_PATIENCE <= now[0] < results.BUSY_PATIENCE + 5


def test_places_share_out_gpus_cores_and_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    places = local_places(3, ["0", "MIG-7"])
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in places] == ["0", "MIG-7", "0"]
    assert ["REALFILL_LOCKS" in place.environment for place in places] == [False, False, True]
    first, second = local_places(2)
    assert "REALFILL_LOCKS" not in first.environment and second.environment["REALFILL_LOCKS"].endswith("1")
    assert first.environment["OMP_NUM_THREADS"] == second.environment["OMP_NUM_THREADS"]
    assert len({place.name for place in places}) == 3
