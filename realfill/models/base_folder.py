"""A base's folder in diffusers' layout: which of its files are read, and what is wrong with it, told by names and
configs before anything large is loaded or hashed.

Layout: diffusers' `DiffusionPipeline.from_pretrained`. `model_index.json` names the parts; a part's weights are one
file, or shards that an index names, plain or as the variant fp16.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from realfill import files
from realfill.bases import INPAINTING_CHANNELS
from realfill.errors import RealFillError

# Parts that the project does without: a filter for pictures and what feeds it.
UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
_STEMS = ("diffusion_pytorch_model", "model")  # diffusers' and transformers' names
_VARIANTS = ("", "fp16")  # the plain files are preferred
_FETCH = "fetch it again, or take another folder"


def used_parts(folder: Path) -> dict[str, str]:
    """The parts that are read and the class of each, by `model_index.json`; empty where that says nothing."""
    index = _read_json(folder / "model_index.json")
    named = {name: value for name, value in index.items() if isinstance(value, list) and name not in UNUSED}
    return {name: str(value[-1]) for name, value in named.items() if value and value[-1]}


def weight_parts(folder: Path) -> list[str]:
    """The parts that have weights."""
    return [name for name, kind in used_parts(folder).items() if not _is_tokenizer(kind) and "Scheduler" not in kind]


def weight_files(part: Path) -> list[Path]:
    """The files that a part's weights are read from, whether they are there or not; empty: no safetensors at all."""
    for variant in _VARIANTS:
        if found := _files_of_variant(part, variant):
            return found
    return []


def folder_weight_files(folder: Path) -> list[Path]:
    """The weight files of all parts that are there, in the order of their names."""
    return sorted(file for name in weight_parts(folder) for file in weight_files(folder / name) if file.is_file())


def hash_files(files: Sequence[Path]) -> str:
    """sha256 over the names and contents of files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(_digest_file(file, stat_file(file)))
    return digest.hexdigest()


def hash_parts(folder: Path, parts: Sequence[str]) -> str:
    """sha256 over all files of some parts, configs and words too: equal ones compute the same."""
    return hash_files([file for part in parts for file in sorted((folder / part).iterdir()) if file.is_file()])


def stat_file(file: Path) -> tuple[int, int]:
    """Size and time of a file: equal as long as nobody touches it."""
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


@cache
def _digest_file(file: Path, state: tuple[int, int]) -> bytes:
    """sha256 of a file's content; the hub's cache names large files by it, checked when they came."""
    blob = file.resolve()
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return bytes.fromhex(blob.name)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def find_variant(folder: Path) -> str | None:
    """`variant` for `from_pretrained`: "fp16" where a part has nothing else. Parts without it are read as they are."""
    parts = [folder / name for name in weight_parts(folder)]
    return (
        "fp16" if any(not _files_of_variant(part, "") and _files_of_variant(part, "fp16") for part in parts) else None
    )


def find_trouble(folder: Path) -> str | None:
    """What is wrong with a folder and what to do about it, as a sentence without its full stop; None: it is whole."""
    if not used_parts(folder):
        return f"its model_index.json is damaged or names no parts; {_FETCH}"
    return next(_troubles(folder), None)


def _troubles(folder: Path) -> Iterator[str]:
    for name, kind in used_parts(folder).items():
        part = folder / name
        if _is_tokenizer(kind):
            if not _has_tokenizer(part):
                yield f"its {name} is missing or lacks vocab.json and merges.txt; {_FETCH}"
        elif "Scheduler" in kind:
            if not _read_json(part / "scheduler_config.json"):
                yield f"{name}/scheduler_config.json is missing or damaged; {_FETCH}"
        else:
            yield from _weight_troubles(part, name)


def _weight_troubles(part: Path, name: str) -> Iterator[str]:
    config = _read_json(part / "config.json")
    if not config:
        yield f"{name}/config.json is missing or damaged; {_FETCH}"
        return
    channels = config.get("in_channels")
    if name == "unet" and channels != INPAINTING_CHANNELS:
        yield (
            f"it is not an inpainting model (its U-Net takes {channels} channels, not {INPAINTING_CHANNELS}); take an "
            "inpainting checkpoint"
        )
    found = weight_files(part)
    if not found and any(part.glob("*.bin")):
        yield (
            f"the weights of its {name} are .bin files, which can run code and are refused; take a copy of the model "
            "with .safetensors files"
        )
    elif not found:
        yield f"its {name} has no .safetensors file; {_FETCH}"
    for file in found:
        if not file.is_file():
            yield f"{name}/{file.name} is missing; {_FETCH}"
        elif not _is_whole(file):
            yield f"{name}/{file.name} is cut off or damaged; {_FETCH}"


def _files_of_variant(part: Path, variant: str) -> list[Path]:
    dot = f".{variant}" if variant else ""
    for stem in _STEMS:
        single, index = part / f"{stem}{dot}.safetensors", part / f"{stem}.safetensors.index{dot}.json"
        if index.is_file():
            shards = _read_json(index).get("weight_map")
            names = shards.values() if isinstance(shards, dict) else ()
            return [part / name for name in sorted({Path(str(name)).name for name in names})]
        if single.is_file():
            return [single]
    return []


def _is_tokenizer(kind: str) -> bool:
    return "Tokenizer" in kind


def _has_tokenizer(part: Path) -> bool:
    pair = all((part / name).is_file() for name in ("vocab.json", "merges.txt"))
    return pair or (part / "tokenizer.json").is_file() or (part / "spiece.model").is_file()


def _is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    try:
        files.read_tensor_header(file)
    except (OSError, ValueError):
        return False
    return True


def _read_json(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        data = files.read_json(file)
    except RealFillError:
        return {}
    return data if isinstance(data, dict) else {}
