"""How a session leaves its run, whatever else fails in the end."""

from pathlib import Path

import pytest

from realfill import config, files
from realfill.device.process_group import ProcessGroup
from realfill.errors import DiskFull
from realfill.events import Event, Failed
from realfill.pipeline.session import Session
from realfill.runs.run import Run


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
