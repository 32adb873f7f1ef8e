import socket
import subprocess
import sys
from pathlib import Path

import pytest

import app
from realfill.errors import EXIT_INPUT, OptionError
from tests.ui.conftest import ROOT


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)


def test_without_options_it_is_this_machine_and_port_7860() -> None:
    given = app.options([])
    assert (given.host, given.port, given.runs_dir) == ("127.0.0.1", 7860, Path("runs"))


def test_gradios_variables_are_read_and_options_go_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "localhost")
    assert (app.options([]).host, app.options([]).port) == ("localhost", 7999)
    assert app.options(["--port", "7001"]).port == 7001


def test_the_network_needs_the_option_but_a_space_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    with pytest.raises(OptionError, match=r"--host 0\.0\.0\.0"):
        app.options([])
    assert app.options(["--host", "0.0.0.0"]).host == "0.0.0.0"
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    assert app.options([]).host == "0.0.0.0"


@pytest.mark.parametrize("port", ["seventy", "-1", "0", "70000"])
def test_an_impossible_port_is_a_sentence(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(OptionError, match=r"(?i)port"):
        app.options([])


def refused(*arguments: str) -> str:
    """Starts app.py, which must refuse with one line and exit code 2."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "app.py"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == EXIT_INPUT
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "--port" in refused("--port", str(port), "--runs-dir", str(tmp_path))


def test_a_runs_dir_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--runs-dir" in refused("--port", "17861", "--runs-dir", str(tmp_path / "file" / "runs"))
