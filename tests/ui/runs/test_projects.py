"""Projects: listed, renamed, copied, deleted and taken back; a running one is stopped before it goes."""

import os
import threading
import time
from pathlib import Path

import pytest

from realfill.config import Config
from realfill.errors import RunBusy, RunError
from realfill.runs.listing import list_runs, new_run_folder
from realfill.runs.run import Run
from tests.waiting import LONGEST, wait_until
from ui.runs import projects as module
from ui.runs.jobs import Jobs
from ui.runs.projects import Projects


@pytest.fixture
def projects(tmp_path: Path, folder: Path) -> Projects:
    (tmp_path / "runs").mkdir(exist_ok=True)
    return Projects(Jobs(tmp_path / "runs", tmp_path / "examples"))


def _thumbed(projects: Projects) -> str:
    return wait_until(lambda: projects.listing()[0].thumb, "a thumbnail")


def test_a_project_is_listed_with_what_the_rail_shows(projects: Projects, run: Run, folder: Path) -> None:
    run.labels.update(name="Kitchen")
    (one,) = projects.listing()
    assert (one.id, one.name, one.state) == (run.folder.name, "Kitchen", "stopped")
    assert abs(one.created - time.time()) < 60
    assert str(folder) in _thumbed(projects)


def test_newest_first_and_broken_ones_left_out(projects: Projects, run: Run, toy_scene: Path, quick: Config) -> None:
    later = Run.create(run.folder.parent / "0-by-hand", quick, toy_scene)
    broken = new_run_folder(run.folder.parent)
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert [one.id for one in projects.listing()] == [later.folder.name, run.folder.name]


def test_an_unchanged_list_is_equal_and_reads_no_file_again(
    projects: Projects, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _thumbed(projects)
    before = projects.listing()
    monkeypatch.setattr(module, "_read", lambda *_: pytest.fail("read again"))
    assert projects.listing() == before
    monkeypatch.undo()
    run.enter("queued", ticket=1)
    assert projects.listing()[0].state == "queued"
    run.enter("running")
    assert projects.listing()[0].state == "running"
    (run.folder / "lock").touch()
    os.utime(run.folder / "lock", (0, 0))
    assert projects.listing()[0].state == "interrupted"  # no file said so


def test_rename_takes_one_line_and_nothing_empty(projects: Projects, run: Run) -> None:
    projects.rename(run.folder.name, "  A new\n name " + "x" * 99)
    assert run.labels.name.startswith("A new name xx") and len(run.labels.name) == 60
    projects.rename(run.folder.name, "  ")
    assert run.labels.name.startswith("A new name")


def test_a_copy_has_everything_and_shares_nothing_that_changes(projects: Projects, run: Run) -> None:
    run.write("scores", {"seeds": []})
    (run.folder / "events.jsonl").write_text("{}\n")
    run.enter("done")
    copy = Run.open(run.folder.parent / projects.duplicate(run.folder.name))
    assert copy.labels.name == f"{run.labels.name} copy" and copy.config == run.config
    assert copy.status().state == "done"
    assert (copy.scene_folder / "target" / "mask.png").read_bytes() == (
        run.scene_folder / "target" / "mask.png"
    ).read_bytes()
    copy.write("scores", {"seeds": [1]})
    copy.labels.update(name="other")
    with (copy.folder / "events.jsonl").open("a") as file:
        file.write("{}\n")
    assert run.read("scores") == {"seeds": []}
    assert run.labels.name != "other"
    assert (run.folder / "events.jsonl").read_text() == "{}\n"
    assert not (copy.folder / "lock").exists()


def test_of_a_project_in_work_only_the_inputs_are_copied(projects: Projects, run: Run) -> None:
    run.write("scores", {"seeds": []})
    with run.lock():
        copy = Run.open(run.folder.parent / projects.duplicate(run.folder.name))
    assert copy.read("scores") == {} and copy.status().state == "stopped"
    assert sorted(path.name for path in copy.folder.iterdir()) == ["labels.json", "run.json", "scene"]


def test_delete_and_undo(projects: Projects, run: Run) -> None:
    before = sorted(path.name for path in run.folder.iterdir() if path.name not in ("lock", "stop"))
    name = run.labels.name
    assert projects.delete(run.folder.name) == name
    assert projects.listing() == [] and not run.folder.exists()
    assert list_runs(run.folder.parent) == []
    projects.restore(run.folder.name)
    assert [one.id for one in projects.listing()] == [run.folder.name]
    assert sorted(path.name for path in run.folder.iterdir() if path.name not in ("lock", "stop")) == before
    assert not run.stop_requested()


def test_what_is_deleted_is_gone_after_a_day(projects: Projects, run: Run) -> None:
    projects.delete(run.folder.name)
    projects.sweep(now=time.time() + module.KEEP - 60)
    projects.restore(run.folder.name)
    projects.delete(run.folder.name)
    projects.sweep(now=time.time() + module.KEEP + 60)
    with pytest.raises(RunError, match="gone for good"):
        projects.restore(run.folder.name)
    assert list((run.folder.parent / module.TRASH).iterdir()) == []


@pytest.mark.parametrize("run_id", ["..", "../runs", "", ".", "a/b", ".trash"])
def test_only_what_was_deleted_is_restored(projects: Projects, run: Run, run_id: str) -> None:
    projects.delete(run.folder.name)
    with pytest.raises(RunError):
        projects.restore(run_id)


def test_a_running_project_is_asked_to_stop_first(projects: Projects, run: Run) -> None:
    working, stopped = threading.Event(), list[bool]()

    def work() -> None:
        mine = Run.open(run.folder)
        with mine.lock():
            mine.enter("running")
            working.set()
            stopped.append(wait_until(mine.stop_requested, "somebody asks to stop"))
            mine.enter("stopped", "as asked")

    thread = threading.Thread(target=work)
    thread.start()
    assert working.wait(LONGEST)
    projects.delete(run.folder.name)
    thread.join(LONGEST)
    assert stopped == [True]
    assert not run.folder.exists()


def test_one_that_does_not_stop_stays_and_says_so(
    projects: Projects, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with run.lock(), pytest.raises(RunBusy, match="still at work"):
        projects.delete(run.folder.name)
    assert run.folder.exists() and run.stop_requested()


def test_an_example_becomes_a_project_of_ones_own_once(projects: Projects, run: Run, tmp_path: Path) -> None:
    run.labels.update(name="Finished kitchen")
    run.enter("done")
    (tmp_path / "examples").mkdir()
    run.folder.rename(tmp_path / "examples" / "kitchen")
    assert [(one.id, one.name) for one in projects.examples()] == [("kitchen", "Finished kitchen")]
    first = projects.take_example("kitchen")
    assert projects.take_example("kitchen") == first
    (one,) = projects.listing()
    assert (one.id, one.name, one.state) == (first, "Finished kitchen", "done")
    with pytest.raises(RunError, match="no such example"):
        projects.take_example("../runs")
