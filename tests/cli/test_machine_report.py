"""A machine's numbers: measured, complete, and nobody's name or path among them."""

import getpass
import json
import platform
from pathlib import Path

import pytest
from typer.testing import CliRunner

from realfill.cli import machine_report
from realfill.cli.commands import app
from realfill.models.registry import is_present


def test_the_report_holds_measured_numbers_and_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_present("mini"):
        pytest.skip("the embedded base is not in this checkout")
    monkeypatch.setattr(machine_report, "_STEPS", 4)
    monkeypatch.setattr(machine_report, "_SEEDS", 1)
    monkeypatch.setattr(machine_report, "_DENOISING", 1)
    file = tmp_path / "report.json"
    outcome = CliRunner().invoke(app, ["check", "--report", str(file)])
    assert outcome.exit_code == 0, outcome.output
    report = json.loads(file.read_text())
    mini = report["bases"]["mini"]
    assert mini["step_seconds"] > 0 and mini["seeds_a_second"] > 0 and mini["peak_bytes"] > 1e6
    assert mini["plan"]["items"] >= 1 and mini["batch"] == 4
    assert report["device"]["total_bytes"] > report["device"]["free_bytes"] > 0
    text = file.read_text()
    for private in (getpass.getuser(), platform.node(), str(Path.home()), str(tmp_path), str(Path.cwd())):
        assert len(private) < 4 or private not in text
