"""Files that come from a browser and pictures that go to it: all of them live in one private folder.

Gradio's own check of uploaded paths is off when its page is mounted into another server, and a client may
name any path. So every path a handler is given passes `check_path`, and run folders are never served: what the
page shows is a thumbnail or a copy in this folder.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from realfill import files
from realfill.arrays import Photo
from realfill.errors import SceneError
from realfill.imaging.photo import read_photo
from realfill.sentences import Sentence

PREVIEW = 1280  # longest side in pixels of what is shown large or painted on
THUMBNAIL = 384  # longest side in pixels of a grid's pictures
KEEP_SECONDS = 24 * 3600
KEEP_DRAFTS = 14 * KEEP_SECONDS  # scenes that were begun, with their photos
MOST_DRAFTS = 16  # scenes that were begun, of one visitor; a tab has one
BLOCK = 2**16  # bytes in which they are booked, so that not every stroke has all files measured
GONE = Sentence("An uploaded file is not there any more; upload it again.")
_ID = re.compile(r"[A-Za-z0-9_-]{22}")


def choose_folder(runs_dir: Path) -> Path:
    """The private folder of the page over `runs_dir`; tells gradio to use it. Call before importing gradio.

    It stays the same over restarts, so that an open page finds its pictures again.
    """
    name = hashlib.sha256(str(runs_dir.resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()).resolve() / f"realfill-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and (folder.is_symlink() or folder.stat().st_uid != os.getuid()):
        folder = Path(tempfile.mkdtemp(prefix="realfill-")).resolve()  # someone else took the name
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


def folder() -> Path:
    """The private folder."""
    return Path(os.environ["GRADIO_TEMP_DIR"])


def check_path(path: str | None) -> Path | None:
    """The path of a file that really was uploaded here; None where nothing was given.

    Raises:
        SceneError: any other path.
    """
    if not path:
        return None
    try:
        real = Path(path).resolve(strict=True)
    except (OSError, ValueError):
        real = Path()
    if not real.is_file() or not real.is_relative_to(folder().resolve()):
        raise SceneError(GONE)
    return real


def preview(photo: Photo, longest: int = PREVIEW) -> Photo:
    """The photo (H, W, 3) shrunk so that its longest side is at most `longest` pixels."""
    height, width = photo.shape[:2]
    size = preview_size(width, height, longest)
    if size == (width, height):
        return photo
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def preview_size(width: int, height: int, longest: int = PREVIEW) -> tuple[int, int]:
    """Width and height of a picture once its longest side is at most `longest` pixels."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def thumbnail(path: Path, longest: int = THUMBNAIL) -> str:
    """The path of a small WebP of a picture file, as `thumbnails`."""
    return thumbnails(path, longest)[0]


def thumbnails(path: Path, *sizes: int) -> list[str]:
    """The paths of small WebPs of a picture file, of these longest sides, made once for each state of the file.

    The picture is decoded here, once for all; the page's process asks `decoding.decoder` instead.

    Raises:
        SceneError: the file is not a picture that can be used.
    """
    thumbs = {thumbnail_path(path, longest): longest for longest in sizes}
    if missing := {thumb: longest for thumb, longest in thumbs.items() if not thumb.exists()}:
        photo = read_photo(path)
        for thumb, longest in missing.items():
            save_thumbnail(photo, thumb, longest)
    return [str(thumb) for thumb in thumbs]


def thumbnail_path(path: Path, longest: int = THUMBNAIL) -> Path:
    """Where the small WebP of a picture file in its present state lies, once it is made."""
    state = path.stat()
    name = hashlib.sha256(f"{path.resolve()} {state.st_mtime_ns} {state.st_size} {longest}".encode()).hexdigest()
    return folder() / "thumbs" / f"{name}.webp"


def save_thumbnail(photo: Photo, path: Path, longest: int) -> None:
    """Writes a photo (H, W, 3), shrunk to `longest` pixels, where `thumbnail_path` says."""
    path.parent.mkdir(exist_ok=True)
    save_webp(preview(photo, longest), path)


def save_webp(photo: npt.NDArray[np.uint8], path: Path) -> None:
    """Writes a lossy WebP for the browser, so that no reader meets half of it."""
    draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")  # two answers may make one picture at once
    Image.fromarray(photo).save(draft, format="WEBP", quality=88, method=2)  # 4, its own, takes twice the time for 4 %
    draft.replace(path)


def place(kind: str, key: str) -> Path:
    """The folder for what belongs to `key`, made where it is missing; `kind` is a plain word."""
    path = folder() / kind / hashlib.sha256(key.encode()).hexdigest()[:32]
    path.mkdir(parents=True, exist_ok=True)
    return path


