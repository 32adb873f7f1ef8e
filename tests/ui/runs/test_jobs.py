"""What the page can have done: a worker of its own, and no run that stands in the others' way."""

import threading
from pathlib import Path
from typing import Any

import pytest

from realfill.config import Config
from realfill.errors import RunError
from realfill.jobs import child_process
from realfill.runs.listing import run_folders
from realfill.runs.run import Run
from ui.access import visitors
from ui.access.quotas import Ledger, Quota
from ui.access.visitors import current_visitor
from ui.decoding import decoder
from ui.runs.jobs import Jobs
from ui.runs.projects import Projects
from ui.runs.scene_inputs import SceneInputs

ID = visitors.new_id()


class Started:
    """Stands in for `subprocess.Popen` and keeps how it was called."""

    def __init__(self, command: list[str], **named: Any) -> None:
        self.command, self.named = command, named
        STARTED.append(self)

    def poll(self) -> None:
        """It goes on."""


STARTED: list[Started] = []


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    STARTED.clear()
    monkeypatch.setattr("subprocess.Popen", Started)
    return STARTED


@pytest.mark.parametrize(
    ("windows", "given"), [(True, {"creationflags": 0x08000200}), (False, {"start_new_session": True})]
)
def test_the_worker_outlives_the_pages_terminal(
    run: Run, started: list[Started], monkeypatch: pytest.MonkeyPatch, windows: bool, given: dict[str, object]
) -> None:
    monkeypatch.setattr(child_process, "WINDOWS", windows)
    here = Jobs(run.folder.parent)
    here.ensure_worker()
    here.ensure_worker()
    (one,) = started
    assert one.command[2:4] == ["realfill", "worker"]
    assert {name: one.named[name] for name in ("creationflags", "start_new_session") if name in one.named} == given


def test_a_damaged_run_stands_in_nobodys_way(run: Run, started: list[Started], tmp_path: Path) -> None:
    here = Jobs(run.folder.parent)
    (run.folder.parent / "damaged").mkdir()
    (run.folder.parent / "damaged" / "run.json").write_text("{}")
    (run.folder.parent / "damaged" / "state.json").write_text("")
    assert not here.tend() and not started
    here.resume(run)
    assert here.tend() and len(started) == 1


def test_on_a_space_damaged_runs_count_for_nobody(run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    visitors.enter({"headers": [(b"X-RealFill-Visitor", ID.encode())], "session": {}})
    here = Jobs(run.folder.parent)
    run.labels.update(owner=current_visitor())
    for name, labels in (("labels", ""), ("state", (run.folder / "labels.json").read_text())):
        (run.folder.parent / name).mkdir()
        (run.folder.parent / name / "run.json").write_text("{}")
        (run.folder.parent / name / "state.json").write_text("")
        (run.folder.parent / name / "labels.json").write_text(labels)
    assert {one.name for one in here.folders()} == {run.folder.name, "state"}
    here.resume(run)
    assert run.status().state == "queued"


@pytest.fixture
def space(tmp_path: Path, toy_scene: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Jobs of a Space, where scenes are copied and not decoded."""

    def create(place: Path, references: object, target: object, mask: object, wanted: Config) -> Run:
        return Run.create(place, wanted, toy_scene)

    monkeypatch.setenv("SPACE_ID", "me/realfill")
    monkeypatch.setattr(decoder, "create_run", create)
    (tmp_path / "runs").mkdir(exist_ok=True)
    return Jobs(tmp_path / "runs", tmp_path / "examples")


def _ask(visitor: str, address: str) -> None:
    visitors.enter({"headers": [(b"X-RealFill-Visitor", visitor.encode())], "client": (address, 1)})


def _inputs(toy_scene: Path) -> SceneInputs:
    target = toy_scene / "target"
    return SceneInputs(sorted((toy_scene / "ref").iterdir()), target / "target.png", target / "mask.png")


def test_on_a_space_started_and_stopped_runs_count_for_visitor_and_address(
    space: Jobs, toy_scene: Path, quick: Config
) -> None:
    space._ledger = Ledger(space.runs_dir, Quota(spare=0, visitor_runs=2, address_runs=3))
    _ask(ID, "203.0.113.7")
    for _ in range(2):
        space.start(_inputs(toy_scene), quick).request_stop()
    with pytest.raises(RunError, match="More than 2 projects in a day"):
        space.start(_inputs(toy_scene), quick)
    (first, _) = space.folders()
    with pytest.raises(RunError, match="More than 2 projects in a day"):
        Projects(space).duplicate(first.name)  # a copy is a run, too
    _ask(visitors.new_id(), "203.0.113.7")
    space.start(_inputs(toy_scene), quick)
    _ask(visitors.new_id(), "203.0.113.7")
    with pytest.raises(RunError, match="from your address"):
        space.start(_inputs(toy_scene), quick)
    _ask(visitors.new_id(), "203.0.113.8")
    space.start(_inputs(toy_scene), quick)
    assert len(run_folders(space.runs_dir)) == 4
    assert not [item for item in space.runs_dir.iterdir() if item.is_dir() and item not in run_folders(space.runs_dir)]


def test_on_a_space_a_run_begins_with_bytes_that_count(space: Jobs, toy_scene: Path, quick: Config) -> None:
    space._ledger = Ledger(space.runs_dir, Quota(visitor=100, spare=0))
    _ask(ID, "203.0.113.7")
    with pytest.raises(RunError, match="GB of files in a day"):
        space.start(_inputs(toy_scene), quick)
    assert run_folders(space.runs_dir) == []


def test_on_a_space_starts_at_once_find_no_more_room_than_one_by_one(
    space: Jobs, toy_scene: Path, quick: Config
) -> None:
    together, outcomes = threading.Barrier(5), list[str]()

    def start() -> None:
        _ask(ID, "203.0.113.7")
        space._check_room()  # there is room for each of them, as they see it
        together.wait()
        try:
            outcomes.append(space.start(_inputs(toy_scene), quick).status().state)
        except RunError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=start) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[-3:] == ["queued"] * 3 and len(run_folders(space.runs_dir)) == 3
