"""Models in one .safetensors file of their makers' layout: told by the header, loaded, or refused in a sentence."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLInpaintPipeline
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from realfill import bases, config
from realfill.bases import FAMILIES, find_family
from realfill.cli.main import main
from realfill.errors import WeightsError
from realfill.models import stable_diffusion_xl
from realfill.models.registry import load_backbone
from tests.models.single_file import original_layout
from tests.tiny import condition_of, make_xl_base

DENOISER = "model.diffusion_model."
TOLD = {name: family.file_tensor for name, family in FAMILIES.items() if family.file_tensor}


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny SDXL inpainting model as a folder and as a single file; its text encoders have widths of their own."""
    place = tmp_path_factory.mktemp("xl")
    pipeline: Any = StableDiffusionXLInpaintPipeline.from_pretrained(
        make_xl_base(place / "made"), variant="fp16", dtype=torch.float32
    )
    shape = {**pipeline.text_encoder.config.to_dict(), "hidden_size": 24, "projection_dim": 24}
    torch.manual_seed(3)
    second = CLIPTextModelWithProjection(CLIPTextConfig(**shape))
    unet = type(pipeline.unet).from_config({**pipeline.unet.config, "cross_attention_dim": 16 + 24})
    whole = StableDiffusionXLInpaintPipeline(**{**pipeline.components, "unet": unet, "text_encoder_2": second})
    whole.save_pretrained(place / "folder")
    save_file(original_layout(whole), place / "model.safetensors")
    return place / "folder", place / "model.safetensors"


def test_a_single_sdxl_file_is_the_model_in_the_folder(xl: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, file = xl
    monkeypatch.setattr(stable_diffusion_xl, "CONFIGS", str(folder))
    one, other = (load_backbone(str(place), device="cpu", dtype=torch.float32) for place in (folder, file))
    assert other.spec.family == "stable_diffusion_xl" and len(other.spec.weights_hash) == 64
    pixels = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    hole = torch.zeros(1, 1, 32, 48)
    hole[..., 4:20, 10:30] = 1
    noisy = torch.randn(1, *one.spec.latent_shape(32, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(one.encode(pixels), other.encode(pixels), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(one.decode(noisy), other.decode(noisy), atol=1e-5, rtol=1e-5)
        first, second = (
            base.predict(noisy, torch.tensor([500]), condition_of(base, pixels, hole, ["a photo of sks"]))
            for base in (one, other)
        )
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


def test_its_presets_and_its_memory_are_those_of_its_family(xl: tuple[Path, Path]) -> None:
    _, file = xl
    assert find_family(str(file)) == "stable_diffusion_xl"
    assert bases.estimated_as(str(file)) is bases.BASES["sdxl"]
    assert config.make("quick", {"base": str(file)}).train.batch == config.make("quick", {"base": "sdxl"}).train.batch


@pytest.mark.parametrize("family", TOLD)
def test_a_header_tells_the_family(family: str, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({TOLD[family]: torch.zeros(4, 4)}, file)
    assert bases.check_file(file) == find_family(str(file)) == family


def test_without_its_configs_a_file_says_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    save_file({TOLD["stable_diffusion_xl"]: torch.zeros(4, 4)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"stable-diffusion-xl-1\.0-inpainting-0\.1.*hf download"):
        load_backbone(str(tmp_path / "model.safetensors"), device="cpu")


REFUSED: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "SDXL that does not inpaint": (
        {TOLD["stable_diffusion_xl"]: (4, 4), f"{DENOISER}input_blocks.0.0.weight": (8, 4, 3, 3)},
        r"takes 4 channels, not 9\); take an inpainting checkpoint",
    ),
    "a FLUX transformer": ({"double_blocks.0.img_attn.qkv.weight": (4, 4)}, "FLUX transformer alone.*diffusers folder"),
    "an adapter": ({"lora_unet_down.lora_up.weight": (4, 4)}, "not a Stable Diffusion 1.5, 2 or XL checkpoint"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_another_file_is_refused_before_a_run_is_made(
    kind: str, tmp_path: Path, toy_scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes, sentence = REFUSED[kind]
    file, run = tmp_path / "model.safetensors", tmp_path / "run"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, file)
    with pytest.raises(WeightsError, match=sentence):
        load_backbone(str(file), device="cpu")
    assert main(["complete", str(toy_scene), "--run", str(run), "--base", str(file)]) == 2
    assert re.search(sentence, capsys.readouterr().err)
    assert not run.exists()
