"""How a session leaves its run, whatever else fails in the end."""

import json
from pathlib import Path

import pytest

from realfill import config, files
from realfill.device.process_group import ProcessGroup
from realfill.errors import DiskFull, RunBusy
from realfill.events import Event, Failed
from realfill.pipeline.session import Session
from realfill.runs.run import Run
from realfill.runs.status import RunFolder


@pytest.fixture
def run(toy_scene: Path, tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", config.make("mini", {}), toy_scene)


def _fail(*_: object) -> None:
    raise DiskFull("The disk is full.")


def test_a_failure_that_nobody_hears_is_still_written_down(run: Run) -> None:
    def closed(event: Event) -> None:
        if isinstance(event, Failed):
            raise BrokenPipeError

    session = Session(run, closed, device="cpu", processes=ProcessGroup("cpu"))
    with pytest.raises(DiskFull), session.open():
        _fail()
    assert (run.status().state, run.status().sentence) == ("failed", "The disk is full.")


def test_a_failure_is_written_down_where_its_event_cannot_be(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "append_line", _fail)
    session = Session(run, lambda event: None, device="cpu", processes=ProcessGroup("cpu"))
    with pytest.raises(DiskFull), session.open():
        _fail()
    assert run.status().state == "failed"


def test_on_a_full_disk_a_run_reads_interrupted_as_soon_as_its_process_is_gone(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(run, lambda event: None, device="cpu", processes=ProcessGroup("cpu"))
    with pytest.raises(DiskFull), session.open():
        assert Run.open(run.folder).status().state == "running"
        monkeypatch.setattr(files, "append_line", _fail)
        monkeypatch.setattr(files, "write_json", _fail)
        _fail()
    assert Run.open(run.folder).status().state == "interrupted"


def test_who_has_lost_the_run_to_another_machine_leaves_it_alone(run: Run) -> None:
    session = Session(run, lambda event: None, device="cpu", processes=ProcessGroup("cpu"))

    def work() -> None:
        with session.open():
            session.check()
            (run.folder / "lock").write_bytes(b"elsewhere 1 x")  # whose lock this machine's disk has not shown
            RunFolder(run.folder).enter("running", "elsewhere")
            session.check()

    with pytest.raises(RunBusy, match="another machine"):
        work()
    assert json.loads((run.folder / "state.json").read_text())["sentence"] == "elsewhere"
