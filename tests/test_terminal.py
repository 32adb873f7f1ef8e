"""Ctrl-C at any moment, and output in any encoding, as the programs meet them."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SENTENCE = "Interrupted; the same command goes on from here."
IN_A_COMMAND = "realfill.geometry.make_draft"  # imported by `draft` itself


@pytest.mark.usefixtures("heeded_ctrl_c")
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize(
    ("command", "moment"),
    [("draft", "typer"), ("draft", "numpy"), ("draft", IN_A_COMMAND), ("complete", "torch")],
)
def test_ctrl_c_is_exit_3_a_sentence_and_json_at_any_moment(
    command: str, moment: str, toy_scene: Path, tmp_path: Path
) -> None:
    out = ["-o", str(tmp_path / "a.png")] if command == "draft" else ["--run", str(tmp_path / "run"), "--base", "mini"]
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "realfill", command, str(toy_scene), *out, "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        # "import time:   self [us] | cumulative | name" is written when a module has been imported
        assert any(re.search(rf"\| +{re.escape(moment)}$", line) for line in process.stderr)
        process.send_signal(signal.SIGINT)
        rest = [line for line in process.stderr if not line.startswith("import time:")]
        said = process.stdout.read()
    assert process.returncode == 3
    assert rest == [f"{SENTENCE}\n"]
    assert json.loads(said) == {"error": SENTENCE, "exit": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_encoding_of_stdout_will_do(encoding: str) -> None:
    code = (
        "from realfill.cli.main import main\n"
        "assert main(['settings']) == 0\n"
        "print('ü … \\N{CJK UNIFIED IDEOGRAPH-4E2D} \\udcff')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    last = done.stdout.splitlines()[-1].decode(encoding)
    assert last == {
        "ascii": r"\xfc \u2026 \u4e2d \udcff", "cp1252": r"ü … \u4e2d \udcff", "utf-8": r"ü … 中 \udcff"
    }[encoding]  # fmt: skip


def test_without_asserts_and_docstrings_everything_works(toy_scene: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-OO", "-m", "realfill", "draft", str(toy_scene), "-o", str(tmp_path / "a.png")]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_names_that_are_no_text_are_said_and_written_down(toy_scene: Path, tmp_path: Path) -> None:
    os.rename(toy_scene, os.fsencode(tmp_path / "toy") + b"\xff")
    source = Path(os.fsdecode(os.fsencode(tmp_path / "toy") + b"\xff"))
    (source / "ref" / os.fsdecode(b"clip\xfe.gif")).write_bytes(b"GIF89a")
    changes = ["--base", "mini", "--matcher", "sift", "--json"]
    changes += ["--set", "guide.only=true", "--set", "guide.proposals=0"]
    command = [sys.executable, "-m", "realfill", "complete", str(source), "--run", str(tmp_path / "run"), *changes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    notices = json.loads(done.stdout.splitlines()[-1])["notices"]
    assert any("clip\udcfe.gif is no picture" in notice for notice in notices)
    assert "clip\\udcfe.gif" in (tmp_path / "run" / "run.json").read_text()
