"""Folders in diffusers' layout, whole and damaged: each is loaded or has its sentence, before anything is hashed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from realfill.errors import WeightsError
from realfill.models import base_folder, registry
from realfill.models.base_folder import find_trouble, find_variant, folder_weight_files
from realfill.models.registry import load_backbone

PARTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


def weights(folder: Path, part: str) -> Path:
    return folder / part / PARTS[part]


def halve(folder: Path, *parts: str, keep: bool = False) -> None:
    """The weights of parts as the variant fp16; `keep`: beside the plain ones."""
    for part in parts:
        file = weights(folder, part)
        half = {name: tensor.half() for name, tensor in load_file(file).items()}
        save_file(half, file.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        if not keep:
            file.unlink()


def shard(folder: Path) -> Path:
    """The U-Net in two shards; the second one."""
    file = weights(folder, "unet")
    state = load_file(file)
    names = sorted(state)
    shards = [file.with_name(f"{file.stem}-0000{number}-of-00002.safetensors") for number in (1, 2)]
    placed = {name: shards[index >= len(names) // 2] for index, name in enumerate(names)}
    for one in shards:
        save_file({name: state[name] for name in names if placed[name] == one}, one, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: place.name for name, place in placed.items()}}
    file.with_suffix(".safetensors.index.json").write_text(json.dumps(index))
    file.unlink()
    return shards[1]


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def pickle_weights(folder: Path) -> None:
    torch.save(load_file(weights(folder, "vae")), folder / "vae" / "diffusion_pytorch_model.bin")
    weights(folder, "vae").unlink()


def cut(folder: Path) -> None:
    file = weights(folder, "unet")
    file.write_bytes(file.read_bytes()[:-100])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda folder: (folder / "model_index.json").unlink(), r"no diffusers folder.*can be used"),
    "broken index": (lambda folder: (folder / "model_index.json").write_text("{"), r"no diffusers folder.*can be used"),
    "no parts": (
        lambda folder: (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionInpaintPipeline"}'),
        r"names no parts.*fetch it again",
    ),
    "another family": (
        lambda folder: change(folder / "model_index.json", _class_name="StableDiffusion3Pipeline"),
        r"is a StableDiffusion3Pipeline.*can be used",
    ),
    "no tokenizer": (lambda folder: shutil.rmtree(folder / "tokenizer"), r"tokenizer is missing.*fetch it again"),
    "no scheduler": (lambda folder: shutil.rmtree(folder / "scheduler"), r"scheduler_config\.json.*fetch it again"),
    "no U-Net": (lambda folder: shutil.rmtree(folder / "unet"), r"unet/config\.json.*fetch it again"),
    "no weights": (lambda folder: weights(folder, "vae").unlink(), r"vae has no \.safetensors.*fetch it again"),
    "pickles": (pickle_weights, r"vae are \.bin files.*safetensors"),
    "missing shard": (lambda folder: shard(folder).unlink(), r"00002-of-00002\.safetensors is missing.*fetch it again"),
    "cut off": (cut, r"unet/.* is cut off.*fetch it again"),
    "text to image": (
        lambda folder: change(folder / "unet" / "config.json", in_channels=4),
        r"not an inpainting model.*4 channels.*take an inpainting",
    ),
}
WHOLE: dict[str, Callable[[Path], object]] = {
    "as it is": lambda folder: None,
    "fp16 alone": lambda folder: halve(folder, *PARTS),
    "fp16 beside": lambda folder: halve(folder, *PARTS, keep=True),
    "U-Net in fp16": lambda folder: halve(folder, "unet"),
    "sharded": shard,
}


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_is_said_with_a_cure_before_anything_is_hashed(
    damage: str, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, sentence = DAMAGES[damage]
    spoil(base)
    monkeypatch.setattr(base_folder, "_digest_file", lambda *_: pytest.fail("hashed"))
    with pytest.raises(WeightsError, match=sentence):
        load_backbone(str(base), device="cpu")


def test_an_sdxl_that_does_not_inpaint_is_refused(tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_bases["sdxl"], tmp_path / "sdxl"))
    change(base / "model_index.json", _class_name="StableDiffusionXLPipeline")
    change(base / "unet" / "config.json", in_channels=4)
    with pytest.raises(WeightsError, match=r"not an inpainting model.*4 channels.*take an inpainting"):
        load_backbone(str(base), device="cpu")


def test_a_cache_with_fp16_files_alone_is_whole(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halve(base, *PARTS)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(base))
    assert registry.find_base("someone/model") == base
    assert load_backbone("someone/model", device="cpu").spec.name == "someone/model"


@pytest.mark.parametrize("kind", WHOLE)
def test_every_public_layout_loads_and_has_the_same_weights(kind: str, base: Path, tiny_base: Path) -> None:
    WHOLE[kind](base)
    assert find_trouble(base) is None
    loaded = load_backbone(str(base), device="cpu", dtype=torch.float32).trainable()["unet"].state_dict()
    plain = load_backbone(str(tiny_base), device="cpu", dtype=torch.float32).trainable()["unet"].state_dict()
    for name, value in plain.items():
        torch.testing.assert_close(loaded[name], value, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("missing", ["tokenizer", "scheduler", "second shard"])
def test_half_a_download_is_not_there_yet(missing: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(base))
    last = shard(base)
    assert registry.find_base("someone/model") == base
    if missing == "second shard":
        last.unlink()
    else:
        shutil.rmtree(base / missing)
    assert registry.find_base("someone/model") is None


def test_only_what_is_read_is_hashed(base: Path) -> None:
    before = registry.weights_hash(base)
    halve(base, *PARTS, keep=True)
    (base / "safety_checker").mkdir()
    (base / "safety_checker" / "model.safetensors").write_bytes(b"never read")
    assert registry.weights_hash(base) == before
    assert [file.parent.name for file in folder_weight_files(base)] == ["text_encoder", "unet", "vae"]
    assert find_variant(base) is None
