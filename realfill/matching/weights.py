"""Where a matcher's weights come from: a file that was given, torch.hub's folder, or a download; all checked."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import urlopen

import torch

from realfill import files
from realfill.errors import RunError, WeightsError

TIMEOUT = 10.0  # seconds of silence after which a server counts as unreachable


@dataclass(frozen=True)
class Published:
    """A file of weights that others publish."""

    title: str
    name: str
    size: int  # bytes
    sha256: str
    urls: tuple[str, ...]  # tried in this order; all https


# Neither kornia nor LoFTR's authors publish a digest of loftr_outdoor.ckpt. This one is what ten unrelated public
# repositories recorded for it, from kornia's server as well as from the authors' own `outdoor_ds.ckpt`.
LOFTR = Published(
    title="LoFTR",
    name="loftr_outdoor.ckpt",
    size=46_341_978,
    sha256="21f5bec5968178e8bc8b7633441836fe5de4f47d861dd2cd7dc38e271b0479ec",
    urls=(
        "https://huggingface.co/kornia/loftr/resolve/main/loftr_outdoor.ckpt",
        "https://cmp.felk.cvut.cz/~mishkdmy/models/loftr_outdoor.ckpt",
    ),
)
ALIKED = Published(
    title="ALIKED",
    name="aliked-n16.pth",
    size=2_738_091,
    sha256="5be8704840ed662d9d8c561bf7279c222092674e7eb05fd0feab94899e9d82f2",
    urls=(
        "https://huggingface.co/kornia/aliked/resolve/main/aliked-n16.pth",
        "https://raw.githubusercontent.com/Shiaoming/ALIKED/683d7c65197395c0b3f01ebe76e1084a27e73a65/models/aliked-n16.pth",
    ),
)
PUBLISHED: Mapping[str, Published] = {"loftr": LOFTR, "aliked": ALIKED}

# Digests of published files that may be given by hand, by file name: what bears the name must be the file.
_DIGESTS: Mapping[str, str] = {
    LOFTR.name: LOFTR.sha256,
    "LoFTR_teacher.pt": "5446241c5713a91c868e0b1b2795c253b3d216b4011b6942fcc6a697fad3c554",
    "LoFTR_no_teacher.pt": "2944f319be776c8ce4794ce719cc14b0a3536c667989059088b8f7c34131f253",
    ALIKED.name: ALIKED.sha256,
    "aliked-t16.pth": "56782336919db220144a884e710e2b6af13b3b8f8da15b915a239078ab471085",
    "aliked-n16rot.pth": "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332",
    "aliked-n32.pth": "055283fd1624d3ab46a05c3b617b1a79a3f28d1f551737eef2d653e8c8232890",
}


def cache_path(published: Published) -> Path:
    """Where torch.hub keeps the file, and where kornia looks for it: `$TORCH_HOME/hub/checkpoints`."""
    return Path(torch.hub.get_dir()) / "checkpoints" / published.name


def present(published: Published, given: str) -> bool:
    """Whether the weights lie on this machine, by name and size only.

    Raises:
        WeightsError: a file was given and does not exist.
    """
    if given:
        return _given(given).is_file()
    path = cache_path(published)
    return path.is_file() and path.stat().st_size == published.size


def manual_cure(published: Published) -> str:
    """How a person gets the weights, in one sentence."""
    path = cache_path(published)
    return (
        f"To have them, download {published.urls[0]} ({published.size / 1e6:.0f} MB) and put it into {path.parent} "
        f"as {published.name}, or name the file with --matcher-weights; --matcher sift needs none and works now."
    )


def obtain(published: Published, given: str) -> Path:
    """The file given, else the one in torch.hub's folder, else a fresh download into that folder.

    Raises:
        WeightsError: none of them is to be had.
    """
    if given:
        return _given(given)
    path = cache_path(published)
    if _sound(path, published.sha256):
        return path
    tried = [f"{path} is {'damaged' if path.exists() else 'not there'}"]
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        tried.append("HF_HUB_OFFLINE forbids a download")
    else:
        for url in published.urls:
            trouble = _download(url, path, published)
            if trouble is None:
                return path
            tried.append(f"{urlparse(url).hostname}: {trouble}")
    raise WeightsError(f"{published.title}'s weights cannot be had ({'; '.join(tried)}). {manual_cure(published)}")


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weights file, unwrapped from its training checkpoint; nothing in the file is executed.

    Raises:
        WeightsError: unreadable, damaged, or not a file of tensors.
    """
    digest = _DIGESTS.get(path.name)
    if digest is not None and not _sound(path, digest):
        raise WeightsError(f"{path} is damaged: it is not the file published as {path.name}; fetch it again.")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for a file of another kind; all mean the same here
        raise WeightsError(f"{path} is not a file of weights that can be read safely; fetch it again.") from error
    for wrapper in ("state_dict", "model_state_dict"):
        if isinstance(data, dict) and isinstance(data.get(wrapper), dict):
            data = data[wrapper]
    if not isinstance(data, dict) or not all(isinstance(value, torch.Tensor) for value in data.values()):
        raise WeightsError(f"{path} holds no weights; give the file of a matcher.")
    return {str(name): value for name, value in data.items()}


def fill(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path, *, may_lack: tuple[str, ...] = ()
) -> None:
    """Loads all tensors of `state` into the network; only names that begin with `may_lack` may be missing.

    Raises:
        WeightsError: names or shapes do not fit.
    """
    try:
        result = network.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:  # shapes
        raise WeightsError(f"{path} does not fit the matcher: its tensors have other shapes.") from error
    missing = [name for name in result.missing_keys if not name.startswith(may_lack)]
    if missing or result.unexpected_keys:
        name = (missing + list(result.unexpected_keys))[0]
        raise WeightsError(f"{path} does not fit the matcher: '{name}' is {'missing' if missing else 'unknown'}.")


def _given(given: str) -> Path:
    path = Path(given).expanduser()
    if not path.is_file():
        raise WeightsError(f"There is no file {path}; give the matcher's weights file, or leave it out.")
    return path


def _sound(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _download(url: str, path: Path, published: Published) -> str | None:
    """Fetches a file into place; None, or why not."""
    try:
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
