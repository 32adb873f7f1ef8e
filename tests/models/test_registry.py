"""Bases by name: what is found, what is refused, and with which sentence."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from benchmarks.speed import random_sd2
from realfill import assets
from realfill.bases import BASES, FAMILIES
from realfill.errors import OptionError, WeightsError
from realfill.models import backbone, registry, stable_diffusion
from realfill.models.registry import find_base, is_present, load_backbone
from tests.models.single_file import original_layout

# What the published folders name, and a single file lacks.
NEVER_READ = {
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "requires_safety_checker": True,
}
WIDTH_KEY = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_folder_is_found_and_loaded(tiny_base: Path) -> None:
    assert find_base(str(tiny_base)) == tiny_base
    assert load_backbone(str(tiny_base), device="cpu").spec.name == str(tiny_base)


def test_mini_is_the_embedded_one_even_beside_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mini").mkdir()
    monkeypatch.chdir(tmp_path)
    found = find_base("mini")
    assert found is not None
    assert found == assets.FOLDER / "mini"


@pytest.mark.parametrize(
    ("able", "dtype"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True}, torch.float32),
    ],
)
def test_a_processor_computes_in_bf16_where_it_can(
    able: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert registry.choose_dtype("cpu") == dtype
    assert registry.choose_dtype("mps") == torch.float32


def test_a_processor_keeps_float32_weights(tiny_base: Path) -> None:
    half = load_backbone(str(tiny_base), device="cpu", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    exact = load_backbone(str(tiny_base), device="cpu", dtype=torch.float32)
    for network, same in zip(half.trainable().values(), exact.trainable().values(), strict=True):
        for one, other in zip(network.parameters(), same.parameters(), strict=True):
            assert torch.equal(one, other)  # not rounded on the way, either
    assert backbone.stored_dtype("cpu", torch.bfloat16) == torch.float32
    assert backbone.stored_dtype("cuda:1", torch.bfloat16) == torch.bfloat16


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(OptionError, match=r"no base .minni.*mini, sd2"):
        find_base("minni")


def test_a_base_that_cannot_be_downloaded_says_what_to_do() -> None:
    assert not is_present("sd2")
    with pytest.raises(WeightsError) as caught:
        load_backbone("sd2", device="cpu")
    for part in ("sd2-community/stable-diffusion-2-inpainting", "hf download", "--base mini"):
        assert part in str(caught.value)


def test_a_connection_that_is_lost_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*args: object, **options: object) -> str:
        if options.get("local_files_only"):
            raise LocalEntryNotFoundError("not here")
        raise httpx2.ReadTimeout("the line dropped")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lost)
    with pytest.raises(WeightsError, match="--base mini"):
        load_backbone("sd2", device="cpu")


def test_every_base_belongs_to_a_family_that_loads() -> None:
    assert {base.family for base in BASES.values()} == set(FAMILIES)
    for name, family in FAMILIES.items():
        assert callable(importlib.import_module(f"realfill.models.{name}").load_folder)
        assert BASES[family.stands_for].family == name


@pytest.mark.parametrize("name", ["model.ckpt", "model.bin", "model.pt"])
def test_formats_that_can_run_code_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(WeightsError, match=r"not a \.safetensors file"):
        load_backbone(str(tmp_path / name), device="cpu")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(WeightsError, match="damaged"):
        load_backbone(str(tmp_path / "model.safetensors"), device="cpu")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not a Stable Diffusion"):
        load_backbone(str(tmp_path / "model.safetensors"), device="cpu")


@pytest.mark.parametrize(("width", "source"), [(768, "stable-diffusion-v1-5"), (1024, "sd2-community")])
def test_a_single_file_names_the_configs_it_needs(tmp_path: Path, width: int, source: str) -> None:
    save_file({WIDTH_KEY: torch.zeros(4, width)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=source):
        load_backbone(str(tmp_path / "model.safetensors"), device="cpu")


@pytest.mark.parametrize("width", [768, 1024], ids=["1.5", "2"])
def test_a_single_file_is_the_folder_it_was_made_of(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thin but for the text's width, by which the two kinds are told apart."""
    tiny = random_sd2.TINY
    text = {**tiny.text, "hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 8}
    scale = replace(tiny, unet={**tiny.unet, "cross_attention_dim": width}, text=text)
    pipeline = random_sd2.pipeline(scale, device="cpu", dtype=torch.float32)
    pipeline.save_pretrained(tmp_path / "folder")
    index = tmp_path / "folder" / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **NEVER_READ}))
    save_file(original_layout(pipeline), tmp_path / "model.safetensors")
    monkeypatch.setitem(stable_diffusion._CONFIGS, width, str(tmp_path / "folder"))
    loaded: Any = load_backbone(str(tmp_path / "model.safetensors"), device="cpu", dtype=torch.float32)
    for part in ("unet", "vae", "text_encoder"):
        wanted, found = getattr(pipeline, part).state_dict(), getattr(loaded, part).state_dict()
        assert wanted.keys() == found.keys()
        assert all(torch.equal(found[name], value) for name, value in wanted.items()), part


def test_an_incomplete_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionInpaintPipeline"}')
    with pytest.raises(WeightsError, match="names no parts"):
        load_backbone(str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (None, "no diffusers folder"),
        ("{}", "no diffusers folder"),
        ('{"_class_name": "PixArtAlphaPipeline"}', "is a PixArtAlphaPipeline"),
    ],
)
def test_another_kind_of_folder_is_refused_with_what_would_do(tmp_path: Path, index: str | None, said: str) -> None:
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(WeightsError, match=f"{said}.*StableDiffusionInpaintPipeline"):
        load_backbone(str(tmp_path), device="cpu")


def test_a_base_that_does_not_inpaint_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    import shutil

    from diffusers import UNet2DConditionModel

    folder = Path(shutil.copytree(tiny_base, tmp_path / "plain"))
    config = {**json.loads((folder / "unet" / "config.json").read_text()), "in_channels": 4}
    shutil.rmtree(folder / "unet")
    UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")
    with pytest.raises(WeightsError, match="not an inpainting model"):
        load_backbone(str(folder), device="cpu")
