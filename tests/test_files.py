"""Whatever happens in between, a file holds its old content or its new."""

import errno
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realfill import files
from realfill.errors import DiskFull, RunError
from realfill.files import temporary_path


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_written_files_replace_old_ones_and_leave_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    for number in range(3):
        files.write_json(path, {"number": number, "text": "ü"})
    assert files.read_json(path) == {"number": 2, "text": "ü"}
    assert os.listdir(path.parent) == ["a.json"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"old": 1})
    monkeypatch.setattr(os, moment, _full)
    with pytest.raises(DiskFull, match="free some space"):
        files.write_json(path, {"new": 1})
    assert files.read_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_noticed_when_appending() -> None:
    with pytest.raises(DiskFull):
        files.append_line(Path("/dev/full"), "line")


def test_what_cannot_be_written_or_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("[1]")
    with pytest.raises(RunError, match="cannot be written"):
        files.write_bytes(tmp_path / "file" / "inside", b"")
    with pytest.raises(RunError, match="does not hold"):
        files.read_json(tmp_path / "file")
    (tmp_path / "file").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        files.read_json(tmp_path / "file")
    assert files.read_json(tmp_path / "none") is None
    assert files.read_json(tmp_path / "file" / "none") is None


def _refusing(do: Callable[..., Any], times: int) -> Callable[..., Any]:
    """`do`, refused at first as Windows refuses what another process has open."""
    refusals = iter(range(times))

    def tried(*given: Any) -> Any:
        if next(refusals, None) is not None:
            raise PermissionError(errno.EACCES, "Access is denied")
        return do(*given)

    return tried


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (os, "replace", lambda place: files.write_json(place / "a.json", {"new": 1})),
        (os, "replace", lambda place: files.remove_folder(place / "folder")),
        (Path, "open", lambda place: files.read_json(place / "a.json")),
        (Path, "open", lambda place: files.read_lines(place / "a.json")),
    ],
)
def test_what_windows_refuses_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: Callable[[Path], object]
) -> None:
    files.write_json(tmp_path / "a.json", {"old": 1})
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(files, "_PAUSE", 0)
    do = getattr(owner, name)
    for windows, times in ((True, files._TRIES + 1), (False, 1)):  # for ever; where a refusal is no accident
        monkeypatch.setattr(files, "WINDOWS", windows)
        monkeypatch.setattr(owner, name, _refusing(do, times))
        with pytest.raises((RunError, PermissionError)):
            call(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.json", "folder"]
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(owner, name, _refusing(do, 3))
    call(tmp_path)


def test_a_new_folder_waits_for_readers_of_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PAUSE", 0)
    monkeypatch.setattr(files, "WINDOWS", True)
    monkeypatch.setattr(os, "replace", _refusing(os.replace, 3))
    with files.new_folder(tmp_path / "folder") as draft:
        (draft / "a").write_text("1")
    assert os.listdir(tmp_path / "folder") == ["a"]


def test_lines_come_back_whole_and_from_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert files.read_lines(path) == ([], 0)
    files.append_line(path, "one")
    lines, offset = files.read_lines(path)
    files.append_line(path, "zwölf")
    assert lines == ["one"]
    assert files.read_lines(path, offset) == (["zwölf"], path.stat().st_size)
    assert files.read_lines(path, 10_000)[0] == ["one", "zwölf"]  # the file was replaced by a shorter one


@pytest.mark.parametrize("kept", range(5))
def test_a_torn_last_line_waits_and_is_closed_by_the_next(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "lines"
    files.append_line(path, "first")
    with path.open("ab") as file:
        file.write(b"torn\n"[:kept])
    assert files.read_lines(path) == (["first"], 6)
    files.append_line(path, "next")
    lines, offset = files.read_lines(path, 6)
    assert [line for line in lines if line != "torn"[:kept]] == ["next"]
    assert offset == path.stat().st_size


def test_a_new_folder_appears_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with files.new_folder(path) as draft:
        (draft / "a").write_text("1")
        assert not path.exists()
    with files.new_folder(path) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "b").write_text("2")
        assert [item.name for item in path.iterdir()] == ["a"]
    assert [item.name for item in path.rglob("*")] == ["inner", "b"]
    with pytest.raises(ZeroDivisionError), files.new_folder(path) as draft:
        (draft / "c").write_text("3")
        raise ZeroDivisionError
    assert [item.name for item in path.iterdir()] == ["inner"]
    assert os.listdir(tmp_path) == ["folder"]


def test_sweep_removes_old_leftovers_only(tmp_path: Path) -> None:
    old, young = temporary_path(tmp_path / "a"), temporary_path(tmp_path / "a")
    names = (".keep", ".photo.jpg.tmp", ".photo.jpg.0123456789ab.tmp", ".tmp", ".realfill.tmp")
    others = [tmp_path / name for name in names]
    old.mkdir()
    (old / "part").write_text("")
    for path in (young, *others):
        path.write_text("")
    for path in (old, *others):
        os.utime(path, (time.time() - 100, time.time() - 100))
    files.sweep(tmp_path)
    assert {item.name for item in tmp_path.iterdir()} == {young.name, *names}
    files.sweep(tmp_path / "none")


def test_what_a_leftover_link_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "dear").mkdir()
    (tmp_path / "dear" / "photo").write_text("")
    link = temporary_path(tmp_path / "a")
    link.symlink_to(tmp_path / "dear")
    files.sweep(tmp_path, older_than=-1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["dear", "photo"]


def test_only_folders_are_removed_as_folders(tmp_path: Path) -> None:
    (tmp_path / "dear").mkdir()
    (tmp_path / "photo.jpg").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "dear")
    for name in ("photo.jpg", "link", "none"):
        files.remove_folder(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"dear", "photo.jpg", "link"}


