"""The folder of a Space holds what the studio runs on and nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from realfill.errors import OptionError
from tools import space


def test_the_folder_starts_as_a_space_does(tmp_path: Path) -> None:
    """Its own code, by the file that its front matter names, with a Space's variables."""
    out = tmp_path / "space"
    names = space.build_space(out)
    assert {name.parts[0] for name in names} == {space.OTHER_NAMES.get(part, part) for part in space.PARTS}
    assert not [name for name in names if name.parts[0] in ("tests", "benchmarks", "tools")]
    assert sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) < space.MOST_BYTES
    front = re.match(r"---\n(.*?)\n---\n", (out / "README.md").read_text(), re.DOTALL)
    assert front is not None and "sdk: gradio" in front[1]
    app_file = re.search(r"^app_file: (.+)$", front[1], re.MULTILINE)
    version = re.search(r"^sdk_version: (.+)$", front[1], re.MULTILINE)
    assert app_file is not None and version is not None
    pins = (out / "requirements.txt").read_text()
    assert f"gradio=={version[1]}\n" in pins and "spaces==" in pins
    assert re.search(r'^python_version: "3.12"$', front[1], re.MULTILINE)
    code = "import ui.studio, realfill; print(realfill.__file__, ui.studio.parse_options([]).host)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"SPACE_ID": "me/space"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=out, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(out / "realfill" / "__init__.py"), "0.0.0.0"]
    assert (out / app_file[1]).is_file()


def test_the_pins_of_a_space_are_ours_but_for_torch() -> None:
    """ZeroGPU has torch 2.11 at most; all else is what the suite runs with."""
    ours, theirs = (
        {line for line in (space.ROOT / name).read_text().splitlines() if line and not line.startswith("#")}
        for name in ("requirements.txt", "requirements-space.txt")
    )
    assert sorted(theirs - ours) == ["spaces==0.51.3", "torch==2.11.0"]
    assert [line.partition("==")[0] for line in ours - theirs] == ["torch"]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    with pytest.raises(OptionError, match="there already"):
        space.build_space(tmp_path / "there")
