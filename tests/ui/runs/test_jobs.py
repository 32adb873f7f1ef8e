"""What the page can have done: a worker of its own, and no run that stands in the others' way."""

from pathlib import Path
from typing import Any

import pytest

from realfill.jobs import child_process
from realfill.runs.run import Run
from ui.access import visitors
from ui.access.visitors import current_visitor
from ui.runs.jobs import Jobs

ID = "a" * 24


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