def test_long_names_have_temporary_names_too(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".png")
    files.write_bytes(path, b"dear")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="forks")
def test_killed_writers_leave_whole_files(tmp_path: Path) -> None:
    """Sixty writers, killed at random moments: what is there always reads, and never goes back."""
    script = """
        import json, os, random, signal, sys, time
        from pathlib import Path
        from realfill import files
        folder, last = Path(sys.argv[1]), -1
        for trial in range(60):
            child = os.fork()
            if child == 0:
                while True:
                    last += 1
                    files.write_json(folder / "a.json", {"number": last, "long": "x" * 20000})
                    files.append_line(folder / "lines", json.dumps({"number": last}))
            time.sleep(random.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            found = files.read_json(folder / "a.json")
            number = -1 if found is None else found["number"]
            assert number >= last, (number, last)
            assert found is None or len(found["long"]) == 20000
            lines = files.read_lines(folder / "lines")[0]
            numbers = [json.loads(line)["number"] for line in lines if line.endswith("}")]
            assert numbers == sorted(set(numbers)) and (not numbers or numbers[-1] <= number)
            last = number
        print(last)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 10  # they did get to write in between
    files.sweep(tmp_path, older_than=-1)
    assert {item.name for item in tmp_path.iterdir()} == {"a.json", "lines"}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "[" * 80 + "]" * 80 + "}"])
def test_deep_json_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RunError, match=r"a\.json cannot be read"):
        files.read_json(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"deeply|Expecting"):
        files.parse_json(text)
    level = "[" * files.MAX_DEPTH + "]" * files.MAX_DEPTH
    assert files.parse_json(level) == json.loads(level)


def test_a_json_file_that_is_too_large_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_JSON", 2**20)
    (tmp_path / "a.json").write_text('{"a": "' + "x" * 2**20 + '"}')
    with pytest.raises(RunError, match="more than 1 MB"):
        files.read_json(tmp_path / "a.json")


def test_a_sentence_names_what_will_be_there_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DiskFull) as full, files.new_folder(tmp_path / "run") as draft:
        monkeypatch.setattr(os, "fsync", _full)
        files.write_json(draft / "deep" / "run.json", {})
    assert f"The disk of {tmp_path / 'run' / 'deep'} is full" in str(full.value)
    monkeypatch.undo()
    temporary = temporary_path(tmp_path / "file")
    temporary.touch()
    with pytest.raises(RunError) as refused:
        files.write_bytes(temporary / "inside", b"")
    assert str(refused.value).startswith(f"{tmp_path / 'file' / 'inside'} cannot be written")
    assert ".tmp" not in str(refused.value)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_a_private_file_is_nobody_elses_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []

    def replace(source: Path, target: Path) -> None:
        modes.append(source.stat().st_mode & 0o777)
        os.rename(source, target)

    monkeypatch.setattr(files, "replace", replace)
    files.write_bytes(tmp_path / "key", b"secret", mode=0o600)
    assert modes == [0o600]
