"""LoRA: fresh adapters change nothing, whole layers are dropped, and stock pipelines load what we save."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from realfill.config import TrainConfig
from realfill.errors import WeightsError
from realfill.models import lora, stable_diffusion
from realfill.models.backbone import Backbone
from realfill.models.lora import (
    adapter_parameters,
    attach_adapters,
    detach_adapters,
    enable_all_layers,
    merge_adapters,
    parameter_groups,
)
from realfill.models.registry import load_backbone_folder
from tests.tiny import WAYS, Way, backbone_in, condition_of

ROOT = Path(__file__).resolve().parents[2]
ATTENTION = TrainConfig()
ALL = TrainConfig(layers="all", rank=4, alpha=8.0)
BOTH = pytest.mark.parametrize("config", [ATTENTION, ALL], ids=["attention", "all"])
PROMPT = "a photo of sks"


def question(backbone: Backbone) -> tuple[Tensor, Tensor, Any]:
    generator = torch.Generator().manual_seed(2)
    pixels = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    hole = (torch.rand(2, 1, 32, 32, generator=generator) < 0.3).float()
    noisy = torch.randn(2, 4, 16, 16, generator=generator)
    return noisy, torch.tensor([900, 30]), condition_of(backbone, pixels, hole, [PROMPT, ""])


def answer(backbone: Backbone) -> tuple[Tensor, Tensor]:
    """What the U-Net and the text encoder say."""
    with torch.no_grad():
        noisy, t, condition = question(backbone)
        return backbone.predict(noisy, t, condition), condition.prompt_embeds


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> list[bool]:
    return [torch.equal(a, b) for a, b in zip(one, other, strict=True)]


def scramble(backbone: Backbone) -> None:
    """Give every adapter weights that matter, as training would."""
    generator = torch.Generator().manual_seed(8)
    for parameter in adapter_parameters(backbone).values():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3


@BOTH
def test_a_fresh_adapter_changes_nothing_and_detach_restores(tiny: Backbone, config: TrainConfig) -> None:
    before = answer(tiny)
    attach_adapters(tiny, config, seed=1)
    assert same(answer(tiny), before) == [True, True]
    scramble(tiny)
    assert same(answer(tiny), before) == [False, False]
    detach_adapters(tiny)
    assert same(answer(tiny), before) == [True, True]
    assert not adapter_parameters(tiny)
    detach_adapters(tiny)  # nothing to do is fine


def test_attaching_again_starts_afresh(tiny: Backbone) -> None:
    before = answer(tiny)
    attach_adapters(tiny, ATTENTION, seed=1)
    scramble(tiny)
    attach_adapters(tiny, ALL, seed=1)
    assert same(answer(tiny), before) == [True, True]
    assert {p.shape[0] for n, p in adapter_parameters(tiny).items() if "lora_A" in n} == {ALL.rank}


def test_initial_values_follow_from_the_seed_alone(tiny: Backbone) -> None:
    drawn = []
    for seed in (4, 4, 5):
        torch.rand(7)  # the global state must not matter
        attach_adapters(tiny, ATTENTION, seed=seed)
        drawn.append({name: p.detach().clone() for name, p in adapter_parameters(tiny).items()})
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    downs = [name for name in drawn[0] if "lora_A" in name]
    assert not any(torch.equal(drawn[0][name], drawn[2][name]) for name in downs)
    assert all(0 < drawn[0][name].abs().max() <= drawn[0][name][0].numel() ** -0.5 for name in downs)


def test_attention_of_both_networks_is_adapted_at_rank_eight(tiny: Backbone) -> None:
    attach_adapters(tiny, ATTENTION, seed=1)
    names = adapter_parameters(tiny)
    for layer in ("to_q", "to_k", "to_v", "to_out.0"):
        assert any(name.startswith("unet") and f"attn1.{layer}.lora_A" in name for name in names)
        assert any(name.startswith("unet") and f"attn2.{layer}.lora_A" in name for name in names)
    for layer in ("q_proj", "k_proj", "v_proj", "out_proj"):
        assert any(name.startswith("text_encoder") and f"{layer}.lora_B" in name for name in names)
    assert not [name for name in names if ".conv" in name or ".ff." in name or ".fc" in name]
    assert {p.shape[0] for name, p in names.items() if "lora_A" in name} == {8}
    assert all(parameter.requires_grad for parameter in names.values())


def test_the_adapters_output_is_scaled_by_alpha_over_rank(tiny: Backbone) -> None:
    attach_adapters(tiny, TrainConfig(rank=8, alpha=24.0), seed=1)
    scramble(tiny)
    layer = next(lora.lora_layers(tiny.trainable()["unet"]))
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    x = torch.randn(1, 3, layer.in_features, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(layer(x) - layer.base_layer(x), 3 * x @ down.T @ up.T, atol=1e-4, rtol=0)


def test_adapters_are_float32_on_a_half_precision_base(tiny_base: Path) -> None:
    half = backbone_in(tiny_base, "stored in bf16")
    attach_adapters(half, ALL, seed=1)
    assert {parameter.dtype for parameter in adapter_parameters(half).values()} == {torch.float32}
    scramble(half)
    assert torch.isfinite(answer(half)[0]).all()


def test_each_network_has_its_own_learning_rate(tiny: Backbone) -> None:
    attach_adapters(tiny, ATTENTION, seed=1)
    unet, text = parameter_groups(tiny, ATTENTION)
    assert (unet["lr"], text["lr"]) == (2e-4, 4e-5)
    by_id = {id(parameter): name for name, parameter in adapter_parameters(tiny).items()}
    assert all(by_id[id(p)].startswith("unet.") for p in unet["params"])
    assert all(by_id[id(p)].startswith("text_encoder.") for p in text["params"])
    assert len(unet["params"]) + len(text["params"]) == len(by_id)


# ── layer dropout ──


def gates(backbone: Backbone, steps: int, *, rate: float, seed: int = 3) -> Tensor:
    """(steps, layers) of 0 and 1."""
    dropout = lora.LayerDropout(backbone, rate=rate, seed=seed)
    drawn = []
    for step in range(steps):
        dropout.draw(step)
        drawn.append(dropout.gates.clone())
    dropout.close()
    return torch.stack(drawn)


def test_layers_are_dropped_at_the_rate_each_for_itself(tiny: Backbone) -> None:
    attach_adapters(tiny, ATTENTION, seed=1)
    drawn = gates(tiny, 400, rate=0.1)
    assert set(drawn.flatten().tolist()) == {0.0, 1.0}
    count = drawn.numel()
    bound = 4 * (0.1 * 0.9 / count) ** 0.5
    assert abs((1 - drawn).mean() - 0.1) < bound
    assert ((1 - drawn).mean(0) > 0.03).all()  # every layer
    together = (1 - drawn).sum(1)  # binomial, not all or nothing
    assert abs(together.var() / (drawn.shape[1] * 0.09) - 1) < 0.4
    assert gates(tiny, 5, rate=0.0).all()
    assert not gates(tiny, 5, rate=1.0).any()


def test_gates_follow_from_seed_and_step(tiny: Backbone) -> None:
    attach_adapters(tiny, ATTENTION, seed=1)
    drawn = gates(tiny, 30, rate=0.5)
    assert torch.equal(drawn, gates(tiny, 30, rate=0.5))
    assert not torch.equal(drawn, gates(tiny, 30, rate=0.5, seed=4))
    assert not torch.equal(drawn[0], drawn[1])


@BOTH
def test_gated_layers_are_really_off(tiny: Backbone, config: TrainConfig) -> None:
    base = answer(tiny)
    attach_adapters(tiny, config, seed=1)
    scramble(tiny)
    on = answer(tiny)
    dropout = lora.LayerDropout(tiny, rate=1.0, seed=0)
    assert same(answer(tiny), on) == [True, True]  # until drawn, all are on
    dropout.draw(0)
    assert same(answer(tiny), base) == [True, True]
    dropout.close()
    assert same(answer(tiny), on) == [True, True]


def test_one_gate_switches_one_layer(tiny: Backbone) -> None:
    attach_adapters(tiny, ATTENTION, seed=1)
    scramble(tiny)
    dropout = lora.LayerDropout(tiny, rate=0.0, seed=0)
    layers = [layer for network in tiny.trainable().values() for layer in lora.lora_layers(network)]
    inputs = [torch.randn(1, 3, layer.in_features, generator=torch.Generator().manual_seed(1)) for layer in layers]
    with torch.no_grad():
        for off in range(len(layers)):
            dropout.set([float(index != off) for index in range(len(layers))])
            unchanged = [torch.equal(layer(x), layer.base_layer(x)) for layer, x in zip(layers, inputs, strict=True)]
            assert unchanged == [index == off for index in range(len(layers))]
    dropout.close()


def test_dropped_layers_still_get_a_gradient_tensor(tiny: Backbone) -> None:
    attach_adapters(tiny, ATTENTION, seed=1)
    scramble(tiny)
    dropout = lora.LayerDropout(tiny, rate=0.5, seed=0)
    dropout.draw(0)
    noisy, t, condition = question(tiny)
    torch.autograd.backward(tiny.predict(noisy, t, condition).square().mean())
    kept = iter(dropout.gates.tolist())
    for network in tiny.trainable().values():
        for layer in lora.lora_layers(network):
            grads = [layer.lora_A["default"].weight.grad, layer.lora_B["default"].weight.grad]
            assert all(grad is not None for grad in grads)
            assert all(bool(grad.any()) for grad in grads) == (next(kept) == 1.0)
    dropout.close()


# ── files ──


def stock(folder: Path) -> Any:
    from diffusers import StableDiffusionInpaintPipeline

    return StableDiffusionInpaintPipeline.from_pretrained(folder, safety_checker=None)


@BOTH
def test_a_stock_pipeline_loads_what_we_save(
    tiny: Backbone, tiny_base: Path, tmp_path: Path, config: TrainConfig
) -> None:
    attach_adapters(tiny, config, seed=1)
    scramble(tiny)
    lora.save_lora(tiny, tmp_path / "lora")
    pipeline = stock(tiny_base)
    pipeline.load_lora_weights(tmp_path / "lora")
    ours = answer(tiny)
    theirs = answer(stable_diffusion.StableDiffusionInpaint(pipeline, name="stock", weights_hash=""))
    for mine, other in zip(ours, theirs, strict=True):  # PEFT's own forward: the sums come in another order
        assert float((mine - other).norm() / other.norm()) < 1e-4


@BOTH
def test_load_restores_what_save_wrote(tiny: Backbone, tmp_path: Path, config: TrainConfig) -> None:
    attach_adapters(tiny, config, seed=1)
    scramble(tiny)
    before = answer(tiny)
    lora.save_lora(tiny, tmp_path / "lora")
    detach_adapters(tiny)
    lora.load_lora(tiny, tmp_path / "lora", config)
    assert same(answer(tiny), before) == [True, True]


def test_the_file_tells_nothing_about_this_machine(tiny: Backbone, tiny_base: Path, tmp_path: Path) -> None:
    attach_adapters(tiny, ATTENTION, seed=1)
    lora.save_lora(tiny, tmp_path / "lora")
    (file,) = (tmp_path / "lora").iterdir()
    with safe_open(file, "pt") as opened:
        text = json.dumps(opened.metadata())
    assert str(tiny_base) not in text
    assert "lora_alpha" in text


def save_adapters(base: Path, folder: Path) -> None:
    backbone = load_backbone_folder(base)
    attach_adapters(backbone, ALL, seed=1)
    for number in range(4):
        lora.save_lora(backbone, folder / str(number))


def test_equal_adapters_give_equal_files_in_any_process(tiny_base: Path, tmp_path: Path) -> None:
    """Sets of names follow the process' hash seed, and safetensors' metadata the call."""
    call = "import sys; from pathlib import Path; from tests.models.test_lora import save_adapters as save; "
    call += "save(*map(Path, sys.argv[1:]))"
    other_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    command = [sys.executable, "-c", call, str(tiny_base), str(tmp_path / "other")]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": other_seed}, check=True)
    save_adapters(tiny_base, tmp_path / "own")
    saved = [file.read_bytes() for file in tmp_path.rglob("*.safetensors")]
    assert len(saved) == 8 and len(set(saved)) == 1


def test_adapters_that_do_not_fit_are_refused(tiny: Backbone, tmp_path: Path) -> None:
    before = answer(tiny)
    with pytest.raises(WeightsError, match="no adapter"):
        lora.load_lora(tiny, tmp_path / "nowhere", ATTENTION)
    attach_adapters(tiny, ALL, seed=1)
    lora.save_lora(tiny, tmp_path / "all")
    for other in (ATTENTION, TrainConfig(layers="all", rank=5), TrainConfig(rank=ALL.rank)):
        with pytest.raises(WeightsError, match="does not fit"):
            lora.load_lora(tiny, tmp_path / "all", other)
    assert same(answer(tiny), before) == [True, True]
    (file,) = (tmp_path / "all").iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="damaged"):
        lora.load_lora(tiny, tmp_path / "all", ALL)


@BOTH
def test_pictures_between_two_steps_use_every_layer(tiny: Backbone, config: TrainConfig) -> None:
    attach_adapters(tiny, config, seed=1)
    scramble(tiny)
    on = answer(tiny)
    dropout = lora.LayerDropout(tiny, rate=1.0, seed=0)
    dropout.draw(0)
    off = answer(tiny)
    with enable_all_layers(tiny):
        assert same(answer(tiny), on) == [True, True]
    assert same(answer(tiny), off) == [True, True]
    dropout.close()
    assert same(answer(tiny), on) == [True, True]


# ── merged for sampling ──


@BOTH
@pytest.mark.parametrize("way", WAYS)
def test_merged_layers_say_the_same_and_the_base_comes_back_bit_by_bit(
    tiny_base: Path, config: TrainConfig, way: Way
) -> None:
    backbone = backbone_in(tiny_base, way)
    attach_adapters(backbone, config, seed=1)
    scramble(backbone)
    for parameter in adapter_parameters(backbone).values():
        parameter.data /= 4  # in half precision much larger ones say little but how it was rounded

    def tensors() -> list[Tensor]:
        return [one for network in backbone.trainable().values() for one in network.state_dict().values()]

    before, apart = [tensor.clone() for tensor in tensors()], answer(backbone)
    with merge_adapters(backbone):
        together = answer(backbone)
    assert all(torch.equal(one, copy) for one, copy in zip(tensors(), before, strict=True))
    assert same(answer(backbone), apart) == [True, True]
    for one, other in zip(together, apart, strict=True):
        assert float((one - other).float().norm() / other.float().norm()) < (1e-6 if way == "float32" else 0.05)


def test_a_failure_while_merged_brings_the_base_back(tiny: Backbone) -> None:
    attach_adapters(tiny, ALL, seed=1)
    scramble(tiny)
    before = answer(tiny)
    with pytest.raises(torch.OutOfMemoryError), merge_adapters(tiny), merge_adapters(tiny):
        raise torch.OutOfMemoryError("injected")
    assert same(answer(tiny), before) == [True, True]


def test_merged_means_with_the_gates_of_now(tiny: Backbone) -> None:
    base = answer(tiny)
    attach_adapters(tiny, ALL, seed=1)
    scramble(tiny)
    dropout = lora.LayerDropout(tiny, rate=1.0, seed=0)
    dropout.draw(0)
    with merge_adapters(tiny):
        assert same(answer(tiny), base) == [True, True]
    dropout.close()
