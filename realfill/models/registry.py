"""Bases by name, and the one place that loads them.

A new family of models is a file here with `load_folder` and a class like `backbone.Backbone`, and its rows in
`realfill.bases`, whose `FAMILIES` name the files.
"""

import contextlib
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

from realfill import assets
from realfill.bases import BASES, EMBEDDED, check_file, check_folder, download_command
from realfill.errors import OptionError, WeightsError
from realfill.models.backbone import Backbone
from realfill.models.base_folder import find_trouble, folder_weight_files, hash_files, stat_file
from realfill.models.download import Download, Watch, check_space, fetch, plan_download
from realfill.models.fast.switch import tries
from realfill.network import NAME_SERVER


def find_base(base: str) -> Path | None:
    """The folder or file that holds a base on this machine, or None; asks no network.

    Raises:
        OptionError: `base` is neither a known name, an existing path nor a hub id.
    """
    path = Path(base).expanduser()
    if base not in BASES and path.exists():  # a folder that happens to be called mini is not meant
        return path
    source = _source(base)
    if base in BASES and BASES[base].is_embedded:
        place = assets.FOLDER / source
        return place if (place / "model_index.json").exists() else None
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise OptionError(
            "There is no base '{base}'; give {bases}, a diffusers folder, a .safetensors file or a "
            "hub id like owner/name.",
            base=base,
            bases=", ".join(BASES),
        )
    folder = _find_snapshot(base)
    return folder if folder and find_trouble(folder) is None else None  # an interrupted download lacks its last files


def _find_snapshot(base: str) -> Path | None:
    """The folder of a base in the hub's cache, whole or not."""
    from huggingface_hub import snapshot_download  # seconds of import that mini never needs

    try:
        return Path(snapshot_download(_source(base), local_files_only=True, **hub_files(base)))
    except (OSError, ValueError):
        return None


def hub_files(base: str, variant: str = "") -> Mapping[str, Any]:
    """What the loaders read of a hub's folder, as `snapshot_download` takes it.

    Weights in another precision, in other formats, and the safety checker would be gigabytes for nothing.

    Args:
        variant: of the weight files, for a base that has no row.
    """
    variant = BASES[base].variant if base in BASES else variant
    weights = f"*/*.{variant}*safetensors" if variant else "*/*.safetensors"
    ignored = ["safety_checker/*", "feature_extractor/*", *([] if variant else ["*.fp16*"])]
    texts = ["*.json", "*.txt", "*/*.json", "*/*.txt", "*/*.model", "*/*.jinja"]
    return {"allow_patterns": [*texts, weights], "ignore_patterns": ignored}


def is_present(base: str) -> bool:
    """Whether `load_backbone` would work without a download."""
    return find_base(base) is not None


def load_backbone(base: str, *, device: str, dtype: torch.dtype | None = None) -> Backbone:
    """The backbone for a base, downloaded where it must be.

    Args:
        dtype: what products are computed in; None leaves it to the device.

    Raises:
        OptionError: there is no such base.
        WeightsError: it cannot be downloaded or is damaged; the sentence says what to do.
    """
    place = find_base(base)
    if place is None:
        fetch_bases([base])
        place = _find_snapshot(base)
        assert place is not None
    dtype = dtype or choose_dtype(device)
    if place.is_file() and place.suffix != ".safetensors":
        raise WeightsError(
            "{name} is not a .safetensors file; other formats can run code and are refused.", name=place.name
        )
    family_name = check_file(place) if place.is_file() else check_folder(place, base)
    family: Any = import_module(f"realfill.models.{family_name}")
    if place.is_dir() and (trouble := find_trouble(place)):
        raise WeightsError(
            "Base '{base}' in {place} cannot be used: {trouble}.", base=base, place=place, trouble=trouble
        )
    torch.backends.cudnn.benchmark = device.startswith("cuda") and tries("benchmark")
    load = family.load_file if place.is_file() else family.load_folder
    backbone: Backbone = load(place, name=base, device=device, dtype=dtype, weights_hash=weights_hash(place))
    return backbone


def weights_hash(place: Path) -> str:
    """sha256 over the names and contents of the weight files that are read, so that a run knows what made it."""
    return hash_files(_weight_files(place))


def file_state(base: str) -> Hashable:
    """Names, sizes and times of a base's weight files: equal as long as nobody touches them; None: not here."""
    place = find_base(base)
    return None if place is None else _stat_files(place)


