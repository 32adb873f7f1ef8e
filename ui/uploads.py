"""Files that come from a browser and pictures that go to it: all of them live in one private folder.

Gradio's own check of uploaded paths is off when its page is mounted into another server, and a client may
name any path. So every path a handler is given passes `checked`, and run folders are never served: what the
page shows is a thumbnail or a copy in this folder.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from realfill import images
from realfill.errors import SceneError
from realfill.images import Photo

PREVIEW = 1280  # longest side in pixels of what is shown large or painted on
THUMB = 384  # longest side in pixels of a grid's pictures
KEEP_SECONDS = 24 * 3600


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
        raise SceneError("An uploaded file is not there any more; upload it again.")
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


def shown(upload: Path | None) -> str:
    """The thumbnail of an uploaded photo, or of what is already one; `photo_of` leads back.

    Browsers cannot show every format that we read, and five photos of 12 megapixels at once are slow.

    Raises:
        SceneError: nothing was given, or it is not a photo that can be used.
    """
    if upload is None:
        raise SceneError("An uploaded file is not there any more; upload it again.")
    if _memo(upload) is not None:
        return str(upload)
    thumb = Path(thumbnail(upload))
    thumb.with_suffix(".photo").write_text(str(upload), encoding="utf-8")
    return str(thumb)


def photo_of(thumb: Path | None) -> Path:
    """The uploaded photo that a thumbnail from `shown` stands for; other uploads stand for themselves.

    Raises:
        SceneError: the photo is gone.
    """
    if thumb is None:
        raise SceneError("An uploaded file is not there any more; upload it again.")
    memo = _memo(thumb)
    return thumb if memo is None else checked(memo.read_text(encoding="utf-8")) or thumb


def _memo(thumb: Path) -> Path | None:
    """The file that says which photo a thumbnail stands for; None where it is no thumbnail of an upload."""
    memo = thumb.with_suffix(".photo")
    return memo if thumb.parent == folder() / "thumbs" and memo.exists() else None


def save_webp(photo: npt.NDArray[np.uint8], path: Path) -> None:
    """Writes a lossy WebP for the browser, so that no reader meets half of it."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    Image.fromarray(photo).save(draft, format="WEBP", quality=88)
    draft.replace(path)


def offer(data: bytes, key: str, name: str) -> str:
    """Lays `data` out for download under the file name `name`; `key` keeps downloads of different runs apart."""
    place = folder() / "downloads" / hashlib.sha256(key.encode()).hexdigest()[:32]
    place.mkdir(parents=True, exist_ok=True)
    draft = place / f".{name}.{os.getpid()}"
    draft.write_bytes(data)
    draft.replace(place / name)
    return str(place / name)


def sweep(now: float | None = None) -> None:
    """Removes what is older than a day; runs hold their own copies."""
    limit = (time.time() if now is None else now) - KEEP_SECONDS
    for item in _files(folder()):
        if item.stat().st_mtime < limit:
            item.unlink(missing_ok=True)
    for item in folder().iterdir():
        if item.is_dir() and not any(_files(item)):
            shutil.rmtree(item, ignore_errors=True)


def _files(place: Path) -> Iterable[Path]:
    return [item for item in place.rglob("*") if item.is_file() and not item.is_symlink()]
