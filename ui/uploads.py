"""Files that come from a browser and pictures that go to it: all of them live in one private folder.

Gradio's own check of uploaded paths is off when its page is mounted into another server, and a client may
name any path. So every path a handler is given passes `checked`, and run folders are never served: what the
page shows is a thumbnail or a copy in this folder.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from realfill import files, images
from realfill.errors import SceneError
from realfill.images import Photo

PREVIEW = 1280  # longest side in pixels of what is shown large or painted on
THUMB = 384  # longest side in pixels of a grid's pictures
KEEP_SECONDS = 24 * 3600
KEEP_DRAFTS = 14 * KEEP_SECONDS  # scenes that were begun, with their photos
GONE = "An uploaded file is not there any more; upload it again."
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


def checked(path: str | None) -> Path | None:
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
    scale = longest / max(photo.shape[:2])
    if scale >= 1:
        return photo
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))


def thumbnail(path: Path, longest: int = THUMB) -> str:
    """The path of a small WebP of a picture file, made once for each state of the file.

    Raises:
        SceneError: the file is not a picture that can be used.
    """
    state = path.stat()
    name = hashlib.sha256(f"{path.resolve()} {state.st_mtime_ns} {state.st_size} {longest}".encode()).hexdigest()
    thumb = folder() / "thumbs" / f"{name}.webp"
    if not thumb.exists():
        thumb.parent.mkdir(exist_ok=True)
        save_webp(preview(images.read_photo(path), longest), thumb)
    return str(thumb)


def save_webp(photo: npt.NDArray[np.uint8], path: Path) -> None:
    """Writes a lossy WebP for the browser, so that no reader meets half of it."""
    draft = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")  # two answers may make one picture at once
    Image.fromarray(photo).save(draft, format="WEBP", quality=88)
    draft.replace(path)


def place(kind: str, key: str) -> Path:
    """The folder for what belongs to `key`, made where it is missing; `kind` is a plain word."""
    found = folder() / kind / hashlib.sha256(key.encode()).hexdigest()[:32]
    found.mkdir(parents=True, exist_ok=True)
    return found


def offer(data: bytes, key: str, name: str) -> str:
    """Lays `data` out for download under the file name `name`; `key` keeps downloads of different runs apart."""
    path = place("downloads", key) / name
    draft = path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}")
    draft.write_bytes(data)
    draft.replace(path)
    return str(path)


def keep_draft(value: Mapping[str, Any], draft: str | None = None) -> str:
    """Keeps a scene that was begun; returns its id, which nobody can guess. Only who knows the id may replace it.

    Raises:
        DiskFull, RunError: it cannot be written.
    """
    known = draft is not None and _ID.fullmatch(draft) is not None
    name = draft if known and draft is not None else secrets.token_urlsafe(16)
    files.write_bytes(folder() / "drafts" / f"{name}.json", json.dumps(value).encode())
    return name


def kept_draft(name: str) -> dict[str, Any] | None:
    """The scene kept under an id; None where there is none."""
    path = folder() / "drafts" / f"{name}.json"
    if not _ID.fullmatch(name) or not path.is_file():
        return None
    os.utime(path)
    return files.read_json(path)


def sweep(now: float | None = None) -> None:
    """Removes what is older than a day, and scenes begun two weeks ago with their photos; runs hold own copies."""
    today = time.time() if now is None else now
    for item in _files(folder() / "drafts"):
        if item.stat().st_mtime < today - KEEP_DRAFTS:
            item.unlink(missing_ok=True)
    wanted = set(_in_drafts())
    for item in _files(folder()):
        spared = item in wanted or item.parent == folder() / "drafts"
        if not spared and item.stat().st_mtime < today - KEEP_SECONDS:
            item.unlink(missing_ok=True)
    for item in folder().iterdir():
        if item.is_dir() and not any(_files(item)):
            shutil.rmtree(item, ignore_errors=True)


def _files(place: Path) -> Iterable[Path]:
    return [item for item in place.rglob("*") if item.is_file() and not item.is_symlink()]


def _in_drafts() -> Iterator[Path]:
    """The files that scenes begun name."""
    for path in _files(folder() / "drafts"):
        try:
            value = json.loads(path.read_bytes())
            for name in [*value["references"], value["target"], value["mask"]]:
                if isinstance(name, str):
                    yield Path(name)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not a draft; it goes when it is old
