import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import uvicorn

from realfill.errors import EXIT_INPUT, OptionError
from tests.ui.conftest import ROOT, end, free_port, wait_for
from ui import ENDED, studio


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)


def parse(arguments: list[str]) -> studio.ServerOptions:
    options = studio.parse_options(arguments)
    assert options is not None
    return options


def test_help_names_every_option_and_waits_for_neither_torch_nor_gradio() -> None:
    code = (
        "import sys\nfrom ui.__main__ import main\nsys.argv = ['app.py', '--help']\nassert main() == 0\n"
        "print(sorted({'torch', 'gradio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in ("--port", "--host", "--auth", "--runs-dir", "--base", "--behind-proxy"))
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [["--port", "seventy"], ["--prot", "7001"], ["--port"], ["more"]])
def test_what_cannot_be_read_is_a_sentence(arguments: list[str]) -> None:
    with pytest.raises(OptionError):
        parse(arguments)


def test_without_options_it_is_this_machine_and_port_7860() -> None:
    options = parse([])
    assert (options.host, options.port, options.runs_dir) == ("127.0.0.1", 7860, Path("runs"))


def test_gradios_variables_are_read_and_options_go_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7999")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "localhost")
    assert (parse([]).host, parse([]).port) == ("localhost", 7999)
    assert parse(["--port", "7001"]).port == 7001


def test_others_may_reach_it_only_where_they_sign_in_and_on_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="--auth"):
        parse(["--host", "0.0.0.0"])
    options = parse(["--host", "0.0.0.0", "--auth", "ann:secretsecret"])
    assert (options.host, options.users) == ("0.0.0.0", {"ann": "secretsecret"})
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    with pytest.raises(OptionError, match="--auth"):
        parse([])
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    assert (parse([]).host, parse([]).users) == ("0.0.0.0", {})
    monkeypatch.delenv("GRADIO_SERVER_NAME")
    assert parse([]).host == "0.0.0.0"


def test_behind_a_proxy_it_has_a_public_name_and_people_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse([]).public_name == ""
    users = ["--auth", "ann:secretsecret"]
    assert parse(["--behind-proxy", "fill.example.org", *users]).public_name == "fill.example.org"
    with pytest.raises(OptionError, match="--auth"):
        parse(["--behind-proxy", "fill.example.org"])
    for name in ("https://fill.example.org", "fill.example.org:443", "fill.example.org@evil.example"):
        with pytest.raises(OptionError, match="host's name"):
            parse(["--behind-proxy", name, *users])
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    assert parse(["--behind-proxy", "fill.example.org"]).users == {}


@pytest.mark.usefixtures("heeded_ctrl_c")
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("moment", [r"\| +typer$", r"\| +numpy$", r"\| +gradio\.blocks$", "RealFill Studio is at"])
def test_ctrl_c_ends_it_at_any_moment_in_one_line(moment: str, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", str(ROOT / "app.py"), "--port", str(free_port()), "--base", "mini"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--runs-dir", str(tmp_path / "runs")], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        # "import time:   self [us] | cumulative | name" is written when a module has been imported
        assert any(re.search(moment, line) for line in process.stderr)
        process.send_signal(signal.SIGINT)
        rest = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode == 0
    assert rest[-1:] == [f"{ENDED}\n"] and not any("Traceback" in line for line in rest)


def test_runs_lie_on_the_disk_of_a_space_that_has_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(studio, "SPACE_DISK", tmp_path)
    assert parse([]).runs_dir == Path("runs")
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    assert parse([]).runs_dir == tmp_path / "runs"
    assert parse(["--runs-dir", "here"]).runs_dir == Path("here")
    monkeypatch.setattr(studio, "SPACE_DISK", tmp_path / "none")
    assert parse([]).runs_dir == Path("runs")


def test_a_disk_of_a_space_that_cannot_keep_runs_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    monkeypatch.setattr(studio, "SPACE_DISK", tmp_path)
    monkeypatch.setattr(studio, "find_disk_trouble", lambda folder: "nothing can be locked there")
    assert parse([]).runs_dir == Path("runs")
    assert "nothing can be locked there" in caplog.text and "lost when it restarts" in caplog.text


def test_which_runs_outlive_a_restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(studio, "SPACE_DISK", tmp_path / "data")
    assert studio.outlives_restart(tmp_path / "runs")
    monkeypatch.setenv("SPACE_ID", "me/realfill")
    assert studio.outlives_restart(tmp_path / "data" / "runs") and not studio.outlives_restart(tmp_path / "runs")


@pytest.mark.parametrize("port", ["seventy", "-1", "0", "70000"])
def test_an_impossible_port_is_a_sentence(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(OptionError, match=r"(?i)port"):
        parse([])


def refused(*arguments: str) -> str:
    """Starts app.py, which must refuse with one line and exit code 2."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "app.py"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == EXIT_INPUT
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


def test_an_open_host_without_auth_is_a_sentence(tmp_path: Path) -> None:
    assert "--auth" in refused("--host", "0.0.0.0", "--port", "17862", "--runs-dir", str(tmp_path))


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "--port" in refused("--port", str(port), "--runs-dir", str(tmp_path))


def test_a_runs_dir_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--runs-dir" in refused("--port", "17861", "--runs-dir", str(tmp_path / "file" / "runs"))


def test_it_is_swept_again_and_again_until_the_server_ends() -> None:
    ended, done = threading.Event(), list[str]()

    def broken() -> None:
        done.append("broken")
        raise OSError("the disk is away")

    def last() -> None:
        done.append("last")
        if len(done) == 6:
            ended.set()

    studio.keep_tidy((broken, last), ended, every=0.0)
    assert done == ["broken", "last"] * 3


def test_the_sweeping_ends_with_the_server(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[threading.Thread]()

    def run(*_: object, **__: object) -> None:
        seen.extend(thread for thread in threading.enumerate() if thread.name == "sweeps")
        assert all(thread.is_alive() for thread in seen)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")  # `serve` sets it; so it goes again
    with socket.create_server(("127.0.0.1", 0)) as listener:
        studio.serve(listener, parse(["--base", "mini"]), tmp_path)
    assert [thread.daemon for thread in seen] == [True]
    seen[0].join(20)
    assert not seen[0].is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_on_a_space_it_listens_for_all_and_answers_to_its_name(tmp_path: Path) -> None:
    """As Hugging Face starts it: no option, everything by variables."""
    port = free_port()
    names = {"SPACE_ID": "me/realfill", "SPACE_HOST": "me-realfill.hf.space", "SYSTEM": "spaces"}
    names |= {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], cwd=tmp_path, env={**os.environ, **names}, stdout=log, stderr=log
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/", process)
        listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        assert f"00000000:{port:04X}" in [line[1] for line in listening if line[3] == "0A"]
        for host, status in (
            ("me-realfill.hf.space", 200),
            ("localhost", 200),
            ("10.0.0.7", 400),
            ("evil.example", 400),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/config", headers={"Host": host, "X-Forwarded-Proto": "https"})
            assert connection.getresponse().status == status
            connection.close()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Host": "me-realfill.hf.space", "Origin": "https://me-realfill.hf.space"}
        connection.request("POST", "/gradio_api/queue/join", body=b"{}", headers=headers)
        assert connection.getresponse().status == 422  # let in, and no event
        connection.close()
        assert (tmp_path / "runs").is_dir()
    finally:
        end(process)
