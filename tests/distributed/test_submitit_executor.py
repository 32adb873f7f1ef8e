"""Workers as jobs, by submitit's own executor for one machine; SLURM itself is not here."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from realfill.distributed.submitit_executor import ERRORS, ItemsJob, Submitit, _split, check_submitit
from realfill.distributed.worker_process import Task
from realfill.errors import OptionError
from tests.distributed.work import work
from tests.waiting import wait_until

submitit = pytest.importorskip("submitit", reason="submitit is in requirements-dev.txt")


def test_jobs_of_this_machine(tmp_path: Path) -> None:
    """Two jobs, of which one loses its process over an item: that is tried again in a job of its own."""
    items = [tmp_path / f"{name}.scene" for name in ("a", "bad", "dies", "b")]
    jobs = Submitit(tmp_path / "jobs", workers=2, parameters={"cluster": "local"}, retries=1)
    found = {result.item.stem: result for result in jobs.map(Task(work), items)}
    assert {name: (result.ending, result.tries) for name, result in found.items()} == {
        "a": ("done", 1),
        "bad": ("bad", 1),
        "dies": ("done", 2),
        "b": ("done", 1),
    }
    places = {name: result.where for name, result in found.items()}
    assert " job " in places["a"] and places["bad"] == places["b"] and len(set(places.values())) == 3


@pytest.mark.usefixtures("heeded_ctrl_c")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit does not wait for its own
def test_an_early_end_is_told_by_nobody_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends submitit's own processes, too, with tracebacks that are for nobody."""
    items = [tmp_path / "saves.scene", tmp_path / "a.scene"]
    results = Submitit(tmp_path / "jobs", workers=2, parameters={"cluster": "local"}).map(Task(work), items)
    assert next(results).item.stem == "a"
    results.close()
    wait_until(lambda: "KeyboardInterrupt" in (tmp_path / "jobs" / ERRORS).read_text(), "the other job has ended")
    assert capfd.readouterr().err == ""


def test_a_job_that_dies_loses_its_items_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Job:
        job_id, paths = "7", type("Paths", (), {"stderr": Path("7.err")})

        def done(self) -> bool:
            return True

        def exception(self) -> Exception:
            return RuntimeError("Job 7 has no output")

    def submit(executor: Any, *_: Any) -> Any:
        executor._delayed_batch = [None]  # a batch without jobs is warned of
        return Job()

    monkeypatch.setattr(submitit.AutoExecutor, "submit", submit)
    monkeypatch.setattr(submitit.AutoExecutor, "_submit_delayed_batch", lambda executor: None)
    jobs = Submitit(tmp_path / "jobs", parameters={"cluster": "local"}, retries=1)
    (result,) = jobs.map(Task(work), [tmp_path / "a.scene"])
    assert (result.ending, result.tries) == ("lost", 2) and "7.err" in result.sentence


def test_a_job_whose_machine_is_taken_saves_its_work_and_is_put_back(tmp_path: Path) -> None:
    """What submitit calls at SLURM's signal, and what it then hands to SLURM."""
    import threading

    items = [tmp_path / "saves.scene", tmp_path / "a.scene"]
    job = ItemsJob(Task(work), {})
    thread = threading.Thread(target=_run_as_job, args=(job, items, tmp_path))
    thread.start()
    wait_until((tmp_path / "saves.begun").exists, "the job has begun")
    again = job.checkpoint(items)
    assert (tmp_path / "saves.saved").exists()
    thread.join()
    assert not (tmp_path / "a.tries").exists()
    assert isinstance(again.function, ItemsJob) and again.args == (items,)


def test_items_are_dealt_out_biggest_first() -> None:
    items = [Path(str(number)) for number in range(7)]
    assert [[item.name for item in part] for part in _split(items, 3, 8)] == [["0", "3", "6"], ["1", "4"], ["2", "5"]]
    assert max(map(len, _split(items * 10, 2, 8))) <= 8 and sum(map(len, _split(items * 10, 2, 8))) == 70
    assert len(_split(items, 40, 8)) == 7


def test_without_submitit_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    _forget(monkeypatch, "submitit")
    with pytest.raises(OptionError, match=r"pip install realfill-studio\[slurm\]"):
        check_submitit()


def _run_as_job(job: ItemsJob[str], items: list[Path], folder: Path) -> None:
    import os
    from unittest import mock

    with mock.patch.dict(os.environ, {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "1"}):
        job(items)


def _forget(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
