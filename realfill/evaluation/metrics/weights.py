"""Where the metrics' weights are: a folder that was given, the hub's cache or torch's; fetched only when asked."""

import hashlib
from functools import cache
from http.client import HTTPException
from pathlib import Path

from realfill.errors import WeightsError
from realfill.models import registry

DINO, CLIP = "facebook/dino-vits16", "openai/clip-vit-base-patch32"
ALEXNET = "alexnet-owt-7be5be79.pth"  # torchvision's ImageNet weights, LPIPS's trunk
DREAMSIM_FILES = (
    "dino_vitb16_pretrain.pth",
    "open_clip_vitb16_pretrain.pth.tar",
    "clip_vitb16_pretrain.pth.tar",
    "ensemble_lora",
)
DREAMSIM_ZIP = (
    "https://github.com/ssundaram21/dreamsim/releases/download/v0.2.0-checkpoints/dreamsim_ensemble_checkpoint.zip"
)
_NEEDED = ["*.json", "*.safetensors"]
_WEIGHTS = ("*.safetensors", "*.bin", "*.pth", "*.pth.tar")


def find_on_hub(source: str, folder: Path | None, *, fetch: bool = False) -> Path:
    """The folder of a hub model: `folder`/name, `folder`/owner--name, the hub's cache, or a download.

    Raises:
        WeightsError: it is in none of them; the sentence says how to get it.
    """
    owner, _, name = source.partition("/")
    if folder is not None:
        for place in (folder / name, folder / f"{owner}--{name}", folder / owner / name):
            if (place / "config.json").is_file():
                return place
    from huggingface_hub import snapshot_download

    try:
        snapshot = Path(snapshot_download(source, local_files_only=not fetch, allow_patterns=_NEEDED))
        if _weights(snapshot) and (snapshot / "config.json").is_file():
            return snapshot
    except registry.hub_troubles() as error:
        if fetch:
            raise WeightsError(
                f"{source} could not be downloaded ({type(error).__name__}). {_manual_fetch(source)}"
            ) from error
    raise WeightsError(f"the weights of {source} are not on this machine. {_manual_fetch(source)}")


def find_alexnet(folder: Path | None, *, fetch: bool = False) -> Path:
    """torchvision's AlexNet: `folder`/FILE, `folder`/lpips/FILE, torch.hub's folder, or a download.

    Raises:
        WeightsError: it is in none of them.
    """
    import torch

    cached = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    places = [cached] if folder is None else [folder / ALEXNET, folder / "lpips" / ALEXNET, cached]
    for place in places:
        if place.is_file():
            return place
    url = f"https://download.pytorch.org/models/{ALEXNET}"
    if fetch:
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(cached), hash_prefix="7be5be79", progress=False)
        except (OSError, RuntimeError, HTTPException) as error:
            raise WeightsError(f"AlexNet could not be downloaded ({type(error).__name__}); put {url} there.") from error
        return cached
    raise WeightsError(f"AlexNet's weights are not on this machine; download {url} into the --weights folder.")


def find_dreamsim(folder: Path | None) -> Path:
    """The folder of DreamSim's ensemble: `folder`/dreamsim, `folder` or ~/.cache/dreamsim.

    Raises:
        WeightsError: it is in none of them.
    """
    places = [Path.home() / ".cache" / "dreamsim"]
    places = places if folder is None else [folder / "dreamsim", folder, *places]
    for place in places:
        if all((place / name).exists() for name in DREAMSIM_FILES):
            return place
    raise WeightsError(
        f"DreamSim's weights are not on this machine; unpack {DREAMSIM_ZIP} into the folder dreamsim of --weights."
    )


@cache
def sha256(place: Path) -> str:
    """A file's own SHA-256, as its publisher gives it; of a folder one over names and contents of its weight files."""
    if place.is_file():
        with place.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    sums = hashlib.sha256()
    for file in _weights(place):
        sums.update(file.name.encode())
        with file.open("rb") as stream:
            sums.update(hashlib.file_digest(stream, "sha256").digest())
    return sums.hexdigest()


def _weights(folder: Path) -> list[Path]:
    return sorted({file for pattern in _WEIGHTS for file in folder.rglob(pattern)})


def _manual_fetch(source: str) -> str:
    name = source.partition("/")[2]
    return f"Fetch them with: hf download {source} --local-dir WEIGHTS/{name}, and give --weights WEIGHTS, or --fetch."
