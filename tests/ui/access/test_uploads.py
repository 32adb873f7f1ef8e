import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.errors import SceneError
from ui.access import uploads
from ui.access.uploads import check_path, read_kept_draft


def upload(folder: Path, name: str = "a.png", size: tuple[int, int] = (40, 30)) -> Path:
    path = folder / "0123" / name
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.random.default_rng(len(name)).integers(0, 255, (*size[::-1], 3), np.uint8)).save(path)
    return path


def test_an_upload_passes_and_nothing_given_is_nothing(folder: Path) -> None:
    path = upload(folder)
    assert check_path(str(path)) == path
    assert check_path(None) is None
    assert check_path("") is None


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../../etc/passwd", "a\0b", "/dev/zero", ".", "nowhere.png", "x" * 5000]
)
def test_a_path_that_was_not_uploaded_is_refused_without_naming_it(folder: Path, path: str) -> None:
    with pytest.raises(SceneError) as caught:
        check_path(path)
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
            check_path(str(path))


def test_a_thumbnail_is_small(folder: Path) -> None:
    with Image.open(uploads.thumbnail(upload(folder, size=(900, 600)))) as image:
        assert image.size == (uploads.THUMBNAIL, uploads.THUMBNAIL * 600 // 900)


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
    assert read_kept_draft(name) == {"references": [str(kept)], "target": None, "mask": None}
    uploads.sweep(time.time() + uploads.KEEP_DRAFTS + 5)
    assert read_kept_draft(name) is None
    assert not kept.exists()


def test_a_draft_is_replaced_by_who_knows_its_name_and_by_nobody_else(folder: Path) -> None:
    first = uploads.keep_draft({"target": "1"})
    assert uploads.keep_draft({"target": "2"}, first) == first
    assert read_kept_draft(first) == {"target": "2"}
    for forged in ("../../etc/passwd", "x", "", "../drafts/" + first, "a" * 23):
        assert uploads.keep_draft({"target": "3"}, forged) not in (first, forged)
        assert read_kept_draft(forged) is None


def test_of_one_visitors_scenes_the_newest_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_DRAFTS", 3)
    other = uploads.keep_draft({"name": "other"}, visitor="another")
    names = list[str]()
    for number in range(6):
        names.append(uploads.keep_draft({"name": number}, visitor="one"))
        os.utime(next((folder / "drafts").glob(f"{names[-1]}*")), (0, 1000 + number))
        assert read_kept_draft(names[0]) is not None  # one that is asked for is as good as new
        os.utime(next((folder / "drafts").glob(f"{names[0]}*")), (0, 2000 + number))
    assert [number for number, name in enumerate(names) if read_kept_draft(name)] == [0, 4, 5]
    assert read_kept_draft(other) == {"name": "other"}
    assert uploads.keep_draft({"name": "moved"}, other, visitor="one") == other  # a tab whose address changed
    assert read_kept_draft(other) == {"name": "moved"}
    assert len(list((folder / "drafts").iterdir())) == 4


def test_a_scene_is_booked_by_what_it_grows(folder: Path) -> None:
    booked = list[int]()
    draft = None
    for size in (10, 900, uploads.BLOCK, 10, uploads.BLOCK, 3 * uploads.BLOCK):
        draft = uploads.keep_draft({"name": "x" * size}, draft, admit=booked.append)
    assert booked == [uploads.BLOCK, uploads.BLOCK, uploads.BLOCK, 2 * uploads.BLOCK]

    def refuse(size: int) -> None:
        raise ValueError

    with pytest.raises(ValueError):
        uploads.keep_draft({"name": "y" * 9 * uploads.BLOCK}, draft, admit=refuse)
    assert read_kept_draft(str(draft)) == {"name": "x" * 3 * uploads.BLOCK}


def test_a_scene_kept_by_an_earlier_version_is_found(folder: Path) -> None:
    (folder / "drafts").mkdir()
    (folder / "drafts" / f"{'a' * 22}.json").write_text('{"name": "old"}')
    assert read_kept_draft("a" * 22) == {"name": "old"}
    assert uploads.keep_draft({"name": "new"}, "a" * 22) == "a" * 22
    assert [path.name for path in (folder / "drafts").iterdir()] == [f"{'a' * 22}.json"]


def test_what_vanishes_meanwhile_does_not_stop_the_sweeping(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, listed = upload(folder, "old.png"), uploads._walk_files
    os.utime(old, (0, 0))
    monkeypatch.setattr(uploads, "_walk_files", lambda place: [place / "gone.png", *listed(place)])
    uploads.sweep()
    assert not old.exists()


def test_a_folder_that_vanishes_meanwhile_does_not_stop_the_sweeping(folder: Path, vanishing: str) -> None:
    old = upload(folder, "old.png")
    os.utime(old, (0, 0))
    (folder / vanishing).mkdir()
    uploads.sweep()
    assert not old.exists()


def test_an_empty_folder_goes_when_nobody_can_be_about_to_fill_it(folder: Path) -> None:
    for name in ("old", "young"):
        (folder / name / "inner").mkdir(parents=True)
    for place in (folder / "old" / "inner", folder / "old"):
        os.utime(place, (0, 0))
    uploads.sweep()
    assert (folder / "young" / "inner").exists()
    assert not (folder / "old" / "inner").exists()


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
