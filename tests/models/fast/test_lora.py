"""The adapted layer: what PEFT computes, its gradients, and zeros where a layer is switched off."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from realfill.models.fast.lora import lora_product, sum_weights

RANK = 3
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(6, 5), (2, 4, 6)),
    "linear, no bias": (lambda: nn.Linear(6, 5, bias=False), (7, 6)),
    "3 x 3": (lambda: nn.Conv2d(4, 5, 3, padding=1), (2, 4, 6, 8)),
    "stride": (lambda: nn.Conv2d(4, 5, 3, stride=2, padding=1), (2, 4, 7, 9)),
    "no padding": (lambda: nn.Conv2d(4, 5, (3, 1)), (2, 4, 6, 8)),
    "1 x 1": (lambda: nn.Conv2d(4, 5, 1), (2, 4, 6, 8)),
    "1 x 1, stride": (lambda: nn.Conv2d(4, 5, 1, stride=2), (2, 4, 6, 8)),
}
KINDS = pytest.mark.parametrize("kind", LAYERS)


def peft(kind: str, dtype: torch.dtype = torch.float64) -> tuple[Any, Tensor]:
    """A layer with PEFT's adapter that says something, and an input."""
    make, shape = LAYERS[kind]
    torch.manual_seed(4)
    network = nn.Sequential(make()).requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=["0"]), network)
    network.double()
    layer: Any = network[0]
    generator = torch.Generator().manual_seed(5)
    for part in (layer.lora_A, layer.lora_B):
        weight = part["default"].weight
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    return layer.to(dtype), torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def ours(layer: Any, x: Tensor, gate: float = 1.0) -> Tensor:
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return lora_product(x, layer.base_layer, down, up, layer.scaling["default"] * gate)


def gradients(layer: Any, x: Tensor, compute: Callable[[Any, Tensor], Tensor]) -> list[Tensor]:
    """The output, and the gradients of a sum that weighs each of its values differently."""
    layer = copy.deepcopy(layer)
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = compute(layer, x)
    weights = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)
    wanted = [x, layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), wanted)]


@KINDS
@pytest.mark.parametrize("last", [False, True], ids=["usual order", "channels last"])
def test_output_and_gradients_are_pefts(kind: str, last: bool) -> None:
    layer, x = peft(kind)
    if last and x.dim() == 4:
        x, layer = x.to(memory_format=torch.channels_last), layer.to(memory_format=torch.channels_last)
    for mine, theirs in zip(gradients(layer, x, ours), gradients(layer, x, lambda one, x: one(x)), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-10, rtol=1e-10)


@KINDS
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_layer_that_is_off_is_the_base_and_its_gradients_are_zeros(kind: str, dtype: torch.dtype) -> None:
    layer, x = peft(kind, dtype)
    found = gradients(layer, x, lambda one, x: ours(one, x, gate=0.0))
    assert torch.equal(found[0], layer.base_layer(x))
    plain = x.clone().requires_grad_()
    y = layer.base_layer(plain)
    weights = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)
    torch.testing.assert_close(found[1], torch.autograd.grad((y * weights).sum(), plain)[0])
    assert not found[2].any() and not found[3].any()


@KINDS
def test_half_precision_is_as_near_as_half_precision_gets(kind: str) -> None:
    layer, x = peft(kind)
    exact = gradients(layer, x, ours)
    half = copy.deepcopy(layer)
    half.base_layer.to(torch.bfloat16)  # A and B stay wide
    found = gradients(half, x.to(torch.bfloat16), ours)
    assert [one.dtype for one in found] == [torch.bfloat16, torch.bfloat16, torch.float64, torch.float64]
    for mine, true in zip(found, exact, strict=True):
        assert float((mine - true).norm() / true.norm()) < 0.02


def test_a_small_update_survives_half_precision() -> None:
    """Added to the weight first it would be lost: the numbers next to 1 are 0.008 apart in bf16."""
    base = nn.Linear(64, 1, bias=False).requires_grad_(False).to(torch.bfloat16)
    base.weight.fill_(1.0)
    down, up = torch.tensor([1e-3, -1e-3]).repeat(32)[None], torch.ones(1, 1)
    x = torch.tensor([1.0, -1.0]).repeat(32)[None].to(torch.bfloat16)  # the base alone says 0
    assert torch.equal(sum_weights(base, down, up, 1.0), base.weight)
    assert float(lora_product(x, base, down, up, 1.0)) == pytest.approx(0.064, rel=0.01)


def test_an_input_without_gradient_gets_none() -> None:
    layer, x = peft("3 x 3")
    torch.autograd.backward(ours(layer, x).sum())
    assert x.grad is None
    assert layer.base_layer.weight.grad is None
    assert layer.lora_A["default"].weight.grad is not None


@KINDS
def test_the_sum_of_weights_computes_the_same(kind: str) -> None:
    layer, x = peft(kind)
    wanted = ours(layer, x)
    factors = layer.lora_A["default"].weight, layer.lora_B["default"].weight, layer.scaling["default"]
    whole = sum_weights(layer.base_layer, *factors)
    assert whole.stride() == layer.base_layer.weight.stride()
    layer.base_layer.weight.data = whole
    torch.testing.assert_close(layer.base_layer(x), wanted, atol=1e-10, rtol=1e-10)


def test_under_autocast_a_small_update_comes_through_in_the_mean() -> None:
    """The numbers between 1 and 2 are 0.008 apart in bf16; float32 weights lie anywhere between them."""
    base = nn.Linear(4096, 1, bias=False).requires_grad_(False)
    base.weight.data = torch.linspace(1, 2, 2048).repeat_interleave(2)[None]
    signs = torch.tensor([1.0, -1.0]).repeat(2048)[None]  # the base alone says 0
    with torch.autocast("cpu", torch.bfloat16):
        found = lora_product(signs, base, 1e-3 * signs, torch.ones(1, 1), 1.0)
    assert float(found) == pytest.approx(4096 * 1e-3, rel=0.05)


@KINDS
@pytest.mark.parametrize("base", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kept", [torch.bfloat16, torch.float16])
def test_under_autocast_it_is_peft_in_that_precision(kind: str, base: torch.dtype, kept: torch.dtype) -> None:
    layer, x = peft(kind, torch.float32)
    layer.base_layer.to(base)
    with torch.autocast("cpu", kept):
        mine, theirs = gradients(layer, x, ours), gradients(layer, x, lambda one, x: one(x))
    assert mine[0].dtype == theirs[0].dtype == kept
    for one, other in zip(mine, theirs, strict=True):
        assert float((one.double() - other.double()).norm() / other.double().norm()) < 0.02
