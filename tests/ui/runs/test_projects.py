"""Projects: listed, renamed, copied, deleted and taken back; a running one is stopped before it goes."""

import shutil
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from realfill import files
from realfill.config import Config
from realfill.errors import RunBusy, RunError
from realfill.jobs.queue import queue_position, waiting_runs
from realfill.runs.labels import LONGEST_NAME, Labels
from realfill.runs.listing import list_runs, new_run_folder
from realfill.runs.run import Run
from tests.waiting import LONGEST, wait_until
from ui.runs import index
from ui.runs import projects as module
from ui.runs.jobs import TRASH, Jobs
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
    with monkeypatch.context() as patch:
        patch.setattr(files, "read_json", lambda *_: pytest.fail("read again"))
        assert projects.listing() == before
    run.enter("queued", ticket=1)
    assert projects.listing()[0].state == "queued"
    with run.lock():
        run.enter("running")
        assert projects.listing()[0].state == "running"
    assert projects.listing()[0].state == "interrupted"  # no file said so


def _many(run: Run, count: int) -> Projects:
    for number in range(count):
        shutil.copytree(run.folder, run.folder.parent / f"copy-{number}")
    return Projects(Jobs(run.folder.parent, run.folder.parent.parent / "examples"))


def _count_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The JSON files that are read from now on, by name."""
    reads: Counter[str] = Counter()
    read = files._read_bounded

    def count(path: Path) -> bytes:
        reads[path.name] += path.exists()
        return read(path)

    monkeypatch.setattr(files, "_read_bounded", count)
    return reads


def test_what_a_listing_reads_is_kept_over_restarts(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.labels.update(name="Barn")
    run.enter("done")
    first = _many(run, 40)
    reads = _count_reads(monkeypatch)
    names = [one.name for one in first.listing()]
    assert names == ["Barn"] * 41
    assert reads["run.json"] == reads["state.json"] == 41 and reads["labels.json"] <= 2 * 41
    reads.clear()
    again = Projects(Jobs(run.folder.parent, first._jobs.examples))  # the server was started anew
    assert [one.name for one in again.listing()] == names
    assert not again._jobs.tend() and again._jobs.latest_id()
    assert reads == {index.NAME: 1}
    run.labels.update(name="Kitchen")
    reads.clear()
    assert sorted({one.name for one in again.listing()}) == ["Barn", "Kitchen"]
    assert reads["run.json"] == 1


@pytest.mark.parametrize("kept", ["{", "[]", '{"runs": {"a": 1}}', '{"runs": ' + "[" * 200_000, '{"runs": []}'])
def test_a_damaged_index_is_made_again(run: Run, folder: Path, kept: str) -> None:
    projects = _many(run, 20)
    (run.folder.parent / index.NAME).write_text(kept)
    assert len(projects.listing()) == 21
    assert len((files.read_json(run.folder.parent / index.NAME) or {})["runs"]) == 21


@pytest.mark.parametrize("name", ["run.json", "state.json", "labels.json"])
@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"created": 7, "state": "queued", "ticket": "x", "owner": []}',
        '{"created": "9999-12-31T23:59:59", "state": "running", "since": NaN}',
        '{"created": "0001-01-01", "state": "done", "since": 1e999, "ticket": Infinity}',
        '{"created": null, "state": [], "since": {}, "name": {"a": [1]}}',
    ],
    ids=["deep", "kinds", "far", "infinite", "null"],
)
def test_one_bad_run_never_hides_others(projects: Projects, run: Run, name: str, text: str) -> None:
    bad = run.folder.parent / "bad"
    shutil.copytree(run.folder, bad)
    (bad / name).write_text(text)
    assert run.folder.name in [one.id for one in projects.listing()]
    assert projects._jobs.latest_id() in ("bad", run.folder.name)
    projects._jobs.tend()
    run.enter("queued", ticket=1)
    assert queue_position(run) == 1
    assert run.folder in [waiting.folder for waiting in waiting_runs(run.folder.parent)]
    assert run.folder.name in [one.folder.name for one in list_runs(run.folder.parent)]
    with pytest.raises(RunError, match="no such example"):
        projects.take_example("none")


def test_rename_takes_one_line_and_nothing_empty(projects: Projects, run: Run) -> None:
    projects.rename(run.folder.name, "  A new\n name " + "x" * 199)
    assert run.labels.name.startswith("A new name xx") and len(run.labels.name) == LONGEST_NAME
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
    assert list((run.folder.parent / TRASH).iterdir()) == []


def test_only_projects_are_swept_from_the_trash(projects: Projects, run: Run) -> None:
    """On a disk that does not tell .trash from .Trash it may be somebody else's."""
    trash = run.folder.parent / TRASH
    (trash / "letters").mkdir(parents=True)
    (trash / "photo.jpg").write_text("dear")
    projects.sweep(now=time.time() + module.KEEP + 60)
    assert {path.name for path in trash.iterdir()} == {"letters", "photo.jpg"}


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
    for made in (first, projects.duplicate(first)):  # what it took says nothing of this machine
        assert Labels(tmp_path / "runs" / made).was_made_elsewhere
    with pytest.raises(RunError, match="no such example"):
        projects.take_example("../runs")
