import errno
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfill.errors import SceneError
from realfill.imaging import photo
from tests.waiting import wait_until
from ui.decoding import decoder
from ui.runs import thumbnails
from ui.runs.thumbnails import BROKEN, Thumbnails, url


def made(thumbs: Thumbnails, path: Path) -> str:
    """The address, once it is there."""
    return wait_until(lambda: thumbs.url(path), f"a thumbnail of {path.name}")


def place(address: str) -> Path:
    return Path(urllib.parse.unquote(address.removeprefix("gradio_api/file=")))


def test_a_picture_comes_small_from_the_private_folder(folder: Path, tmp_path: Path) -> None:
    photo.save_photo(np.zeros((600, 900, 3), np.uint8), tmp_path / "a b.png")
    found = place(made(Thumbnails(), tmp_path / "a b.png"))
    assert found.is_relative_to(folder)
    with Image.open(found) as small:
        assert max(small.size) == 384


def test_a_changed_picture_has_another_address(folder: Path, tmp_path: Path) -> None:
    thumbs, path = Thumbnails(), tmp_path / "a.png"
    photo.save_photo(np.zeros((8, 8, 3), np.uint8), path)
    before = made(thumbs, path)
    photo.save_photo(np.full((8, 8, 3), 200, np.uint8), path)
    after = made(thumbs, path)
    assert after != before
    assert np.asarray(Image.open(place(after))).mean() > 190


def test_one_that_was_swept_away_is_made_again(folder: Path, tmp_path: Path) -> None:
    thumbs, path = Thumbnails(), tmp_path / "a.png"
    photo.save_photo(np.zeros((8, 8, 3), np.uint8), path)
    place(made(thumbs, path)).unlink()
    assert place(made(thumbs, path)).exists()


def test_what_is_missing_or_broken_does_not_keep_anybody_waiting(folder: Path, tmp_path: Path) -> None:
    thumbs = Thumbnails()
    assert thumbs.url(tmp_path / "nothing.png") == ""
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    assert made(thumbs, tmp_path / "broken.png") == BROKEN


@pytest.mark.parametrize("read", [False, True])
def test_one_that_the_disk_refused_is_tried_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: bool
) -> None:
    thumbs, path, tried = Thumbnails(), tmp_path / "a.png", list[Path]()
    photo.save_photo(np.zeros((8, 8, 3), np.uint8), path)

    def refused(path: Path, longest: int) -> str:
        tried.append(path)
        error = OSError(errno.ENOSPC, "No space left on device")
        if read:
            raise SceneError("a.png cannot be read; check its permissions.") from error
        raise error

    thumbnail = decoder.thumbnail
    monkeypatch.setattr(decoder, "thumbnail", refused)
    for _ in range(2):
        assert thumbs.url(path) == ""
        thumbs._pool.submit(int).result(20)  # the one before it has ended
    assert len(tried) == 1  # not at every look
    monkeypatch.setattr(decoder, "thumbnail", thumbnail)
    monkeypatch.setattr(thumbnails, "AGAIN", 0.0)
    assert place(made(thumbs, path)).exists()


def test_one_that_is_no_picture_is_not_tried_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "AGAIN", 0.0)
    thumbs, path = Thumbnails(), tmp_path / "broken.png"
    photo.save_photo(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8), path)
    path.write_bytes(path.read_bytes()[:-900])
    assert made(thumbs, path) == BROKEN
    monkeypatch.setattr(decoder, "thumbnail", None)
    assert made(thumbs, path) == BROKEN


def test_addresses_are_quoted() -> None:
    assert url("/tmp/a b#c?.webp") == "gradio_api/file=/tmp/a%20b%23c%3F.webp"
