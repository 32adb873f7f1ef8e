"""What the dialog asks."""

from pathlib import Path

import pytest

from realfill.runs.run import Run
from ui.errors import Question
from ui.machine.component import questions
from ui.machine.weights import Downloads
from ui.runs.jobs import Jobs
from ui.runs.projects import Projects


@pytest.fixture
def projects(tmp_path: Path, folder: Path) -> Projects:
    (tmp_path / "runs").mkdir(exist_ok=True)
    return Projects(Jobs(tmp_path / "runs", tmp_path / "examples"))


@pytest.fixture
def ask(projects: Projects) -> dict[str, Question]:
    return {one.__name__: one for one in questions(projects._jobs, projects, Downloads(("there-is-no-such-program",)))}


def test_projects_and_the_bin_have_sizes_and_the_bin_is_emptied(
    ask: dict[str, Question], projects: Projects, run: Run
) -> None:
    other = projects.duplicate(run.folder.name)
    disk = ask["look_disk"](None)
    assert {one["id"] for one in disk["projects"]} == {run.folder.name, other}
    assert disk["projects_bytes"] == sum(one["bytes"] for one in disk["projects"]) > 1000
    assert disk["owned"] and disk["bin"] == {"count": 0, "bytes": 0} and 0 < disk["free"] <= disk["total"]
    projects.delete(other)
    thrown = ask["look_disk"](None)
    assert len(thrown["projects"]) == 1 and thrown["bin"]["count"] == 1 and thrown["bin"]["bytes"] > 0
    assert ask["empty_bin"](None) == {} and projects.bin() == []
    assert run.folder.is_dir() and ask["look_disk"](None)["bin"]["count"] == 0


def test_live_numbers_and_forged_names(ask: dict[str, Question]) -> None:
    live = ask["look_live"](None)
    assert live["memory_used"] > 0 and live["downloads"] == {}
    for question in ("fetch_weights", "drop_weights"):
        for name in ("mini", "../etc", None, {"a": 1}):
            assert "no such weights" in ask[question](name)["error"]


def test_on_a_space_weights_are_its_owners(ask: dict[str, Question], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "somebody/studio")
    for question in ("fetch_weights", "cancel_fetch", "drop_weights"):
        assert "owner" in ask[question]("sd2")["error"]
    assert not ask["look_disk"](None)["owned"]
