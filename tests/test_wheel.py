"""What `pip install` of the built project gives: no checkout is beside it."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE", "SECURITY.md", "app.py")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is packed, in a place where a build may leave things."""
    folder = tmp_path_factory.mktemp("source")
    for name in (*FILES, "requirements.txt", "realfill", "ui", "assets"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def build(source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(out)]
    subprocess.run([*command, "--no-cache-dir", "--no-index"], capture_output=True, text=True, check=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(source, tmp_path_factory.mktemp("wheel"))


def installed_names() -> set[str]:
    """The files of the tree, by the names that they have where they are installed."""
    names = set()
    for folder, name in (("realfill", "realfill"), ("ui", "realfill_studio"), ("assets", "realfill/data")):
        paths = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        names |= {f"{name}/{path.relative_to(ROOT / folder).as_posix()}" for path in paths}
    return names


def test_a_wheel_holds_all_of_the_program_its_assets_and_no_package_called_ui(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        scripts = archive.read(next(name for name in archive.namelist() if name.endswith("entry_points.txt"))).decode()
    assert names == installed_names()
    assert "realfill = realfill.__main__:main" in scripts
    assert "realfill-studio = realfill_studio.__main__:main" in scripts
    assert wheel.stat().st_size < 45e6


@pytest.mark.long
def test_an_installed_wheel_completes_an_example_and_opens_the_page(wheel: Path, tmp_path: Path) -> None:
    """In a bare environment that sees the packages of this one and not its checkout."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name == "posix")
    scripts = tmp_path / "bare" / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, capture_output=True, text=True, check=True)
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    packages = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    (packages / "suite.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    def run(name: str, *arguments: str) -> str:
        command = [str(scripts / name), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    steps = ["train.steps=1", "train.batch=1", "train.pool=2", "sample.steps=1", "select.matcher=sift"]
    sets = [part for step in steps for part in ("--set", step)]
    said = run("realfill", "complete", "--example", "desk", "--base", "mini", "--seeds", "0", *sets, "--json")
    assert Path(json.loads(said.splitlines()[-1])["result"]) == Path("runs/desk/result.png")
    assert (tmp_path / "runs" / "desk" / "result.png").stat().st_size > 10_000
    assert "--port" in run("realfill-studio", "--help")
    code = (
        "from pathlib import Path; from realfill_studio.page import Page; from realfill_studio.runs.jobs import Jobs\n"
        "page = Page(Jobs(Path('runs').resolve()), 'mini')\n"
        "print(len(page.projects.examples()))\n"
    )
    ended = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env={**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(ended.stdout.splitlines()[-1]) == len(list((ROOT / "assets" / "projects").iterdir()))


@pytest.mark.long
def test_a_source_archive_builds_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    unpacked = next((tmp_path / "out").iterdir())
    assert not {"tests", "tools", "benchmarks", "docs"} & {path.name for path in unpacked.iterdir()}
    again = build(unpacked, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
