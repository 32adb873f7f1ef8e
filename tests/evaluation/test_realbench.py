"""Unpacking a downloaded RealBench: whole, checked, and nowhere but into its folder."""

import hashlib
import stat
import zipfile
from pathlib import Path

import pytest

from realfill.errors import OptionError
from realfill.evaluation import realbench
from realfill.evaluation.dataset import find_cases


def _zip(path: Path, root: Path, prefix: str = "realfill_data_release_full/RealBench/") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.write(file, f"{prefix}{file.relative_to(root).as_posix()}")
        archive.writestr("realfill_data_release_full/README.md", "hello")
        archive.writestr("__MACOSX/realfill_data_release_full/._x.png", "junk")
        archive.writestr("realfill_data_release_full/.DS_Store", "junk")
        archive.writestr("realfill_data_release_full/run.sh", "rm -rf")
    return path


def test_unpacks_the_release(root: Path, tmp_path: Path) -> None:
    archive = _zip(tmp_path / "release.zip", root)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    found = realbench.unpack(archive, tmp_path / "out", sha256=digest.upper())
    assert (found.scenes, found.others, found.sha256) == (2, 1, digest)
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "realfill_data_release_full/README.md" in names
    assert not any(name.endswith((".sh", ".DS_Store")) or "MACOSX" in name for name in names)
    cases, _ = find_cases(tmp_path / "out")
    assert (cases[0].scene().target == find_cases(root)[0][0].scene().target).all()


def test_refuses_another_digest_and_a_folder_in_use(root: Path, tmp_path: Path) -> None:
    archive = _zip(tmp_path / "release.zip", root)
    with pytest.raises(OptionError, match="SHA-256"):
        realbench.unpack(archive, tmp_path / "out", sha256="0" * 64)
    assert not (tmp_path / "out").exists()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("x")
    with pytest.raises(OptionError, match="holds something"):
        realbench.unpack(archive, tmp_path / "used")
    assert (tmp_path / "used" / "mine.txt").read_text() == "x"


@pytest.mark.parametrize(
    "name", ["../up.png", "/etc/up.png", "a/../../up.png", "C:\\up.png", "a\\..\\up.png", "a:b.png"]
)
def test_nothing_lands_outside(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("0/target/gt.png", "x")
        archive.writestr(zipfile.ZipInfo(name), "x")
    before = {path for path in tmp_path.rglob("*")}
    with pytest.raises(OptionError, match="leads out"):
        realbench.unpack(tmp_path / "bad.zip", tmp_path / "in" / "out")
    assert {path for path in tmp_path.rglob("*")} - before <= {tmp_path / "in"}


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("0/target/gt.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(OptionError, match="leads out"):
        realbench.unpack(tmp_path / "bad.zip", tmp_path / "out")


def test_what_grows_beyond_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0/target/gt.png", bytes(8_000_000))
    with pytest.raises(OptionError, match="grows beyond measure"):
        realbench.unpack(tmp_path / "bomb.zip", tmp_path / "out")
    monkeypatch.setattr(realbench, "MOST_BYTES", 1000)
    with pytest.raises(OptionError, match="would unpack to"):
        realbench.unpack(tmp_path / "bomb.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_zip_leaves_nothing(root: Path, tmp_path: Path) -> None:
    archive = _zip(tmp_path / "release.zip", root)
    data = bytearray(archive.read_bytes())
    data[2000] ^= 255  # within the first stored picture: its checksum no longer holds
    archive.write_bytes(data)
    for broken in (archive, root / "2" / "target" / "gt.png"):
        with pytest.raises(OptionError, match="damaged"):
            realbench.unpack(broken, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_zip_of_something_else_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("holiday/1.png", "x")
    with pytest.raises(OptionError, match="holds no scene"):
        realbench.unpack(tmp_path / "other.zip", tmp_path / "out")