def offer_copy(made: Path, key: str, name: str) -> str:
    """As `offer`, of what is in a file."""
    path = place("downloads", key) / name
    draft = path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}")
    shutil.copyfile(made, draft)
    draft.replace(path)
    return str(path)


def offer(data: bytes, key: str, name: str) -> str:
    """Lays `data` out for download under the file name `name`; `key` keeps downloads of different runs apart."""
    path = place("downloads", key) / name
    draft = path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}")
    draft.write_bytes(data)
    draft.replace(path)
    return str(path)


def keep_draft(
    value: Mapping[str, Any],
    draft: str | None = None,
    *,
    visitor: str = "",
    admit: Callable[[int], None] = lambda size: None,
) -> str:
    """Keeps a scene that was begun; returns its id, which nobody can guess. Only who knows the id may replace it.

    Of one `visitor` the newest `MOST_DRAFTS` stay. `admit` is told the bytes that the scene takes beyond those it
    had, in whole blocks; what it raises comes through, and nothing is written.

    Raises:
        DiskFull, RunError: it cannot be written.
    """
    known = draft is not None and _ID.fullmatch(draft) is not None
    name = draft if known and draft is not None else secrets.token_urlsafe(16)
    owner = hashlib.sha256(visitor.encode()).hexdigest()[:16]
    earlier, data = _draft(name), json.dumps(value).encode()
    if (more := _blocks(len(data)) - _blocks(_size(earlier))) > 0:
        admit(more)
    path = earlier or _drafts() / f"{name}.{owner}.json"  # it stays whose it was, where an address changes
    files.write_bytes(path, data)
    if earlier is None:
        others = (item for item in _drafts().glob(f"*.{owner}.json") if item != path)
        for item in sorted(others, key=_time, reverse=True)[MOST_DRAFTS - 1 :]:
            item.unlink(missing_ok=True)
    return name


def read_kept_draft(name: str) -> dict[str, Any] | None:
    """The scene kept under an id; None where there is none."""
    path = _draft(name)
    if path is None:
        return None
    with contextlib.suppress(OSError):  # swept at this moment; then there is none
        os.utime(path)
    return files.read_json(path)


def sweep(now: float | None = None) -> None:
    """Removes what is older than a day, and scenes begun two weeks ago with their photos; runs hold own copies."""
    today = time.time() if now is None else now
    for item in _walk_files(_drafts()):
        _remove_older(item, today - KEEP_DRAFTS)
    wanted = set(_draft_photos())
    for item in _walk_files(folder()):
        if item not in wanted and item.parent != _drafts():
            _remove_older(item, today - KEEP_SECONDS)
    _remove_empty(folder(), today - KEEP_SECONDS)


def _remove_older(item: Path, limit: float) -> None:
    with contextlib.suppress(OSError):  # renamed or removed meanwhile, or held open on Windows; there is a next time
        if item.stat().st_mtime < limit:
            item.unlink()


def _remove_empty(place: Path, limit: float) -> None:
    """Removes the empty folders in `place`, from the innermost; a younger one may be about to be filled."""
    for inner, _, _ in os.walk(place, topdown=False):
        with contextlib.suppress(OSError):  # it is not empty, or has gone
            if inner != str(place) and os.lstat(inner).st_mtime < limit:
                os.rmdir(inner)


def _walk_files(place: Path) -> Iterable[Path]:
    """All files in a folder, no links; unlike `rglob` it passes over a folder that vanishes meanwhile."""
    paths = (Path(inner) / name for inner, _, names in os.walk(place) for name in names)
    return [item for item in paths if item.is_file() and not item.is_symlink()]


def _drafts() -> Path:
    return folder() / "drafts"


def _draft(name: str) -> Path | None:
    """The file of a scene begun, by its id; None where there is none."""
    if not _ID.fullmatch(name):
        return None
    drafts = _drafts().glob(f"{name}.*json")  # one of an earlier version names no visitor
    return next((path for path in drafts if path.is_file()), None)


def _blocks(size: int) -> int:
    """`size` rounded up to whole blocks, in bytes."""
    return -(-size // BLOCK) * BLOCK


def _size(path: Path | None) -> int:
    """A file's bytes; 0 where there is none."""
    try:
        return 0 if path is None else path.stat().st_size
    except OSError:
        return 0


def _time(path: Path) -> float:
    """When a file was written or asked for, in seconds since 1970; 0 where it has gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _draft_photos() -> Iterator[Path]:
    """The files that scenes begun name."""
    for path in _walk_files(_drafts()):
        try:
            value = files.parse_json(path.read_bytes())
            for name in [*value["references"], value["target"], value["mask"]]:
                if isinstance(name, str):
                    yield Path(name)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not a draft; it goes when it is old
