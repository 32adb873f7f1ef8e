import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.errors import SceneError
from ui import uploads


def upload(folder: Path, name: str = "a.png", size: tuple[int, int] = (40, 30)) -> Path:
    path = folder / "0123" / name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(len(name)).integers(0, 255, (*size[::-1], 3), np.uint8)).save(path)
    return path


def test_an_upload_passes_and_nothing_given_is_nothing(folder: Path) -> None:
    path = upload(folder)
    assert uploads.checked(str(path)) == path
    assert uploads.checked(None) is None
    assert uploads.checked("") is None


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "a\0b", "/dev/zero", ".", "nowhere.png", "x" * 5000]
)
def test_a_path_that_was_not_uploaded_is_refused_without_naming_it(folder: Path, path: str) -> None:
    with pytest.raises(SceneError) as caught:
        uploads.checked(path)
    assert str(caught.value) == "An uploaded file is not there any more; upload it again."


def test_no_way_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(upload(folder).read_bytes())
    (folder / "link.png").symlink_to(secret)
    beside = Path(f"{folder}-beside")
    beside.mkdir()
    (beside / "b.png").write_bytes(b"")
    for path in (folder / "link.png", folder / ".." / "secret.png", beside / "b.png", folder):
        with pytest.raises(SceneError):
            uploads.checked(str(path))


def test_a_thumbnail_is_small(folder: Path) -> None:
    with Image.open(uploads.thumbnail(upload(folder, size=(900, 600)))) as image:
        assert image.size == (uploads.THUMB, uploads.THUMB * 600 // 900)


def test_what_is_no_photo_has_no_thumbnail(folder: Path) -> None:
    path = folder / "a.png"
    path.write_text("<svg/>")
    with pytest.raises(SceneError, match=r"a\.png"):
        uploads.thumbnail(path)


def test_a_changed_file_gets_another_thumbnail(folder: Path) -> None:
    path = upload(folder)
    first = uploads.thumbnail(path)
    assert uploads.thumbnail(path) == first
    upload(folder, size=(44, 30))
    assert uploads.thumbnail(path) != first


def test_downloads_of_different_runs_do_not_meet(folder: Path) -> None:
    one, two = uploads.offer(b"1", "run one", "a.png"), uploads.offer(b"2", "run two", "a.png")
    assert Path(one).read_bytes() == b"1"
    assert Path(two).read_bytes() == b"2"
    assert Path(one).name == Path(two).name == "a.png"


def test_sweeping_takes_what_is_old(folder: Path) -> None:
    old, young = upload(folder, "old.png"), upload(folder, "young.png")
    os.utime(old, (0, time.time() - uploads.KEEP_SECONDS - 5))
    uploads.sweep()
    assert not old.exists()
    assert young.exists()


def test_a_scene_that_was_begun_keeps_its_photos_for_two_weeks(folder: Path) -> None:
    kept, lost = upload(folder, "kept.png"), upload(folder, "lost.png")
    name = uploads.keep_draft({"references": [str(kept)], "target": None, "mask": None})
    for path in (kept, lost):
        os.utime(path, (0, time.time() - 3 * uploads.KEEP_SECONDS))
    uploads.sweep()
    assert kept.exists()
    assert not lost.exists()
    assert uploads.kept_draft(name) == {"references": [str(kept)], "target": None, "mask": None}
    uploads.sweep(time.time() + uploads.KEEP_DRAFTS + 5)
    assert uploads.kept_draft(name) is None
    assert not kept.exists()


def test_a_draft_is_replaced_by_who_knows_its_name_and_by_nobody_else(folder: Path) -> None:
    first = uploads.keep_draft({"target": "1"})
    assert uploads.keep_draft({"target": "2"}, first) == first
    assert uploads.kept_draft(first) == {"target": "2"}
    for forged in ("../../etc/passwd", "x", "", "../drafts/" + first, "a" * 23):
        assert uploads.keep_draft({"target": "3"}, forged) not in (first, forged)
        assert uploads.kept_draft(forged) is None


def test_what_is_no_draft_does_not_stop_the_sweeping(folder: Path) -> None:
    old = upload(folder, "old.png")
    os.utime(old, (0, 0))
    (folder / "drafts").mkdir()
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"references": 3, "target": 1, "mask": []}')):
        (folder / "drafts" / f"{name}.json").write_text(text)
    uploads.sweep()
    assert not old.exists()


def test_the_folder_is_private_and_stays_over_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = uploads.choose_folder(tmp_path / "runs")
    assert os.environ["GRADIO_TEMP_DIR"] == str(first)
    assert uploads.choose_folder(tmp_path / "runs") == first
    assert uploads.choose_folder(tmp_path / "others") != first
    if os.name == "posix":
        assert first.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_planted_link_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first = uploads.choose_folder(tmp_path / "runs")
    first.rmdir()
    (tmp_path / "trap").mkdir()
    first.symlink_to(tmp_path / "trap")
    assert uploads.choose_folder(tmp_path / "runs").resolve() not in (first, tmp_path / "trap")
