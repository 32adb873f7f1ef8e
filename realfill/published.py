"""Files of weights that others publish: where they are kept, and a download that can end and go on. No torch."""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from realfill import files
from realfill.errors import WeightsError
from realfill.network import NAME_SERVER

TIMEOUT = 10.0  # seconds of silence after which a server counts as unreachable
_BLOCK = 1 << 18
Watch = Callable[[int, int, float], None]
"""Told bytes that are here, bytes in all, and bytes a second; what it raises ends the download."""


@dataclass(frozen=True)
class Published:
    """A file of weights that others publish."""

    title: str
    name: str
    size: int  # bytes
    sha256: str
    urls: tuple[str, ...]  # tried in this order; all https
    others: Mapping[str, str] = field(default_factory=dict)  # sha256 of further files that may be given, by file name


_SAM_COMMIT = "de431c4043854a71d8101e17995dfe596bf101a5"
SAM = Published(  # Segment Anything 2.1 (Ravi et al., 2024), the smallest; Apache-2.0
    title="SAM 2.1 tiny",
    name="sam2.1-hiera-tiny.safetensors",
    size=155_908_064,
    sha256="48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
    urls=(f"https://huggingface.co/facebook/sam2.1-hiera-tiny/resolve/{_SAM_COMMIT}/model.safetensors",),
)


def kept_path(published: Published) -> Path:
    """Where a file is kept: torch.hub's folder of checkpoints, found as torch finds it."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints" / published.name


def partial_path(published: Published) -> Path:
    """Where a download puts what has come so far."""
    path = kept_path(published)
    return path.with_name(f"{path.name}.partial")


def is_offline() -> bool:
    """Whether a person has forbidden downloads, by the variable that the hub's library reads too."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def fetch(published: Published, watch: Watch = lambda *_: None) -> Path:
    """The kept file, fetched where it is not there yet; what a download that was ended left is gone on with.

    Raises:
        WeightsError: it cannot be had, or what came is damaged.
        DiskFull, RunError: it cannot be written.
    """
    path = kept_path(published)
    if path.is_file():
        return path
    if is_offline():
        raise WeightsError("HF_HUB_OFFLINE forbids a download of {title}.", title=published.title)
    partial, troubles = partial_path(published), []
    for url in published.urls:
        try:
            _fetch_rest(url, partial, published.size, watch)
            break
        except (OSError, ValueError, HTTPException) as error:
            troubles.append(f"{urlparse(url).hostname}: {getattr(error, 'reason', error) or type(error).__name__}")
    else:
        raise WeightsError(
            "{title} cannot be fetched ({why}); check the network and try again.",
            title=published.title,
            why="; ".join(troubles),
        )
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != published.sha256:
        partial.unlink()
        raise WeightsError("{title} came damaged and was removed; fetch it again.", title=published.title)
    files.replace(partial, path)
    return path


def _fetch_rest(url: str, partial: Path, size: int, watch: Watch) -> None:
    """Fetches what is missing of a partial file; all of it where the server knows no parts."""
    if host := urlparse(url).hostname:
        NAME_SERVER.check_host(host)
    partial.parent.mkdir(parents=True, exist_ok=True)
    here = partial.stat().st_size if partial.exists() else 0
    if here >= size:
        return
    request = Request(url, headers={"Range": f"bytes={here}-"} if here else {})
    with urlopen(request, timeout=TIMEOUT) as response:
        here = here if response.status == 206 else 0
        begun, first = time.monotonic(), here
        with files.speak_full_disk(partial.parent), partial.open("ab" if here else "wb") as file:
            while block := response.read(min(_BLOCK, size + 1 - here)):  # never more than the file should have
                file.write(block)
                here += len(block)
                watch(here, size, (here - first) / max(1e-3, time.monotonic() - begun))
