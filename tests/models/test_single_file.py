"""Models in one .safetensors file of their makers' layout: told by the header, loaded, or refused in a sentence."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLInpaintPipeline
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from realfill import bases, config
from realfill.bases import FAMILIES, find_family
from realfill.cli.main import main
from realfill.errors import WeightsError
from realfill.models import stable_diffusion_xl
from realfill.models.registry import load_backbone
from tests.tiny import condition_of, make_xl_base

DENOISER = "model.diffusion_model."
TOLD = {name: family.file_tensor for name, family in FAMILIES.items() if family.file_tensor}


# ── the original layout of a tiny SDXL, by the names that its maker's code has ──

_UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "down_blocks.1.attentions.0": "input_blocks.3.1",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    **{f"up_blocks.0.resnets.{index}": f"output_blocks.{index}.0" for index in (0, 1)},
    **{f"up_blocks.0.attentions.{index}": f"output_blocks.{index}.1" for index in (0, 1)},
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv",
    **{f"up_blocks.1.resnets.{index}": f"output_blocks.{index + 2}.0" for index in (0, 1)},
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_CLIP = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}


def _renamed(name: str, names: Mapping[str, str]) -> str:
    start = max((one for one in names if name.startswith(f"{one}.")), key=len)
    return names[start] + name.removeprefix(start)


def _unet_name(name: str) -> str:
    original = _renamed(name, _UNET)
    if ".resnets." in name:
        part, _, end = original.rpartition(".")
        place, _, layer = part.rpartition(".")
        return f"{place}.{_RESNET[layer]}.{end}"
    return original


def _vae_name(name: str, levels: int) -> str:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda found: f"up.{levels - 1 - int(found[1])}.block", name)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{levels - 1 - int(found[1])}.upsample", name)


def _open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = {name.removeprefix("text_model."): value for name, value in state.items()}
    layers: dict[str, Tensor] = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T.contiguous(),
    }
    for name, value in state.items():
        if not name.startswith("encoder.layers."):
            continue
        number, _, rest = name.removeprefix("encoder.layers.").partition(".")
        place = f"transformer.resblocks.{number}"
        if "q_proj" in rest:
            names = [name.replace("q_proj", f"{letter}_proj") for letter in "qkv"]
            layers[f"{place}.attn.in_proj_{rest.rpartition('.')[2]}"] = torch.cat([state[one] for one in names])
        elif "k_proj" not in rest and "v_proj" not in rest:
            layers[f"{place}.{_renamed(rest, _CLIP)}"] = value
    return layers


def original_layout(pipeline: Any) -> dict[str, Tensor]:
    """All tensors of an SDXL pipeline as its maker's checkpoints name them."""
    levels = len(pipeline.vae.config.block_out_channels)
    first = {name.removeprefix("text_model."): value for name, value in pipeline.text_encoder.state_dict().items()}
    tensors = {f"{DENOISER}{_unet_name(name)}": value for name, value in pipeline.unet.state_dict().items()}
    tensors |= {
        f"first_stage_model.{_vae_name(name, levels)}": value for name, value in pipeline.vae.state_dict().items()
    }
    tensors |= {f"conditioner.embedders.0.transformer.text_model.{name}": value for name, value in first.items()}
    second = _open_clip(pipeline.text_encoder_2.state_dict())
    tensors |= {f"conditioner.embedders.1.model.{name}": value for name, value in second.items()}
    return {name: value.contiguous() for name, value in tensors.items()}


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
