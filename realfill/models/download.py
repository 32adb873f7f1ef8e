"""Bases from the hub: how much there is to fetch, whether the disk holds it, and a download that can end and go on.

huggingface_hub keeps nothing of a file whose download was ended, and a file has gigabytes. So large files come by its
own `http_get` into a partial file among the cache's blobs, which the next call goes on with, and become blobs when
their sha256 is right; links, small files and everything else are `snapshot_download`'s.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from realfill import files
from realfill.errors import WeightsError
from realfill.humanize import size

LARGE = 20e6  # bytes from which a file is fetched in a way that goes on where it ended
SPARE = 1e9  # bytes that are left free on the disk
Watch = Callable[[int, int, float], None]
"""Told bytes that are here, bytes in all, and bytes a second; what it raises ends the download."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository."""

    name: str
    size: int  # bytes
    sha256: str  # empty: a small one, which git holds itself


@dataclass(frozen=True)
class Download:
    """The files of a repository that a base is made of."""

    source: str  # the hub id
    patterns: Mapping[str, Any]  # as `snapshot_download` takes them
    files: tuple[HubFile, ...]
    commit: str

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def present(self) -> int:
        """Bytes that are on the disk already, those of partial files too."""
        return sum(self.bytes_here(file) for file in self.files)

    def bytes_here(self, file: HubFile) -> int:
        """Bytes of a file that need not come, up to its size."""
        from huggingface_hub import try_to_load_from_cache

        known = try_to_load_from_cache(self.source, file.name, revision=self.commit)
        if isinstance(known, str):
            return file.size
        if file.sha256 and ((self.blobs / file.sha256).exists() or self.twin(file)):
            return file.size
        partial = self.partial(file)
        return min(file.size, partial.stat().st_size) if file.sha256 and partial.exists() else 0

    def twin(self, file: HubFile) -> Path | None:
        """The same large file of another repository in the cache: a distilled model has much of its base."""
        if not file.sha256 or file.size < LARGE:
            return None
        return next(self.blobs.parents[1].glob(f"models--*/blobs/{file.sha256}"), None)

    @property
    def blobs(self) -> Path:
        """The cache's folder of this repository's contents."""
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        name = repo_folder_name(repo_id=self.source, repo_type="model")
        return Path(constants.HF_HUB_CACHE) / name / "blobs"

    def partial(self, file: HubFile) -> Path:
        """Where a large file grows."""
        return self.blobs / f"{file.sha256}.partial"


def plan_download(source: str, patterns: Mapping[str, Any]) -> Download:
    """Asks the hub which files there are.

    Raises:
        Exception: what `registry.hub_troubles` names.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils._paths import filter_repo_objects

    info = HfApi().model_info(source, files_metadata=True)
    chosen = filter_repo_objects(info.siblings or [], key=lambda one: one.rfilename, **patterns)
    found = tuple(HubFile(one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else "") for one in chosen)
    return Download(source, patterns, found, info.sha or "main")


def check_space(downloads: Sequence[Download]) -> None:
    """Whether the disk of the cache holds what is missing of several downloads.

    Raises:
        WeightsError: it does not; the sentence says how much is missing and what to do.
    """
    sizes = {  # what two have in common comes once
        file.sha256 or f"{download.source}/{file.name}": file.size - download.bytes_here(file)
        for download in downloads
        for file in download.files
    }
    missing = sum(sizes.values())
    if not missing:
        return
    place = downloads[0].blobs
    free = shutil.disk_usage(next(folder for folder in place.parents if folder.exists())).free
    if missing + SPARE > free:
        names = " and ".join(download.source for download in downloads)
        raise WeightsError(
            "{names} needs {size} more on the disk of {folder}, and {free} are free there; make "
            "room, or set HF_HOME to a folder on another disk.",
            names=names,
            size=size(missing),
            folder=place.parents[1],
            free=size(free),
        )


def fetch(download: Download, watch: Watch) -> Path:
    """Fetches what is missing and returns the snapshot's folder.

    Raises:
        WeightsError: what came is damaged.
        Exception: what `registry.hub_troubles` names, and what `watch` raises.
    """
    from huggingface_hub import snapshot_download

    counter = _Counter(download, watch)
    for file in download.files:
        if file.sha256 and file.size >= LARGE and not (download.blobs / file.sha256).exists():
            if twin := download.twin(file):
                _link(twin, download.blobs / file.sha256)
            else:
                _fetch_large(download, file, counter)
    return Path(snapshot_download(download.source, **download.patterns))


class _Counter:
    """Counts bytes as they come and tells the watch."""

    def __init__(self, download: Download, watch: Watch) -> None:
        self._first = self._done = download.present
        self._total, self._watch, self._began = download.total, watch, time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        seconds = max(1e-3, time.monotonic() - self._began)
        self._watch(self._done, self._total, (self._done - self._first) / seconds)


def _fetch_large(download: Download, file: HubFile, counter: _Counter) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils._headers import build_hf_headers

    url = hf_hub_url(download.source, file.name, revision=download.commit)
    headers = build_hf_headers()
    place = get_hf_file_metadata(url, headers=headers).location
    if not place.startswith(url[: url.index("/", len("https://"))]):
        headers.pop("authorization", None)  # the file lies with another host, whom the token does not concern
    partial = download.partial(file)
    partial.parent.mkdir(parents=True, exist_ok=True)
    with files.speak_full_disk(partial.parent), partial.open("ab") as stream:
        counter.add(0)
        here = stream.tell()
        http_get(place, stream, resume_size=here, headers=headers, expected_size=file.size, tqdm_class=_bar(counter))
    with partial.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != file.sha256:
        partial.unlink()
        raise WeightsError(
            "{name} of {source} came damaged and was removed; fetch it again.", name=file.name, source=download.source
        )
    files.replace(partial, download.blobs / file.sha256)


def _link(there: Path, blob: Path) -> None:
    """A second name for a blob, or a copy where the disk has no such links."""
    blob.parent.mkdir(parents=True, exist_ok=True)
    with files.speak_full_disk(blob.parent):
        try:
            os.link(there, blob)
        except OSError:
            partial = blob.with_name(f"{blob.name}.partial")
            shutil.copyfile(there, partial)
            files.replace(partial, blob)


def _bar(counter: _Counter) -> Any:
    """What `http_get` takes for a progress bar."""

    class Bar:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def update(self, count: int = 1) -> None:
            counter.add(count)

        def close(self) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    return Bar