def load_backbone_folder(folder: Path, *, device: str = "cpu", dtype: torch.dtype | None = None) -> Backbone:
    """A base straight from a diffusers folder."""
    return load_backbone(str(folder), device=device, dtype=dtype)


def choose_dtype(device: str) -> torch.dtype:
    """What a device has arithmetic for: bf16, on older GPUs fp16, else float32.

    Asked of the named GPU's compute capability, since `torch.cuda.is_bf16_supported` counts emulation, whose attention
    falls back to float32 and keeps its scores: bf16 from Ampere (8.0) on, fp16 on Volta and Turing (7.x); before that
    fp16 is no quicker than float32. bf16 is slower on CPUs without it and unreliable on MPS.
    """
    if device.startswith("cuda"):
        capability = torch.cuda.get_device_capability(device)
        if capability >= (8, 0):
            return torch.bfloat16
        return torch.float16 if capability >= (7, 0) else torch.float32
    bf16 = device == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if bf16 else torch.float32


def fetch_bases(bases: Sequence[str], watch: Watch = lambda *_: None) -> None:
    """Downloads the bases that are not on this machine; those that are ask no network.

    Args:
        watch: hears how far it is, and ends it by raising; the next call goes on from there.

    Raises:
        OptionError: there is no such base.
        WeightsError: one cannot be downloaded, is of another kind, or there is no room for all of them.
    """
    missing = [base for base in dict.fromkeys(bases) if find_base(base) is None]
    downloads = {}
    for base in missing:
        with _speak_troubles(base):
            downloads[base] = _plan(base)
    check_space(list(downloads.values()))
    for base, plan in downloads.items():
        with _speak_troubles(base):
            fetch(plan, watch)


def _plan(base: str) -> Download:
    """What is to be fetched of a base; its model_index.json comes first and says whether it can be used at all."""
    from huggingface_hub import constants, hf_hub_download

    source = _source(base)
    if base in BASES and BASES[base].is_embedded:
        missing = assets.FOLDER / source
        raise WeightsError(
            "The embedded base '{base}' is missing from {missing}; install the project again.",
            base=base,
            missing=missing,
        )
    if not constants.is_offline_mode():
        NAME_SERVER.check_host(str(urlparse(constants.ENDPOINT).hostname))
    plan = plan_download(source, hub_files(base))
    if not any(file.name.endswith(".safetensors") for file in plan.files):  # some have half precision alone
        plan = plan_download(source, hub_files(base, "fp16"))
    check_folder(Path(hf_hub_download(source, "model_index.json", revision=plan.commit)).parent, base)
    return plan


@contextlib.contextmanager
def _speak_troubles(base: str) -> Iterator[None]:
    """Says what to do where a download fails."""
    source = _source(base)
    try:
        yield
    except hub_troubles() as error:
        from huggingface_hub.errors import GatedRepoError

        if isinstance(error, GatedRepoError):
            raise WeightsError(
                "Base '{base}' could not be downloaded ({kind}). Its maker asks to accept a licence: "
                "do so at https://huggingface.co/{source}, sign in here (hf auth login), and start "
                "again.",
                base=base,
                kind=type(error).__name__,
                source=source,
            ) from error
        raise WeightsError(
            "Base '{base}' is not on this machine and could not be downloaded from "
            "huggingface.co/{source} ({kind}). Fetch it on a machine with network "
            "({download_command}) and give --base FOLDER, or use --base {embedded}, which works "
            "now.",
            base=base,
            source=source,
            kind=type(error).__name__,
            download_command=download_command(source),
            embedded=EMBEDDED,
        ) from error


def _source(base: str) -> str:
    """The folder of the project or the hub id that a base comes from."""
    return BASES[base].source if base in BASES else base


def hub_troubles() -> tuple[type[Exception], ...]:
    """What fetching from the hub may raise; a lost connection comes as an error of the hub's own HTTP library."""
    from httpx2 import HTTPError

    return OSError, ValueError, RuntimeError, HTTPError


def _weight_files(place: Path) -> list[Path]:
    return [place] if place.is_file() else folder_weight_files(place)


def _stat_files(place: Path) -> Hashable:
    return tuple((str(file), *stat_file(file)) for file in _weight_files(place))


def silence_libraries() -> None:
    """Keeps libraries from filling the terminal with bars and hints; ours is the only progress there."""
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.set_verbosity_error()
